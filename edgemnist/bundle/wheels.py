"""Wheels for boards without network, fetched with pip for the board's processor and Python."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemnist.errors import BundleError, MissingDependencyError, UsageError
from edgemnist.progress import Reporter

RASPBERRY_PI_MACHINE = "aarch64"
RASPBERRY_PI_PYTHONS = ("3.11", "3.13")
"""Of the two current releases of Raspberry Pi OS, Bookworm and Trixie."""
MACHINES = {"aarch64": "aarch64", "x86_64": "x86_64"}
_OLDEST_GLIBC = 17
_NEWEST_GLIBC = 36
"""manylinux_2_17 is manylinux2014; Bookworm has glibc 2.36, Trixie a newer one."""


@dataclass(frozen=True, kw_only=True)
class WheelsConfig:
    """Which boards the wheels are for."""

    machine: str = RASPBERRY_PI_MACHINE
    pythons: tuple[str, ...] = RASPBERRY_PI_PYTHONS

    def __post_init__(self) -> None:
        if self.machine not in MACHINES:
            raise UsageError(
                f"There are no wheels for {self.machine}",
                hint=f"Known: {', '.join(MACHINES)}. On 32-bit systems neither runtime has wheels.",
            )
        for python in self.pythons:
            if not re.fullmatch(r"3\.\d+", python):
                raise UsageError(
                    f"--python must be a version of Python (got {python})", hint="Write it as 3.11 or 3.13."
                )


def fetch_wheels(
    config: WheelsConfig,
    reporter: Reporter,
    *,
    file_name: str,
    wheel: bytes,
    extras: Sequence[str],
    constraints: Sequence[str],
) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of every wheel that edgemnist's own `wheel` with `extras` stands on.

    Raises BundleError where pip cannot have them, MissingDependencyError if there is no pip.
    """
    if importlib.util.find_spec("pip") is None:
        # An environment that uv makes has none unless it is asked for.
        python = shlex.quote(sys.executable)
        raise MissingDependencyError(
            "bundle --wheels", ["pip"], f"{python} -m ensurepip   or: uv pip install --python {python} pip"
        )
    with tempfile.TemporaryDirectory(prefix="edgemnist-wheels-") as directory:
        own = Path(directory) / file_name
        own.write_bytes(wheel)
        pins = Path(directory) / "constraints.txt"
        pins.write_text("\n".join(constraints))
        found = Path(directory) / "found"
        with reporter.task(f"Fetching wheels for {config.machine}", len(config.pythons)) as task:
            for done, python in enumerate(config.pythons):
                task.update(done, f"Python {python}")
                _download(f"{own}[{','.join(extras)}]", pins, python, config.machine, found)
        for path in sorted(found.iterdir()):
            if path.name != file_name:
                yield path.name, path.read_bytes()


def _download(requirement: str, pins: Path, python: str, machine: str, target: Path) -> None:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_OLDEST_GLIBC, _NEWEST_GLIBC + 1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--dest", str(target)]
    for platform in (*platforms, f"manylinux2014_{machine}", f"linux_{machine}"):
        command += ["--platform", platform]
    done = subprocess.run(
        [*command, "--constraint", str(pins), requirement], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        lines = [line for line in said if line.startswith("ERROR")] or said
        raise BundleError(
            f"pip found no wheels for Python {python} on {machine}: {lines[0] if lines else 'it gave no reason'}",
            hint="Is there a network, and does every package have a wheel for this Python? Choose it with --python.",
        )
