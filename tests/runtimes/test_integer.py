"""The integer reference is LiteRT's arithmetic, bit for bit, and answers where no runtime is installed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from filelock import FileLock

from edgemnist.arrays import Images
from edgemnist.data.sources import read_directory
from edgemnist.errors import ArtifactError
from edgemnist.exports import reference_directory
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.runtimes import load
from edgemnist.runtimes.integer import IntegerClassifier, Rounding, chain, step
from edgemnist.runtimes.tflite import OPERATORS, read_graph
from tests.conftest import MNIST, REPOSITORY, Run
from tests.fuzz.parsers import PARSERS

DENSE = ("per-channel", "per-tensor", "uint8", "logits", "fused", "scaled")
WINDOWED = ("convolution", "depthwise", "no-dense", "pooled")
"""With layers whose windows slide over an image."""
ODD = (*DENSE, *WINDOWED)


@pytest.fixture(scope="session")
def odd_models(shared_directory: Path) -> Path:
    """Full-int8 files of many shapes, made once. Read only."""
    directory = shared_directory / "odd-models"
    with FileLock(shared_directory / "odd-models.lock"):
        if not (directory / f"{ODD[-1]}.tflite").exists():
            directory.mkdir(exist_ok=True)
            done = subprocess.run(
                [sys.executable, Path(__file__).with_name("odd_models.py"), directory],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                check=False,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
    return directory


def litert(path: Path, images: Images, kernels: str) -> npt.NDArray[np.int64]:
    """Return what LiteRT's interpreter writes to the output tensor, int64 [N, C]."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType[kernels])
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    pixels = images if source["dtype"] == np.uint8 else (images ^ 0x80).view(np.int8)
    interpreter.set_tensor(source["index"], pixels)
    interpreter.invoke()
    found: npt.NDArray[Any] = interpreter.get_tensor(target["index"])
    return found.astype(np.int64)


def noise(count: int, seed: int = 3) -> Images:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    # Contrast and blank parts move the activations to the ends of their ranges.
    images[::3] = np.where(images[::3] > 128, 255, 0)
    images[1::3, :, 14:] = 0
    return images


@pytest.mark.parametrize("name", ODD)
def test_every_value_is_that_of_the_reference_kernels(name: str, odd_models: Path) -> None:
    path, images = odd_models / f"{name}.tflite", noise(2_000)
    found = IntegerClassifier.load(path).quantized(images)
    assert len(np.unique(found)) > 20
    np.testing.assert_array_equal(found, litert(path, images, "BUILTIN_REF"))


@pytest.mark.parametrize("name", DENSE)
def test_the_optimized_kernels_are_at_most_one_step_off(name: str, odd_models: Path) -> None:
    path, images = odd_models / f"{name}.tflite", noise(2_000)
    found = IntegerClassifier.load(path).quantized(images)
    assert np.abs(found - litert(path, images, "AUTO")).max() <= 1


def test_the_scaled_model_multiplies_adds_and_subtracts(odd_models: Path) -> None:
    kinds = {operator.kind for operator in chain(read_graph((odd_models / "scaled.tflite").read_bytes()))}
    assert {"MUL", "ADD", "SUB"} <= kinds


@pytest.mark.needs("EDGEMNIST_DATA")
def test_all_10_000_test_images_get_the_bits_of_the_reference_kernels_from_the_shipped_artifact() -> None:
    path, images = reference_directory() / "tflite-int8.tflite", read_directory(MNIST).test.images
    found = IntegerClassifier.load(path).quantized(images)
    assert len(found) == 10_000
    np.testing.assert_array_equal(found, litert(path, images, "BUILTIN_REF"))
    assert np.abs(found - litert(path, images, "AUTO")).max() <= 1


@pytest.mark.parametrize("name", ["per-channel", "uint8", "logits"])
def test_probabilities_are_those_of_the_litert_runtime(name: str, odd_models: Path) -> None:
    path, images = odd_models / f"{name}.tflite", noise(300)
    one, other = load(path, runtime="integer"), load(path)
    np.testing.assert_allclose(one.predict_proba(images), other.predict_proba(images), atol=0.005)
    assert one.labels == other.labels


