"""What a machine must have for edgemnist: each fact becomes a check that says what to do about it."""

import datetime as dt
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from edgemnist.board.agent.facts import (
    CRASHED,
    HISTORY_SHIFT,
    LOADED,
    MISSING,
    BoardFacts,
    Probe,
    throttle_names,
)
from edgemnist.ground.formatting import count
from edgemnist.ground.results.boards import Check, DoctorResult, Level


@dataclass(frozen=True, kw_only=True)
class RepairCommands:
    """The commands that fix the software of a machine: of this one, or of a board."""

    pip: str | None = "pip"
    """The pip beside edgemnist; None where edgemnist is not installed, and a deployment brings everything."""
    board: str | None = None
    """The words that name the board behind `--to` and `--on`, quoted for a shell; None for this machine."""

    def install(self, requirement: str) -> str:
        """Return the command that brings a package."""
        return self.deploy if self.pip is None else f'{self.pip} install "{requirement}"'

    def verify(self, artifact: str) -> str:
        """Return the command that looks at an artifact more closely."""
        return f"edgemnist verify {artifact}" + (f" --on {self.board}" if self.board else "")

    def renew(self, hint: str) -> str:
        """Return how to replace a file: on this machine as `hint` says, on a board by another deployment."""
        return self.deploy if self.board else hint

    @property
    def deploy(self) -> str:
        """The command that brings packages and artifacts to the board."""
        return f"edgemnist deploy BUNDLE --to {self.board or 'HOST'}"


HERE = RepairCommands()

MINIMUM_PYTHON = (3, 11)
TESTED = {"numpy": "2.4.6", "msgspec": "0.22.0", "pillow": "13.0.0", "ai-edge-litert": "2.3.0", "onnxruntime": "1.32.0"}
"""Versions whose aarch64 wheels were tried on emulated processors of a Pi 3, 4 and 5 (tests/pi)."""
RUNTIME_PACKAGES = {"ai-edge-litert": "tflite", "onnxruntime": "onnx"}
"""Packages that are optional as long as one is there, with their extra."""

SMALL = 32
"""Bits of a system without wheels of either runtime."""
NO_SMALL_WHEELS = "LiteRT and ONNX Runtime have no wheels for 32-bit systems"

INSTALL_BYTES = 350_000_000
"""What `edgemnist[pi]` takes at the most on a board's disk: 299 MB with the newest wheels, and what Python compiles."""
PREDICT_BYTES = 80_000_000
"""What `edgemnist predict` takes of a board's memory at the most."""
HOT_C = 80.0
"""A Raspberry Pi begins to slow down here, and stops at 85 °C (Raspberry Pi documentation, frequency management)."""
CREDIBLE_CLOCK = 1_735_689_600.0
"""2025-01-01: no system that edgemnist runs on is older, and no certificate that pip meets is valid before."""


def check_board(facts: BoardFacts, probes: Sequence[Probe], repair: RepairCommands = HERE) -> list[Check]:
    """Return every check of a board and of what is installed on it, each with the command that fixes it."""
    checks = (
        _board, _system, _cpu, _memory, _python, _disk, _owner, _governor, _temperature, _throttling, _clock,
    )  # fmt: skip
    # What has no wheels for a board is nothing that it lacks.
    wanted = TESTED.keys() - (RUNTIME_PACKAGES.keys() if facts.bits == SMALL else ())
    possible = [probe for probe in probes if probe.package in wanted]
    return [*(check(facts) for check in checks), *check_packages(possible, repair)]


