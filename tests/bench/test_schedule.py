"""Drift hits all artifacts alike."""

from __future__ import annotations

import pytest

from edgemnist.bench.run import interleave

NAMES = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize("rounds", [1, 2, 3, 6, 10])
def test_every_subject_has_its_turn_once_a_round(rounds: int) -> None:
    turns = list(interleave(NAMES, rounds))
    assert [number for number, _ in turns] == [number for number in range(rounds) for _ in NAMES]
    for number in range(rounds):
        assert sorted(name for turn, name in turns if turn == number) == NAMES


def test_every_subject_runs_early_and_late() -> None:
    turns = list(interleave(NAMES, 3))
    places = {name: {index % len(NAMES) for index, (_, other) in enumerate(turns) if other == name} for name in NAMES}
    assert all(len(found) == 3 for found in places.values())
    # As a machine that grows slower from turn to turn within each round would see it.
    totals = [sum(found) for found in places.values()]
    assert max(totals) - min(totals) <= 3


def test_two_runs_take_the_same_course() -> None:
    assert list(interleave(NAMES, 3)) == list(interleave(NAMES, 3))


def test_one_subject_alone_is_no_special_case() -> None:
    assert list(interleave(["a"], 2)) == [(0, "a"), (1, "a")]
