"""Figures agree with samples computed by hand; a run that something disturbed says so, a clean one is left in peace."""

import time
from typing import Any

import msgspec
import pytest

from edgemnist.board.machine import Conditions, watched
from edgemnist.ground.results.bench import Block
from edgemnist.pipeline.bench.quality import (
    SHORTEST_NS,
    histogram,
    host_warnings,
    images_a_second,
    quality_warnings,
    quieter,
    slowness_taints,
    spread_of_rounds,
    summarise,
    taints,
)
from tests.bench.machine import SECOND, watch
from tests.messages import Told

QUIET = Conditions(khz=2_400_000, throttle_events=3, firmware=0x50000, celsius=61.0, limit_celsius=80.0)


def test_percentiles_are_of_all_rounds_together_interpolated_and_of_enough_samples() -> None:
    # 1 to 1,001 µs, dealt out to two rounds of different length.
    rounds = [[1_000 * value for value in range(1, 31)], [1_000 * value for value in range(1001, 30, -1)]]
    single = summarise(rounds)
    assert single["samples"] == 1001
    assert (single["p50_us"], single["p90_us"], single["p99_us"]) == pytest.approx((501.0, 901.0, 991.0))
    assert (single["mean_us"], single["min_us"]) == pytest.approx((501.0, 1.0))
    assert summarise([[0, 10_000]])["p50_us"] == pytest.approx(5.0)
    assert summarise([[1_000 * value for value in range(100)]])["p90_us"] == pytest.approx(89.1)
    assert summarise([[1_000, 3_000]])["cv"] == pytest.approx(0.5)
    assert images_a_second(100, [[1_000_000, 2_000_000], [900_000]]) == pytest.approx(100_000.0)
    for name, samples in (("p90_us", 100), ("p99_us", 1_000), ("p999_us", 10_000)):
        assert [summarise([[6_000] * count])[name] for count in (samples - 1, samples)] == [None, 6.0]


def test_the_histogram_counts_every_sample_within_two_percent_of_where_it_is() -> None:
    found = histogram([[1, 5_100, 5_101], [6_000, 70_000_000]])
    assert sum(found.counts) == 5
    for sample in (0.001, 5.1, 6.0, 70_000):
        assert any(edge <= sample * 1.0001 and sample < edge * 1.021 for edge in found.edges_us), sample
    assert histogram([[1_000, 1_019], [1_021]]).counts == [2, 1]


def changed(**fields: float) -> Conditions:
    return msgspec.structs.replace(QUIET, **fields)


FALLEN = changed(khz=600_000)
OTHERS = "other processes had the CPU for {} % of the time"
CLOCK = "the clock changed from 2,400 to {} MHz"


@pytest.mark.parametrize(
    ("after", "block", "said"),
    [
        # Clean, even if the board was throttled long ago.
        (QUIET, {}, ""),
        # A clock wavers a little, and counts where half of the block or more was awake.
        (changed(khz=2_281_000), {}, ""),
        (changed(khz=2_279_000), {}, CLOCK.format("2,279")),
        (changed(khz=3_500_000), {}, CLOCK.format("3,500")),
        (FALLEN, {}, CLOCK.format("600")),
        (QUIET, {"share": 0.92}, OTHERS.format(8)),
        (QUIET, {"share": 0.95}, ""),
        # Several threads run for longer than the clock on the wall.
        (QUIET, {"share": 2.0}, ""),
        (QUIET, {"share": 0.5, "elapsed": SHORTEST_NS - 1}, ""),
        (QUIET, {"share": 0.5, "elapsed": SHORTEST_NS}, OTHERS.format(50)),
        (changed(throttle_events=5), {}, "the CPU was throttled 2 times because of heat"),
        (changed(throttle_events=4), {}, "the CPU was throttled 1 time because of heat"),
        (changed(celsius=81.0), {}, "at 81 °C the system slows itself down (limit 80 °C)"),
        (changed(celsius=80.0), {}, "at 80 °C the system slows itself down (limit 80 °C)"),
        (changed(firmware=0x50001), {}, "voltage"),
        (changed(firmware=0x50004), {}, "firmware throttled"),
        # A bit of the past that was not set before: it happened in between.
        (changed(firmware=0xD0000), {}, "soft temperature limit"),
    ],
)
def test_a_block_is_tainted_by_what_slowed_it_down_awake(after: Conditions, block: dict[str, Any], said: str) -> None:
    found = taints(watch(QUIET, after, **block))
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize("bit", range(4))
@pytest.mark.parametrize(
    ("before", "after", "tainted"),
    [
        (0, 1, True),
        (1, 0, True),
        (1, 1, True),
        (0, 1 << 16, True),
        (1 << 16, 1 << 16, False),
        (1 << 16, 0, False),
        (0, 0, False),
    ],
)
def test_what_the_firmware_did_taints_a_block(bit: int, before: int, after: int, *, tainted: bool) -> None:
    """A bit of the present counts at either end; one of the past only where it was not there before."""
    ends = (Conditions(firmware=before << bit), Conditions(firmware=after << bit))
    assert bool(taints(watch(*ends))) == tainted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Conditions(), Conditions()),
        (Conditions(), QUIET),
        (QUIET, Conditions()),
        (Conditions(), Conditions(firmware=1)),
        (Conditions(firmware=1), Conditions()),
        (changed(throttle_events=9), QUIET),
        (QUIET, Conditions(celsius=99.0)),
        (QUIET, Conditions(limit_celsius=80.0)),
    ],
)
def test_what_is_known_at_one_end_alone_taints_nothing(before: Conditions, after: Conditions) -> None:
    events_only = [] if before.throttle_events else ["the CPU was throttled 3 times because of heat"]
    assert taints(watch(before, after)) == (events_only if after is QUIET else [])


