"""Limits are read as users write them, and refused in a sentence where they cannot be met."""

from __future__ import annotations

import optuna
import pytest

from edgemnist.errors import UsageError
from edgemnist.search.limits import Costs, Limits
from edgemnist.search.space import Space

COSTS = Costs(bytes=16_000, ram_bytes=2_000, multiplications=1, p50_us=2.0)


def test_units_are_those_that_people_write() -> None:
    limits = Limits.of(accuracy="99.5", max_bytes="16k", max_ram="2 KiB", max_p50="1500ns")
    assert limits == Limits(accuracy=0.995, bytes=16_000, ram_bytes=2048, p50_us=1.5)
    assert Limits.of(max_bytes="0.5M", max_p50="2us").bytes == 500_000
    assert Limits.of(max_bytes="123", max_p50="2µs").p50_us == 2.0
    assert Limits.of(accuracy="99%").accuracy == 0.99


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_bytes": "16x"}, "--max-bytes cannot be given in x"),
        ({"max_bytes": "lots"}, "--max-bytes must be a number with a unit, such as 16k"),
        ({"max_bytes": "-5"}, "--max-bytes must be a number"),
        ({"max_bytes": "0"}, "--max-bytes must be at least 1"),
        ({"max_ram": "2us"}, "--max-ram cannot be given in us"),
        ({"max_p50": "2"}, "--max-p50 cannot be given without a unit"),
        ({"max_p50": "0us"}, "--max-p50 must be more than 0"),
        ({"accuracy": "101"}, "--accuracy must be"),
        ({"accuracy": "0.99"}, "--accuracy is in per cent, and 0.99 is hardly any"),
        ({"accuracy": "nan"}, "--accuracy must be a number"),
    ],
)
def test_what_is_no_limit_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as failure:
        Limits.of(**options)
    assert words in failure.value.message


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(bytes=50), "--max-bytes 50 is less than any network takes"),
        (Limits(ram_bytes=71), "--max-ram 71 is less than any network takes"),
    ],
)
def test_limits_that_no_network_is_within_are_refused(limits: Limits, words: str) -> None:
    with pytest.raises(UsageError) as failure:
        Space().check(limits, 10)
    assert words in failure.value.message
    assert failure.value.hint


def test_the_smallest_network_of_the_hint_is_within_the_limits() -> None:
    least = min(one.bytes for one in Space().smallest(10))
    Space().check(Limits(bytes=least), 10)
    with pytest.raises(UsageError):
        Space().check(Limits(bytes=least - 1), 10)


def test_no_network_takes_less_than_what_is_said_to_be_the_least() -> None:
    space, study = Space(), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [Costs.of(network, 10) for network in (space.propose(study.ask()) for _ in range(500)) if network]
    for cost in ("bytes", "ram_bytes"):
        least = min(getattr(one, cost) for one in space.smallest(10))
        assert least <= min(getattr(one, cost) for one in found)
        # Nor is it far below them.
        assert least >= 0.8 * min(getattr(one, cost) for one in found)


def test_each_limit_that_is_missed_is_told_with_both_figures() -> None:
    tight = Limits(accuracy=0.99, bytes=15_999, ram_bytes=1_999, p50_us=1.9)
    missed = tight.misses(COSTS, 0.98)
    assert [words.split(",")[0].split()[0] for words in missed] == ["98.00", "16", "2", "2.00"]
    assert Limits(accuracy=0.98, bytes=16_000, ram_bytes=2_000, p50_us=2.0).misses(COSTS, 0.98) == []
    assert not tight.allow(COSTS)
    assert Limits(bytes=16_000).allow(COSTS)
