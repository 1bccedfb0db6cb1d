"""A tie is told apart from a flip, and a limit from the value that exceeds it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgemnist.arrays import Probabilities
from edgemnist.exports import Exports
from edgemnist.verify.gate import GATES, exceeded, missed
from edgemnist.verify.parity import compare
from edgemnist.verify.run import assess, verify
from edgemnist.verify.screen import verify_page
from tests.conftest import Run
from tests.render.test_narrow import lines_of, unfolded
from tests.verify import damage
from tests.verify.damage import damage_artifact


def answers(*rows: list[float]) -> Probabilities:
    return np.array(rows, dtype=np.float32)


def test_a_flip_to_an_equally_likely_label_is_a_tie_and_misses_no_gate() -> None:
    reference = answers([0.4, 0.6], [0.9, 0.1], [0.3, 0.7])
    labels = np.array([1, 0, 1])
    tied = answers([0.5, 0.5], [0.9, 0.1], [0.3, 0.7])
    found = compare(reference, labels, tied, tied)
    assert (found.flips, found.ties, found.lost, found.lost_to_ties) == (1, 1, 1, 1)
    strict = GATES["float32"]
    assert not any("label" in reason or "accuracy" in reason for reason in missed(strict, found))
    flipped = answers([0.5000001, 0.4999999], [0.9, 0.1], [0.3, 0.7])
    found = compare(reference, labels, flipped, flipped)
    assert (found.flips, found.ties, found.lost_to_ties) == (1, 0, 0)
    reasons = " ".join(missed(strict, found))
    assert "1 label changed" in reasons
    assert "accuracy fell" in reasons


def test_a_label_that_a_batch_decides_otherwise_is_a_tie_where_both_are_as_likely() -> None:
    reference = answers([0.4, 0.6])
    found = compare(reference, np.array([1]), answers([0.5, 0.5]), answers([0.49, 0.51]))
    assert (found.batch_flips, found.batch_ties) == (1, 1)
    found = compare(reference, np.array([1]), answers([0.52, 0.48]), answers([0.49, 0.51]))
    assert (found.batch_flips, found.batch_ties) == (1, 0)


def test_answers_that_are_no_numbers_are_no_ties_and_one_reason_says_it(exports: Path) -> None:
    damage_artifact(exports, "onnx-float32", damage.answer_not_a_number)
    (parity,) = verify(Exports.open(exports), ["onnx-float32"]).artifacts
    assert parity.flips > 900
    assert parity.ties == 0
    assert parity.reasons[0] == "1,000 of 1,000 images got an answer that is not a finite number"
    assert not any("on average" in reason or "fell" in reason for reason in parity.reasons)


@pytest.mark.parametrize(
    ("value", "limit"), [(0.0030001, 0.003), (0.00390626, 0.00390625), (0.2, 0.1999999), (1.0000001, 1.0)]
)
def test_a_value_is_shown_with_as_many_digits_as_tell_it_from_its_limit(value: float, limit: float) -> None:
    shown = re.findall(r"[\d.e-]+", exceeded("off by {}, {} allowed", value, limit))
    assert float(shown[0]) > float(shown[1])


def test_another_number_of_classes_is_the_only_reason(made_exports: Path) -> None:
    golden = Exports.open(made_exports).read_golden()
    parity = assess(
        golden, None, name="x", format="onnx", quantization="float32", runtime="onnxruntime", sha256="0",
        gate=GATES["float32"], mistakes=["it knows 9 classes where the reference has 10"],
    )  # fmt: skip
    assert parity.reasons == ["it knows 9 classes where the reference has 10"]


def test_a_wrong_number_of_classes_is_told_once_by_the_command(
    made_exports: Path, exports: Path, edgemnist: Run
) -> None:
    damage_artifact(exports, "onnx-float32", damage.forget_a_class)
    words = ("--reference", made_exports / "onnx-float32.onnx", exports / "onnx-float32.onnx")
    done = edgemnist("verify", *words, "--exports", made_exports)
    assert done.returncode == 1, done.stderr
    assert "9 classes where the reference has 10" in unfolded(done.stdout.splitlines())
    assert "not a finite number" not in done.stdout
    assert "off by" not in done.stdout


def test_the_page_says_to_the_last_bit_once_and_ends_with_the_verdict_and_the_next_step(made_exports: Path) -> None:
    exports = Exports.open(made_exports)
    result = verify(exports)
    lines = lines_of(verify_page(result, step=exports.command("bench")), 100)
    text = unfolded(lines)
    assert text.count("to the last bit") == 1
    end = f"All {len(result.artifacts)} models pass the gate. Next: edgemnist bench --exports {made_exports}"
    assert text.rstrip().endswith(end)
