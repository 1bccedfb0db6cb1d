"""A run that something disturbed says so; a clean one is left in peace."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from edgemnist.bench.quality import (
    SHORTEST_NS,
    call_steps,
    host_warnings,
    quality_warnings,
    quieter,
    slowness_taints,
    spread_of_rounds,
    summarise,
    taints,
)
from edgemnist.bench.timing import timed_calls
from edgemnist.machine import Conditions, Sleeper, Watch, read_conditions, watched
from edgemnist.results.bench import Block
from tests.bench.machine import SECOND, watch

QUIET = Conditions(khz=2_400_000, throttle_events=3, firmware=0x50000, celsius=61.0, limit_celsius=80.0)


def changed(**fields: float) -> Conditions:
    facts = {name: getattr(QUIET, name) for name in QUIET.__struct_fields__}
    return Conditions(**{**facts, **fields})


def test_a_quiet_block_is_clean_even_if_the_board_was_throttled_long_ago() -> None:
    assert taints(watch(QUIET, QUIET)) == []


def test_a_machine_that_tells_nothing_taints_nothing() -> None:
    assert taints(watch(Conditions(), Conditions())) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (changed(khz=1_500_000), "the clock changed from 2,400 to 1,500 MHz"),
        (changed(khz=3_500_000), "the clock changed from 2,400 to 3,500 MHz"),
        (changed(throttle_events=5), "the CPU was throttled 2 times because of heat"),
        (changed(throttle_events=4), "the CPU was throttled 1 time because of heat"),
        (changed(celsius=81.0), "at 81 °C the system slows itself down (limit 80 °C)"),
        (changed(celsius=80.0), "at 80 °C the system slows itself down (limit 80 °C)"),
        (changed(firmware=0x50001), "voltage"),
        (changed(firmware=0x50004), "firmware throttled"),
        # A bit of the past that was not set before: it happened in between.
        (changed(firmware=0xD0000), "soft temperature limit"),
    ],
    ids=[
        "slower clock",
        "faster clock",
        "x86 heat",
        "once",
        "beyond the trip point",
        "trip point",
        "under-voltage now",
        "throttled now",
        "limit in between",
    ],
)
def test_whatever_slows_the_cpu_down_taints_the_block(after: Conditions, said: str) -> None:
    found = taints(watch(QUIET, after))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Conditions(), QUIET),
        (QUIET, Conditions()),
        (changed(throttle_events=9), QUIET),
        (QUIET, Conditions(celsius=99.0)),
        (QUIET, Conditions(limit_celsius=80.0)),
    ],
    ids=["nothing before", "nothing after", "counted down", "no limit", "no temperature"],
)
def test_what_is_known_at_one_end_alone_taints_nothing(before: Conditions, after: Conditions) -> None:
    events_only = [] if before.throttle_events else ["the CPU was throttled 3 times because of heat"]
    assert taints(watch(before, after)) == (events_only if after is QUIET else [])


def test_a_block_that_was_awake_for_too_short_is_not_asked_for_its_share() -> None:
    assert taints(watch(QUIET, QUIET, share=0.5, elapsed=SHORTEST_NS - 1)) == []
    assert taints(watch(QUIET, QUIET, share=0.5, elapsed=SHORTEST_NS)) != []


def test_a_clock_counts_where_half_of_the_block_or_more_was_awake() -> None:
    fallen = changed(khz=600_000)
    assert taints(watch(QUIET, fallen, slept=SECOND // 2)) == ["the clock changed from 2,400 to 600 MHz"]
    assert taints(watch(QUIET, fallen, slept=SECOND // 2 + 1)) == []


def test_where_the_time_of_a_call_goes_is_told_without_that_of_reading_the_clock() -> None:
    one = {"prepare": [2_000, 2_000], "invoke": [5_000, 7_000], "finish": [1_000, 1_000], "nothing": [500, 500]}
    steps = call_steps([one, one], p50=9.0)
    assert steps is not None
    # 6.0 - 0.5 for the run, and of 9.0 what is left beside 1.5 + 5.5 + 0.5 and one reading of the clock.
    assert (steps.prepare_us, steps.invoke_us, steps.finish_us, steps.overhead_us) == (1.5, 5.5, 0.5, 1.0)
    swift = {name: [100] for name in one}
    steps = call_steps([{**swift, "nothing": [500]}], p50=0.3)
    assert steps is not None
    assert (steps.prepare_us, steps.invoke_us, steps.finish_us, steps.overhead_us) == (0.0, 0.0, 0.0, 0.0)
    assert call_steps([one, {}], p50=9.0) is None


def test_the_spread_is_that_of_thirds_of_the_rounds() -> None:
    blocks = [Block(samples=1, p50_us=p50) for p50 in (5.0, 6.0, 9.0, 5.0, 6.0, 10.0, 50.0, 6.0, 11.0)]
    assert spread_of_rounds(blocks) == pytest.approx(1.0)
    assert spread_of_rounds(blocks[:1]) == 0.0
    assert spread_of_rounds([]) == 0.0
    assert spread_of_rounds([Block(samples=1, p50_us=0.0), blocks[0]]) == 0.0
    assert spread_of_rounds(blocks[:2]) == pytest.approx(0.2)


def test_a_clock_that_wavers_a_little_is_no_reason_to_doubt() -> None:
    assert taints(watch(QUIET, changed(khz=2_310_000))) == []


def test_a_process_that_had_to_share_its_cpu_is_tainted() -> None:
    assert taints(watch(QUIET, QUIET, share=0.92)) == ["other processes had the CPU for 8 % of the time"]
    assert taints(watch(QUIET, QUIET, share=0.95)) == []
    assert taints(watch(QUIET, QUIET, share=0.97)) == []
    # Several threads run for longer than the clock on the wall.
    assert taints(watch(QUIET, QUIET, share=2.0)) == []
    assert taints(watch(QUIET, QUIET, share=0.0, elapsed=SECOND // 1000)) == []


def test_waiting_for_the_cpu_is_seen_in_a_real_process() -> None:
    _, idle = watched([0], lambda: time.sleep(0.1))
    assert idle.elapsed >= 0.1 * SECOND
    assert "other processes had the CPU" in taints(idle)[0]


def test_a_process_that_sleeps_leaves_the_cpu_to_others_and_may_say_so() -> None:
    sleeper = Sleeper()
    _, idle = watched([0], lambda: sleeper.sleep(0.1), sleeper)
    assert 0.1 * SECOND <= idle.slept <= idle.elapsed
    assert _said_of_others(idle) == []
    for share, said in ((1.0, []), (0.6, ["other processes had the CPU for 40 % of the time"])):
        assert taints(watch(QUIET, QUIET, slept=SECOND * 9 // 10, share=share)) == said


def _said_of_others(found: Watch) -> list[str]:
    return [words for words in taints(found) if "other processes" in words]


def test_a_clock_that_falls_asleep_with_the_process_is_no_disturbance() -> None:
    fallen = changed(khz=600_000)
    assert taints(watch(QUIET, fallen, slept=SECOND * 9 // 10)) == []
    assert "600 MHz" in taints(watch(QUIET, fallen, slept=SECOND // 10))[0]


def raspberry_pi(root: Path, answer: str) -> list[str]:
    """Lay out /sys of a Raspberry Pi, and return a command that answers as its vcgencmd."""
    files = {
        "sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "1800000\n",
        "sys/class/thermal/thermal_zone0/temp": "58426\n",
        "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
        "sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
        "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
        "sys/class/thermal/thermal_zone0/trip_point_1_temp": "85000\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ["echo", answer]


def test_the_state_of_a_raspberry_pi_is_read(tmp_path: Path) -> None:
    command = raspberry_pi(tmp_path, "throttled=0x50005")
    assert read_conditions([3], tmp_path, command) == Conditions(
        khz=1_800_000, firmware=0x50005, celsius=58.426, limit_celsius=85.0
    )


@pytest.mark.parametrize("command", [["false"], ["echo", "error=2"], ["a-command-that-is-not-there"]])
def test_a_tool_that_does_not_answer_is_no_error(command: list[str], tmp_path: Path) -> None:
    assert read_conditions([0], tmp_path, command) == Conditions()


def test_a_machine_that_was_slower_than_in_another_round_taints_the_block() -> None:
    assert slowness_taints([1.0, 1.45], 1.0) == ["the fixed work took 45 % longer than when the machine was quietest"]
    assert slowness_taints([1.0, 1.05], 1.0) == slowness_taints([1.45, 1.0], 1.4) == []
    assert slowness_taints([1.0, 9.0], None) == [], "the first round has none to be held against"
    assert (quieter([1.2, 1.1], None), quieter([1.2, 1.1], 1.0), quieter([0.9, 1.1], 1.0)) == (1.1, 1.0, 0.9)


def test_a_tail_of_rare_slow_calls_is_no_fault_of_the_measurement() -> None:
    # One call in 200 takes 5 ms longer: neither the median nor the 99th percentile moves, and p99.9 shows it.
    naps = [0.0002] * 199 + [0.005]
    slow = timed_calls(time.sleep, naps, samples=1_000, nanoseconds=0)
    assert quality_warnings(summarise([slow])["samples"], []) == []


def test_steady_calls_have_no_warning() -> None:
    steady = [6_000 + index % 100 for index in range(2_000)]
    assert quality_warnings(summarise([steady])["samples"], [Block(samples=2_000, p50_us=6.05)]) == []


def test_too_few_samples_for_a_percentile_are_named() -> None:
    single = summarise([[6_000] * 999])
    assert single["p99_us"] is None
    assert single["p90_us"] == 6.0
    assert quality_warnings(single["samples"], []) == ["p99 is left out: it needs 1,000 samples, but there are 999"]


def test_rounds_that_differ_are_named_and_so_are_tainted_ones() -> None:
    blocks = [
        Block(samples=1, p50_us=6.0),
        Block(samples=1, p50_us=6.9, attempts=2, taints=["other processes had the CPU for 8 % of the time"]),
        Block(samples=1, p50_us=6.1, attempts=2, taints=["other processes had the CPU for 9 % of the time"]),
    ]
    found = quality_warnings(1000, blocks)
    assert found[0] == "the p50 of the rounds differs by 15 %"
    assert found[1] == "2 of 3 rounds tainted: other processes had the CPU for 9 % of the time"
    one = [msgspec.structs.replace(blocks[0], p50_us=6.1), *blocks[1:2], blocks[0]]
    assert not any("tainted" in warning for warning in quality_warnings(1000, one))


def test_one_slow_round_of_many_is_no_warning_and_rounds_that_differ_are() -> None:
    rounds = [6.0 + 0.01 * number for number in range(15)]
    one_slow = [Block(samples=1, p50_us=8.0), *(Block(samples=1, p50_us=p50) for p50 in rounds[1:])]
    assert quality_warnings(1000, one_slow) == []
    differing = [Block(samples=1, p50_us=p50 * (1.12 if number % 3 else 1)) for number, p50 in enumerate(rounds)]
    assert "the p50 of the rounds differs by 12 %" in quality_warnings(1000, differing)


@pytest.mark.parametrize(("slower", "warned"), [(1.05, False), (1.09, False), (1.12, True)])
def test_what_rounds_on_a_quiet_machine_differ_by_is_no_warning(slower: float, *, warned: bool) -> None:
    # Two runs on a quiet machine differ by 5 %.
    blocks = [Block(samples=1, p50_us=6.0 * (slower if number % 3 == 0 else 1)) for number in range(15)]
    assert bool(quality_warnings(1000, blocks)) == warned


def test_a_governor_that_saves_power_is_told_with_what_to_do() -> None:
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    assert host_warnings({"governor": "powersave"}) == [
        f"the governor is powersave, which may keep the clock low: {remedy}"
    ]
    assert host_warnings({"governor": "ondemand"}) == host_warnings({}) == []
