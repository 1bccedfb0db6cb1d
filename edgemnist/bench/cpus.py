"""Which CPUs to measure on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

SYSFS = Path("/sys/devices/system/cpu")


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def choose_cpus(threads: int, cpus: Sequence[int], sysfs: Path = SYSFS) -> list[int]:
    """Return the `threads` CPUs to pin a measurement to.

    The fastest cores of a processor that has several kinds, no two on one core as long as there are others, and those
    with the highest numbers: the low ones are where the system handles its interrupts.
    """

    def preference(cpu: int) -> tuple[bool, int, int]:
        siblings = _read(sysfs / f"cpu{cpu}/topology/thread_siblings_list").replace("-", ",").split(",")
        frequency = _read(sysfs / f"cpu{cpu}/cpufreq/cpuinfo_max_freq")
        return siblings[0] in {"", str(cpu)}, int(frequency or 0), cpu

    return sorted(sorted(cpus, key=preference)[-threads:])


def pin(cpus: Sequence[int]) -> bool:
    """Keep this process on `cpus`, and return whether the system can do that: only Linux lets a program choose."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, cpus)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
