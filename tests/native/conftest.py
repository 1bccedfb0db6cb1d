"""Random networks written once, and the driver compiled as a test asks for it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native import SOURCES, WARNINGS, layout
from edgemnist.model.native.amalgamation import Origin
from edgemnist.model.native.network import RULES, Network, read_network
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.integer import Rounding
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.model.task import Task
from tests.native.networks import END, expected_scores, fields_header, random_case, stream
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


@pytest.fixture(autouse=True, scope="package")
def small_layers_too() -> Iterator[None]:
    """Units are put in order in layers of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LEAST_ORDERED", 0)
        yield


@pytest.fixture(scope="session")
def golden() -> Images:
    directory = reference_directory()
    return read_golden(directory, read_manifest(directory)).images


DRIVER = Path(__file__).with_name("driver.c")


Case = tuple[Network, Images, npt.NDArray[np.uint8]]
"""A network, images, and the reference's answers."""


def cases_of(seeds: Iterable[int]) -> list[Case]:
    return [case for case in map(random_case, seeds) if case is not None]


@pytest.fixture(scope="session")
def few_cases() -> list[Case]:
    # The last look beyond edges in place, and at no column of what a layer makes.
    random = cases_of([*range(5_000, 5_060), 5_085, 5_289, 5_525, 5_535, 6_065, 11_106])
    assert len(random) >= 50
    return [*random, *map(shaped_case, SHAPES), *(foreign_case(path, rule) for path in FOREIGN for rule in RULES)]


SHAPES = [*((size,) for size in (1, 2, 3, 5, 783, 785, 5_003)), *((side, side) for side in (2, 30, 32, 34)), (300, 32)]
"""Of inputs whose last group is not whole, and of pictures with squares of 2 × 2 and without."""


def shaped_case(shape: tuple[int, ...]) -> Case:
    """Return a dense network of this shape, images and the reference's scores."""
    spec = InputSpec(shape=shape)
    graph, images = graph_of(spec, "dense"), spec.random(24)
    images[1::3] = np.where(images[1::3] < 200, 0, images[1::3])
    return read_network(graph, spec), images, expected_scores(graph, images)


FOREIGN = sorted(Path(os.environ.get("EDGEMNIST_SHARED", "nowhere"), "mlperf_tiny").glob("*.tflite"))
"""Models that others made."""


def foreign_case(path: Path, rule: str, count: int = 24) -> Case:
    """Return a network, noise of all contrasts, and the reference's outputs, as distances from the lowest number."""
    graph = read_graph_file(path)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    rng = np.random.default_rng(1)
    noise = 128 + rng.normal(0, 1, (count, *shape)) * np.geomspace(1, 200, count).reshape(-1, *[1] * len(shape))
    levels = np.clip(noise, 0, 255).astype(np.uint8)
    outputs = load(path, runtime="integer", rounding=rule, trusted=True).run((levels ^ 128).view(np.int8))
    # Numbers are bytes before the engine is given them.
    network = read_network(graph, InputSpec(shape=shape, dtype="float32"), Rounding(rule))
    return network, levels, outputs.reshape(count, -1).view(np.uint8) ^ np.uint8(128)


@pytest.fixture
def compile_driver(tmp_path: Path) -> Compile:
    """Compile the driver with the engine: `compile_driver("gcc", "-O3")`."""

    def run(*command: str) -> Path:
        program = tmp_path / "driver"
        kernels = sorted(SOURCES.glob("kernel_*.c"))
        (tmp_path / "fields.h").write_text(fields_header())
        options = ("-std=gnu99", "-Wall", "-Wextra", f"-I{SOURCES}", f"-I{tmp_path}")
        sources = (DRIVER, SOURCES / "engine.c", *kernels)
        done = subprocess.run(
            [*command, *options, *map(str, sources), "-o", str(program)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return program

    return run


def drive(*command: str | Path, cases: Iterable[Case]) -> dict[str, tuple[int, int, int]]:
    """Run the driver; return by kernel how many networks and images there were, and how many answers differ."""

    def run(*arguments: str | Path) -> list[tuple[str, list[int]]]:
        done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=1_800)
        assert done.returncode == 0, done.stderr[-4_000:]
        return [(name, [*map(int, rest)]) for name, *rest in map(str.split, done.stdout.splitlines())]

    kernels = [wants for _, wants in run()]
    with tempfile.NamedTemporaryFile() as file:
        for case in cases:
            file.write(stream(*case, kernels))
        file.write(END)
        file.flush()
        return {name: (networks, images, wrong) for name, (networks, images, wrong) in run(file.name)}


def run_program(*command: str | Path, given: bytes = b"") -> bytes:
    """Run a command, which must succeed; return what it prints."""
    done = subprocess.run(command, input=given, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-4_000:]
    return done.stdout


def c_compiler(name: str) -> str:
    """Return a compiler, or skip the test."""
    require(name)
    return str(shutil.which(name))
