"""What /proc/cpuinfo says about the processor, which every architecture writes in its own way."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

FLAGS = (
    # x86: width of the vectors, and dot products of int8 (VNNI)
    "sse4_1",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    # Arm: vectors (NEON), half precision, dot products and matrix products of int8
    "neon",
    "asimd",
    "fphp",
    "asimdhp",
    "asimddp",
    "i8mm",
    "sve",
)
"""Flags worth reporting: those that decide which kernels LiteRT's XNNPACK and ONNX Runtime's MLAS take."""

# Part numbers of Arm's own cores (implementer 0x41), from their technical reference manuals: the MIDR_EL1 register.
_ARM_PARTS = {
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd49": "Neoverse-N2",
}
_ARM = "0x41"


def parse_cpuinfo(text: str) -> dict[str, Any]:
    """Return `cpu`, the processor's name, and `flags`, the known ones it has; what is not told is left out."""
    # Fields of the first processor, and those that Linux on Arm appends for the whole machine.
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip().lower(), value.strip())
    # A 32-bit kernel on Arm has a model name too, which says no more than "ARMv7 Processor".
    cpu = _arm_core(fields) or fields.get("model name")
    present = (fields.get("flags") or fields.get("features") or "").split()
    found = {"cpu": cpu, "flags": [flag for flag in FLAGS if flag in present]}
    return {name: value for name, value in found.items() if value}


def _arm_core(fields: dict[str, str]) -> str:
    if fields.get("cpu implementer") != _ARM:
        return ""
    part = fields.get("cpu part", "")
    return _ARM_PARTS.get(part, f"Arm part {part}")


_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
_QUICK_S = 5


# Optional instead of `| None`: dataclass fields are looked at by msgspec, and Python 3.9 reads this file too.
@dataclass(frozen=True)
class Facts:
    """A board, as it is now."""

    board: Optional[str]
    """Model name, such as `Raspberry Pi 5 Model B Rev 1.0`; None on other machines."""
    os: Optional[str]
    kernel_machine: str
    """Of the kernel, such as `aarch64`."""
    bits: int
    """Of the running programs, 32 or 64: a 64-bit kernel may run a 32-bit system."""
    cpu: Optional[str]
    cores: int
    flags: list[str]
    caches: dict[str, str]
    """Size by level and type, of the first core."""
    memory_bytes: Optional[int]
    memory_free_bytes: Optional[int]
    libc: Optional[str]
    """Such as `glibc 2.36`."""
    python: str
    python_path: str
    has_venv: bool
    """Whether this Python can make a virtual environment with pip in it."""
    disk_free_bytes: Optional[int]
    writable: bool
    """Whether the directory that edgemnist uses there, or the nearest one above it, can be written."""
    governor: Optional[str]
    temperature_c: Optional[float]
    throttled: Optional[int]
    """Bits of `vcgencmd get_throttled`: 0 to 3 now, 16 to 19 since boot. None on other machines."""
    clock: float
    """Seconds since 1970."""
    clock_synchronized: Optional[bool]

    def document(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return dataclasses.asdict(self)


def collect_facts(directory: Path, proc: Path = Path("/proc"), sys_: Path = Path("/sys")) -> Facts:
    """Collect the facts; `directory` is where edgemnist keeps its files, whether it exists or not."""
    cpuinfo = parse_cpuinfo(_read(proc / "cpuinfo") or "")
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", _read(proc / "meminfo") or "", flags=re.MULTILINE))
    existing = nearest(directory)
    temperature = _read(sys_ / "class/thermal/thermal_zone0/temp")
    return Facts(
        board=_board(proc),
        os=_os_name(),
        kernel_machine=platform.machine(),
        bits=8 * struct.calcsize("P"),
        cpu=cpuinfo.get("cpu"),
        cores=os.cpu_count() or 1,
        flags=cpuinfo.get("flags", []),
        caches=_caches(sys_),
        memory_bytes=_kilobytes(memory.get("MemTotal")),
        memory_free_bytes=_kilobytes(memory.get("MemAvailable")),
        libc=" ".join(filter(None, platform.libc_ver())) or None,
        python=platform.python_version(),
        python_path=sys.executable,
        has_venv=all(importlib.util.find_spec(module) is not None for module in ("venv", "ensurepip")),
        disk_free_bytes=_disk_free(existing),
        writable=_is_writable(existing),
        governor=_read(sys_ / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        temperature_c=int(temperature) / 1000 if temperature and temperature.lstrip("-").isdecimal() else None,
        throttled=_throttled(sys_),
        clock=time.time(),
        clock_synchronized=_clock_synchronized(),
    )


def nearest(path: Path) -> Path:
    """Return the path itself, or the nearest directory above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _board(proc: Path) -> str | None:
    model = _read(proc / "device-tree/model")
    return model.rstrip("\0").strip() if model else None


def _os_name() -> str | None:
    name = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read(Path("/etc/os-release")) or "", flags=re.MULTILINE)
    return name[1] if name else None


def _caches(sys_: Path) -> dict[str, str]:
    caches = {}
    for index in sorted((sys_ / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
            caches[f"L{level}{letter}"] = size
    return caches


def _throttled(sys_: Path) -> int | None:
    text = _read(sys_ / _THROTTLED)
    if text is None:
        output = _output("vcgencmd", "get_throttled")
        text = output.partition("=")[2] if output else None
    try:
        return int(text, 16) if text else None
    except ValueError:
        return None


def _clock_synchronized() -> bool | None:
    answer = _output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return {"yes": True, "no": False}.get(answer or "")


def _disk_free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def _is_writable(directory: Path) -> bool:
    # access() asks the kernel, which knows of a read-only file system too, also where root asks.
    return os.access(directory, os.W_OK | os.X_OK)


def _kilobytes(count: str | None) -> int | None:
    return 1024 * int(count) if count else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _output(*command: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_QUICK_S)
        if done.returncode == 0:
            return done.stdout.strip()
    return None
