"""Which CPUs to measure on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from edgemnist.agent.facts import read_text

SYSFS = Path("/sys/devices/system/cpu")
STAT = Path("/proc/stat")
BUSY: Final = 0.5
"""Share of its time from which on a CPU is taken to belong to others."""
LOOK_S: Final = 0.05
"""How long CPUs are looked at: five of the steps of 10 ms in which Linux counts."""


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def busy_cpus(read: Callable[[], str] | None = None, seconds: float = LOOK_S) -> set[int]:
    """Return the CPUs that other processes keep busy just now; none where the system does not tell.

    `read` returns the contents of /proc/stat. It takes `seconds`, in which this process sleeps.
    """
    read = read or (lambda: read_text(STAT))
    before = _times(read())
    time.sleep(seconds)
    after = _times(read())
    spent = {cpu: (after[cpu][0] - before[cpu][0], after[cpu][1] - before[cpu][1]) for cpu in after.keys() & before}
    return {cpu for cpu, (idle, total) in spent.items() if total and 1 - idle / total > BUSY}


def _times(stat: str) -> dict[int, tuple[int, int]]:
    """Return the time that each CPU was idle, and its time altogether, in the system's own unit."""
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu") and line[3:4].isdecimal()]
    # user, nice, system, idle, waiting for a disk, interrupts …: proc(5)
    return {int(name[3:]): (int(times[3]) + int(times[4]), sum(map(int, times[:8]))) for name, *times in lines}


def choose_cpus(
    threads: int, cpus: Sequence[int], sysfs: Path = SYSFS, busy: Collection[int] = frozenset()
) -> list[int]:
    """Return the `threads` CPUs to pin a measurement to.

    The fastest cores of a processor that has several kinds, no two on one core as long as there are others, none of
    those that are `busy`, and those with the highest numbers: the low ones are where the system handles its interrupts.
    """

    def preference(cpu: int) -> tuple[bool, int, bool, int]:
        siblings = read_text(sysfs / f"cpu{cpu}/topology/thread_siblings_list").replace("-", ",").split(",")
        frequency = read_text(sysfs / f"cpu{cpu}/cpufreq/cpuinfo_max_freq")
        return siblings[0] in {"", str(cpu)}, int(frequency or 0), cpu not in busy, cpu

    return sorted(sorted(cpus, key=preference)[-threads:])


def pin(cpus: Sequence[int]) -> bool:
    """Keep this process on `cpus`, and return whether the system can do that: only Linux lets a program choose."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, cpus)
    return True
