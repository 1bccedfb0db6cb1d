"""The native runtime gives every bit of the integer reference, with every kernel of this processor."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgemnist.arrays import Images
from edgemnist.data.sources import read_directory
from edgemnist.errors import ArtifactError, UnknownNameError
from edgemnist.exports import reference_directory
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.native.classifier import NativeClassifier, kernel_names, read_network_file
from edgemnist.native.library import open_library
from edgemnist.native.network import read_network
from edgemnist.runtimes import load
from edgemnist.runtimes.integer import IntegerClassifier
from edgemnist.runtimes.tflite import Graph
from tests.conftest import MNIST
from tests.native.networks import GraphBuilder, expected_scores, random_case, random_images

SHIPPED = reference_directory() / "tflite-int8.tflite"


@pytest.fixture(scope="module")
def golden() -> Images:
    directory = reference_directory()
    return read_golden(directory, read_manifest(directory)).images


def in_kernel(kernel: str, path: Path = SHIPPED) -> NativeClassifier:
    return NativeClassifier(read_network_file(path), path, kernel=kernel)


def test_the_portable_kernel_is_always_there() -> None:
    assert kernel_names()[-1] == "scalar"
    with pytest.raises(UnknownNameError, match="scalar"):
        in_kernel("scalars")


@pytest.mark.parametrize("kernel", kernel_names())
def test_the_golden_images_get_every_bit_of_the_reference(kernel: str, golden: Images) -> None:
    expected = load(SHIPPED, runtime="integer").predict_proba(golden)
    classifier = in_kernel(kernel)
    assert classifier.kernel == kernel
    np.testing.assert_array_equal(classifier.predict_proba(golden), expected)
    one_by_one = np.concatenate([classifier.predict_proba(golden[index : index + 1]) for index in range(len(golden))])
    np.testing.assert_array_equal(one_by_one, expected)


@pytest.mark.needs("EDGEMNIST_DATA")
@pytest.mark.parametrize("kernel", kernel_names())
def test_all_10_000_test_images_get_every_bit_of_the_reference(kernel: str) -> None:
    images = read_directory(MNIST).test.images
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    assert len(expected) == 10_000
    classifier = in_kernel(kernel)
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)
    one_by_one = np.concatenate([classifier.predict_proba(images[index : index + 1]) for index in range(10_000)])
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
        decoded = IntegerClassifier(GraphBuilder(seed).graph(), Path("random"))
        for kernel in kernel_names():
            classifier = NativeClassifier(network, Path("random"), kernel=kernel)
            np.testing.assert_array_equal(
                classifier.predict_proba(images), decoded.predict_proba(images), err_msg=f"{kernel}, seed {seed}"
            )
    # Networks whose outputs are all at one end of the range would prove little.
    assert levels >= 5


def wide_graph(units: int, *, seed: int = 1) -> Graph:
    builder = GraphBuilder(seed)
    source = builder.activation(784, scale=1 / 255, plain=True)
    hidden = builder.dense(source, 784, units)
    output = builder.softmax(builder.dense(hidden, units, 256), 256)
    return Graph(
        tensors=tuple(builder.tensors), operators=tuple(builder.operators), inputs=(source,), outputs=(output,)
    )


@pytest.mark.parametrize("units", [1, 4_096])
def test_one_unit_and_4096_units_and_256_classes(units: int) -> None:
    graph, images = wide_graph(units), random_images(6, seed=2)
    expected = expected_scores(graph, images) / np.float32(256)
    for kernel in kernel_names():
        classifier = NativeClassifier(read_network(graph), Path("wide"), kernel=kernel)
        np.testing.assert_array_equal(classifier.predict_proba(images), expected)


def test_a_layer_beyond_the_limit_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    # A layer of 65,505 units takes half a minute to draw.
    monkeypatch.setattr("edgemnist.native.network.MAX_UNITS", 1_500)
    assert read_network(wide_graph(1_500)).classes == 256
    with pytest.raises(ValueError, match="'tensor 2' has 1,501 units, and up to 1,500 are possible"):
        read_network(wide_graph(1_501))


def test_threads_share_the_images_and_change_no_answer(golden: Images) -> None:
    expected = load(SHIPPED, runtime="native").predict_proba(golden)
    for threads in (2, 3):
        np.testing.assert_array_equal(load(SHIPPED, runtime="native", threads=threads).predict_proba(golden), expected)


def test_steps_answer_when_their_classifier_is_gone(golden: Images) -> None:
    expected = load(SHIPPED, runtime="native").predict_proba(golden[:50])
    steps = load(SHIPPED, runtime="native").steps()
    gc.collect()
    assert steps is not None
    # Memory that was given back would be overwritten by now.
    others = [load(SHIPPED, runtime="native") for _ in range(3)]
    for index in range(50):
        steps.prepare(golden[index : index + 1])
        steps.invoke()
        np.testing.assert_array_equal(steps.finish(), expected[index : index + 1])
    assert others


def test_a_method_answers_when_its_classifier_is_gone(golden: Images) -> None:
    expected = load(SHIPPED, runtime="native").predict_proba(golden[:50])
    ask = load(SHIPPED, runtime="native").predict_proba
    gc.collect()
    others = [load(SHIPPED, runtime="native") for _ in range(3)]
    for index in range(50):
        np.testing.assert_array_equal(ask(golden[index : index + 1]), expected[index : index + 1])
    np.testing.assert_array_equal(ask(golden[:50]), expected)
    assert others


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


@pytest.mark.parametrize(
    "wrong", [None, "7", np.zeros((1, 28, 27), np.uint8), np.zeros((1, 28, 28), "U1"), [[1], [2, 3]]]
)
def test_what_is_no_image_is_refused_as_by_any_runtime(wrong: Any) -> None:
    messages = []
    for runtime in ("native", "integer"):
        with pytest.raises(ValueError, match="must") as caught:
            load(SHIPPED, runtime=runtime).predict_proba(wrong)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("other", ["implementation", "threads", "version", "place"])
def test_another_python_or_numpy_gets_the_same_answers(
    other: str, golden: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load(SHIPPED, runtime="native").predict_proba(golden[:2])
    if other == "implementation":
        monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="pypy"))
    elif other == "threads":
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    elif other == "version":
        monkeypatch.setattr("edgemnist.native.library._NUMPY_ABI", 3)
    else:
        monkeypatch.setitem(sys.modules, "numpy._core._multiarray_umath", None)
    library = open_library.__wrapped__()
    assert not library.is_direct
    monkeypatch.setattr("edgemnist.native.classifier.open_library", lambda: library)
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


def test_calls_from_several_threads_do_not_mix(golden: Images) -> None:
    classifier = load(SHIPPED, runtime="native")
    expected = classifier.predict_proba(golden)
    wrong: list[int] = []

    def ask(first: int) -> None:
        for index in range(first, len(golden), 8):
            one = classifier.predict_proba(golden[index : index + 1])
            some = classifier.predict_proba(golden[index : index + 3])
            if not np.array_equal(one[0], expected[index]) or not np.array_equal(some, expected[index : index + 3]):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-dynamic", "tflite-float16", "tflite-int4"])
def test_what_is_not_full_int8_is_refused_with_what_to_do(name: str, made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be computed in integers") as caught:
        load(made_exports / f"{name}.tflite", runtime="native")
    assert "tflite-int8" in caught.value.hint


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
