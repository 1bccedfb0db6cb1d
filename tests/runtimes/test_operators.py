"""Every operator of the integer reference has the bits of LiteRT's reference kernels, in graphs of odd sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.model.runtimes.integer import plan
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
            self.tensors[index] = self.tensors[index].__class__(
                **{**vars(self.tensors[like]), "name": self.tensors[index].name, "shape": (1, *shape)}
            )
        return index

    def numbers(self, *values: int) -> int:
        """Add constants of int32; return their index."""
        return self.add("int32", (len(values),), [], 0, np.array(values, "<i4"))

    def between(self, low: int, high: int) -> int:
        """Return a number, the ends included."""
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


DRAWN: dict[str, Callable[[Operators, str], int]] = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": convolution,
}


def inputs_of(graph: Graph, count: int = 6) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return noise, and both ends of the range."""
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    inputs = np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8)
    inputs[0], inputs[1] = -128, 127
    return inputs


def assert_same_bits(graph: Graph, path: Path, note: str = "") -> None:
    """Every tensor that is computed has the values that the reference kernels write there."""
    graph = read_graph(write_tflite(graph, path).read_bytes())
    planned, inputs = plan(graph)[0], inputs_of(graph)
    expected = reference_kernels(path, inputs, [one.operator.outputs[0] for one in planned])
    values = {graph.inputs[0]: inputs.astype(np.int64).reshape(len(inputs), -1)}
    for one, wanted in zip(planned, expected, strict=True):
        made = one.run(*(values[index] for index in one.reads))
        values[one.operator.outputs[0]] = made
        np.testing.assert_array_equal(made.reshape(len(inputs), -1), wanted, err_msg=f"{one.operator.kind} {note}")


@pytest.mark.parametrize("kind", DRAWN)
def test_an_operator_has_the_bits_of_the_reference_kernels(kind: str, tmp_path: Path) -> None:
    for seed in range(40):
        sketch = Operators(seed)
        assert_same_bits(sketch.ending_in(DRAWN[kind](sketch, kind)), tmp_path / "model.tflite", f"of seed {seed}")
