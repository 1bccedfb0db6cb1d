"""The one reader of what Linux says about a machine: processor, caches, memory, system, heat, and throttling.

`edgemnist.board.machine` reads through it too, so that `bench` and `doctor` cannot disagree.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Width of the vectors, and dot products of int8 (VNNI) on x86; vectors (NEON), half precision, dot products and matrix
# products of int8 on Arm.
FLAGS = (
    *("sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "asimd", "fphp", "asimdhp", "asimddp", "i8mm", "sve"),
)
"""Flags worth reporting: those that decide which kernels LiteRT's XNNPACK and ONNX Runtime's MLAS take."""

# Part numbers of Arm's own cores (implementer 0x41), from their technical reference manuals: the MIDR_EL1 register.
_ARM_PARTS = {
    "0xb76": "ARM1176", "0xc07": "Cortex-A7", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1", "0xd49": "Neoverse-N2",
}  # fmt: skip
_ARM = "0x41"


def parse_cpuinfo(text: str) -> dict[str, Any]:
    """Return `cpu`, the processor's name, and `flags`, the known ones it has; what is not told is left out."""
    # Fields of the first processor, and those that Linux on Arm appends for the whole machine.
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip().lower(), value.strip())
    cpu = fields.get("model name")
    if fields.get("cpu implementer") == _ARM:
        # A 32-bit kernel on Arm has a model name too, which says no more than "ARMv7 Processor".
        part = fields.get("cpu part", "")
        cpu = _ARM_PARTS.get(part, f"Arm part {part}")
    present = (fields.get("flags") or fields.get("features") or "").split()
    facts = {"cpu": cpu, "flags": [flag for flag in FLAGS if flag in present]}
    return {name: value for name, value in facts.items() if value}


VCGENCMD = ("vcgencmd", "get_throttled")
"""The Raspberry Pi's own tool; the firmware, not Linux, throttles there."""
_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
_QUICK_S = 5

THROTTLED_BITS = {
    0: ("under-voltage", "the voltage was too low (power supply or cable)"),
    1: ("frequency capped", "the firmware capped the clock"),
    2: ("throttled", "the firmware throttled the CPU"),
    3: ("soft temperature limit", "the soft temperature limit was active"),
}
"""Bits of `vcgencmd get_throttled` that hold now, from the Raspberry Pi documentation: a name, and what happened."""
HISTORY_SHIFT = 16
"""The same four bits, sixteen places higher, say that it has happened since the start of the system."""

POINTER_BITS = 8 * struct.calcsize("P")
"""Of the running Python, 32 or 64."""


def program_machine(kernel_machine: str, bits: int) -> str:
    """Return the processor that programs are compiled for: a 64-bit kernel on Arm may run a 32-bit system."""
    return "armv7l" if bits == 32 and kernel_machine in {"aarch64", "armv8l"} else kernel_machine  # noqa: PLR2004 - bits


# Optional instead of `| None`: dataclass fields are looked at by msgspec, and Python 3.9 reads this file too.
@dataclass(frozen=True)
class BoardFacts:
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
    exposed: Optional[str] = None
    """The directory that edgemnist uses there, if others than its owner can write to it."""


