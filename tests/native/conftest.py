"""Random networks written once, and the driver compiled as a test asks for it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native import SOURCES, WARNINGS
from edgemnist.model.native.amalgamation import Origin
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.task import Task
from tests.native.networks import END, expected_scores, random_case, stream
from tests.needs import require
from tests.shapes.graphs import graph_of

Compile = Callable[..., Path]

SHIPPED = reference_directory() / "tflite-int8.tflite"
LABELS = [*"0123456789"]
STRICT = ("-std=c99", *WARNINGS, "-Werror")
HARNESS = """
#include <stdio.h>
#include <stdint.h>
int edgemnist_classify(const uint8_t image[784], uint8_t probabilities[10]);
int main(void)
{
    uint8_t image[784], answer[10];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        (void)edgemnist_classify(image, answer);
        fwrite(answer, 1, sizeof answer, stdout);
    }
    return 0;
}
"""


def origin(labels: Sequence[str] = LABELS, task: Task | None = None) -> Origin:
    return Origin(version="1.2.3", model_sha256="a" * 64, tflite_sha256="b" * 64, labels=labels, task=task)


@pytest.fixture(scope="session")
def golden() -> Images:
    directory = reference_directory()
    return read_golden(directory, read_manifest(directory)).images


DRIVER = Path(__file__).with_name("driver.c")
ZIG = (sys.executable, "-m", "ziglang", "cc")


def write_cases(path: Path, seeds: Sequence[int]) -> int:
    """Write the cases of these seeds for the driver; return how many there are."""
    return write_networks(path, (case for case in map(random_case, seeds) if case is not None))


def write_networks(path: Path, cases: Iterable[tuple[Network, Images, npt.NDArray[np.uint8]]]) -> int:
    """Write networks, images and the reference's answers for the driver; return how many there are."""
    written = [stream(*case) for case in cases]
    path.write_bytes(b"".join(written) + END)
    return len(written)


@pytest.fixture(scope="session")
def few_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "few.bin"
    random = [case for case in map(random_case, range(5_000, 5_060)) if case is not None]
    assert len(random) >= 50
    write_networks(path, [*random, *map(shaped_case, SHAPES)])
    return path


SHAPES = [*((size,) for size in (1, 2, 3, 5, 783, 785, 5_003)), *((side, side) for side in (2, 30, 32, 34)), (300, 32)]
"""Of inputs whose last group is not whole, and of pictures with squares of 2 × 2 and without."""


def shaped_case(shape: tuple[int, ...]) -> tuple[Network, Images, npt.NDArray[np.uint8]]:
    """Return a dense network of this shape, images and the reference's scores."""
    spec = InputSpec(shape=shape)
    graph, images = graph_of(spec, "dense"), spec.random(24)
    images[1::3] = np.where(images[1::3] < 200, 0, images[1::3])
    return read_network(graph, spec), images, expected_scores(graph, images)


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


def run_program(*command: str | Path, given: bytes = b"") -> bytes:
    """Run a command, which must succeed; return what it prints."""
    done = subprocess.run(command, input=given, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-4_000:]
    return done.stdout


def c_compiler(name: str) -> str:
    """Return a compiler, or skip the test."""
    require(name)
    return str(shutil.which(name))
