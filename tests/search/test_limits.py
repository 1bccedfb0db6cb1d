"""Limits are read as users write them, and refused in a sentence where they cannot be met."""

import optuna
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.results.verdict import COMMAND_LINE, judge
from edgemnist.pipeline.search.limits import Costs, Limits, Space

COSTS = Costs(bytes=16_000, ram_bytes=2_000, multiplications=1)


def test_units_are_those_that_people_write() -> None:
    limits = Limits.of(accuracy="99.5", max_bytes="16k", max_ram="2 KiB")
    assert limits == Limits(accuracy=0.995, bytes=16_000, ram_bytes=2048)
    assert Limits.of(accuracy="99%").accuracy == 0.99
    assert Limits.of(accuracy="1.5").accuracy == 0.015
    assert Limits.of() == Limits()
    assert Limits().allow(COSTS)
    assert Limits().excesses(COSTS) == {}
    assert Limits().measurements(COSTS, 0.0) == []


def test_no_network_takes_less_than_what_is_said_to_be_the_least() -> None:
    space, study = Space(), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [Costs.of(network, 10) for network in (space.propose(study.ask()) for _ in range(500)) if network]
    for cost in ("bytes", "ram_bytes"):
        least = min(getattr(Costs.of(one, 10), cost) for one in space.smallest())
        assert least <= min(getattr(one, cost) for one in found)
        # Nor is it far below them.
        assert least >= 0.8 * min(getattr(one, cost) for one in found)
        space.check(Limits(**{cost: least}), 10)
        option = {"bytes": "--max-bytes", "ram_bytes": "--max-ram"}[cost]
        with pytest.raises(UsageError, match=f"{option} {least - 1} is less than any network takes") as failure:
            space.check(Limits(**{cost: least - 1}), 10)
        assert f"{least:,}" in failure.value.hint


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
    ("options", "message", "hint"),
    [
        ({"accuracy": "101"}, "--accuracy must be more than 1 and at most 100 (got 101)", ""),
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
    ],
)
def test_a_refusal_says_what_would_be_taken(options: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as failure:
        Limits.of(**options)
    assert (failure.value.message, failure.value.hint) == (message, hint)


@pytest.mark.parametrize("options", [{"accuracy": 0.01}, {"accuracy": 1.01}, {"bytes": 0}, {"ram_bytes": 0}])
def test_a_limit_that_cannot_be_is_refused_wherever_it_comes_from(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"--(accuracy|max-bytes|max-ram) must be"):
        Limits(**options)  # type: ignore[arg-type]  # of several types
    assert Limits(accuracy=1.0, bytes=1, ram_bytes=1).accuracy == 1.0
    assert Limits(accuracy=0.0101).accuracy == 0.0101


def test_an_excess_is_a_share_of_the_limit() -> None:
    limits = Limits(bytes=8_000, ram_bytes=4_000)
    assert limits.excesses(COSTS) == {"bytes": 1.0, "RAM": -0.5}
    assert limits.allow(Costs(bytes=8_000, ram_bytes=2_000, multiplications=1))
    for limit in (Limits(bytes=15_999), Limits(ram_bytes=1_999)):
        assert not limit.allow(COSTS)


def test_a_miss_says_both_figures_and_a_limit_that_is_just_met_is_none() -> None:
    missed = judge(Limits(accuracy=0.99, bytes=15_999, ram_bytes=1_999).measurements(COSTS, 0.98))
    assert {one.origin for one in missed.limits} == {COMMAND_LINE}
    assert missed.reasons == [
        "98.00 % accurate, but 99.00 % was asked for",
        "16,000 bytes, but only 15,999 are allowed",
        "2,000 bytes of RAM, but only 1,999 are allowed",
    ]
    exact = Limits(accuracy=0.98, bytes=16_000, ram_bytes=2_000)
    assert judge(exact.measurements(COSTS, 0.98)).passed
