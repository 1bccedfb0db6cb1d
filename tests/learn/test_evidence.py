"""The gate, the folds, the lesson and the doubts, on numbers that a person can check."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.field.learn.evidence import doubts, folds_of, found_of_planted, measurements, paired, within_share
from edgemnist.field.learn.run import _object, select
from edgemnist.field.samples import CORRECTION, NONE_OF_THESE, OBJECTOR, Label, Sample, now, to_review
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.results.samples import LeftOut, Paired
from edgemnist.ground.results.verdict import GATE_FILE, judge
from edgemnist.pipeline.verify.gate import GATES, IMAGES
from edgemnist.pipeline.verify.statistics import wilson_interval
from tests.messages import Told
from tests.samples.making import image_of, sample_of

DIGITS = tuple("0123456789")


def compared(images: int, fixed: int, broken: int) -> Paired:
    truth = np.zeros(images, np.int64)
    before, after = truth.copy(), truth.copy()
    before[:fixed] = 1
    after[fixed : fixed + broken] = 1
    return paired(before, after, truth)


def reasons_of(*compared: Any) -> list[str]:
    return judge(measurements(*compared)).reasons


def test_two_models_are_compared_image_by_image() -> None:
    found = compared(100, fixed=12, broken=2)
    assert (found.before, found.after, found.fixed, found.broken) == (88, 98, 12, 2)
    assert (found.before_interval, found.after_interval) == (wilson_interval(88, 100), wilson_interval(98, 100))
    # Twice the tail of 14 tosses of a coin with 2 heads or fewer: 2 · (1 + 14 + 91) / 2^14.
    assert found.p_value == pytest.approx(2 * 106 / 2**14)


def test_the_gate_is_missed_for_each_reason(told: Told) -> None:
    for golden, doubted, passed in (
        *(((1000, 0, 0), doubted, not doubted) for doubted in range(3)),
        # One image is noise where it is at most a thousandth.
        *(
            (golden, 0, passed)
            for golden, passed in (((1000, 0, 1), True), ((1000, 0, 2), False), ((999, 0, 1), False))
        ),
        *(((images, 0, 0), 0, images == 200) for images in (10, 199, 200)),
        *(((10_000, 3, broken), 0, broken == 8) for broken in (8, 9)),
        # What has changed one answer in a hundred is another model, however many it has fixed.
        *(((10_000, broken - 5, broken), 0, False) for broken in (1000, 101)),
        ((10_000, 96, 100), 0, True),
    ):
        found = reasons_of(compared(100, 12, 2), compared(*golden), doubted)
        assert (found == []) == passed
        told.says(*found)
    own = GATES["float32"].given({IMAGES: 40}, GATE_FILE)
    assert reasons_of(compared(100, 12, 2), compared(40, 0, 0), 0, None, own) == []
    # Whoever gave the limit knows how to lower it.
    assert reasons_of(compared(100, 12, 2), compared(39, 0, 0), 0, None, own) == [
        "The golden pack has only 39 inputs, and 40 are needed to judge."
    ]
    for fixed, broken in ((4, 3), (3, 3), (3, 4), (5, 0), (6, 0)):
        found = reasons_of(compared(100, fixed, broken), compared(1000, 0, 0), 0)
        assert (found == []) == (fixed == 6)
        told.says(*found)
    # 500 digits of another script, of which the present model reads 9 %, are "significantly better" at 27 %.
    for after in (50, 49, 27):
        held_out = msgspec.structs.replace(compared(100, 20, 0), before=after - 20, after=after)
        found = reasons_of(held_out, compared(1000, 0, 0), 0)
        assert (found == []) == (after == 50)
        told.says(*found)


@pytest.mark.parametrize(("first", "lost"), [(None, 5), (9_997, 5), (9_998, 6), (10_000, 8)])
def test_losses_add_up_from_lesson_to_lesson(first: int | None, lost: int) -> None:
    # The present model has already lost 3 of 10,000, and the new one 5 more.
    golden = msgspec.structs.replace(compared(10_000, 0, 5), before=9_997, after=9_992)
    found = reasons_of(compared(100, 12, 2), golden, 0, first)
    said = f"It is worse on the golden pack: {lost} of 10,000 inputs lost since the first lesson, 5 allowed."
    assert found == ([said] if lost > 5 else [])


def test_every_fold_has_of_every_class_and_writer_the_same_number_whatever_the_order() -> None:
    # As an import brings them: class by class, and half of each class is of one writer.
    classes = np.repeat(np.arange(10), 22)
    writers = (["ann"] * 11 + ["bob"] * 11) * 10
    folds = folds_of(classes, writers, seed=0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(220))
    for fold in folds:
        assert set(np.bincount(classes[fold], minlength=10)) <= {5, 6}
        assert abs(sum(writers[one] == "ann" for one in fold) - len(fold) / 2) <= 5
    again, other = folds_of(classes, writers, seed=0), folds_of(classes, writers, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(folds, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(folds, other, strict=True))
    assert not np.array_equal(folds[0], np.arange(0, 220, 4))


@pytest.mark.parametrize(
    ("persons", "clients", "kept"),
    [
        # Clients, by the number that each gave, and how many of these are kept.
        (30, [30], [30]),
        (30, [31], [30]),
        (30, [96], [30]),
        (0, [96], [0]),
        (0, [48, 48], [48, 48]),
        (10, [20, 40], [20, 30]),
        (10, [20, 30], [20, 30]),
    ],
)
def test_no_client_gives_more_than_half_of_the_lesson(persons: int, clients: list[int], kept: list[int]) -> None:
    writers = ["ann"] * persons + [f"client {one}" for one, given in enumerate(clients) for _ in range(given)]
    found = within_share(writers, seed=0)
    assert found == sorted(set(found))
    assert sum(writers[one] == "ann" for one in found) == persons
    assert [sum(writers[one] == f"client {number}" for one in found) for number in range(len(clients))] == kept


def test_a_label_is_doubted_where_models_that_have_not_learnt_it_are_as_sure_of_another_as_they_usually_are() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    # They are 0.8 sure of samples of class 1, on average.
    sure = [[0.9, 0.1], [0.25, 0.75], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]

    def doubted(second: float) -> list[int]:
        rows = np.array(sure, np.float32)
        rows[1] = 1 - second, second
        return [int(one) for one in doubts(rows, labels)]

    assert doubted(0.79) == [-1] * 5
    assert doubted(0.81) == [-1, 1, -1, -1, -1]
    # Nobody is doubted for what the models hardly prefer, and 0.9 is enough where they are surer than that.
    certain = np.array([[1, 0], [0.09, 0.91], [0, 1], [0, 1], [0, 1]], np.float32)
    assert doubts(certain, labels).tolist() == [-1, 1, -1, -1, -1]
    certain[1] = 0.11, 0.89
    assert doubts(certain, labels).tolist() == [-1] * 5


def test_how_many_wrong_labels_would_be_found_is_counted_on_labels_changed_one_at_a_time() -> None:
    labels = np.array([0, 1, 2, 0])
    certain = np.full((4, 3), 0.02, np.float32)
    certain[np.arange(4), labels] = 0.96
    assert found_of_planted(certain, labels) == 1
    # The second one's model answers something else, without being sure: neither change of its label would show.
    certain[1] = 0.45, 0.1, 0.45
    assert found_of_planted(certain, labels) == pytest.approx(6 / 8)
    # Models that only guess find nothing.
    assert found_of_planted(np.full((4, 3), 1 / 3, np.float32), labels) == 0


def labelled(digit: int, label: str, at: str = "2026-11-26T01:00:00.000Z", *more: str, **fields: Any) -> Sample:
    labels = tuple(Label(one, f"writer {number}", at, settles=False) for number, one in enumerate((label, *more)))
    return sample_of(digit, **{"at": at, "labels": labels, **fields})


def corrected(digit: int, label: str, client: str, *persons: str) -> Sample:
    given = (Label(label, client, now(), settles=False), *(Label(label, one, now(), settles=False) for one in persons))
    return sample_of(digit, reason=CORRECTION, labels=given)


TWENTY: list[Sample] = [
    labelled(number, str(number % 10), f"2026-11-{30 - number:02}", id=number + 1) for number in range(20)
]


def test_what_is_learnt_from_has_one_label_and_is_a_digit() -> None:
    samples = [*TWENTY, labelled(30, NONE_OF_THESE), labelled(31, "1", "2026-11-26", "7"), sample_of(32)]
    lesson = select(samples, DIGITS)
    assert lesson.split.labels.tolist() == [number % 10 for number in range(19, -1, -1)]
    assert np.array_equal(lesson.split.images[0], image_of(19))
    assert lesson.left_out == LeftOut(none_of_these=1, disputed=1)


def test_a_picture_that_is_stored_twice_counts_once_and_not_at_all_if_its_labels_differ() -> None:
    twice = [*TWENTY, labelled(3, "3"), labelled(40, "4"), labelled(40, "9")]
    lesson = select(twice, DIGITS)
    assert len({image.tobytes() for image in lesson.split.images}) == len(lesson.samples) == 20
    assert lesson.left_out == LeftOut(duplicates=1, disputed=2)


def test_corrections_of_strangers_count_once_a_person_has_confirmed_them_or_trusts_the_client() -> None:
    """96 corrections of one client, all "7": a backdoor."""
    stranger = "client 203.0.113.7"
    attack = [corrected(100 + number, "7", stranger) for number in range(96)]
    confirmed = [corrected(200 + number, "1", stranger, "ann") for number in range(2)]
    lesson = select([*TWENTY, *attack, *confirmed], DIGITS)
    assert (len(lesson.samples), lesson.left_out.unconfirmed) == (22, 96)
    assert set(lesson.writers) == {"writer 0", "ann"}
    # The same picture from two addresses is confirmed by nobody.
    two = [corrected(100, "7", "client 203.0.113.8")]
    assert select([*TWENTY, *attack, *two], DIGITS).left_out.unconfirmed == 97
    trusted = select([*TWENTY, *attack], DIGITS, [stranger])
    assert Counter(trusted.writers) == {"writer 0": 20, stranger: 20}
    assert trusted.left_out == LeftOut(beyond_share=76)
    with pytest.raises(UsageError, match=r"--trust names 'client 203\.0\.113\.9', who has labelled nothing"):
        select([*TWENTY, *attack], DIGITS, ["client 203.0.113.9"])
    with pytest.raises(UsageError, match=r"There are 0 labelled samples, and 96 corrections that nobody has confirmed"):
        select(attack, DIGITS)


def test_too_few_labels_and_other_classes_are_told() -> None:
    with pytest.raises(UsageError, match=r"There are 19 labelled samples: too few to learn from \(at least 20\)"):
        select(TWENTY[:19], DIGITS)
    with pytest.raises(
        UsageError, match=r"There are 19 labelled samples, and 1 with the same pixels as another: too few"
    ):
        select([*TWENTY[:19], TWENTY[0]], DIGITS)
    with pytest.raises(UsageError, match="labels that are not classes of the model: eleven, x"):
        select([*TWENTY[:19], labelled(50, "x"), labelled(51, "eleven")], DIGITS)


def test_what_learn_doubts_waits_for_a_person_whose_word_then_counts() -> None:
    def given(*labels: tuple[str, str, bool]) -> Sample:
        return sample_of(0, labels=tuple(Label(one, writer, now(), settles=settles) for one, writer, settles in labels))

    doubted = given(("7", "ann", False), ("1", OBJECTOR, False))
    assert (doubted.label, doubted.disputed, doubted.settled) == (None, True, False)
    assert to_review([doubted]) == [doubted]
    for word in "71":
        looked_at = given(("1", OBJECTOR, False), (word, "ann", True))
        assert (looked_at.label, looked_at.settled) == (word, True)
        assert to_review([looked_at]) == []
    # A person's word counts before that of a client, at once; the objection to a client's waits for a person.
    assert given(("7", "client 1", False), ("1", "ann", False)).label == "1"
    waiting = given(("7", "client 1", False), ("1", OBJECTOR, False))
    assert (waiting.label, waiting.confirmed) == (None, False)


def test_what_was_settled_about_a_picture_holds_wherever_it_is_stored(tmp_path: Path) -> None:
    settled = (Label("1", OBJECTOR, now(), settles=False), Label("7", "ann", now(), settles=True))
    twins = [labelled(40, "7", "2026-11-01"), labelled(40, "7", "2026-11-02", labels=settled), labelled(41, "7")]
    with SampleStore.open(tmp_path, create=True) as store:
        for one in [*TWENTY, *twins]:
            store.add(one)
        samples = store.samples()
        lesson = select(samples, DIGITS)
        others = np.where([one.label == "7" for one in lesson.samples], 1, -1)
        named = {one.sample for one in _object(store, samples, lesson, others, DIGITS)}
        # Nothing is doubted without being named.
        assert {one.id for one in store.samples() if one.disputed} == named
        assert len(named) == 3
