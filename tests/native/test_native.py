"""The native runtime gives every bit of the integer reference, with every kernel of this processor."""

import gc
import itertools
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError, UnknownNameError
from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.classifier import NativeClassifier, kernel_names, read_network_file
from edgemnist.model.native.layers import Kind
from edgemnist.model.native.library import open_library
from edgemnist.model.native.network import read_network
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.integer import IntegerClassifier, Rounding
from edgemnist.pipeline.data.sources import read_dataset
from tests.conftest import MNIST
from tests.native.conftest import SHIPPED
from tests.native.networks import GraphBuilder, random_case, random_graph, spec_of
from tests.needs import is_met
from tests.shapes.graphs import graph_of, write_tflite

pytestmark = pytest.mark.needs("engine")

KERNELS = kernel_names() if is_met("engine") else ("scalar",)


def in_kernel(kernel: str, path: Path = SHIPPED) -> NativeClassifier:
    return NativeClassifier(read_network_file(path), path, kernel=kernel)


def test_the_portable_kernel_is_always_there() -> None:
    assert kernel_names()[-1] == "scalar"
    with pytest.raises(UnknownNameError, match="scalar"):
        in_kernel("scalars")


@pytest.mark.parametrize("data", ["golden", pytest.param("test", marks=pytest.mark.needs("EDGEMNIST_DATA"))])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_shipped_artifact_gives_every_bit_of_the_reference(kernel: str, data: str, golden: Images) -> None:
    images = read_dataset(MNIST).test.images if data == "test" else golden
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    classifier = in_kernel(kernel)
    assert classifier.kernel == kernel
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)
    one_by_one = np.concatenate([classifier.predict_proba(images[index : index + 1]) for index in range(len(images))])
    np.testing.assert_array_equal(one_by_one, expected)


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 100, 20)], ids=str)
def test_random_networks_get_every_bit_of_the_reference(seeds: range) -> None:
    levels = 0
    for seed in seeds:
        case = random_case(seed)
        if case is None:
            continue
        network, images, expected = case
        levels += len(np.unique(expected)) > 5
        graph = random_graph(seed)
        spec = spec_of(graph)
        images = images.reshape(-1, *spec.shape)
        # A graph that branches may end in a single number, which is no class.
        rule = Rounding(network.rounding)
        decoded = IntegerClassifier(graph, Path("random"), spec=spec, numbers=True, rounding=rule).answer(images)
        for kernel in kernel_names():
            classifier = NativeClassifier(network, Path("random"), kernel=kernel, numbers=True)
            np.testing.assert_array_equal(classifier.answer(images), decoded, err_msg=f"{kernel}, seed {seed}")
    # Networks whose outputs are all at one end of the range would prove little.
    assert levels >= 5


@pytest.mark.parametrize("widths", [(33, 300), (20, 16, 64, 70), (300, 17, 32)])
def test_weights_of_four_bits_get_every_bit_of_the_reference(widths: tuple[int, ...]) -> None:
    builder = GraphBuilder(0, bits=4)
    current = builder.activation(widths[0])
    for taken, outputs in itertools.pairwise((*widths, 40)):
        current = builder.dense(current, taken, outputs)
    graph = builder.ending_in(current)
    held = np.dtype(graph.tensors[0].dtype)
    inputs = np.random.default_rng(1).integers(0, 256, (40, widths[0]), np.uint8).view(held)
    inputs[:2] = np.iinfo(held).max
    reference = IntegerClassifier(graph, Path("x"), spec=spec_of(graph), numbers=True)
    expected = reference.run(inputs)
    assert len(np.unique(expected)) > 50
    for kernel in kernel_names():
        classifier = NativeClassifier(read_network(graph), Path("x"), kernel=kernel, numbers=True)
        np.testing.assert_array_equal(classifier.run(inputs), expected, err_msg=kernel)
        np.testing.assert_array_equal(classifier.run(inputs[:1]), expected[:1], err_msg=kernel)


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))], ids=str)
def test_another_order_is_one_of_weights_before_a_dense_layer_and_a_layer_elsewhere(order: tuple[int, ...]) -> None:
    inputs = np.random.default_rng(1).integers(-128, 128, (5, 784, 1, 1), np.int8)
    for dense in (True, False):
        builder = GraphBuilder(12)
        # In a single column, as a layer that takes numbers one by one sees it: and yet it takes them from further down.
        source, _ = builder.window(builder.activation(784, plain=True), (784, 1, 1), "CONV_2D", 1)
        ordered, _ = builder.transposed(source, (7, 8, 14), order)
        graph = builder.ending_in(builder.dense(ordered, 784, 20) if dense else ordered)
        network, expected = read_network(graph), IntegerClassifier(graph, Path("x"), numbers=True).run(inputs)
        layers = [Kind.DENSE] if dense else [Kind.SELECTION] * (order != (0, 1, 2, 3))
        assert [one.kind for one in network.layers[1:]] == layers
        assert len(np.unique(expected)) > 30
        for kernel in kernel_names():
            classifier = NativeClassifier(network, Path("x"), kernel=kernel, numbers=True)
            np.testing.assert_array_equal(classifier.run(inputs), expected, err_msg=kernel)


def test_the_second_of_two_classes_alone_gets_both_from_the_engine_too() -> None:
    builder = GraphBuilder(0)
    scores = builder.dense(builder.activation(13), 13, 1)
    made = builder.tensors[scores].dtype
    sigmoid = builder.operate("LOGISTIC", scores, builder.add(made, (1, 1), 1 / 256, int(np.iinfo(made).min)))
    graph = builder.ending_in(sigmoid)
    reference, native = IntegerClassifier(graph, Path("s")), NativeClassifier(read_network(graph), Path("s"))
    inputs = reference.spec.random(40)
    assert native.labels == reference.labels == ("0", "1")
    for given in (inputs, inputs[:1]):
        np.testing.assert_array_equal(native.predict_proba(given), reference.predict_proba(given))


