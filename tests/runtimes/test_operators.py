"""Every operator of the integer reference has the bits of LiteRT's reference kernels, in graphs of odd sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.activations import CUT
from edgemnist.model.runtimes.integer import _KNOWN, Rounding, plan
from edgemnist.model.runtimes.tflite import Graph, read_graph
from tests.native.networks import Options
from tests.shapes.graphs import Sketch, reference_kernels, write_tflite

SAME, VALID = 0, 1


class Operators(Sketch):
    """Draws graphs of one operator, or of a few."""

    def image(self, shape: Sequence[int], like: int | None = None) -> int:
        """Add an activation of a shape, perhaps with the scale of another one; return its index."""
        index = self.shaped(self.activation(1), shape)
        if like is not None:
            other = self.tensors[like]
            self.tensors[index] = replace(self.tensors[index], scales=other.scales, zero_points=other.zero_points)
        return index

    def numbers(self, *values: int) -> int:
        """Add constants of int32; return their index."""
        return self.add("int32", (len(values),), [], 0, np.array(values, "<i4"))

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))


def convolution(sketch: Operators, kind: str) -> int:
    sides = [sketch.between(1, 3) for _ in range(2)]
    strides, dilations = ([sketch.between(1, 3) for _ in range(2)] for _ in range(2))
    groups, each = sketch.between(1, 3), sketch.between(1, 5)
    same = bool(sketch.between(0, 1))
    image = [sketch.between((side - 1) * dilation + 1, 11) for side, dilation in zip(sides, dilations, strict=True)]
    places = [
        -(-size // stride) if same else (size - (side - 1) * dilation - 1) // stride + 1
        for size, side, stride, dilation in zip(image, sides, strides, dilations, strict=True)
    ]
    source = sketch.image((*image, groups * each))
    if kind == "CONV_2D":
        units = groups * sketch.between(1, 4)
        shape, axis, terms = (units, *sides, each), 0, sides[0] * sides[1] * each
    else:
        units = groups * each * sketch.between(1, 3)
        shape, axis, terms = (1, *sides, units), 3, sides[0] * sides[1]
    target = sketch.image((*places, units))
    constants = sketch.constants(source, target, shape, terms, axis)
    first = (SAME if same else VALID, strides[1], strides[0])
    multiplier = () if kind == "CONV_2D" else (units // groups // each,)
    options = Options(*first, *multiplier, sketch.between(0, 3), dilations[1], dilations[0])
    return sketch.operate(kind, source, target, *constants, options=options)


def reduced(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 7) for _ in range(sketch.between(1, 4))]
    first = sketch.between(1, len(shape))
    axes = range(first, sketch.between(first, len(shape)) + 1)
    source = sketch.image(shape)
    kept = [size for axis, size in enumerate(shape, start=1) if axis not in axes]
    keeps = sketch.between(0, 1)
    made = [1 if axis in axes else size for axis, size in enumerate(shape, start=1)] if keeps else kept
    # A mean may have the scale of its input, too.
    target = sketch.image(made, like=source if kind == "REDUCE_MAX" or sketch.between(0, 3) == 0 else None)
    given = [axis - (len(shape) + 1) * sketch.between(0, 1) for axis in axes]
    return sketch.operate(kind, source, target, sketch.numbers(*sketch.rng.permutation(given)), options=Options(keeps))


def pooled(sketch: Operators, kind: str) -> int:
    height, width, channels = (sketch.between(2, 9) for _ in range(3))
    source = sketch.image((height, width, channels))
    made, shape = sketch.window(source, (height, width, channels), kind)
    return sketch.shaped(made, shape)


def padded(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 5) for _ in range(sketch.between(1, 4))]
    pads = [(sketch.between(0, 3), sketch.between(0, 3)) for _ in shape]
    source = sketch.image(shape)
    target = sketch.image([size + sum(pad) for size, pad in zip(shape, pads, strict=True)], like=source)
    places = sketch.add("int32", (len(shape) + 1, 2), [], 0, np.array([(0, 0), *pads], "<i4"))
    tensor = sketch.tensors[source]
    number = sketch.add("int8", (1,), tensor.scales, int(tensor.zero_points[0]), np.array([77], np.int8))
    return sketch.operate(kind, source, target, places, *([number] if kind == "PADV2" else []))


def sliced(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 7) for _ in range(sketch.between(1, 3))]
    source, taken = sketch.image(shape), np.arange(np.prod(shape)).reshape(1, *shape)
    begins, ends, steps, masks = [0], [1], [1], [0, 0, 0]
    slices: list[slice | int] = [slice(None)]
    for axis, size in enumerate(shape, start=1):
        step = int(sketch.rng.choice([-2, -1, 1, 1, 2, 3]))
        begin, end = sorted((sketch.between(0, size - 1), sketch.between(0, size - 1)))[:: 1 if step > 0 else -1]
        end += 1 if step > 0 else -1
        hidden = [sketch.between(0, 3) == 0 for _ in range(2)]
        single = sketch.between(0, 4) == 0 and len(shape) > 1 and axis > 1
        if single:
            step, hidden = 1, [False, False]
        # What is below 0 counts from the end.
        begins.append(begin - size * sketch.between(0, 1))
        ends.append(end - size if end < 0 or (end < size and sketch.between(0, 1)) else end)
        if end < 0:
            hidden[1] = True
        steps.append(step)
        for mask, is_set in enumerate((*hidden, single)):
            masks[mask] |= is_set << axis
        shown = [None if hide else place for hide, place in zip(hidden, (begin, end), strict=True)]
        slices.append(begin if single else slice(shown[0], shown[1], step))
    made = taken[tuple(slices)]
    target = sketch.image(made.shape[1:], like=source)
    places = (sketch.numbers(*each) for each in (begins, ends, steps))
    return sketch.operate(kind, source, target, *places, options=Options(masks[0], masks[1], 0, 0, masks[2]))


def resized(sketch: Operators, kind: str) -> int:
    *sizes, channels = shape = [sketch.between(1, 13) for _ in range(3)]
    made = [sketch.between(1, 29) for _ in sizes]
    source = sketch.image(shape)
    target = sketch.image((*made, channels), like=source)
    # The kernels take the one or the other.
    manner = [(0, 0), (1, 0), (0, 1)][sketch.between(0, 2)]
    return sketch.operate(kind, source, target, sketch.numbers(*made), options=Options(*manner))


def transposed(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 5) for _ in range(sketch.between(1, 4))]
    order = [0, *(1 + sketch.rng.permutation(len(shape))).tolist()]
    # What is one long may lie before the inputs, too.
    order[:2] = order[:2][:: -1 if shape[order[1] - 1] == 1 else 1]
    source = sketch.image(shape)
    target = sketch.image([(1, *shape)[axis] for axis in order][1:], like=source)
    return sketch.operate(kind, source, target, sketch.numbers(*order))


def joined(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 5) for _ in range(sketch.between(1, 4))]
    axis = sketch.between(1, len(shape))
    source = sketch.image(shape)
    tensor = sketch.tensors[source]
    others = []
    for _ in range(sketch.between(1, 3)):
        size = [sketch.between(1, 4) if at == axis else one for at, one in enumerate(shape, start=1)]
        content = sketch.rng.integers(-128, 128, size).astype(np.int8)
        others.append(sketch.add("int8", (1, *size), tensor.scales, int(tensor.zero_points[0]), content))
    parts = [*others[:1], source, *others[1:], source]
    whole = sum(sketch.tensors[part].shape[axis] for part in parts)
    target = sketch.image([whole if at == axis else one for at, one in enumerate(shape, start=1)], like=source)
    given = axis - (len(shape) + 1) * sketch.between(0, 1)
    return sketch.operate(kind, parts[0], target, *parts[1:], options=Options(given))


def combined(sketch: Operators, kind: str) -> int:
    """Draw a constant and a source, one of which may be broadcast along any axes."""
    shape = [sketch.between(1, 6) for _ in range(3)]
    narrow = [size if sketch.between(0, 1) else 1 for size in shape][sketch.between(0, 2) :]
    source_is_narrow = kind != "PRELU" and sketch.between(0, 3) == 0
    source = sketch.image([*[1] * (3 - len(narrow)), *narrow] if source_is_narrow else shape)
    size = (1, *(shape if source_is_narrow else [*[1] * (3 - len(narrow)), *narrow]))
    if not source_is_narrow and sketch.between(0, 1):
        size = tuple(narrow)
    scale = float(sketch.tensors[source].scales[0])
    unit = float(10 ** sketch.rng.uniform(-3, -1))
    content = sketch.rng.integers(-128, 128, size).astype(np.int8)
    other = sketch.add("int8", size, unit, sketch.between(-128, 127), content)
    basis = scale * unit * 64 if kind == "MUL" else scale if kind == "PRELU" else max(scale, unit)
    target = sketch.image(shape)
    sketch.tensors[target] = replace(sketch.tensors[target], scales=np.array([tied(sketch, basis)], np.float32))
    options = None if kind == "PRELU" else Options(sketch.between(0, 3))
    inputs = (other, source) if source_is_narrow or (kind != "PRELU" and sketch.between(0, 1)) else (source, other)
    return sketch.operate(kind, inputs[0], target, inputs[1], options=options)


def tied(sketch: Operators, scale: float) -> float:
    """Return an output's scale in which many numbers lie between two steps, so that the last bit of a ratio decides."""
    return scale / (sketch.between(1, 200) / 2.0 ** sketch.between(4, 8)) if sketch.between(0, 2) else scale


