"""The numbers of a comparison, against cases computed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.pipeline.verify.parity import Parity, ask, compare, no_answers, tie

if TYPE_CHECKING:
    from edgemnist.ground.progress import Task
    from edgemnist.model.runtimes.interface import Classifier

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]], np.float32)
LABELS = np.array([0, 1, 2, 1])
"""The reference is right three times out of four."""


def answers(*rows: list[float]) -> Probabilities:
    return np.array(rows, np.float32)


def against(single: Probabilities, batched: Probabilities | None = None) -> Parity:
    return compare(REFERENCE, LABELS, single, single if batched is None else batched)


def test_an_exact_copy_differs_in_nothing() -> None:
    parity = against(REFERENCE.copy())
    assert (parity.images, parity.classes, parity.correct, parity.lost) == (4, 3, 3, 0)
    assert (parity.flips, parity.batch_flips, parity.unanswered) == (0, 0, 0)
    assert (parity.max_abs_diff, parity.mean_abs_diff, parity.max_batch_diff) == (0.0, 0.0, 0.0)
    assert (parity.figures["accuracy"], parity.figures["accuracy_drop_points"]) == (0.75, 0.0)
    assert parity.max_sum_error == pytest.approx(0.0, abs=1e-7)


RIGHT = [[0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]


@pytest.mark.parametrize(
    ("first", "middle", "last", "flips", "broken", "fixed", "correct"),
    [
        # The first is broken, the last is repaired, the third goes from right to wrong: 3 flips, 1 lost on balance.
        ([0.2, 0.7, 0.1], [RIGHT[0], [0.6, 0.2, 0.2]], [0.4, 0.5, 0.1], 3, 2, 1, 2),
        ([0.7, 0.2, 0.1], RIGHT, [0.4, 0.5, 0.1], 1, 0, 1, 4),
        # A tie goes to the first class, as in every runtime.
        ([0.45, 0.45, 0.1], RIGHT, [0.5, 0.4, 0.1], 0, 0, 0, 3),
        # No answer at all agrees with nothing.
        ([np.nan] * 3, [[np.nan] * 3] * 2, [np.nan] * 3, 4, 3, 0, 0),
    ],
)
def test_flips_and_lost_images_are_counted_apart(
    first: list[float], middle: list[list[float]], last: list[float], flips: int, broken: int, fixed: int, correct: int
) -> None:
    parity = against(answers(first, *middle, last))
    assert (parity.flips, parity.broken, parity.fixed, parity.correct) == (flips, broken, fixed, correct)
    assert (parity.lost, parity.figures["accuracy_drop_points"]) == (broken - fixed, 25.0 * (broken - fixed))
    nothing = no_answers(4, 3)
    assert against(nothing.single, nothing.batched).unanswered == 4


def test_differences_are_taken_over_all_images_and_classes() -> None:
    single = REFERENCE.copy()
    single[1] += np.array([0.06, -0.06, 0.0], np.float32)
    parity = against(single)
    assert parity.max_abs_diff == pytest.approx(0.06, rel=1e-5)
    assert parity.mean_abs_diff == pytest.approx(0.12 / 12, rel=1e-5)


def test_batches_are_compared_with_single_images() -> None:
    batched = REFERENCE.copy()
    batched[3] = [0.3, 0.6, 0.1]
    parity = against(REFERENCE.copy(), batched)
    assert (parity.flips, parity.batch_flips) == (0, 1)
    assert parity.max_batch_diff == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_answer_and_leaves_the_other_numbers_finite(bad: float) -> None:
    single = REFERENCE.copy()
    single[0, 2] = bad
    parity = against(single)
    assert (parity.unanswered, parity.flips, parity.correct, parity.lost) == (1, 1, 2, 1)
    assert parity.max_abs_diff == pytest.approx(0.7, rel=1e-5)
    assert np.isfinite([parity.mean_abs_diff, parity.max_sum_error, parity.max_batch_diff]).all()


@pytest.mark.parametrize(
    ("row", "error"),
    [([0.7, 0.2, 0.0], 0.1), ([0.7, 0.2, 0.3], 0.2), ([1.1, 0.0, -0.1], 0.2), ([-0.7, -0.2, -0.1], 0.0)],
)
def test_probabilities_that_are_none_show_in_their_sum(row: list[float], error: float) -> None:
    parity = against(answers(row, [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]))
    assert parity.max_sum_error == pytest.approx(error, abs=1e-6)


class ByCall:
    """A classifier whose every answer is the number of its call and the first pixel."""

    classes_ = (0, 1)
    fixed_batch: int | None = None
    calls = 0

    def answer(self, images: Images) -> Probabilities:
        """Return float32 [N, 2]."""
        self.calls += 1
        first = images[:, 0, 0].astype(np.float32)
        return np.stack([first, np.full_like(first, len(images))], axis=1)


def test_every_image_is_asked_for_alone_and_in_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemnist.pipeline.verify.parity.BATCH_SIZE", 3)
    images = np.zeros((7, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(7)
    golden = GoldenPack(
        images=images, truth=np.zeros(7, np.int64), probabilities=np.zeros((7, 2), np.float32),
        class_labels=("0", "1"), data=DataIdentity(source="made", train=0, test=7, sha256=""), model_sha256="",
    )  # fmt: skip
    done: list[int] = []
    found = ask(cast("Classifier", ByCall()), golden, cast("Task", SimpleNamespace(update=done.append)))
    assert found.batched is not None
    assert found.single.tolist() == [[index, 1] for index in range(7)]
    assert found.batched.tolist() == [[index, 3 if index < 6 else 1] for index in range(7)]
    assert found.single.dtype == found.batched.dtype == np.float32
    assert done == [3, 6, 7]


def test_the_label_of_an_answer_in_a_batch_that_is_none_is_none() -> None:
    batched = REFERENCE.copy()
    batched[0] = np.nan
    parity = against(REFERENCE.copy(), batched)
    assert parity.batch_flips == 1
    assert parity.max_batch_diff == pytest.approx(0.7)


def test_a_tie_is_no_label_more_likely_than_the_given_one() -> None:
    rows = answers([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.6, 0.4, 0.0], [0.5, 0.5, np.nan], [1.0, 0.0, 0.0])
    assert tie(rows, np.array([0, 1, 1, 0, -1])).tolist() == [True, True, False, False, False]
