"""The state of the machine while something is measured: clock, temperature, throttling, and who had the CPU."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edgemnist.agent.facts import VCGENCMD, read_numbers, read_text, read_throttled

T = TypeVar("T")

ROOT: Final = Path("/")


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The machine at one moment; None for what it does not tell."""

    khz: int | None = None
    """Clock of the first CPU that is measured on."""
    throttle_events: int | None = None
    """How often those CPUs were slowed down for their heat, since the start of the system (x86 counts that)."""
    firmware: int | None = None
    """The bits of `vcgencmd get_throttled`."""
    celsius: float | None = None
    """Of the hottest thermal zone."""
    limit_celsius: float | None = None
    """The lowest temperature at which a zone slows the system down: its passive trip point."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What went on while something was measured."""

    before: Conditions
    after: Conditions
    elapsed: int
    """Nanoseconds between the two."""
    slept: int = 0
    """Nanoseconds of them that the process meant to sleep, and so had no use for a CPU."""
    cpu_time: int
    """Nanoseconds of them that the threads of this process were running, all together."""


class Sleeper:
    """Sleeps, and remembers for how long."""

    def __init__(self) -> None:
        self.slept = 0
        """Nanoseconds so far."""

    def sleep(self, seconds: float) -> None:
        """Sleep as `time.sleep` does."""
        started = time.perf_counter_ns()
        time.sleep(seconds)
        self.slept += time.perf_counter_ns() - started


def watched(cpus: Sequence[int], work: Callable[[], T], sleeper: Sleeper | None = None) -> tuple[T, Watch]:
    """Do some work, and return its result and what went on meanwhile.

    `cpus` are those it runs on. The work sleeps with the `sleeper` only, which is a new one: a CPU that it did not have
    while it was awake was taken by others.
    """
    before = read_conditions(cpus)
    started, ran = time.perf_counter_ns(), time.process_time_ns()
    result = work()
    elapsed, cpu_time = time.perf_counter_ns() - started, time.process_time_ns() - ran
    return result, Watch(
        before=before,
        after=read_conditions(cpus),
        elapsed=elapsed,
        slept=sleeper.slept if sleeper else 0,
        cpu_time=cpu_time,
    )


def read_conditions(cpus: Sequence[int], root: Path = ROOT, vcgencmd: Sequence[str] = VCGENCMD) -> Conditions:
    """Return the state of the machine; `cpus` are those measured on, `root` is where /sys is. Never raises."""
    directories = [root / f"sys/devices/system/cpu/cpu{cpu}" for cpu in cpus]
    clocks = read_numbers(directory / "cpufreq/scaling_cur_freq" for directory in directories)
    events = read_numbers(directory / "thermal_throttle/core_throttle_count" for directory in directories)
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    temperatures = read_numbers(zone / "temp" for zone in zones)
    limits = read_numbers(
        kind.with_name(kind.name.replace("_type", "_temp"))
        for zone in zones
        for kind in sorted(zone.glob("trip_point_*_type"))
        if read_text(kind) == "passive"
    )
    return Conditions(
        khz=clocks[0] if clocks else None,
        throttle_events=sum(events) if events else None,
        firmware=read_throttled(root / "sys", vcgencmd),
        celsius=max(temperatures) / 1000 if temperatures else None,
        # Zones that no one has set up give 0 or less.
        limit_celsius=min((limit / 1000 for limit in limits if limit > 0), default=None),
    )


STATUS = Path("/proc/self/status")


def peak_rss() -> int | None:
    """Return the largest resident set of this process so far, in bytes, or None where the system does not tell.

    On Linux that is `VmHWM` and not `getrusage`: there the maximum of a new process starts from the memory of the
    process that spawned it (see exec_mmap in fs/exec.c), so that whatever TensorFlow has spawned looks like TensorFlow.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
