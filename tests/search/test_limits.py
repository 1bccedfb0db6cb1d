"""Limits are read as users write them, and refused in a sentence where they cannot be met."""

from __future__ import annotations

import optuna
import pytest

from edgemnist.errors import UsageError
from edgemnist.search.costs import c_ram_bytes
from edgemnist.search.limits import Costs, Limits, Space
from edgemnist.train.network import Network

COSTS = Costs(bytes=16_000, ram_bytes=2_000, multiplications=1, p50_us=2.0)


def test_units_are_those_that_people_write() -> None:
    limits = Limits.of(accuracy="99.5", max_bytes="16k", max_ram="2 KiB", max_p50="1500ns")
    assert limits == Limits(accuracy=0.995, bytes=16_000, ram_bytes=2048, p50_us=1.5)
    assert Limits.of(max_bytes="0.5M", max_p50="2us").bytes == 500_000
    assert Limits.of(max_bytes="123", max_p50="2µs").p50_us == 2.0
    assert Limits.of(accuracy="99%").accuracy == 0.99
    assert Limits.of(accuracy="1.5").accuracy == 0.015


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
        ({"accuracy": "0.99"}, "--accuracy is in per cent, and 0.99 is almost nothing"),
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


def test_limits_that_are_not_given_are_none() -> None:
    assert Limits.of() == Limits()
    assert Limits() == Limits(accuracy=None, bytes=None, ram_bytes=None, p50_us=None)
    assert Limits().allow(COSTS)
    assert Limits().excesses(COSTS) == {}
    assert Limits().misses(COSTS, 0.0) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("7b", 7),
        ("7 B", 7),
        ("2k", 2_000),
        ("2kb", 2_000),
        ("2KiB", 2_048),
        ("2m", 2_000_000),
        ("2MB", 2_000_000),
        ("2 MiB", 2_097_152),
        (" .5k ", 500),
        ("1.k", 1_000),
        ("1.9", 1),
    ],
)
def test_each_unit_of_a_size(text: str, size: int) -> None:
    limits = Limits.of(max_bytes=text, max_ram=text)
    assert (limits.bytes, limits.ram_bytes) == (size, size)
    assert isinstance(limits.bytes, int)
    assert isinstance(limits.ram_bytes, int)


@pytest.mark.parametrize(
    ("text", "us"), [("2ns", 0.002), ("2us", 2.0), ("2µs", 2.0), ("2μs", 2.0), ("2 ms", 2_000.0), ("2s", 2e6)]
)
def test_each_unit_of_a_time(text: str, us: float) -> None:
    assert Limits.of(max_p50=text).p50_us == pytest.approx(us)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"accuracy": "x"}, "--accuracy must be a number with a unit, such as 99 (got x)", ""),
        ({"accuracy": "99k"}, "--accuracy cannot be given in k (got 99k)", "Its units are per cent: 99."),
        ({"accuracy": "1"}, "--accuracy is in per cent, and 1 is almost nothing", "Did you mean 100?"),
        ({"accuracy": "0.995%"}, "--accuracy is in per cent, and 0.995% is almost nothing", "Did you mean 99.5?"),
        ({"max_bytes": "1k2"}, "--max-bytes must be a number with a unit, such as 16k (got 1k2)", ""),
        (
            {"max_bytes": "1us"},
            "--max-bytes cannot be given in us (got 1us)",
            "Its units are bytes, k, KiB, M or MiB: 16k.",
        ),
        ({"max_bytes": "0.9"}, "--max-bytes must be at least 1 (got 0)", ""),
        ({"max_ram": "?"}, "--max-ram must be a number with a unit, such as 2k (got ?)", ""),
        ({"max_ram": "2s"}, "--max-ram cannot be given in s (got 2s)", "Its units are bytes, k, KiB, M or MiB: 2k."),
        ({"max_ram": "0"}, "--max-ram must be at least 1 (got 0)", ""),
        ({"max_p50": "x"}, "--max-p50 must be a number with a unit, such as 2us (got x)", ""),
        ({"max_p50": "3"}, "--max-p50 cannot be given without a unit (got 3)", "Its units are ns, us, ms or s: 2us."),
        ({"max_p50": "0s"}, "--max-p50 must be more than 0 (got 0)", ""),
    ],
)
def test_a_refusal_says_what_would_be_taken(options: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as failure:
        Limits.of(**options)
    assert (failure.value.message, failure.value.hint) == (message, hint)


@pytest.mark.parametrize(
    "options", [{"accuracy": 0.01}, {"accuracy": 1.01}, {"bytes": 0}, {"ram_bytes": 0}, {"p50_us": 0.0}]
)
def test_a_limit_that_cannot_be_is_refused_wherever_it_comes_from(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"--(accuracy|max-bytes|max-ram|max-p50) must be"):
        Limits(**options)  # type: ignore[arg-type]
    assert Limits(accuracy=1.0, bytes=1, ram_bytes=1, p50_us=1e-9).accuracy == 1.0
    assert Limits(accuracy=0.0101).accuracy == 0.0101


def test_an_excess_is_a_share_of_the_limit() -> None:
    limits = Limits(bytes=8_000, ram_bytes=4_000, p50_us=2.0)
    assert limits.excesses(COSTS) == {"bytes": 1.0, "RAM": -0.5, "p50": 0.0}
    untimed = Costs(bytes=8_000, ram_bytes=2_000, multiplications=1)
    assert limits.excesses(untimed) == {"bytes": 0.0, "RAM": -0.5}
    assert limits.allow(untimed)
    for limit in (Limits(bytes=15_999), Limits(ram_bytes=1_999), Limits(p50_us=1.99)):
        assert not limit.allow(COSTS)


def test_a_miss_says_both_figures_and_a_limit_that_is_just_met_is_none() -> None:
    assert Limits(accuracy=0.99, bytes=15_999, ram_bytes=1_999, p50_us=1.9).misses(COSTS, 0.98) == [
        "98.00 % accurate, but 99.00 % was asked for",
        "16,000 bytes, but only 15,999 are allowed",
        "2,000 bytes of RAM, but only 1,999 are allowed",
        "2.00 µs a call, but only 1.90 µs is allowed",
    ]
    exact = Limits(accuracy=0.98, bytes=16_000, ram_bytes=2_000, p50_us=2.0)
    assert exact.misses(COSTS, 0.98) == []
    assert exact.misses(Costs(bytes=16_000, ram_bytes=2_000, multiplications=1), 0.98) == []


def test_the_costs_of_a_network_are_known_before_it_is_trained() -> None:
    network = Network.parse("mlp:28:32:8bit")
    costs = Costs.of(network, 10)
    assert costs.bytes == network.weight_bytes(10)
    assert costs.multiplications == 784 * 32 + 32 * 10
    assert costs.ram_bytes == c_ram_bytes(network, 10)
    assert costs.p50_us is None
    assert Costs.of(network, 26).multiplications == 784 * 32 + 32 * 26
    assert Costs.of(network, 26).ram_bytes != costs.ram_bytes