@pytest.mark.parametrize("name", WINDOWED)
def test_every_tensor_on_the_way_is_that_of_the_reference_kernels(name: str, odd_models: Path) -> None:
    """The output alone would hide a step of a layer that the next one rounds away."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = odd_models / f"{name}.tflite"
    graph = read_graph(path.read_bytes())
    reference = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=reference, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    compared: set[str] = set()
    for image in noise(12):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (image[None] ^ 0x80).view(np.int8))
        interpreter.invoke()
        for operator in chain(graph):
            source, target = (
                interpreter.get_tensor(at[0]).astype(np.int64) for at in (operator.inputs, operator.outputs)
            )
            np.testing.assert_array_equal(step(graph, operator, Rounding())(source).reshape(target.shape), target)
            compared.add(operator.kind)
    assert len(compared) >= 3


def test_a_batch_is_answered_like_single_images() -> None:
    classifier = load(reference_directory() / "tflite-int8.tflite", runtime="integer")
    images = noise(1_203)
    together = classifier.predict_proba(images)
    for index in (0, 999, 1_000, 1_202):
        np.testing.assert_array_equal(classifier.predict_proba(images[index : index + 1])[0], together[index])


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-dynamic", "tflite-float16", "tflite-int4"])
def test_what_is_not_full_int8_is_refused_with_what_to_do(name: str, made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be computed in integers") as caught:
        load(made_exports / f"{name}.tflite", runtime="integer")
    assert "tflite-int8" in caught.value.hint


def test_a_cut_or_scrambled_file_is_an_error_and_no_crash(tmp_path: Path) -> None:
    data = (reference_directory() / "tflite-int8.tflite").read_bytes()
    path = tmp_path / "damaged.tflite"
    for length in (64, 500, 5_000, len(data) // 2, len(data) - 600):
        path.write_bytes(data[:length])
        with pytest.raises(ArtifactError, match=r"damaged\.tflite"):
            load(path, runtime="integer")


def test_any_changed_byte_of_the_structure_gives_a_graph_or_a_value_error() -> None:
    data = (reference_directory() / "tflite-int8.tflite").read_bytes()
    generator = np.random.default_rng(7)
    # Weights are not structure: they lie in the middle, what describes them at both ends.
    places = [*range(8, 1_000), *range(len(data) - 4_000, len(data))]
    refused = 0
    for place in generator.choice(places, 400, replace=False):
        changed = bytearray(data)
        changed[place] ^= int(generator.integers(1, 256))
        try:
            read_graph(bytes(changed))
        except ValueError:
            refused += 1
    assert 0 < refused < 400


@dataclass
class FlatBuffer:
    """A file of half a megabyte of zeros, into which tables and vectors are written wherever they are wanted."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\0\0\0\0TFL3" + bytes(1 << 19)))

    def number(self, place: int, value: int) -> None:
        """Write a signed number."""
        struct.pack_into("<i", self.data, place, value)

    def table(self, place: int, vtable: int, *fields: int) -> None:
        """Write a table, with the places of its fields within it by their number."""
        struct.pack_into(f"<{2 + len(fields)}H", self.data, vtable, 4 + 2 * len(fields), 40, *fields)
        self.number(place, place - vtable)

    def vector(self, pointer: int, place: int, *elements: int, count: int | None = None) -> None:
        """Write a vector of tables at these places, or the count alone, and where it is."""
        self.number(pointer, place - pointer)
        self.number(place, len(elements) if count is None else count)
        for index, element in enumerate(elements):
            self.number(place + 4 + 4 * index, element - (place + 4 + 4 * index))


@pytest.mark.parametrize(("vector", "tensors"), [(4, 2000), (8, 2000), (8, 70_000)], ids=["shape", "name", "tables"])
def test_a_small_flatbuffer_takes_little_memory(vector: int, tensors: int) -> None:
    """Its tensors are one table, whose shape or name is half the file: copied for each, it would be gigabytes."""
    file, last = FlatBuffer(), 300_000
    file.number(0, 200)
    # Of the model: operator codes, subgraphs, and buffers.
    file.table(200, 100, 0, 8, 12, 0, 16)
    file.vector(208, 240)
    file.vector(212, 250, 300)
    file.vector(216, 270, 280)
    file.table(280, 150)
    # Of the subgraph: tensors. Of a tensor: shape, type, buffer, name.
    file.table(300, 120, 4)
    file.vector(304, 400, *(last,) * tensors)
    file.table(last, 160, 4, 0, 0, 8)
    file.vector(last + 12 - vector, last + 20)
    file.vector(last + vector, last + 40, count=200_000 // (4 if vector == 4 else 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"its tables share what they name|a vector has 70,000 tables"):
            read_graph(bytes(file.data))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_predict_reads_a_digit_without_any_runtime(edgemnist: Run, tmp_path: Path) -> None:
    """Where no runtime has a wheel, NumPy is enough: the runtimes are hidden from the process."""
    for module in ("ai_edge_litert", "onnxruntime", "tensorflow", "scipy"):
        (tmp_path / f"{module}.py").write_text("raise ImportError('hidden')\n")
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    exports = reference_directory()
    manifest = read_manifest(exports)
    label = int(read_golden(exports, manifest).labels[0])
    options = ("predict", "--index", "0", "--exports", exports, "--artifact")
    done = edgemnist(*options, "tflite-int8@integer", env=environment)
    assert done.returncode == 0, done.stderr
    assert f"evaluation image 0: {label}" in done.stdout
    assert "integer" in done.stdout
    assert edgemnist(*options, "tflite-int8@litert", env=environment).returncode != 0


def test_a_graph_that_refers_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """As fuzzing found: operators without inputs, tensors without a shape, unknown types, offsets beyond the end."""
    parser = PARSERS["tflite, integer reference"]
    (whole,) = parser.wholes(tmp_path)
    for index in (365, 668, 857, 1462, 1656, 2697):
        rng = random.Random(f"1 tflite, integer reference {index}")
        with pytest.raises(ArtifactError):
            parser.parse(parser.mutate(rng.choice([whole]), rng), tmp_path / "input")


def test_operators_have_the_names_that_the_schema_gives_them() -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert {code: getattr(BuiltinOperator, name) for code, name in OPERATORS.items()} == {c: c for c in OPERATORS}
    # What Normalization, LayerNormalization, GELU and LSTM become.
    assert {"SUB", "SQUARED_DIFFERENCE", "RSQRT", "GELU", "UNPACK"} <= set(OPERATORS.values())
