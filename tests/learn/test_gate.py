"""The gate, the folds and the neighbours, on numbers that a person can check."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.arrays import Images
from edgemnist.errors import UsageError
from edgemnist.learn.gate import Known, contradictions, features_of, folds_of, gate, paired
from edgemnist.learn.run import select
from edgemnist.results.samples import Paired
from edgemnist.samples import NOT_A_DIGIT, Label, Sample, now
from edgemnist.verify.statistics import wilson_interval
from tests.samples.making import image_of, sample_of

DIGITS = tuple("0123456789")


def compared(images: int, fixed: int, broken: int) -> Paired:
    truth = np.zeros(images, np.int64)
    before, after = truth.copy(), truth.copy()
    before[:fixed] = 1
    after[fixed : fixed + broken] = 1
    return paired(before, after, truth)


def test_without_a_test_of_chance_any_difference_may_be_chance() -> None:
    """SciPy is not installed everywhere."""
    unknown = msgspec.structs.replace(compared(100, 12, 2), p_value=None)
    (reason,) = gate(unknown, compared(1000, 0, 0))
    assert "of 100 may be chance (p = 1.00)." in reason


def test_two_models_are_compared_image_by_image() -> None:
    found = compared(100, fixed=12, broken=2)
    assert (found.before, found.after, found.fixed, found.broken) == (88, 98, 12, 2)
    assert (found.before_interval, found.after_interval) == (wilson_interval(88, 100), wilson_interval(98, 100))
    # Twice the tail of 14 tosses of a coin with 2 heads or fewer: 2 · (1 + 14 + 91) / 2^14.
    assert found.p_value == pytest.approx(2 * 106 / 2**14)


@pytest.mark.parametrize(
    ("held_out", "golden", "reasons"),
    [
        ((100, 12, 2), (1000, 0, 0), []),
        ((100, 12, 2), (1000, 0, 1), []),
        ((100, 12, 2), (1000, 0, 2), ["It is worse on the golden pack: 2 of 1,000 images lost, 1 allowed."]),
        ((100, 12, 2), (10_000, 3, 8), []),
        ((100, 12, 2), (10_000, 3, 9), ["It is worse on the golden pack: 6 of 10,000 images lost, 5 allowed."]),
        ((100, 3, 3), (1000, 0, 0), ["It is not better on labels that it has not learnt from: 3 fixed, 3 broken."]),
        (
            (100, 4, 0),
            (1000, 0, 0),
            [
                (
                    "The labels are too few to tell whether it is better: 4 fixed and 0 broken of 100 may be chance "
                    "(p = 0.12). Label more samples."
                )
            ],
        ),
        ((100, 6, 0), (1000, 0, 0), []),
    ],
)
def test_the_gate_is_missed_for_each_reason(
    held_out: tuple[int, int, int], golden: tuple[int, int, int], reasons: list[str]
) -> None:
    assert gate(compared(*held_out), compared(*golden)) == reasons


def test_folds_keep_together_what_came_together() -> None:
    folds = folds_of(22)
    assert np.array_equal(np.concatenate(folds), np.arange(22))
    assert {len(fold) for fold in folds} == {5, 6}


def test_a_label_is_doubted_only_where_neighbours_and_model_agree_on_another() -> None:
    rng = np.random.default_rng(0)
    corners = np.eye(3, 8, dtype=np.float32)

    def near(corner: int, count: int) -> npt.NDArray[np.float32]:
        points = corners[corner] + rng.normal(0, 0.01, (count, 8))
        return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)

    training = Known(np.concatenate([near(one, 10) for one in range(3)]), np.repeat(np.arange(3), 10))
    own = Known(np.concatenate([near(0, 2), near(1, 2)]), np.array([0, 2, 0, 1]))
    sure = np.full((4, 3), 0.02, np.float32)
    sure[[0, 1, 2, 3], [0, 0, 1, 1]] = 0.96
    writers = [(Label(str(one), "ann", now(), settles=False),) for one in (0, 2, 0, 1)]
    samples = [sample_of(one, id=one + 1, labels=labels) for one, labels in enumerate(writers)]
    found = contradictions(samples, own, sure, training, ("0", "1", "2"))
    assert [(one.sample, one.label, one.neighbours, one.writers) for one in found] == [
        (2, "2", "0", ["ann"]),
        (3, "0", "1", ["ann"]),
    ]
    unsure = np.full((4, 3), 1 / 3, np.float32)
    assert contradictions(samples, own, unsure, training, ("0", "1", "2")) == []


def test_nobody_is_their_own_neighbour() -> None:
    angles = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # The nearest agrees with the label, the four behind it do not: with itself, it would be two against three.
    training = Known(around, np.array([0, 1, 1, 1, 1]))
    own = Known(np.array([[1, 0]], np.float32), np.array([0]))
    (found,) = contradictions([sample_of(0, id=9)], own, np.array([[0.05, 0.95]], np.float32), training, ("0", "1"))
    assert (found.sample, found.neighbours) == (9, "1")


def test_features_are_directions_and_nothing_has_none() -> None:
    hidden = np.array([[3, 4], [0, 0], [0, 1e-3]], np.float32)
    images = np.zeros((3, 28, 28), np.uint8)
    seen = []

    def layer(shown: Images) -> npt.NDArray[np.float32]:
        seen.append(shown)
        return hidden

    found = features_of(layer, images)
    assert seen[0] is images
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, 1]]))


def test_a_label_is_doubted_by_four_of_five_neighbours_and_nine_tenths_of_the_model() -> None:
    directions = np.eye(2, dtype=np.float32)
    own = Known(directions[[0]], np.array([0]))
    sample = sample_of(
        0, id=9, labels=(Label("0", "ann", now(), settles=False), Label("0", "bob", now(), settles=False))
    )

    def doubted(others: int, probability: float) -> bool:
        # Beside the five neighbours, one in another direction of the label that none of them has.
        labels = np.array([1] * others + [0] * (5 - others) + [2] * 5)
        training = Known(directions[[0] * 5 + [1] * 5], labels)
        found = contradictions(
            [sample], own, np.array([[1 - probability, probability, 0]]), training, ("zero", "one", "two")
        )
        assert all((one.label, one.neighbours, one.writers) == ("zero", "one", ["ann", "bob"]) for one in found)
        return bool(found)

    assert doubted(4, 0.9)
    assert doubted(5, 0.99)
    assert not doubted(3, 0.99)
    assert not doubted(5, 0.89)


def labelled(digit: int, label: str, at: str = "2026-11-26T01:00:00.000Z", *more: str) -> Sample:
    labels = tuple(Label(one, f"writer {number}", at, settles=False) for number, one in enumerate((label, *more)))
    return sample_of(digit, at=at, labels=labels)


def test_what_is_learnt_from_has_one_label_and_is_a_digit() -> None:
    samples = [labelled(number % 10, str(number % 10), f"2026-11-{30 - number:02}") for number in range(20)]
    samples += [labelled(1, NOT_A_DIGIT), labelled(1, "1", "2026-11-26", "7"), sample_of(3)]
    lesson = select(samples, DIGITS)
    # In the order of time, which is that of the writers.
    assert lesson.split.labels.tolist() == [number % 10 for number in range(19, -1, -1)]
    assert np.array_equal(lesson.split.images[0], image_of(9))
    assert (lesson.not_a_digit, lesson.disputed) == (1, 1)


def test_too_few_labels_and_other_classes_are_told() -> None:
    samples = [labelled(number % 10, str(number % 10)) for number in range(19)]
    with pytest.raises(UsageError, match=r"There are 19 labelled samples, too few to learn from \(at least 20\)"):
        select(samples, DIGITS)
    with pytest.raises(UsageError, match="labels that are not classes of the model: eleven, x"):
        select([*samples, labelled(1, "x"), labelled(1, "eleven")], DIGITS)
