"""BoardFacts about the machine that figures depend on."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist import __version__
from edgemnist.agent.facts import parse_cpuinfo, read_caches, read_memory, read_numbers, read_os_name, read_text
from edgemnist.machine.cpus import usable_cpus
from edgemnist.runtimes import RUNTIMES

ROOT = Path("/")


def host_facts() -> dict[str, Any]:
    """Return what could be found out, under these names; what is not known is left out.

    `machine`: name of the board or computer · `cpu`: name of the processor · `architecture` · `cpus`: how many this
    process may use · `flags`: instructions that quantized kernels use, of `agent.facts.FLAGS` · `governor` of the
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
        answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _versions() -> Mapping[str, str]:
    versions = {"edgemnist": __version__, "numpy": np.__version__}
    for entry in RUNTIMES.values():
        versions |= entry.versions()
    return versions
