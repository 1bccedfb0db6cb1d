"""What this machine is, which of its CPUs to measure on, and the state it is in while measuring."""

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from edgemnist import __version__
from edgemnist.board.agent.facts import (
    VCGENCMD,
    parse_cpuinfo,
    read_caches,
    read_memory,
    read_numbers,
    read_os_name,
    read_text,
    read_throttled,
)
from edgemnist.model.runtimes import RUNTIMES

ROOT: Final = Path("/")
SYSFS: Final = Path("/sys/devices/system/cpu")
STAT: Final = Path("/proc/stat")
SCHEDULE: Final = Path("/proc/self/schedstat")
BUSY: Final = 0.5
"""Share of its time from which on a CPU is taken to belong to others."""
LOOK_S: Final = 0.05
"""How long CPUs are looked at: five of the steps of 10 ms in which Linux counts."""


def host_facts() -> dict[str, Any]:
    """Return what is known, under these names.

    `machine`: name of the board or computer · `cpu`: name of the processor · `architecture` · `cpus`: how many this
    process may use · `flags`: instructions that quantized kernels use, of `agent.facts.FLAGS` · `governor` of the
    first CPU · `max_mhz` · `caches`: sizes by level, as the system writes them · `memory_mb` (1 MB is 10^6 bytes) ·
    `os` · `kernel` · `python` · `versions`: of edgemnist, NumPy and the runtimes.
    """
    found: dict[str, Any] = {}
    versions = {"edgemnist": __version__, "numpy": np.__version__}
    for entry in RUNTIMES.values():
        versions |= entry.versions()
    if sys.platform == "linux":
        found = linux_facts()
    elif sys.platform == "darwin":
        found = _darwin_facts()
    elif sys.platform == "win32":
        found = {"cpu": platform.processor(), "os": platform.platform(), "kernel": platform.version()}
    facts = {
        "machine": found.get("machine"),
        "cpu": found.get("cpu") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cpus": len(usable_cpus()),
        **{name: found.get(name) for name in ("flags", "governor", "max_mhz", "caches", "memory_mb", "os", "kernel")},
        "python": platform.python_version(),
        "versions": versions,
    }
    return {name: value for name, value in facts.items() if value}


@functools.cache
def machine_identity() -> str:
    """Return what answers and times depend on: processor, architecture, and its instructions for quantized kernels.

    A host's name is none of that: containers draw theirs, and an SD card moves to another board.
    """
    if sys.platform == "linux":
        found = parse_cpuinfo(read_text(ROOT / "proc/cpuinfo"))
    else:
        found = _darwin_facts() if sys.platform == "darwin" else {}
    cpu = found.get("cpu") or platform.processor() or platform.machine()
    return identity_of({**found, "cpu": cpu, "architecture": platform.machine()})


def identity_of(host: Mapping[str, Any]) -> str:
    """Return the same of the host whose facts these are, as `host_facts` returns them."""
    return " ".join([host.get("cpu", ""), host.get("architecture", ""), *host.get("flags", [])])


def linux_facts(root: Path = ROOT) -> dict[str, Any]:
    """Return what Linux tells; `root` is where its /proc, /sys and /etc are."""
    sys_ = root / "sys"
    frequency = sys_ / "devices/system/cpu/cpu0/cpufreq"
    max_khz = read_numbers([frequency / "cpuinfo_max_freq"])
    memory = read_memory(root / "proc").get("MemTotal")
    facts: dict[str, Any] = {
        # A Raspberry Pi says what it is in the device tree, a PC in its firmware.
        "machine": read_text(sys_ / "firmware/devicetree/base/model") or read_text(sys_ / "class/dmi/id/product_name"),
        "governor": read_text(frequency / "scaling_governor"),
        "max_mhz": max_khz[0] // 1000 if max_khz else None,
        "caches": {
            f"L{level}" if kind == "Unified" else f"L{level} {kind.lower()}": size
            for level, kind, size in read_caches(sys_)
        },
        "memory_mb": memory // 1_000_000 if memory else None,
        "os": read_os_name(root / "etc/os-release"),
        "kernel": read_text(root / "proc/sys/kernel/osrelease"),
    }
    return facts | parse_cpuinfo(read_text(root / "proc/cpuinfo"))


def _darwin_facts() -> dict[str, Any]:
    memory = _sysctl("hw.memsize")
    return {
        "machine": _sysctl("hw.model"),
        "cpu": _sysctl("machdep.cpu.brand_string"),
        "flags": ["asimd", "asimddp"] if _sysctl("hw.optional.arm.FEAT_DotProd") == "1" else [],
        "memory_mb": int(memory) // 1_000_000 if memory.isdecimal() else None,
        "os": f"macOS {platform.mac_ver()[0]}",
        "kernel": platform.release(),
    }


def _sysctl(name: str) -> str:
    try:
        answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True)  # noqa: S603 - no shell, and a name of ours
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


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
    # Runtimes that are loaded may have threads of their own.
    threads = Path("/proc/self/task").glob("[0-9]*") if sys.platform == "linux" else ()
    for thread in [0, *(int(one.name) for one in threads)]:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, cpus)
    return True


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


def waited_ns() -> int | None:
    """Return for how long this process has waited for a CPU that others had, in nanoseconds; None where nobody counts.

    It is the process's main thread whose waiting counts.
    """
    fields = read_text(SCHEDULE).split()
    return int(fields[1]) if len(fields) > 1 and fields[1].isdecimal() else None


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


def peak_rss() -> int | None:
    """Return the largest resident set of this process so far, in bytes, or None where the system does not tell.

    On Linux that is `VmHWM` and not `getrusage`: there the maximum of a new process starts from the memory of the
    process that spawned it (see exec_mmap in fs/exec.c), so that whatever TensorFlow has spawned looks like TensorFlow.
    """
    if peak := re.search(r"^VmHWM:\s+(\d+) kB", read_text(Path("/proc/self/status")), flags=re.MULTILINE):
        return int(peak[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