def column(images: Images) -> Images:
    return np.asfortranarray(images)


def same_class(images: Images) -> Images:
    return images.view(type("Pictures", (np.ndarray,), {}))


def read_only(images: Images) -> Images:
    images = images.copy()
    images.setflags(write=False)
    return images


@pytest.mark.parametrize("kind", [column, same_class, read_only, np.int16, np.ndarray.tolist, memoryview, np.squeeze])
def test_one_image_of_any_kind_gets_the_answer_of_its_pixels(kind: Callable[[Images], Any], golden: Images) -> None:
    classifier = load(SHIPPED, runtime="native")
    expected = load(SHIPPED, runtime="integer").predict_proba(golden[:3])
    answers = [classifier.predict_proba(kind(golden[index : index + 1])) for index in range(3)]
    for answer in answers:
        assert type(answer) is np.ndarray
        assert answer.dtype == np.float32
        assert answer.flags.owndata
    np.testing.assert_array_equal(np.concatenate(answers), expected)


def test_single_rows_of_numbers_get_every_bit_of_the_reference(tmp_path: Path) -> None:
    spec = InputSpec(shape=(3, 5), dtype="float32", scale=(0.5, 1.0, 3.0, 0.1, 2.0), offset=(0.0, 1.0, -2.0, 0.3, 7.0))
    path = write_tflite(graph_of(spec, "dense"), tmp_path / "numbers.tflite")
    classifier, reference = (load(path, runtime=name, spec=spec) for name in ("native", "integer"))
    generator = np.random.default_rng(0)
    rows = np.concatenate([spec.random(200, low=-6, high=6), generator.integers(-9, 9, (200, 3, 5)) / 2]).astype(
        np.float32
    )
    # Between two steps, at the ends of the range, and beyond it and float32's.
    rows[:100] = ((np.arange(-150, 1350).reshape(100, 3, 5) - 650.5) * np.float32(8 / 255) - spec.offset) / spec.scale
    rows[100:103, 0, 0], rows[103:106] = (3e38, -3e38, 1e-40), np.array([3.4e38, -3.4e38, 0.0]).reshape(3, 1, 1)
    expected = reference.predict_proba(rows)
    assert len(np.unique(expected, axis=0)) > 200
    np.testing.assert_array_equal(np.concatenate([classifier.predict_proba(row) for row in rows[:, None]]), expected)
    moved = np.frombuffer(b"\0" + rows[:1].tobytes(), np.float32, offset=1)
    assert not moved.flags.aligned
    np.testing.assert_array_equal(classifier.predict_proba(moved.reshape(1, 3, 5)), expected[:1])
    for wrong in (np.nan, np.inf, -np.inf):
        rows[0, 1, 1] = wrong
        with pytest.raises(ValueError, match="finite"):
            classifier.predict_proba(rows[:1])


@pytest.mark.parametrize("other", ["implementation", "threads", "version", "place"])
def test_another_python_or_numpy_answers_alike(other: str, golden: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(SHIPPED, runtime="native").predict_proba(golden[:2])
    if other == "implementation":
        monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="pypy"))
    elif other == "threads":
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    elif other == "version":
        monkeypatch.setattr("edgemnist.model.native.library._NUMPY_ABI", 3)
    else:
        monkeypatch.setitem(sys.modules, "numpy._core._multiarray_umath", None)
    library = open_library.__wrapped__()
    assert not library.is_direct
    monkeypatch.setattr("edgemnist.model.native.classifier.open_library", lambda: library)
    classifier = in_kernel("scalar")
    assert isinstance(classifier.predict_proba, MethodType)
    for index in range(2):
        answer = classifier.predict_proba(golden[index : index + 1])
        np.testing.assert_array_equal(answer, expected[index : index + 1])


def test_classifiers_that_are_gone_leave_no_memory_behind() -> None:
    """The prepared call refers to its classifier, which refers to it: the collector has to find that."""
    kept = weakref.ref(load(SHIPPED, runtime="native"))
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("runtime", ["native", "integer"])
def test_a_file_that_ends_early_is_called_damaged(runtime: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(SHIPPED.read_bytes()[:200_000])
    with pytest.raises(ArtifactError, match=r"cut\.tflite is damaged: an offset points beyond the end") as caught:
        load(path, runtime=runtime)
    assert caught.value.hint == "Convert or download it again."


def test_any_changed_byte_of_the_structure_is_an_answer_or_an_error(tmp_path: Path, golden: Images) -> None:
    """A damaged file is refused, or computed as the reference does: never a crash."""
    data = SHIPPED.read_bytes()
    generator = np.random.default_rng(11)
    path = tmp_path / "changed.tflite"
    places = [*range(8, 1_000), *range(len(data) - 4_000, len(data))]
    outcomes = {True: 0, False: 0}
    for place in generator.choice(places, 150, replace=False):
        changed = bytearray(data)
        changed[place] ^= int(generator.integers(1, 256))
        path.write_bytes(changed)
        try:
            classifier = load(path, runtime="native")
        except ArtifactError:
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        expected = load(path, runtime="integer").predict_proba(golden[:5])
        np.testing.assert_array_equal(classifier.predict_proba(golden[:5]), expected)
    assert min(outcomes.values()) > 10