def worst(findings: Iterable[Check]) -> Level:
    """Return the level of the worst check."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def _board(facts: BoardFacts) -> Check:
    if facts.board is None:
        return Check.ok("board", f"{facts.kernel_machine} machine", "Not a Raspberry Pi; edgemnist runs here too.")
    return Check.ok("board", facts.board)


def _system(facts: BoardFacts) -> Check:
    value = f"{facts.bits}-bit {facts.os or 'system'}, {facts.libc or 'unknown C library'}"
    if facts.bits == SMALL:
        return Check.warning("system", value, f"{NO_SMALL_WHEELS}.", small_board_fix())
    return Check.ok("system", value)


def small_board_fix() -> str:
    """Return the commands that bring a network to a 32-bit board."""
    return (
        "Deploy edgemnist's own engine, which the board compiles (sudo apt install gcc) and which gives the same bits "
        "there: edgemnist bundle tflite-int8@native   "
        "Or compile one C file there, which needs no Python: edgemnist export --format c"
    )


def _cpu(facts: BoardFacts) -> Check:
    caches = ", ".join(f"{name} {size}" for name, size in facts.caches.items())
    value = f"{facts.cpu or 'unknown'}, {count(facts.cores, 'core')}" + (f", {caches}" if caches else "")
    if facts.kernel_machine != "aarch64" or facts.bits == SMALL:
        return Check.ok("cpu", value)
    if facts.flags and "asimd" not in facts.flags:
        meaning = "It lacks the asimd instructions, which every aarch64 wheel needs."
        return Check.failure("cpu", value, meaning, "Use a Raspberry Pi 3, Zero 2 or newer.")
    dot = "with" if "asimddp" in facts.flags else "without"
    return Check.ok("cpu", value, f"asimd {dot} the int8 dot product (asimddp).")


def _memory(facts: BoardFacts) -> Check:
    if facts.memory_bytes is None or facts.memory_free_bytes is None:
        return Check.unknown("memory")
    value = f"{facts.memory_free_bytes / 1e6:,.0f} of {facts.memory_bytes / 1e6:,.0f} MB free"
    if facts.memory_free_bytes < PREDICT_BYTES:
        meaning = f"predict needs up to {PREDICT_BYTES / 1e6:.0f} MB, so the board would swap."
        return Check.warning("memory", value, meaning, "See what uses it: ps aux --sort=-rss | head")
    return Check.ok("memory", value)


def _python(facts: BoardFacts) -> Check:
    version = tuple(int(part) for part in re.findall(r"\d{1,4}", facts.python)[:2])
    value = f"{facts.python} ({facts.python_path})"
    if version < MINIMUM_PYTHON:
        fix = "Write Raspberry Pi OS Bookworm or Trixie to the SD card."
        return Check.failure("python", value, "edgemnist needs Python 3.11 or newer.", fix)
    if not facts.has_venv:
        meaning = "It cannot create virtual environments, and pip refuses to install outside one."
        return Check.failure("python", value, meaning, "sudo apt install python3-venv")
    return Check.ok("python", value)


def _disk(facts: BoardFacts) -> Check:
    if not facts.writable:
        fix = "sudo mount -o remount,rw /   (an SD card that turns read-only by itself is probably failing)"
        return Check.failure("disk", "read-only", "Nothing can be written where edgemnist keeps its files.", fix)
    if facts.disk_free_bytes is None:
        return Check.unknown("disk")
    value = f"{facts.disk_free_bytes / 1e6:,.0f} MB free"
    if facts.disk_free_bytes < INSTALL_BYTES:
        meaning = f"A first installation needs up to {INSTALL_BYTES / 1e6:.0f} MB."
        return Check.warning("disk", value, meaning, "sudo apt clean")
    return Check.ok("disk", value)


def _owner(facts: BoardFacts) -> Check:
    if facts.exposed is None:
        return Check.ok("owner", "this user alone", "Nobody else can write where edgemnist keeps its files.")
    meaning = "Other users of the machine can change what edgemnist runs."
    return Check.warning("owner", "not this user alone", meaning, f"chmod go-w {shlex.quote(facts.exposed)}")


def exposed_note(directory: str) -> str:
    """Return what it means that others can write to a directory of releases, and how to change it."""
    return f"Other users of the board can change what serves there. Run there: chmod go-w {shlex.quote(directory)}"


def _governor(facts: BoardFacts) -> Check:
    if facts.governor in (None, "performance"):
        return Check.ok("governor", facts.governor or "none")
    fix = "For a benchmark: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return Check.ok("governor", str(facts.governor), "Latency varies with the clock frequency.", fix)


def _temperature(facts: BoardFacts) -> Check:
    if facts.temperature_c is None:
        return Check.unknown("temperature")
    value = f"{facts.temperature_c:.1f} °C"
    if facts.temperature_c >= HOT_C:
        return Check.warning("temperature", value, "The board is slowing itself down.", "Give it a heat sink or a fan.")
    return Check.ok("temperature", value)


def _throttling(facts: BoardFacts) -> Check:
    if facts.throttled is None:
        return Check.unknown("power")
    supply = "Use the official power supply and a short cable, then reboot."
    if now := throttle_names(facts.throttled):
        return Check.warning("power", f"{', '.join(now)} now", "Latencies measured now are too high.", supply)
    if before := throttle_names(facts.throttled >> HISTORY_SHIFT):
        value = f"{', '.join(before)} since boot"
        return Check.warning("power", value, "It happened under load and will happen again.", supply)
    return Check.ok("power", "never throttled since boot")


def _clock(facts: BoardFacts) -> Check:
    value = dt.datetime.fromtimestamp(facts.clock, tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    if facts.clock < CREDIBLE_CLOCK:
        meaning = "The clock is not set, so pip would reject every certificate; a bundle with wheels works."
        return Check.warning("clock", value, meaning, "sudo timedatectl set-ntp true")
    if facts.clock_synchronized is False:
        return Check.ok("clock", value, "The clock is not synchronized.", "sudo timedatectl set-ntp true")
    return Check.ok("clock", value)


def check_packages(probes: Sequence[Probe], repair: RepairCommands = HERE) -> Iterator[Check]:
    """Yield a check for each package that was tried."""
    some_runtime = any(probe.state == LOADED for probe in probes if probe.package in RUNTIME_PACKAGES)
    for probe in probes:
        fix = repair.install(tested(probe.package))
        if probe.state == LOADED:
            yield Check.ok(probe.package, str(probe.version))
        elif probe.state == CRASHED:
            fix = f"{tested(probe.package)} works on every Pi since the 3: {fix}"
            meaning = crash_meaning(probe.detail, "while it loads")
            yield Check.failure(probe.package, f"{probe.version}: {probe.detail}", meaning, fix)
        elif probe.state == MISSING:
            yield _missing(probe.package, repair, some_runtime=some_runtime)
        else:
            value = f"{probe.version or 'unknown'}: {probe.detail}"
            yield Check.failure(probe.package, value, "It is installed, but does not load.", f"Install it again: {fix}")


def tested(package: str) -> str:
    """Return `package==version`, the version that was tried on every processor."""
    return f"{package}=={TESTED[package]}"


def _missing(package: str, repair: RepairCommands, *, some_runtime: bool) -> Check:
    extra = RUNTIME_PACKAGES.get(package)
    if extra is None:
        meaning = "edgemnist is not installed here yet."
        return Check.warning(package, "not installed", meaning, repair.install(tested(package)))
    # On a board edgemnist is no package of an index, but one that came in a bundle.
    fix = repair.install(tested(package) if repair.board else f"edgemnist[{extra}]")
    if some_runtime:
        return Check.ok(package, "not installed", f"Needed for {extra} artifacts only.", fix)
    return Check.warning(package, "not installed", f"No {extra} artifact can run.", fix)


def crash_meaning(signal_name: str, when: str) -> str:
    """Return what the signal that ended a process means; `when` says when it came."""
    if signal_name == "SIGILL":
        return "It was built for a newer processor and uses an instruction that this one lacks."
    return f"It crashes {when}."


def examine(
    host: str, facts: BoardFacts, probes: Sequence[Probe], artifacts: Sequence[Check], repair: RepairCommands = HERE
) -> DoctorResult:
    """Return all checks of a machine; `artifacts` are those of the artifacts there."""
    findings = [*check_board(facts, probes, repair), *artifacts]
    healthy = worst(findings) is not Level.FAILURE
    return DoctorResult(host=host, healthy=healthy, findings=findings, facts=asdict(facts))