def test_waiting_for_the_cpu_is_seen_in_a_real_process() -> None:
    _, idle = watched([0], lambda: time.sleep(0.1))
    assert idle.elapsed >= 0.1 * SECOND
    assert "other processes had the CPU" in taints(idle)[0]


def test_a_machine_that_was_slower_than_in_another_round_taints_the_block() -> None:
    assert slowness_taints([1.0, 1.45], 1.0) == ["the fixed work took 45 % longer than when the machine was quietest"]
    assert slowness_taints([1.0, 1.101], 1.0) != []
    assert slowness_taints([1.0, 1.099], 1.0) == slowness_taints([1.45, 1.0], 1.4) == []
    assert slowness_taints([1.0, 9.0], None) == [], "the first round has none to be held against"
    assert (quieter([1.2, 1.1], None), quieter([1.2, 1.1], 1.0), quieter([0.9, 1.1], 1.0)) == (1.1, 1.0, 0.9)


def blocks_of(*p50s: float, **fields: Any) -> list[Block]:
    return [Block(samples=1, p50_us=p50, **fields) for p50 in p50s]


def test_the_spread_is_that_of_thirds_of_the_rounds() -> None:
    blocks = blocks_of(5.0, 6.0, 9.0, 5.0, 6.0, 10.0, 50.0, 6.0, 11.0)
    assert spread_of_rounds(blocks) == pytest.approx(1.0)
    assert spread_of_rounds(blocks[:2]) == pytest.approx(0.2)
    assert spread_of_rounds(blocks[:1]) == spread_of_rounds([]) == spread_of_rounds(blocks_of(0.0, 5.0)) == 0.0


ROUNDS = [6.0 + 0.01 * number for number in range(15)]


def test_what_is_said_of_the_quality_of_figures(told: Told) -> None:
    clean = blocks_of(6.0)
    for samples, blocks, warned in (
        (2_000, blocks_of(6.05), False),
        (999, [], True),
        # One slow round of many is no fault; what rounds on a quiet machine differ by is none either.
        (1_000, blocks_of(8.0, *ROUNDS[1:]), False),
        (1_000, blocks_of(*(6.0 * (1.099 if number % 3 == 0 else 1) for number in range(15))), False),
        (1_000, blocks_of(*([6.0 * 1.101, 6.0, 6.0] * 5)), True),
        (1_000, blocks_of(6.0, 6.9, 6.1), True),
        # The same reason comes with other figures each time: the last one is told. Half of the rounds may be tainted.
        (1_000, [*clean, *blocks_of(6.0, taints=["for 8 %"]), *blocks_of(6.0, taints=["for 9 %"])], True),
        (1_000, [*clean, *blocks_of(6.0, taints=["for 8 %"])], False),
    ):
        said = quality_warnings(samples, blocks)
        assert len(said) == warned
        told.says(*said)


def test_a_governor_that_saves_power_is_told_with_what_to_do() -> None:
    assert (
        "sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor" in host_warnings({"governor": "powersave"})[0]
    )
    assert host_warnings({"governor": "ondemand"}) == host_warnings({}) == []
