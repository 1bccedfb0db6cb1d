"""A tie is told apart from a flip, and a limit from the value that exceeds it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.results.verdict import Measurement
from edgemnist.model.exports import Exports
from edgemnist.pipeline.verify.gate import GATES
from edgemnist.pipeline.verify.parity import compare
from edgemnist.pipeline.verify.run import parity_of, verify
from edgemnist.pipeline.verify.screen import verify_page
from tests.render.test_narrow import lines_of, unfolded
from tests.verify.gates import missed, subject


def answers(*rows: list[float]) -> Probabilities:
    return np.array(rows, dtype=np.float32)


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
