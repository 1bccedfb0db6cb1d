"""What is exact is exact for every shape: the integer reference, the engine, its C files and its pages."""

import ctypes
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.storage import sha256
from edgemnist.model.native import WARNINGS
from edgemnist.model.native.amalgamation import c_header, c_source, origin_of
from edgemnist.model.native.classifier import NativeClassifier, kernel_names, require_origin
from edgemnist.model.native.network import read_network
from edgemnist.model.runtimes import integer, load
from edgemnist.model.runtimes.integer import IntegerClassifier, elementwise, plan
from edgemnist.model.runtimes.tflite import Graph, read_graph
from edgemnist.model.task import Task
from edgemnist.pipeline.export.web import web_page
from tests.browser import show, until
from tests.native.conftest import origin, run_program
from tests.native.networks import Options
from tests.shapes import SPECS
from tests.shapes.graphs import BRANCHED, CHAINS, CLASSES, Sketch, graph_of, reference_kernels, with_ends, write_tflite

EACH = pytest.mark.parametrize("name", SPECS)


def inputs_of(spec: InputSpec, count: int) -> npt.NDArray[Any]:
    """Return noise of all contrasts on grounds of all levels, of which some is cut off, and some blank in part."""
    generator = np.random.default_rng(5)
    along = (count, *[1] * len(spec.shape))
    noise = spec.random(count, low=-1, high=1).astype(np.float64)
    least, most = (0.0, 255.0) if spec.dtype == "uint8" else (noise.min() * 5, noise.max() * 5)
    inputs = generator.uniform(least, most, along) + (noise - noise.mean()) * generator.uniform(0, 3, along)
    inputs[::4, : spec.shape[0] // 2 + 1] = least
    inputs[0], inputs[-1] = least, most
    clipped: npt.NDArray[Any] = np.clip(inputs, least, most).astype(spec.dtype)
    return clipped


@EACH
@pytest.mark.parametrize("kind", [*CHAINS, *BRANCHED])
def test_every_tensor_of_a_graph_of_any_shape_has_the_bits_of_the_reference_kernels(
    name: str, kind: str, tmp_path: Path
) -> None:
    spec, numbers = SPECS[name], kind == "numbers"
    path = write_tflite(graph_of(spec, kind), tmp_path / "model.tflite")
    graph = read_graph(path.read_bytes())
    classifier = load(path, runtime="integer", spec=spec, numbers=numbers, trusted=True)
    assert isinstance(classifier, IntegerClassifier)
    inputs = inputs_of(spec, 24)
    levels = np.empty(inputs.shape, np.uint8)
    classifier._write(inputs, levels)
    operators = [planned.operator for planned in plan(graph)[0]]
    shape, tensors = graph.tensors[graph.inputs[0]].shape[1:], [operator.outputs[0] for operator in operators]
    answers = reference_kernels(path, levels.view(np.int8).reshape(-1, *shape), tensors)
    values = {graph.inputs[0]: levels.view(np.int8).astype(np.int64).reshape(len(inputs), -1)}
    for planned, expected in zip(plan(graph)[0], answers, strict=True):
        made = planned.run(*(values[index] for index in planned.reads))
        values[planned.operator.outputs[0]] = made
        np.testing.assert_array_equal(made.reshape(len(inputs), -1), expected, err_msg=planned.operator.kind)
    # What is always the same proves little.
    assert sum(len(np.unique(expected)) for expected in answers) > 10 * len(answers)
    assert len(operators) == len(graph.operators)
    np.testing.assert_array_equal(classifier.quantized(inputs), answers[-1])
    assert classifier.answer(inputs).shape == answers[-1].shape


@pytest.mark.parametrize("kind", ["QUANTIZE", "RELU", *BRANCHED])
def test_a_table_has_the_bits_of_the_reference_kernels_for_each_number(kind: str, tmp_path: Path) -> None:
    for seed in range(40):
        sketch = Sketch(seed)
        source = sketch.activation(256)
        number: tuple[int, ...] = ()
        scale = float(sketch.tensors[source].scales[0]) * 10 ** sketch.rng.uniform(-1, 1)
        if kind in BRANCHED:
            number = (sketch.add("int8", (1,), scale / 3, 9, sketch.rng.integers(-128, 128, 1).astype(np.int8)),)
            scale *= scale * 20 if kind == "MUL" else 1
        target = sketch.activation(256, scale=scale)
        options = Options(0) if number else None
        graph = sketch.ending_in(sketch.operate(kind, source, target, *number, options=options))
        numbers = np.arange(-128, 128).astype(np.int8)[None]
        expected = reference_kernels(write_tflite(graph, tmp_path / "table.tflite"), numbers, [target])
        np.testing.assert_array_equal(elementwise(graph, graph.operators[0]), expected[0][0])


def broken(graph: Graph, at: int, **changes: Any) -> Graph:
    operators = [replace(one, **changes) if index == at else one for index, one in enumerate(graph.operators)]
    return replace(graph, operators=tuple(operators))


def test_a_graph_that_is_not_what_it_seems_is_refused_by_name() -> None:
    spec = SPECS["row"]
    graph = graph_of(spec, "ADD")
    first, second, joined = (operator.outputs[0] for operator in graph.operators[:3])
    constant = graph.operators[0].inputs[2]
    cases = {
        "its ADD does not follow the operator before it": (
            broken(graph, 2, inputs=(first, graph.outputs[0])),
            broken(graph, 2, inputs=(constant, constant)),
            replace(graph, operators=(graph.operators[2], *graph.operators)),
        ),
        "its ADD leaves out an input": (broken(graph, 2, inputs=(first, -1)),),
        "writes to what is there already": (broken(graph, 1, outputs=(first,)), broken(graph, 1, outputs=(constant,))),
        "last operator does not lead to": (replace(graph, operators=graph.operators[:-1]),),
        "its input is a constant": (replace(graph, inputs=(constant,)),),
        "has 8 inputs, and there are 13": (broken(graph, 1, inputs=(0, *graph.operators[1].inputs[1:])),),
        r"its ADD of \[1, 13\] and \[1, 8\] leads to an array of \[1, 8\]": (broken(graph, 2, inputs=(0, second)),),
    }
    for words, graphs in cases.items():
        for one in graphs:
            with pytest.raises(ValueError, match=words):
                plan(one)
    assert [planned.operator for planned in plan(graph)[0]] == [*graph.operators]
    # What does not lead to the output is not computed.
    idle = replace(graph, outputs=(joined,))
    assert len(plan(idle)[0]) == 3


@pytest.mark.parametrize(("limit", "words"), [("_MOST_VALUES", "numbers at a time"), ("MOST_PRODUCTS", "products for")])
def test_memory_and_time_have_a_bound(limit: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(SPECS["large"], "ADD")
    monkeypatch.setattr(integer, limit, 1)
    with pytest.raises(ValueError, match=words) as caught:
        plan(graph)
    most = int(str(caught.value).split()[2 if limit == "_MOST_VALUES" else 3].replace(",", ""))
    monkeypatch.setattr(integer, limit, most)
    assert plan(graph)
    monkeypatch.setattr(integer, limit, most - 1)
    with pytest.raises(ValueError, match=words):
        plan(graph)


def check_engine(graph: Graph, spec: InputSpec, *, numbers: bool, count: int = 40) -> int:
    """Every kernel answers as the reference does, in a batch and one at a time; return how many answers differ."""
    expected = IntegerClassifier(graph, Path("shape"), spec=spec, numbers=numbers)
    network, inputs = read_network(graph, spec), inputs_of(spec, count)
    answers = expected.answer(inputs)
    for kernel in kernel_names():
        classifier = NativeClassifier(network, Path("shape"), kernel=kernel, numbers=numbers)
        assert (classifier.spec, classifier.answers_numbers) == (spec, numbers)
        np.testing.assert_array_equal(classifier.answer(inputs), answers, err_msg=kernel)
        for index in range(3):
            np.testing.assert_array_equal(classifier.answer(inputs[index : index + 1]), answers[index : index + 1])
    return len(np.unique(answers, axis=0))


@pytest.mark.needs("engine")
@EACH
@pytest.mark.parametrize("kind", [*CHAINS, *BRANCHED])
def test_the_engine_has_every_bit_of_the_reference(name: str, kind: str) -> None:
    graphs = (graph_of(SPECS[name], kind, seed) for seed in range(8))
    # Answers that are always the same prove little.
    assert sum(check_engine(graph, SPECS[name], numbers=kind == "numbers") for graph in graphs) > 10


@pytest.mark.needs("engine")
@EACH
def test_real_numbers_at_the_ends_are_those_of_the_reference(name: str) -> None:
    spec, graph = SPECS[name], with_ends(graph_of(SPECS[name], "dense"), "float32", "float32")
    assert check_engine(graph, spec, numbers=False) > 3


def test_real_numbers_that_are_quantized_twice_are_refused() -> None:
    sketch = Sketch(0)
    source = sketch.add("float32", (1, 13), [], 0)
    one, other = (sketch.operate("QUANTIZE", source, sketch.activation(13)) for _ in range(2))
    joined = sketch.operate("ADD", one, sketch.activation(13), other, options=Options(0))
    with pytest.raises(ValueError, match="its QUANTIZE takes real numbers that others take, or make"):
        read_network(sketch.ending_in(sketch.dense(joined, 13, CLASSES)))


@pytest.mark.needs("engine")
def test_a_tensor_that_is_joined_to_nothing_is_still_read_by_others() -> None:
    spec = SPECS["row"]
    sketch = Sketch(0)
    source = sketch.add("int8", (1, *spec.shape), 8 / 255, 0)
    shared = sketch.dense(source, spec.size, 8)
    tensor = sketch.tensors[shared]
    same = sketch.add("int8", (1, 8), tensor.scales, int(tensor.zero_points[0]))
    alone = sketch.operate("CONCATENATION", shared, same, options=Options(1))
    cut = sketch.operate("RELU", alone, sketch.activation(8))
    joined = sketch.operate("ADD", shared, sketch.activation(8), cut, options=Options(0))
    graph = sketch.ending_in(sketch.softmax(sketch.dense(joined, 8, CLASSES), CLASSES))
    assert check_engine(graph, spec, numbers=False) > 3


EDGES: Final = {
    **{f"{size} inputs": (InputSpec(shape=(size,)), 10) for size in (1, 2, 3, 5, 783, 785, 1 << 20)},
    **{f"{outputs} outputs": (SPECS["digit"], outputs) for outputs in (1, 2, 256, 257, 4096)},
    **{f"sides of {side}": (InputSpec(shape=(side, side)), 10) for side in (2, 30, 32, 34)},
    "long rows": (InputSpec(shape=(2, 40)), 10),
    "high columns": (InputSpec(shape=(300, 32)), 10),
    "colours": (InputSpec(shape=(9, 5, 4), scale=(1 / 255, 2 / 255, 0.5, -1 / 255), offset=(0, -1, 0, 1)), 10),
    "four axes": (InputSpec(shape=(2, 3, 5, 7), dtype="float32", scale=(0.5,)), 10),
}


@pytest.mark.needs("engine")
@pytest.mark.parametrize("edge", EDGES)
def test_the_engine_is_exact_at_the_edges_of_its_sizes(edge: str) -> None:
    spec, outputs = EDGES[edge]
    for softmax in (True, False):
        graph = graph_of(spec, "dense" if softmax and 1 < outputs < 4096 else "numbers", outputs=outputs)
        check_engine(graph, spec, numbers=graph.operators[-1].kind != "SOFTMAX", count=3 if spec.size > 4096 else 70)


@pytest.mark.needs("engine")
def test_a_call_takes_one_input_of_its_shape_and_the_kinds_of_arrays_that_stand_for_it() -> None:
    for name in ("digit", "colour", "spectrogram"):
        spec = SPECS[name]
        graph = graph_of(spec, "dense")
        classifier, inputs = NativeClassifier(read_network(graph, spec), Path("shape")), inputs_of(spec, 4)
        expected = IntegerClassifier(graph, Path("shape"), spec=spec).answer(inputs)
        one = inputs[1:2]
        for given in (one, inputs[1], one.reshape(1, -1), np.asfortranarray(one), one.astype(np.float64), one.tolist()):
            np.testing.assert_array_equal(classifier.predict_proba(given), expected[1:2])
        assert classifier.predict_proba(inputs[:0]).shape == (0, CLASSES)
        for wrong in (np.zeros((1, 3, *spec.shape), spec.dtype), np.zeros((1, spec.size + 1), spec.dtype)):
            with pytest.raises(ValueError, match="must be"):
                classifier.predict_proba(wrong)
    numbers = NativeClassifier(read_network(graph_of(SPECS["digit"], "numbers")), Path("shape"), numbers=True)
    with pytest.raises(ValueError, match=r"use answer\(\)"):
        numbers.predict_proba(inputs_of(SPECS["digit"], 1))


def test_the_engine_refuses_what_it_does_not_take_by_name() -> None:
    colour = SPECS["colour"]
    cases = {
        r"it takes \[32, 32, 3\], and its task is 28×28 images": (graph_of(colour, "dense"), SPECS["digit"]),
        r"with the channels first": (turned(graph_of(colour, "dense")), colour),
        r"it takes 4 inputs at a time": (turned(graph_of(colour, "dense"), (4, 32, 32, 3)), colour),
    }
    for words, (graph, spec) in cases.items():
        with pytest.raises(ValueError, match=words):
            read_network(graph, spec)


def turned(graph: Graph, shape: tuple[int, ...] = (1, 3, 32, 32)) -> Graph:
    first, *others = graph.tensors
    return replace(graph, tensors=(replace(first, shape=shape), *others))


def write_c(graph: Graph, spec: InputSpec, path: Path, *, numbers: bool) -> Path:
    task = Task(name="numbers", input=spec, answers="numbers" if numbers else "classes")
    network = read_network(graph, spec)
    labels = [] if numbers else [f'class "{index}"' for index in range(network.classes)]
    path.write_text(c_source(network, replace(origin(labels, task), source="ONNX model")))
    assert origin_of(path.read_bytes()) == replace(origin(labels, task), source="ONNX model")
    return path


@pytest.mark.needs("cc")
@EACH
@pytest.mark.parametrize("kind", [*CHAINS, *BRANCHED])
def test_a_c_file_has_every_bit_of_the_reference(name: str, kind: str, tmp_path: Path) -> None:
    spec, numbers = SPECS[name], kind == "numbers"
    graph, inputs = graph_of(spec, kind, seed=1), inputs_of(spec, 30)
    path = write_c(graph, spec, tmp_path / "model.c", numbers=numbers)
    classifier = load(path, trusted=True)
    assert (classifier.spec, classifier.answers_numbers) == (spec, numbers)
    assert numbers or classifier.labels[1] == 'class "1"'
    expected = IntegerClassifier(graph, path, spec=spec, numbers=numbers)
    np.testing.assert_array_equal(classifier.answer(inputs), expected.answer(inputs))
    # As a stranger's file: only if it comes out of its twin.
    with pytest.raises(ArtifactError, match="the TFLite file that it was made from is not beside it"):
        load(path)
    twin = write_tflite(graph, tmp_path / "twin.tflite")
    text = path.read_text().replace("b" * 64, sha256(twin.read_bytes()))
    require_origin(text.encode(), path)
    with pytest.raises(ArtifactError, match="it is not what this version of edgemnist writes"):
        require_origin(text.replace("[EDGEMNIST_INPUTS]", "[EDGEMNIST_INPUTS + 1]", 1).encode(), path)


SANITIZED: Final = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1", "-fsanitize=address,undefined")


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("edge", [*EDGES, "meter", "spectrogram"])
def test_the_program_of_a_c_file_answers_one_input(edge: str, tmp_path: Path) -> None:
    spec, outputs = EDGES.get(edge, (SPECS.get(edge), 5))
    assert spec is not None
    numbers = outputs in {1, 4096}
    graph, inputs = graph_of(spec, "numbers" if numbers else "dense", outputs=outputs), inputs_of(spec, 3)
    path = write_c(graph, spec, tmp_path / "model.c", numbers=numbers)
    subprocess.run(
        ["gcc", *SANITIZED, "-fno-sanitize-recover=all", "-DEDGEMNIST_MAIN", path, "-o", tmp_path / "model"], check=True
    )
    classifier = IntegerClassifier(graph, path, spec=spec, numbers=numbers)
    for given in inputs:
        levels = (classifier.quantized(given[None]) + 128).reshape(-1).tolist()
        data = given.tobytes() if spec.dtype == "uint8" else json.dumps(given.tolist()).encode()
        told = json.loads(run_program(tmp_path / "model", "--json", given=data))
        assert told["scores"] == levels
        assert numbers or told["label"] == f'class "{int(np.argmax(levels))}"'
        (tmp_path / "input").write_bytes(data)
        lines = run_program(tmp_path / "model", tmp_path / "input").decode().splitlines()
        assert len(lines) == outputs + (not numbers)
    words = (b"nan ", b"1e999 ", b"1x ", b"1 " * 2, b"1\0 ", b",1 ")
    others = (data[:-1],) if spec.dtype == "uint8" else tuple(word * spec.size for word in words)
    for wrong in (b"", data + b" 1", *others):
        done = subprocess.run([tmp_path / "model"], input=wrong, check=False, capture_output=True)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"standard input holds ")


RUNNING: Final = """
#include <stdio.h>
#include "model.h"
int main(void)
{
    static unsigned char input[EDGEMNIST_INPUT_BYTES], output[EDGEMNIST_OUTPUT_BYTES];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        const int found = edgemnist_run(input, output);
        fwrite(output, 1, sizeof output, stdout);
        fwrite(&found, sizeof found, 1, stdout);
    }
    return 0;
}
"""


@pytest.mark.needs("gcc")
@pytest.mark.needs("engine")
@pytest.mark.parametrize("source", ["int8", "uint8", "uint8 of other steps"])
@pytest.mark.parametrize("target", ["int8", "uint8"])
@pytest.mark.parametrize(("name", "kind"), [("digit", "cnn"), ("meter", "dense"), ("spectrogram", "numbers")])
def test_tensors_go_in_and_come_out_as_the_file_has_them(
    name: str, kind: str, source: str, target: str, tmp_path: Path
) -> None:
    check_run(with_ends(graph_of(SPECS[name], kind, seed=1), source, target), SPECS[name], tmp_path)


@pytest.mark.needs("gcc")
@pytest.mark.needs("engine")
def test_a_c_file_has_room_for_an_input_that_is_turned_twice(tmp_path: Path) -> None:
    """Pixels become numbers that the first operator makes pixels of again."""
    sketch, spec = Sketch(1), InputSpec(shape=(28, 28), scale=(-1 / 255,), offset=(1.0,))
    given = sketch.add("uint8", (1, 28, 28, 1), 1 / 255, 0)
    turned = sketch.add("uint8", (1, 28, 28, 1), 1 / 255, 255)
    minus = sketch.add("int8", (1,), 1.0, 0, np.array([-1], np.int8))
    sketch.operate("MUL", given, turned, minus, options=Options(0))
    graph = sketch.ending_in(sketch.softmax(sketch.dense(turned, 784, CLASSES), CLASSES))
    assert read_network(graph, spec).maps_pixels
    check_run(graph, spec, tmp_path)


def check_run(graph: Graph, spec: InputSpec, tmp_path: Path) -> None:
    """The engine and the C file of a graph take tensors to what the integer reference makes of them."""
    source, target = (np.dtype(graph.tensors[index].dtype) for index in (*graph.inputs, *graph.outputs))
    numbers = math.prod(graph.tensors[graph.outputs[0]].shape) != CLASSES
    path = write_c(graph, spec, tmp_path / "model.c", numbers=numbers)
    (tmp_path / "model.h").write_text(c_header(read_network(graph, spec), origin([] if numbers else [*"01234"])))
    (tmp_path / "main.c").write_text(RUNNING)
    options = ("-std=c99", *WARNINGS, "-Werror", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    run_program("gcc", *options, path, tmp_path / "main.c", "-o", tmp_path / "model")
    ends = np.iinfo(source)
    given = np.random.default_rng(2).integers(ends.min, ends.max + 1, (40, *graph.tensors[graph.inputs[0]].shape[1:]))
    given = given.astype(ends.dtype)
    expected = IntegerClassifier(graph, path, spec=spec, numbers=numbers).run(given)
    assert (expected.dtype, len(np.unique(expected, axis=0)) > 5) == (target, True)
    for kernel in kernel_names():
        native = NativeClassifier(read_network(graph, spec), path, kernel=kernel, numbers=numbers)
        np.testing.assert_array_equal(native.run(given), expected, err_msg=kernel)
        np.testing.assert_array_equal(native.run(given[:1]), expected[:1], err_msg=kernel)  # by a way of its own
    told = np.frombuffer(run_program(tmp_path / "model", given=given.tobytes()), np.uint8).reshape(len(given), -1)
    np.testing.assert_array_equal(told[:, :-4].copy().view(target), expected.reshape(len(given), -1))
    best = np.zeros(len(given)) if numbers else expected.argmax(axis=1)
    np.testing.assert_array_equal(told[:, -4:].copy().view(np.int32)[:, 0], best)


def write_page(graph: Graph, spec: InputSpec, path: Path, *, numbers: bool, preparer: str = "resize") -> Path:
    task = Task(name="x", input=spec, preparer=preparer, answers="numbers" if numbers else "classes")
    labels = [] if numbers else ["<b>a</b>", "b", "c", "d", "e"]
    network = read_network(graph, spec)
    path.write_text(web_page(network, origin(labels, task), "web-int8", ends_with="probabilities"))
    return path


@pytest.mark.needs("chromium")
@EACH
def test_a_page_has_every_bit_of_the_reference(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    for kind in ("cnn", "numbers"):
        graph, inputs = graph_of(spec, kind, seed=1), inputs_of(spec, 30)
        path = write_page(graph, spec, tmp_path / "model.html", numbers=kind == "numbers")
        classifier = load(path, trusted=True)
        assert (classifier.spec, classifier.answers_numbers) == (spec, kind == "numbers")
        expected = IntegerClassifier(graph, path, spec=spec, numbers=kind == "numbers")
        np.testing.assert_array_equal(classifier.answer(inputs), expected.answer(inputs))
        assert classifier.answer(inputs[:0]).shape == (0, *expected.answer(inputs).shape[1:])


@pytest.mark.needs("cc", "chromium")
@pytest.mark.parametrize("write", [write_c, write_page])
def test_a_real_end_rounds_halves_away_from_zero_in_c_and_in_a_page(write: Any, tmp_path: Path) -> None:
    spec, sketch, step = InputSpec(shape=(2,), dtype="float32", scale=(1.0,)), Sketch(1), 1 / 32
    inner = sketch.operate("QUANTIZE", sketch.add("float32", (1, 2), [], 0), sketch.activation(2, scale=step))
    graph = sketch.ending_in(sketch.dense(inner, 2, 40))
    # What is nearly half way is told from it, and what is far away is the last number.
    ties = np.arange(-600, 600, dtype=np.float32) * np.float32(step / 2)
    near = np.concatenate([np.nextafter(ties, np.float32(end)) for end in (-1e9, 1e9)])
    inputs = np.random.default_rng(1).choice([*ties, *ties, *near, -1e30, 1e30], (8_000, 2)).astype(np.float32)
    path = tmp_path / ("model.c" if write is write_c else "model.html")
    classifier = load(write(graph, spec, path, numbers=True), trusted=True)
    expected = IntegerClassifier(graph, path, spec=spec, numbers=True).answer(inputs)
    np.testing.assert_array_equal(classifier.answer(inputs), expected)


@pytest.mark.needs("cc")
def test_nan_becomes_0_in_c_with_either_end(tmp_path: Path) -> None:
    spec, sketch = InputSpec(shape=(2,), dtype="float32", scale=(1.0,)), Sketch(1)
    inner = sketch.operate("QUANTIZE", sketch.add("float32", (1, 2), [], 0), sketch.activation(2))
    real = sketch.ending_in(sketch.dense(inner, 2, 40))
    for graph in (real, graph_of(spec, "dense", seed=1)):
        classifier: Any = load(write_c(graph, spec, tmp_path / "model.c", numbers=True), trusted=True)
        numbers, levels = np.array([np.nan, 1e30], np.float32), np.array([7, 7], np.uint8)
        classifier._quantize(ctypes.c_void_p(numbers.ctypes.data), ctypes.c_void_p(levels.ctypes.data))
        assert levels.tolist() == [0, 255]


@pytest.mark.parametrize("made", [IntegerClassifier, pytest.param(NativeClassifier, marks=pytest.mark.needs("engine"))])
def test_nan_is_no_input_of_a_real_end(made: Any) -> None:
    spec, sketch = InputSpec(shape=(2,), dtype="float32", scale=(1.0,)), Sketch(1)
    inner = sketch.operate("QUANTIZE", sketch.add("float32", (1, 2), [], 0), sketch.activation(2))
    graph = sketch.ending_in(sketch.dense(inner, 2, 40))
    source = graph if made is IntegerClassifier else read_network(graph, spec)
    classifier = made(source, Path("model.tflite"), spec=spec, numbers=True)
    assert classifier.run(np.array([[np.inf, -np.inf]], np.float32)).shape == (1, 40)
    with pytest.raises(ValueError, match="must not be NaN"):
        classifier.run(np.array([[np.nan, 0]], np.float32))


def answered(browser: Any, page: Path, given: Path | str) -> tuple[str, list[str]]:
    """Give a page a picture or numbers; return its answer, and the names and shares of its bars."""
    show(browser, page.as_uri())
    until(browser, lambda: browser.execute_script("return Boolean(globalThis.edgemnist)"))
    assert not browser.find_element("id", "seen").is_displayed()
    if isinstance(given, Path):
        browser.find_element("id", "ask-file").send_keys(str(given))
    else:
        browser.find_element("id", "ask-numbers").send_keys(given)
        browser.find_element("css selector", "#ask-form button").click()
    alert, status = (browser.find_element("id", name) for name in ("alert", "status"))
    until(browser, lambda: alert.text or status.get_attribute("textContent"))
    bars = [item.text for item in browser.find_elements("css selector", "#bars .label")]
    return alert.text or status.get_attribute("textContent"), bars


@pytest.mark.needs("chromium")
def test_a_page_takes_a_picture_of_its_size_as_it_is_and_numbers_as_they_are(browser: Any, tmp_path: Path) -> None:
    for name in ("meter", "odd", "row"):
        spec = SPECS[name]
        graph, inputs = graph_of(spec, "dense", seed=1), inputs_of(spec, 8)
        page = write_page(graph, spec, tmp_path / f"{name}.html", numbers=False, preparer="none")
        shares = IntegerClassifier(graph, page, spec=spec).answer(inputs[3:4])[0]
        given: Path | str = " ".join(map(repr, inputs[3].tolist())) if name == "row" else tmp_path / f"{name}.png"
        if isinstance(given, Path):
            Image.fromarray(inputs[3]).save(given)
        told, bars = answered(browser, page, given)
        names = ["<b>a</b>", "b", "c", "d", "e"]
        best = names[int(shares.argmax())]
        assert told.startswith(f"Answered: {best}, {100 * shares.max():.1f} % sure")
        assert bars[0] == best
        assert sorted(bars) == sorted(names)
    Image.new("RGB", (40, 64)).save(tmp_path / "other.png")
    (tmp_path / "text.png").write_text("no picture")
    page = tmp_path / "meter.html"
    for given, words in (("other.png", "40×64 pixels, and the model reads 20×32"), ("text.png", "cannot read it")):
        assert words in answered(browser, page, tmp_path / given)[0]
    assert answered(browser, tmp_path / "row.html", "1, 2")[0] == "There are 2 numbers, and the model takes 13."
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.needs("chromium")
def test_a_page_shows_what_the_camera_sees_and_asks_about_it(browser: Any, tmp_path: Path) -> None:
    spec = SPECS["colour"]
    page = write_page(graph_of(spec, "dense"), spec, tmp_path / "model.html", numbers=False, preparer="crop")
    show(browser, page.as_uri())
    camera, status = (browser.find_element("id", name) for name in ("ask-camera", "status"))
    until(browser, camera.is_displayed)
    camera.click()
    until(browser, lambda: camera.text == "Take the picture")
    assert browser.find_element("id", "ask-video").is_displayed()
    camera.click()
    until(browser, lambda: "Answered" in status.get_attribute("textContent"))


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("preparer", ["resize", "crop", "letterbox"])
def test_a_page_prepares_a_picture_as_its_task_says(preparer: str, browser: Any, tmp_path: Path) -> None:
    spec = SPECS["colour"]
    page = write_page(graph_of(spec, "dense"), spec, tmp_path / "model.html", numbers=False, preparer=preparer)
    smooth = np.add.outer(np.linspace(0, 120, 50), np.linspace(0, 120, 200))
    picture = Image.fromarray(np.stack([smooth, 240 - smooth, smooth * 0 + 60], axis=-1).astype(np.uint8))
    picture.save(tmp_path / "wide.png")
    answered(browser, page, tmp_path / "wide.png")
    seen = browser.execute_script(
        "const seen = document.getElementById('seen');"
        "return Array.from(seen.getContext('2d').getImageData(0, 0, 32, 32).data)"
    )
    found = np.array(seen).reshape(32, 32, 4)[..., :3]
    expected = Task(name="x", input=spec, preparer=preparer).prepare(picture).image
    assert np.abs(found - expected.astype(int)).max() <= 24
    assert np.abs(found - expected.astype(int)).mean() < 3
