"""Random networks written once, and the driver compiled as a test asks for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgemnist.native import SOURCES
from tests.native.networks import END, random_case, stream
from tests.needs import require

Compile = Callable[..., Path]

DRIVER = Path(__file__).with_name("driver.c")
ZIG = (sys.executable, "-m", "ziglang", "cc")


def write_cases(path: Path, seeds: Sequence[int]) -> int:
    """Write the cases of these seeds for the driver; return how many there are."""
    cases = [case for case in map(random_case, seeds) if case is not None]
    path.write_bytes(b"".join(stream(*case) for case in cases) + END)
    return len(cases)


@pytest.fixture(scope="session")
def few_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "few.bin"
    assert write_cases(path, range(5_000, 5_060)) >= 50
    return path


@pytest.fixture
def compile_driver(tmp_path: Path) -> Compile:
    """Compile the driver with the engine: `compile_driver("gcc", "-O3")`."""

    def run(*command: str) -> Path:
        program = tmp_path / "driver"
        kernels = sorted(SOURCES.glob("kernel_*.c"))
        options = ("-std=gnu99", "-Wall", "-Wextra", f"-I{SOURCES}")
        sources = (DRIVER, SOURCES / "engine.c", *kernels)
        done = subprocess.run(
            [*command, *options, *map(str, sources), "-o", str(program)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return program

    return run


def drive(*command: str | Path) -> dict[str, tuple[int, int, int]]:
    """Run the driver; return by kernel how many networks and images there were, and how many answers differ."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1_800)
    assert done.returncode == 0, done.stderr[-4_000:]
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: (int(networks), int(images), int(wrong)) for name, networks, images, wrong in rows}


def c_compiler(name: str) -> str:
    """Return a compiler, or skip the test."""
    require(name)
    return str(shutil.which(name))