def mapped(sketch: Operators, kind: str) -> int:
    # Of sigmoids so large that the fixed point of the rule `double` ends before they do.
    scale = float(10 ** sketch.rng.uniform(-3, 1.5 if kind in {"LOGISTIC", "TANH"} else 0))
    if sketch.between(0, 9) == 0:
        scale = float(sketch.rng.choice([1e-30, 1e-6, 30.0, 1e10, 1e30]))
    if kind == "HARD_SWISH":
        scale = float(np.clip(scale, 1e-6, 30))
    dtype, other = ("int8" if sketch.between(0, 2) else "uint8" for _ in range(2))
    other = other if kind == "QUANTIZE" else dtype
    lowest = int(np.iinfo(other).min)
    source = sketch.add(dtype, (1, 256), scale, int(np.iinfo(dtype).min) + sketch.between(0, 255))
    made = {"LOGISTIC": (1 / 256, lowest), "TANH": (1 / 128, lowest + 128)}.get(kind)
    least = 1 if kind == "HARD_SWISH" else 0.2
    made = made or (max(tied(sketch, scale), scale * least / 127), lowest + sketch.between(0, 255))
    if kind in CUT and kind != "RELU" and scale < 1e4 and sketch.between(0, 1):
        # Its end lies between two steps.
        made = (6 / (sketch.between(1, 150) + 0.5), made[1])
    slope, by_tanh = float(np.float32(sketch.rng.uniform(-0.1, 1.2))), sketch.between(0, 1)
    options = {"LEAKY_RELU": Options(slope), "GELU": Options(by_tanh)}
    target = sketch.add(other, (1, 256), *made)
    return sketch.operate(kind, source, target, options=options.get(kind))


