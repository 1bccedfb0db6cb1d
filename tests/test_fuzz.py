"""A little of `make fuzz` in every run: what it found stays repaired, and it finds what is planted."""

import pytest

from tests.fuzz.run import fuzz


@pytest.mark.parametrize(
    ("name", "count"), [("manifest", 150), ("answers", 150), ("bench.json", 150), ("tflite, LiteRT", 15), ("onnx", 15)]
)
def test_broken_input_ends_in_a_sentence(name: str, count: int) -> None:
    tally = fuzz(name, seed=5, count=count)
    assert tally.faults == []
    assert tally.inputs == count
    assert tally.refused > count // 3