def collect_facts(directory: Path, proc: Path = Path("/proc"), sys_: Path = Path("/sys")) -> BoardFacts:
    """Collect the facts; `directory` is where edgemnist keeps its files, whether it exists or not."""
    cpuinfo = parse_cpuinfo(read_text(proc / "cpuinfo"))
    memory = read_memory(proc)
    existing = nearest(directory)
    synchronized = _output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    temperatures = read_numbers([sys_ / "class/thermal/thermal_zone0/temp"])
    kinds = {"Data": "d", "Instruction": "i"}
    return BoardFacts(
        board=read_text(proc / "device-tree/model") or None,
        os=read_os_name(Path("/etc/os-release")) or None,
        kernel_machine=platform.machine(),
        bits=POINTER_BITS,
        cpu=cpuinfo.get("cpu"),
        cores=os.cpu_count() or 1,
        flags=cpuinfo.get("flags", []),
        caches={f"L{level}{kinds.get(kind, '')}": size for level, kind, size in read_caches(sys_)},
        memory_bytes=memory.get("MemTotal"),
        memory_free_bytes=memory.get("MemAvailable"),
        libc=" ".join(filter(None, platform.libc_ver())) or None,
        python=platform.python_version(),
        python_path=sys.executable,
        has_venv=all(importlib.util.find_spec(module) is not None for module in ("venv", "ensurepip")),
        disk_free_bytes=_disk_free(existing),
        # access() asks the kernel, which knows of a read-only file system too, also where root asks.
        writable=os.access(existing, os.W_OK | os.X_OK),
        governor=read_text(sys_ / "devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        temperature_c=temperatures[0] / 1000 if temperatures else None,
        throttled=read_throttled(sys_),
        clock=time.time(),
        clock_synchronized={"yes": True, "no": False}.get(synchronized or ""),
        exposed=exposed(directory),
    )


def exposed(directory: Path) -> str | None:
    """Return a directory, if its group or everybody can write to it: they can put anything in the place of a file."""
    with contextlib.suppress(OSError):
        if directory.is_dir() and directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return str(directory)
    return None


def nearest(path: Path) -> Path:
    """Return the path itself, or the nearest directory above it that exists; of a file, that of the file."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def read_os_name(os_release: Path) -> str:
    """Return the name of the system, such as `Debian GNU/Linux 12 (bookworm)`; empty where it is not told."""
    name = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(os_release), flags=re.MULTILINE)
    return name[1] if name else ""


def read_memory(proc: Path) -> dict[str, int]:
    """Return the fields of /proc/meminfo, such as `MemTotal`, in bytes."""
    fields = re.findall(r"^(\w+):\s+(\d+) kB", read_text(proc / "meminfo"), flags=re.MULTILINE)
    return {name: 1024 * int(kilobytes) for name, kilobytes in fields}


def read_caches(sys_: Path) -> list[tuple[str, str, str]]:
    """Return the first CPU's caches: level, type (`Data`, `Instruction`, `Unified`), and size as Linux writes it."""
    found = []
    for index in sorted((sys_ / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found.append((level, kind, size))
    return found


def read_throttled(sys_: Path, vcgencmd: Sequence[str] = VCGENCMD) -> int | None:
    """Return the bits of `THROTTLED_BITS`, which only a Raspberry Pi has: from the kernel, else from its own tool."""
    text = read_text(sys_ / _THROTTLED) or _output(*vcgencmd) or ""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-f]{1,8})", text, flags=re.IGNORECASE)
    return int(found[1], 16) if found else None


def throttle_names(bits: int) -> list[str]:
    """Return the names of the bits that are set, among the four of now."""
    return [name for bit, (name, _) in THROTTLED_BITS.items() if bits >> bit & 1]


def throttled_since(before: int, after: int) -> list[str]:
    """Return in words what happened between two answers of the firmware.

    The bits of the past stay set: only one that was not there before belongs to the time in between.
    """
    happened = (before | after) & 0xFFFF | (after & ~before) >> HISTORY_SHIFT
    return [words for bit, (_, words) in THROTTLED_BITS.items() if happened >> bit & 1]


def _disk_free(directory: Path) -> int | None:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(directory).free
    return None


def read_text(path: Path) -> str:
    """Return what a file of /proc or /sys says, without the zero byte of the device tree; empty where nothing."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        # A sensor that does not answer is as good as none.
        return ""


def read_numbers(paths: Iterable[Path]) -> list[int]:
    """Return the whole numbers that files of /sys hold, without those that hold none."""
    texts = [read_text(path) for path in paths]
    return [int(text) for text in texts if text.lstrip("-").isdecimal()]


def _output(*command: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_QUICK_S)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


MODULES = {
    "numpy": "numpy",
    "msgspec": "msgspec",
    "pillow": "PIL.Image",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "onnxruntime": "onnxruntime",
}
"""What to import, by name on the package index: everything on a board that has machine code in it."""

LOADED = "loaded"
MISSING = "missing"
CRASHED = "crashed"
FAILED = "failed"
_IMPORT = (
    "import importlib, importlib.metadata, sys\n"
    "try:\n    version = importlib.metadata.version(sys.argv[1])\n"
    "except importlib.metadata.PackageNotFoundError:\n    sys.exit(9)\n"
    "print(version, flush=True)\n"
    "importlib.import_module(sys.argv[2])\n"
)
_NOT_INSTALLED = 9
_TIMEOUT_S = 120
"""A cold import from a slow SD card takes seconds, never minutes."""


@dataclass(frozen=True)
class Probe:
    """How the import of a package ended."""

    package: str
    state: str
    """`loaded`, `missing`, `crashed` (by a signal) or `failed` (by an exception, or for time)."""
    version: Optional[str]
    detail: str
    """Name of the signal, or the last line of the exception."""


def probe(python: Path, package: str, module: str) -> Probe:
    """Import `module` of `package` with that Python, and see."""
    # -I: neither the current directory nor PYTHONPATH lends it a module.
    command = [str(python), "-I", "-c", _IMPORT, package, module]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Probe(package, FAILED, None, f"the import did not finish within {_TIMEOUT_S} s")
    except OSError as error:
        return Probe(package, FAILED, None, f"{python} cannot be run: {error.strerror}")
    version = done.stdout.strip() or None
    if done.returncode == 0:
        return Probe(package, LOADED, version, "")
    if done.returncode == _NOT_INSTALLED and version is None:
        return Probe(package, MISSING, None, "")
    if done.returncode < 0:
        return Probe(package, CRASHED, version, signal.Signals(-done.returncode).name)
    lines = done.stderr.strip().splitlines()
    return Probe(package, FAILED, version, lines[-1] if lines else f"it ended with {done.returncode}")


def probe_all(python: Path) -> list[Probe]:
    """Import everything that a board may need with that Python, and see."""
    return [probe(python, package, module) for package, module in MODULES.items()]