def softmaxed(sketch: Operators, kind: str) -> int:
    shape = [sketch.between(1, 6) for _ in range(sketch.between(1, 3))]
    source = sketch.image(shape)
    target = sketch.shaped(sketch.add("int8", (1,), 1 / 256, -128), shape)
    return sketch.operate(kind, source, target, options=Options(float(np.float32(sketch.rng.uniform(0.5, 2)))))


def edged(sketch: Operators, kind: str) -> int:
    """Draw real numbers that become quantized ones and real ones again."""
    source = sketch.add("float32", (1, 3, 5), [], 0)
    made = sketch.shaped(sketch.activation(1), (3, 5))
    again = sketch.add("float32", (1, 3, 5), [], 0)
    return sketch.operate(kind, sketch.operate("QUANTIZE", source, made), again)


CURVED = ("LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "GELU")
DRAWN: dict[str, Callable[[Operators, str], int]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), pooled),
    **dict.fromkeys(("MEAN", "REDUCE_MAX"), reduced),
    **dict.fromkeys(("PAD", "PADV2"), padded),
    "STRIDED_SLICE": sliced,
    "RESIZE_NEAREST_NEIGHBOR": resized,
    "TRANSPOSE": transposed,
    "CONCATENATION": joined,
    **dict.fromkeys(("ADD", "SUB", "MUL", "PRELU"), combined),
    **dict.fromkeys((*CUT, *CURVED), mapped),
    "SOFTMAX": softmaxed,
    "DEQUANTIZE": edged,
}


