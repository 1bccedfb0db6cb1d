"""Facts about the machine that figures depend on."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist import __version__
from edgemnist.agent.facts import parse_cpuinfo
from edgemnist.machine.cpus import usable_cpus
from edgemnist.runtimes import RUNTIMES

ROOT = Path("/")


def host_facts() -> dict[str, Any]:
    """Return what could be found out, under these names; what is not known is left out.

    `machine`: name of the board or computer · `cpu`: name of the processor · `architecture` · `cpus`: how many this
    process may use · `flags`: instructions that quantized kernels use, of those in `cpuinfo.FLAGS` · `governor` of the
    first CPU · `max_mhz` · `caches`: sizes by level, as the system writes them · `memory_mb` (1 MB is 10^6 bytes) ·
    `os` · `kernel` · `python` · `versions`: of edgemnist, NumPy and the runtimes.
    """
    found: dict[str, Any] = {}
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
        "versions": _versions(),
    }
    return {name: value for name, value in facts.items() if value}


def linux_facts(root: Path = ROOT) -> dict[str, Any]:
    """Return what Linux tells; `root` is where its /proc, /sys and /etc are."""
    cpu = root / "sys/devices/system/cpu/cpu0"
    max_khz = _read(cpu / "cpufreq/cpuinfo_max_freq")
    facts: dict[str, Any] = {
        # A Raspberry Pi says what it is in the device tree, a PC in its firmware.
        "machine": _read(root / "sys/firmware/devicetree/base/model") or _read(root / "sys/class/dmi/id/product_name"),
        "governor": _read(cpu / "cpufreq/scaling_governor"),
        "max_mhz": int(max_khz) // 1000 if max_khz.isdecimal() else None,
        "caches": _caches(cpu / "cache"),
        "memory_mb": _memory_mb(_read(root / "proc/meminfo")),
        "os": _os_name(_read(root / "etc/os-release")),
        "kernel": _read(root / "proc/sys/kernel/osrelease"),
    }
    return facts | parse_cpuinfo(_read(root / "proc/cpuinfo"))


def _caches(directory: Path) -> dict[str, str]:
    """Return the sizes of the first CPU's caches, such as {"L1 data": "32K", "L2": "512K"}."""
    found: dict[str, str] = {}
    for index in sorted(directory.glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if size:
            found[f"L{level}" if kind == "Unified" else f"L{level} {kind.lower()}"] = size
    return found


def _memory_mb(meminfo: str) -> int | None:
    fields = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    kilobytes = fields.get("MemTotal", "").split()
    return int(kilobytes[0]) * 1024 // 1_000_000 if kilobytes else None


def _os_name(os_release: str) -> str:
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return fields.get("PRETTY_NAME", "").strip('"')


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
        answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _versions() -> Mapping[str, str]:
    versions = {"edgemnist": __version__, "numpy": np.__version__}
    for entry in RUNTIMES.values():
        versions |= entry.versions()
    return versions


def _read(path: Path) -> str:
    try:
        # The device tree ends its strings with a zero byte.
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
