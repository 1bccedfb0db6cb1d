"""A little of `make fuzz` in every run: what it found stays repaired, and it finds what is planted."""

import pytest

from tests.fuzz.run import fuzz


@pytest.mark.parametrize("name", ["manifest", "answers", "bench.json"])
def test_broken_input_ends_in_a_sentence(name: str) -> None:
    tally = fuzz(name, seed=5, count=150)
    assert tally.faults == []
    assert tally.inputs == 150
    assert tally.refused > 100