def test_every_operator_that_is_known_is_drawn() -> None:
    assert set(_KNOWN) == {*DRAWN, "FULLY_CONNECTED", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


def inputs_of(graph: Graph, count: int = 6) -> npt.NDArray[Any]:
    """Return noise, and both ends of the range."""
    source = graph.tensors[graph.inputs[0]]
    shape = source.shape[1:]
    inputs = np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8)
    inputs[0], inputs[1] = -128, 127
    if shape == (256,):
        inputs[2] = np.arange(-128, 128)
    if source.dtype == "float32":
        # Half the steps of a scale, of which every other one is between two numbers.
        return np.float32(graph.tensors[graph.operators[0].outputs[0]].scales[0] / 2) * inputs.astype(np.float32)
    return inputs.view(source.dtype)


def assert_same_bits(graph: Graph, path: Path, note: str = "") -> None:
    """Every tensor that is computed has the values that the reference kernels write there."""
    graph = read_graph(write_tflite(graph, path).read_bytes())
    inputs = inputs_of(graph)
    made = computed(graph, inputs)
    expected = reference_kernels(path, inputs, [*made])
    for (index, found), wanted in zip(made.items(), expected, strict=True):
        name = graph.tensors[index].name
        np.testing.assert_array_equal(found.reshape(len(inputs), -1), wanted, err_msg=f"{name} {note}")


def computed(graph: Graph, inputs: npt.NDArray[Any], rounding: Rounding = Rounding()) -> dict[int, npt.NDArray[Any]]:  # noqa: B008 - frozen
    """Return the values of every tensor that is computed."""
    values = {graph.inputs[0]: inputs if inputs.dtype.kind == "f" else inputs.astype(np.int64)}
    for one in plan(graph, rounding)[0]:
        values[one.operator.outputs[0]] = one.run(*(values[index] for index in one.reads))
    del values[graph.inputs[0]]
    return values


@pytest.mark.parametrize("kind", DRAWN)
def test_an_operator_has_the_bits_of_the_reference_kernels(kind: str, tmp_path: Path) -> None:
    for seed in range(40):
        sketch = Operators(seed)
        assert_same_bits(sketch.ending_in(DRAWN[kind](sketch, kind)), tmp_path / "model.tflite", f"of seed {seed}")


@pytest.mark.parametrize("runtime", ["integer", pytest.param("native", marks=pytest.mark.needs("engine"))])
def test_real_numbers_at_both_ends_have_the_bits_of_the_reference_kernels(runtime: str, tmp_path: Path) -> None:
    """As a converter leaves them that is not told otherwise: inputs in steps of which half are between two numbers."""
    sketch, spec = Operators(3), InputSpec(shape=(13,), dtype="float32", scale=(1.0,))
    source = sketch.add("float32", (1, *spec.shape), [], 0)
    inner = sketch.operate("QUANTIZE", source, sketch.activation(spec.size, scale=0.05))
    answers = sketch.softmax(sketch.dense(inner, spec.size, 5), 5)
    graph = sketch.ending_in(sketch.operate("DEQUANTIZE", answers, sketch.add("float32", (1, 5), [], 0)))
    path = write_tflite(graph, tmp_path / "model.tflite")
    inputs = np.random.default_rng(0).integers(-200, 200, (50, *spec.shape)).astype(np.float32) * np.float32(0.025)
    inputs[:2] = np.float32(1e6) * np.sign(inputs[:2] + 0.01)
    (expected,) = reference_kernels(path, inputs, [graph.outputs[0]])
    classifier = load(path, runtime=runtime, spec=spec)
    found = classifier.predict_proba(inputs)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.concatenate([classifier.answer(one[None]) for one in inputs]), expected)
    np.testing.assert_array_equal(classifier.run(inputs), expected)
    # Beyond 64 bits, which the kernels' conversion does not define, the ends of the range hold, too.
    np.testing.assert_array_equal(classifier.run(inputs[:2] * np.float32(1e24)), expected[:2])
    # Its kernels round halves to even, and a level at the entry is a few at the end.
    np.testing.assert_allclose(load(path, runtime="litert", spec=spec).predict_proba(inputs), found, atol=0.02)


