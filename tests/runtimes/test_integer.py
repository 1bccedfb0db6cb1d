"""The integer reference is LiteRT's arithmetic, bit for bit, and answers where no runtime is installed."""

import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.integer import IntegerClassifier
from edgemnist.model.runtimes.tflite import OPERATORS, read_graph
from edgemnist.pipeline.data.sources import read_dataset
from tests.conftest import MNIST, REPOSITORY, Run, allocates_less_than
from tests.fuzz.parsers import PARSERS

SHIPPED = reference_directory() / "tflite-int8.tflite"
ODD = sorted(Path(__file__).with_name("odd").glob("*.tflite"))
"""Files of many shapes, which `odd_models.py` made."""
WINDOWED = ("convolution", "depthwise", "no-dense", "pooled")


def litert(path: Path, images: Images, kernels: str) -> npt.NDArray[np.int64]:
    """Return what LiteRT's interpreter writes to the output tensor, int64 [N, C]."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType[kernels])
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images if source["dtype"] == np.uint8 else (images ^ 0x80).view(np.int8))
    interpreter.invoke()
    found: npt.NDArray[Any] = interpreter.get_tensor(target["index"])
    return found.astype(np.int64)


def noise(count: int) -> Images:
    images = np.random.default_rng(3).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    # Contrast and blank parts move the activations to the ends of their ranges.
    images[::3] = np.where(images[::3] > 128, 255, 0)
    images[1::3, :, 14:] = 0
    return images


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.stem)
def test_every_value_is_that_of_the_reference_kernels(path: Path) -> None:
    images = noise(1_000)
    found = IntegerClassifier.load(path).quantized(images)
    assert len(np.unique(found)) > 20
    np.testing.assert_array_equal(found, litert(path, images, "BUILTIN_REF"))
    if path.stem not in WINDOWED:
        assert np.abs(found - litert(path, images, "AUTO")).max() <= 1


@pytest.mark.parametrize("data", ["golden", pytest.param("test", marks=pytest.mark.needs("EDGEMNIST_DATA"))])
def test_the_shipped_artifact_gives_the_bits_of_the_reference_kernels(data: str) -> None:
    golden = read_golden(reference_directory(), read_manifest(reference_directory())).images
    # Two digits, one over the other, of which a network is not sure.
    images = read_dataset(MNIST).test.images if data == "test" else golden[1:401] // 2 + golden[:400] // 2
    found = IntegerClassifier.load(SHIPPED).quantized(images)
    np.testing.assert_array_equal(found, litert(SHIPPED, images, "BUILTIN_REF"))
    assert np.abs(found - litert(SHIPPED, images, "AUTO")).max() <= 1


def test_a_batch_is_answered_like_single_images_and_the_range_can_be_named() -> None:
    classifier, images = load(SHIPPED, runtime="integer", labels=list("abcdefghij")), noise(1_203)
    together = classifier.predict_proba(images)
    assert classifier.labels == tuple("abcdefghij")
    for index in (0, 999, 1_000, 1_202):
        np.testing.assert_array_equal(classifier.predict_proba(images[index : index + 1])[0], together[index])
    for name, equal in (("0..1", True), ("-1..1", False)):
        other = load(SHIPPED, runtime="integer", input_range=name).predict_proba(images)
        assert np.array_equal(other, together) is equal


@pytest.mark.parametrize("runtime", ["integer", pytest.param("native", marks=pytest.mark.needs("engine"))])
@pytest.mark.parametrize("name", ["tflite-float32", "tflite-dynamic", "tflite-float16"])
def test_what_is_not_full_int8_is_refused_with_what_to_do(name: str, runtime: str, made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be computed in integers") as caught:
        load(made_exports / f"{name}.tflite", runtime=runtime)
    assert "tflite-int8" in caught.value.hint


@dataclass
class FlatBuffer:
    """A file of half a megabyte of zeros, into which tables and vectors are written wherever they are wanted."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\0\0\0\0TFL3" + bytes(1 << 19)))

    def number(self, place: int, value: int) -> None:
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
    shared = r"its tables share what they name|a vector has 70,000 tables"
    with allocates_less_than(10_000_000), pytest.raises(ValueError, match=shared):
        read_graph(bytes(file.data))


def test_predict_reads_a_digit_without_any_runtime(edgemnist: Run, tmp_path: Path) -> None:
    """Where no runtime has a wheel, NumPy is enough: the runtimes are hidden from the process."""
    for module in ("ai_edge_litert", "onnxruntime", "tensorflow", "scipy"):
        (tmp_path / f"{module}.py").write_text("raise ImportError('hidden')\n")
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    exports = reference_directory()
    label = int(read_golden(exports, read_manifest(exports)).labels[0])
    options = ("predict", "--index", "0", "--exports", exports, "--artifact")
    done = edgemnist(*options, "tflite-int8@integer", env=environment)
    assert done.returncode == 0, done.stderr
    assert f"evaluation image 0: {label}" in done.stdout
    assert "integer" in done.stdout
    broken = edgemnist(*options, "tflite-int8@litert", env=environment)
    assert (broken.returncode, broken.stdout) == (3, "")
    assert broken.stderr.startswith("error: A Python package that is installed does not work here: hidden.")


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

    schema = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    assert dict(enumerate(OPERATORS)).items() >= schema.items()
