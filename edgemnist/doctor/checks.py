"""The commands that mend what is wrong with the software of a machine: of this one, or of a board."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgemnist.agent.facts import Facts
from edgemnist.agent.probes import CRASHED, FAILED, LOADED, MISSING, Probe
from edgemnist.results.boards import Finding, Level


@dataclass(frozen=True, kw_only=True)
class Means:
    """What there is to mend a machine with."""

    pip: str | None = "pip"
    """The pip that installs where edgemnist is installed; None where it is not, and a deployment brings everything."""
    board: str | None = None
    """The words that name the board behind `--to` and `--on`, quoted for a shell; None for this machine."""

    def install(self, requirement: str) -> str:
        """Return the command that brings a package."""
        return self.deploy if self.pip is None else f'{self.pip} install "{requirement}"'

    def verify(self, artifact: str) -> str:
        """Return the command that looks at an artifact more closely."""
        return f"edgemnist verify {artifact}" + (f" --on {self.board}" if self.board else "")

    def renew(self, hint: str) -> str:
        """Return how a file is brought anew: on this machine as `hint` says, on a board by another deployment."""
        return self.deploy if self.board else hint

    @property
    def deploy(self) -> str:
        """The command that brings packages and artifacts to the board."""
        return f"edgemnist deploy BUNDLE --to {self.board or 'HOST'}"


HERE = Means()


MINIMUM_PYTHON = (3, 11)
TESTED = {
    "numpy": "2.4.6",
    "msgspec": "0.22.0",
    "pillow": "13.0.0",
    "ai-edge-litert": "2.3.0",
    "onnxruntime": "1.32.0",
}
"""Versions whose aarch64 wheels were tried on emulated processors of a Pi 3, 4 and 5 (`make test-pi`)."""
RUNTIME_PACKAGES = {"ai-edge-litert": "tflite", "onnxruntime": "onnx"}
"""Packages that are optional as long as one is there, with their extra."""

INSTALL_BYTES = 350_000_000
"""What `edgemnist[pi]` takes at the most on a board's disk: 299 MB with the newest wheels, and what Python compiles."""
PREDICT_BYTES = 80_000_000
"""What `edgemnist predict` takes at the most of a board's memory."""
HOT_C = 80.0
"""A Raspberry Pi begins to slow down here, and stops at 85 °C (Raspberry Pi documentation, frequency management)."""
CREDIBLE_CLOCK = 1_735_689_600.0
"""2025-01-01: no system that edgemnist runs on is older, and no certificate that pip meets is valid before."""


class ThrottleBit(NamedTuple):
    """What one bit of `get_throttled` says."""

    bit: int
    name: str


NOW = (ThrottleBit(0, "under-voltage"), ThrottleBit(1, "frequency capped"), ThrottleBit(2, "throttled"),
       ThrottleBit(3, "soft temperature limit"))  # fmt: skip
HISTORY_SHIFT = 16
"""The same four bits, sixteen places higher, say that it has happened since boot."""


def judge(facts: Facts, probes: Sequence[Probe], means: Means = HERE) -> list[Finding]:
    """Return every finding about a board and what is installed on it, each with what mends it by `means`."""
    checks = (
        _board, _system, _cpu, _memory, _python, _disk, _governor, _temperature, _throttling, _clock,
    )  # fmt: skip
    return [*(check(facts) for check in checks), *judge_probes(probes, means)]