def grown(sketch: Operators) -> Graph:
    """Return a graph that branches and joins, of which some may lead nowhere."""
    shape = [sketch.between(3, 9), sketch.between(3, 9), sketch.between(1, 4)]
    made = [(sketch.image(shape), shape)]
    for _ in range(sketch.between(4, 12)):
        # Mostly the last, so that graphs are deep.
        source, shape = made[max(0, len(made) - 1 - int(sketch.rng.exponential(0.7)))]
        height, width, channels = shape
        kind = str(sketch.rng.choice(["window", "branch", "curve", "PAD", "CONCATENATION", "resize"]))
        if kind == "window":
            made_of, sides = sketch.window(source, (height, width, channels))
            target, shape = sketch.shaped(made_of, sides), [*sides]
            if sketch.operators[-1].kind == "MEAN":
                # It keeps its axes.
                mean = sketch.operators.pop()
                sketch.operate("MEAN", source, target, mean.inputs[1], options=Options(1))
        elif kind == "branch":
            other = sketch.convolution(source, shape, channels)
            scales = [float(sketch.tensors[index].scales[0]) for index in (source, other)]
            kind = str(sketch.rng.choice(["ADD", "SUB", "MUL"]))
            target = sketch.activation(1, scale=60 * scales[0] * scales[1] if kind == "MUL" else sum(scales))
            sketch.operate(kind, source, sketch.shaped(target, shape), other, options=Options(sketch.between(0, 3)))
        elif kind == "PAD":
            shape = [height + 2, width + 1, channels]
            places = sketch.add("int32", (4, 2), [], 0, np.array([(0, 0), (1, 1), (0, 1), (0, 0)], "<i4"))
            target = sketch.operate(kind, source, sketch.image(shape, like=source), places)
        elif kind == "resize":
            shape = [sketch.between(2, 9), sketch.between(2, 9), channels]
            sizes, target = sketch.numbers(*shape[:2]), sketch.image(shape, like=source)
            sketch.operate("RESIZE_NEAREST_NEIGHBOR", source, target, sizes, options=Options(0, 1))
        else:
            target = sketch.image(shape, like=source)
            sketch.operate("LEAKY_RELU", source, target, options=Options(0.25))
            if kind == "CONCATENATION":
                shape = [height, width, 2 * channels]
                joined = sketch.image(shape, like=source)
                target = sketch.operate(kind, target, joined, source, options=Options(-1))
        made.append((target, shape))
    return sketch.ending_in(made[-1][0])


def test_a_graph_of_many_operators_has_the_bits_of_the_reference_kernels(tmp_path: Path) -> None:
    for seed in range(60):
        assert_same_bits(grown(Operators(seed)), tmp_path / "model.tflite", f"of seed {seed}")


@pytest.mark.parametrize(
    ("kind", "smallest"), [("RELU", 2.0**-22), ("LEAKY_RELU", 2.0**-14), ("MUL", 2.0**-14), ("ADD", 2.0**-18)]
)
def test_numbers_that_would_leave_the_kernels_32_bits_are_refused(kind: str, smallest: float, tmp_path: Path) -> None:
    for scale in (smallest, smallest / 2):
        sketch = Operators(1)
        source = sketch.add("int8", (1, 256), 1.0, 0)
        target = sketch.add("int8", (1, 256), scale, 0)
        other = [sketch.add("int8", (1, 256), 1.0, 0, np.arange(-128, 128).astype(np.int8))] * (kind in {"MUL", "ADD"})
        options = Options(1.0) if kind == "LEAKY_RELU" else Options(0)
        graph = sketch.ending_in(sketch.operate(kind, source, target, *other, options=options))
        if scale == smallest:
            assert_same_bits(graph, tmp_path / "model.tflite")
        else:
            with pytest.raises(ValueError, match=r"^its output's scale, .*, is so small that numbers leave 32 bits"):
                plan(graph)
