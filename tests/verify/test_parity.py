"""The numbers of a comparison, against cases computed by hand."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.results.verdict import Measurement
from edgemnist.ground.results.verify import SIGNIFICANT
from edgemnist.model.exports import Exports
from edgemnist.pipeline.verify.gate import GATES
from edgemnist.pipeline.verify.parity import BROKEN, CHANGED, FIXED, KINDS, Parity, ask, compare, count_kind, list_flips
from edgemnist.pipeline.verify.run import parity_of, verify
from edgemnist.pipeline.verify.screen import verify_page
from edgemnist.pipeline.verify.statistics import (
    ECE_BINS,
    binomial_tail,
    expected_calibration_error,
    is_significant_loss,
    mcnemar_p,
    wilson_interval,
)
from tests.render.test_narrow import lines_of, unfolded
from tests.verify.gates import golden_of, missed, subject

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
    assert compare(sure := answers([1.0000001, 0.0]), None, sure, None).impurity == 0.0


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
    assert against(np.full_like(REFERENCE, np.nan)).unanswered == 4


def test_differences_are_taken_over_all_images_and_classes_and_batches_compared_with_single_images() -> None:
    single = REFERENCE.copy()
    single[1] += np.array([0.06, -0.06, 0.0], np.float32)
    parity = against(single)
    assert (parity.max_abs_diff, parity.mean_abs_diff) == pytest.approx((0.06, 0.12 / 12), rel=1e-5)
    # The label of an answer that is none is none.
    for image, row, difference in ((3, [0.3, 0.6, 0.1], 0.2), (0, [np.nan] * 3, 0.7)):
        batched = REFERENCE.copy()
        batched[image] = row
        parity = against(REFERENCE.copy(), batched)
        assert (parity.flips, parity.batch_flips) == (0, 1)
        assert parity.max_batch_diff == pytest.approx(difference, rel=1e-5)


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
    golden = golden_of(np.zeros((7, 2), np.float32), images=images)
    done: list[int] = []
    found = ask(cast("Classifier", ByCall()), golden, cast("Task", SimpleNamespace(update=done.append)))
    assert found.batched is not None
    assert found.single.tolist() == [[index, 1] for index in range(7)]
    assert found.batched.tolist() == [[index, 3 if index < 6 else 1] for index in range(7)]
    assert found.single.dtype == found.batched.dtype == np.float32
    assert done == [3, 6, 7]


def test_a_flip_to_an_equally_likely_label_is_a_tie_and_a_lost_image_like_any_other() -> None:
    reference = answers([0.4, 0.6], [0.9, 0.1], [0.3, 0.7])
    labels = np.array([1, 0, 1])
    tied = answers([0.5, 0.5], [0.9, 0.1], [0.3, 0.7])
    found = compare(reference, labels, tied, tied)
    assert (found.flips, found.ties, found.broken, found.fixed) == (1, 1, 1, 0)
    assert missed(GATES["float32"], found)[0].startswith("accuracy fell by 33 points")
    # The other way about, a tie loses nothing.
    found = compare(reference, np.array([0, 0, 1]), tied, tied)
    assert (found.flips, found.ties, found.broken, found.fixed) == (1, 1, 0, 1)
    assert not any("label" in reason or "accuracy" in reason for reason in missed(GATES["float32"], found))
    flipped = answers([0.5000001, 0.4999999], [0.9, 0.1], [0.3, 0.7])
    found = compare(reference, labels, flipped, flipped)
    assert (found.flips, found.ties, found.lost) == (1, 0, 1)
    assert "1 label changed" in " ".join(missed(GATES["float32"], found))


@pytest.mark.parametrize(
    ("value", "limit"),
    [(0.0030001, 0.003), (0.00390626, 0.00390625), (0.2, 0.1999999), (1.0000001, 1.0), (math.nextafter(0.1, 1), 0.1)],
)
def test_a_value_is_shown_with_as_many_digits_as_tell_it_from_its_limit(value: float, limit: float) -> None:
    found = Measurement(name="x", value=value, most=limit, reason="off by {}, {} allowed")
    shown = re.findall(r"[\d.e-]+", found.why(found.held().limit))
    assert float(shown[0]) > float(shown[1])


def test_another_number_of_classes_is_the_only_reason(made_exports: Path) -> None:
    golden = Exports.open(made_exports).read_golden()
    one = subject("float32", mistakes=["it knows 9 classes where the reference has 10"])
    parity = parity_of(one, golden, None, GATES["float32"])
    assert parity.reasons == ["it knows 9 classes where the reference has 10"]


def test_the_page_says_to_the_last_bit_once_and_ends_with_the_verdict_and_the_next_step(made_exports: Path) -> None:
    exports = Exports.open(made_exports)
    result = verify(exports)
    lines = lines_of(verify_page(result, step=exports.command("bench")), 100)
    text = unfolded(lines)
    assert text.count("to the last bit") == 1
    end = f"All {len(result.artifacts)} models pass the gate. Next: edgemnist bench --exports {made_exports}"
    assert text.rstrip().endswith(end)


def test_mcnemars_p_is_that_of_a_tossed_coin() -> None:
    # 1 of 9 discordant images: 2 · (C(9, 0) + C(9, 1)) / 2^9
    assert mcnemar_p(8, 1) == pytest.approx(2 * 10 / 512)
    assert mcnemar_p(1, 8) == mcnemar_p(8, 1)
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(60, 10) < 1e-8
    # Against whole numbers, up to as many as there are images.
    for broken, fixed in ((6, 0), (5, 0), (20, 5), (40, 13), (500, 430), (1_000, 960)):
        tosses, fewer = broken + fixed, min(broken, fixed)
        log2 = math.log2(sum(math.comb(tosses, count) for count in range(fewer + 1))) + 1 - tosses
        assert mcnemar_p(broken, fixed) == pytest.approx(2**log2, rel=1e-8)
    assert mcnemar_p(70_000, 0) == 0.0


def test_a_loss_is_significant_from_a_chance_of_one_in_twenty() -> None:
    """Seven to one has p = 0.07, nine to two 0.065, ten to two 0.039."""
    assert SIGNIFICANT == 0.05
    losses = [(6, 0), (8, 1), (10, 2)]
    assert [one for one in ((5, 0), (0, 6), (7, 1), (9, 2), *losses) if is_significant_loss(*one)] == losses


def test_wilsons_interval_is_that_of_the_formula() -> None:
    found = wilson_interval(9_800, 10_000)
    z, n, p = 1.959963984540054, 10_000, 0.98
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n))
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n))
    perfect = wilson_interval(50, 50)
    assert perfect.low < perfect.high == 1.0
    assert wilson_interval(0, 50).low == 0.0


@pytest.mark.parametrize(
    ("rows", "labels", "error"),
    [
        # 3 of 4 answers with a confidence of 0.75 are right.
        ([[0.75, 0.25]] * 4, [0, 0, 0, 1], 0.0),
        ([[0.9, 0.1]] * 10, [0] * 6 + [1] * 4, 0.3),
        # One bin too sure and one too shy do not make a calibrated model.
        ([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]], [0, 1, 0, 0], 0.45),
        # What is no number is wrong and unsure.
        ([[math.nan, math.nan]] * 3, [0, 0, 0], 0.0),
        ([[math.inf, 0.0]], [0], 0.0),
        ([[0.1, 0.9], [0.8, 0.2], [math.nan, 0.6]], [1, 0, 1], (0.1 + 0.2 + 0.4) / 3),
    ],
)
def test_calibration_error_is_confidence_off_accuracy(rows: list[list[float]], labels: list[int], error: float) -> None:
    found = expected_calibration_error(np.array(rows, np.float32), np.array(labels))
    assert found == pytest.approx(error, abs=1e-6)


def test_each_answer_is_in_the_bin_of_its_confidence_open_below_and_closed_above() -> None:
    """Two answers whose errors cancel out within a bin, and count in two."""

    def error(one: float, other: float) -> float:
        probabilities = np.array([[one, 0.0], [other, 0.0]], np.float32)
        return expected_calibration_error(probabilities, np.array([0, 1]))

    def together(one: float, other: float) -> float:
        return abs((1 - one) - other) / 2

    def apart(one: float, other: float) -> float:
        return (1 - one + other) / 2

    assert ECE_BINS == 15
    width = 1 / ECE_BINS
    for number in range(ECE_BINS):
        low, inside, high = number * width + 0.002, (number + 0.5) * width, (number + 1) * width - 0.002
        assert error(low, high) == pytest.approx(together(low, high), abs=1e-6)
        if number:
            assert error(inside - width, inside) == pytest.approx(apart(inside - width, inside), abs=1e-6)
    # 0.2 is the end of a bin, and so is 1.
    assert error(0.19, 0.21) == pytest.approx(apart(0.19, 0.21), abs=1e-6)
    assert error(0.94, 1.0) == pytest.approx(together(0.94, 1.0), abs=1e-6)


@pytest.mark.parametrize("images", [1, 7, 100, 3_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.947, 1.0])
def test_the_tail_is_that_of_the_binomial_test(images: int, share: float) -> None:
    binomtest = pytest.importorskip("scipy.stats").binomtest
    for some in {0, 1, images // 2, images - 1, images}:
        exact = binomtest(some, images, share, alternative="less").pvalue
        assert binomial_tail(some, images, share) == pytest.approx(exact, rel=1e-9, abs=1e-12)


def one_hot(*classes: int, confidence: float = 0.8) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.full((len(classes), 3), (1 - confidence) / 2, np.float32)
    rows[np.arange(len(classes)), classes] = confidence
    return rows


def test_a_flip_is_fixed_broken_or_changed() -> None:
    labels = np.array([0, 0, 0, 0])
    found = list_flips(one_hot(0, 0, 1, 1), one_hot(0, 1, 0, 2), labels, ["zero", "one", "2"])
    assert [(flip.index, flip.kind) for flip in found] == [(1, BROKEN), (2, FIXED), (3, CHANGED)]
    assert [(flip.label, flip.reference, flip.artifact) for flip in found] == [
        ("zero", "zero", "one"),
        ("zero", "one", "zero"),
        ("zero", "one", 2),
    ]
    assert found[0].reference_margin == pytest.approx(0.7)
    assert [count_kind([*found, found[0]], kind) for kind in KINDS] == [2, 1, 1]


def test_an_answer_that_is_no_number_is_a_flip_to_nothing() -> None:
    answers = one_hot(0)
    answers[0, 1] = np.nan
    (flip,) = list_flips(one_hot(0), answers, np.array([0]), "abc")
    assert (flip.artifact, flip.kind, flip.artifact_margin) == (None, BROKEN, 0.0)