def worst(findings: Iterable[Finding]) -> Level:
    """Return the level of the gravest finding."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def _board(facts: Facts) -> Finding:
    if facts.board is None:
        return Finding.ok(
            "board", f"{facts.kernel_machine} machine", "No Raspberry Pi; edgemnist runs here all the same."
        )
    return Finding.ok("board", facts.board)


def _system(facts: Facts) -> Finding:
    value = f"{facts.bits}-bit {facts.os or 'system'}, {facts.libc or 'unknown C library'}"
    if facts.bits == 32:  # noqa: PLR2004 - bits
        return Finding.failure(
            "system",
            value,
            "Neither LiteRT nor ONNX Runtime has wheels for 32-bit systems; `--runtime integer` needs NumPy only.",
            "Write a 64-bit Raspberry Pi OS to the SD card with Raspberry Pi Imager.",
        )
    return Finding.ok("system", value)


def _cpu(facts: Facts) -> Finding:
    caches = ", ".join(f"{name} {size}" for name, size in facts.caches.items())
    value = f"{facts.cpu or 'unknown'}, {facts.cores} cores" + (f", {caches}" if caches else "")
    if facts.kernel_machine != "aarch64":
        return Finding.ok("cpu", value)
    if facts.flags and "asimd" not in facts.flags:
        return Finding.failure(
            "cpu", value, "It has no asimd instructions, which every aarch64 wheel takes for granted.",
            "Use a Raspberry Pi 3, Zero 2 or newer.",
        )  # fmt: skip
    dot = "with" if "asimddp" in facts.flags else "without"
    return Finding.ok("cpu", value, f"asimd {dot} the int8 dot product (asimddp).")


def _memory(facts: Facts) -> Finding:
    if facts.memory_bytes is None or facts.memory_free_bytes is None:
        return Finding.unknown("memory")
    value = f"{facts.memory_free_bytes / 1e6:,.0f} of {facts.memory_bytes / 1e6:,.0f} MB free"
    if facts.memory_free_bytes < PREDICT_BYTES:
        return Finding.warning(
            "memory", value, f"predict takes up to {PREDICT_BYTES / 1e6:.0f} MB, so the board would swap.",
            "See what takes it with: ps aux --sort=-rss | head",
        )  # fmt: skip
    return Finding.ok("memory", value)


def _python(facts: Facts) -> Finding:
    version = tuple(int(part) for part in facts.python.split(".")[:2])
    value = f"{facts.python} ({facts.python_path})"
    if version < MINIMUM_PYTHON:
        return Finding.failure(
            "python", value, "edgemnist needs Python 3.11 or newer.",
            "Write Raspberry Pi OS Bookworm or Trixie to the SD card.",
        )  # fmt: skip
    if not facts.has_venv:
        return Finding.failure(
            "python", value, "It cannot make virtual environments, and pip refuses to install outside of one.",
            "sudo apt install python3-venv",
        )  # fmt: skip
    return Finding.ok("python", value)


def _disk(facts: Facts) -> Finding:
    if not facts.writable:
        return Finding.failure(
            "disk", "read-only", "Nothing can be written where edgemnist keeps its files.",
            "sudo mount -o remount,rw /   (a file system that turned read-only by itself hints at a dying SD card)",
        )  # fmt: skip
    if facts.disk_free_bytes is None:
        return Finding.unknown("disk")
    value = f"{facts.disk_free_bytes / 1e6:,.0f} MB free"
    if facts.disk_free_bytes < INSTALL_BYTES:
        return Finding.warning(
            "disk", value, f"A fresh install takes up to {INSTALL_BYTES / 1e6:.0f} MB.", "sudo apt clean",
        )  # fmt: skip
    return Finding.ok("disk", value)


def _governor(facts: Facts) -> Finding:
    if facts.governor in (None, "performance"):
        return Finding.ok("governor", facts.governor or "none")
    return Finding.ok(
        "governor", str(facts.governor), "Latencies vary with the clock frequency.",
        "For a benchmark: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )  # fmt: skip


def _temperature(facts: Facts) -> Finding:
    if facts.temperature_c is None:
        return Finding.unknown("temperature")
    value = f"{facts.temperature_c:.1f} °C"
    if facts.temperature_c >= HOT_C:
        return Finding.warning("temperature", value, "The board slows itself down.", "Give it a heat sink or a fan.")
    return Finding.ok("temperature", value)


def throttle_names(bits: int) -> list[str]:
    """Return the names of the bits that are set, among the four of now."""
    return [bit.name for bit in NOW if bits >> bit.bit & 1]


def _throttling(facts: Facts) -> Finding:
    if facts.throttled is None:
        return Finding.unknown("power")
    supply = "Use the official power supply and a short cable, then reboot."
    if now := throttle_names(facts.throttled):
        return Finding.warning("power", f"{', '.join(now)} now", "Every latency measured now is too long.", supply)
    if before := throttle_names(facts.throttled >> HISTORY_SHIFT):
        return Finding.warning(
            "power", f"{', '.join(before)} since boot", "It happened under load and will again.", supply
        )
    return Finding.ok("power", "never throttled since boot")


def _clock(facts: Facts) -> Finding:
    value = dt.datetime.fromtimestamp(facts.clock, tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    if facts.clock < CREDIBLE_CLOCK:
        return Finding.warning(
            "clock", value, "It is not set, so pip would find no valid certificate; a bundle with wheels works.",
            "sudo timedatectl set-ntp true",
        )  # fmt: skip
    if facts.clock_synchronized is False:
        return Finding.ok("clock", value, "It is not synchronized.", "sudo timedatectl set-ntp true")
    return Finding.ok("clock", value)


def judge_probes(probes: Sequence[Probe], means: Means = HERE) -> Iterator[Finding]:
    """Yield a finding for each package that was tried."""
    some_runtime = any(probe.state == LOADED for probe in probes if probe.package in RUNTIME_PACKAGES)
    for probe in probes:
        mend = means.install(tested(probe.package))
        if probe.state == LOADED:
            yield Finding.ok(probe.package, str(probe.version))
        elif probe.state == CRASHED:
            yield Finding.failure(
                probe.package, f"{probe.version}: {probe.detail}", crash_meaning(probe.detail, "while it loads"),
                f"{tested(probe.package)} works on every Pi from the 3 on: {mend}",
            )  # fmt: skip
        elif probe.state == FAILED:
            yield Finding.failure(probe.package, f"{probe.version or 'unknown'}: {probe.detail}",
                                  "It is installed and does not load.", f"Install it anew: {mend}")  # fmt: skip
        elif probe.state == MISSING:
            yield _missing(probe.package, means, some_runtime=some_runtime)


def tested(package: str) -> str:
    """Return a package with the version of it that was tried on every processor, as pip takes it."""
    return f"{package}=={TESTED[package]}"


def _missing(package: str, means: Means, *, some_runtime: bool) -> Finding:
    extra = RUNTIME_PACKAGES.get(package)
    if extra is None:
        return Finding.warning(
            package, "not installed", "edgemnist is not installed here yet.", means.install(tested(package))
        )
    # On a board edgemnist is no package of an index, but one that came in a bundle.
    mend = means.install(tested(package) if means.board else f"edgemnist[{extra}]")
    if some_runtime:
        return Finding.ok(package, "not installed", f"Needed for {extra} artifacts only.", mend)
    return Finding.warning(package, "not installed", f"No {extra} artifact can run.", mend)


def crash_meaning(signal_name: str, when: str) -> str:
    """Return what the signal says that ended a process, `when` it ended it."""
    if signal_name == "SIGILL":
        return "It was built for a newer processor: it uses an instruction that this one does not have."
    return f"It crashes {when}."
