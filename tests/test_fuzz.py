"""A little of `make fuzz` in every run: what it found stays repaired, and it finds what is planted."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import run
from tests.fuzz.mutations import broken, broken_json, repacked
from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.run import fuzz


@pytest.mark.parametrize("name", ["manifest", "answers", "bench.json"])
def test_broken_input_ends_in_a_sentence(name: str) -> None:
    tally = fuzz(name, seed=5, count=150)
    assert tally.faults == []
    assert tally.inputs == 150
    assert tally.refused > 100


def test_the_same_seed_breaks_the_same_way() -> None:
    for mutate, whole in ((broken, bytes(range(256))), (broken_json, b'{"a": [1, {"b": "c"}]}')):
        made = [[mutate(whole, random.Random(f"{seed}")) for seed in range(50)] for _ in range(2)]
        assert made[0] == made[1]
        assert len(set(made[0])) > 30


def test_an_archive_is_broken_within_and_stays_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    (whole,) = PARSERS["answers"].wholes(tmp_path_factory.mktemp("fuzz"))
    made = {repacked(whole, random.Random(seed)) for seed in range(20)}
    assert sum(data.startswith(b"PK\x03\x04") for data in made) > 15
    assert whole not in made


def test_every_parser_has_its_share_of_a_hundred_thousand() -> None:
    assert sum(parser.count for parser in PARSERS.values()) + 1500 >= 100_000
    assert all(isinstance(parser, Parser) for parser in PARSERS.values())
    assert run.CPU_S == 2
    assert run.MEMORY == 300 * 10**6
