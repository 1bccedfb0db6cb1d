"""Full-int8 graphs of every shape, drawn from a seed as a converter would write them, and files of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes.tflite import IDENTIFIER, OPERATORS, TYPES, Graph, Operator
from tests.native.networks import GraphBuilder, Options

CHAINS: Final = ("dense", "cnn", "numbers")
"""What the engine takes; `numbers` are 640 without a softmax, as an autoencoder answers."""
BRANCHED: Final = ("ADD", "SUB", "MUL")
"""Two branches that such an operator joins, and a vector of constants."""
CLASSES: Final = 5


class Sketch(GraphBuilder):
    """Draws int8 throughout, with scales and biases that are not at the ends of anything."""

    def activation(self, width: int, *, scale: float | None = None, plain: bool | None = None) -> int:
        del plain
        scale = float(10 ** self.rng.uniform(-2, -1)) if scale is None else scale
        return self.add("int8", (1, width), scale, int(self.rng.integers(-100, 100)))

    def constants(
        self, source: int, target: int, shape: tuple[int, ...], terms: int, channel_axis: int = 0
    ) -> tuple[int, ...]:
        """Add weights and biases for sums of this many terms; return their indices."""
        rng, units = self.rng, shape[channel_axis]
        source_scale, target_scale = (float(self.tensors[index].scales[0]) for index in (source, target))
        # Sums of more products of any weights would leave 32 bits.
        most = 127 if terms < 2**16 else 7
        typical = target_scale * 60 / (source_scale * 40 * most * terms**0.5)
        scales = typical * rng.uniform(0.5, 2, units)
        content = rng.integers(-most, most + 1, shape, dtype=np.int64).astype(np.int8)
        weights = self.add("int8", shape, scales, 0, content)
        self.tensors[weights] = replace(self.tensors[weights], channel_axis=channel_axis)
        bias = rng.normal(0, 24 * most * terms**0.5, units).astype("<i4")
        return weights, self.add("int32", (units,), source_scale * self.tensors[weights].scales, 0, bias)

    def softmax(self, source: int, width: int) -> int:
        return self.operate("SOFTMAX", source, self.add("int8", (1, width), 1 / 256, -128), options=Options(1.0))

    def shaped(self, index: int, shape: Sequence[int]) -> int:
        """Give an activation its shape; return its index."""
        self.tensors[index] = replace(self.tensors[index], shape=(1, *shape))
        return index

    def convolution(self, source: int, image: Sequence[int], outputs: int, side: int = 3) -> int:
        """Add one that keeps rows and columns; return the index of its outputs."""
        height, width, channels = image
        target = self.shaped(self.activation(1), (height, width, outputs))
        constants = self.constants(source, target, (outputs, side, side, channels), side * side * channels)
        return self.operate("CONV_2D", source, target, *constants, options=Options(0, 1, 1, 1, 1, 1))


def graph_of(spec: InputSpec, kind: str, seed: int = 0, outputs: int | None = None) -> Graph:
    """Return a graph that reads `spec`: one of `CHAINS`, or with the operator of `BRANCHED`."""
    outputs = outputs or (640 if kind == "numbers" else CLASSES)
    sketch = Sketch(seed)
    low, high = (-4.0, 4.0) if spec.dtype == "float32" else (min(map(min, spec.ends)), max(map(max, spec.ends)))
    shape = spec.shape if len(spec.shape) != 2 else (*spec.shape, 1)
    scale = (high - low) / 255
    current = sketch.add("int8", (1, *shape), scale, -128 - round(low / scale))
    if kind in {"cnn", *BRANCHED} and len(shape) == 3:
        current, shape = _windows(sketch, current, shape, kind)
    width = math.prod(shape)
    for units in (8, outputs):
        current, width = sketch.dense(current, width, units), units
        if kind in BRANCHED and units == 8:
            other = sketch.dense(current, width, units)
            current = _joined(sketch, kind, current, other, (units,))
    return sketch.ending_in(current if kind == "numbers" else sketch.softmax(current, width))


def _windows(sketch: Sketch, current: int, shape: tuple[int, ...], kind: str) -> tuple[int, tuple[int, ...]]:
    """Add layers with windows, and with an operator of `BRANCHED` one that joins two of them, and one with a vector."""
    if kind in BRANCHED:
        image = (*shape[:2], 4)
        first = sketch.convolution(current, shape, 4)
        second = sketch.convolution(first, image, 4)
        joined = _joined(sketch, kind, second, first, image)
        vector = sketch.add("int8", (4,), 0.02, 3, sketch.rng.integers(-128, 128, 4).astype(np.int8))
        current, shape = _joined(sketch, kind, joined, vector, image), image
    for other in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "CONV_2D", "AVERAGE_POOL_2D"):
        height, width, channels = shape
        current, shape = sketch.window(current, (height, width, channels), other, 6 if other == "CONV_2D" else None)
        sketch.shaped(current, shape)
    return current, shape


def _joined(sketch: Sketch, kind: str, first: int, second: int, shape: Sequence[int]) -> int:
    scales = [float(sketch.tensors[index].scales[0]) for index in (first, second)]
    scale = 60 * scales[0] * scales[1] if kind == "MUL" else max(scales)
    target = sketch.shaped(sketch.activation(1, scale=scale), shape)
    return sketch.operate(kind, first, target, second, options=Options(int(sketch.rng.integers(0, 2))))


def with_ends(graph: Graph, source: str, target: str) -> Graph:
    """Return an int8 graph with input and output of these types, as converters write them: `uint8 of other steps`."""
    tensors, operators, ends = [*graph.tensors], [*graph.operators], [*graph.inputs, *graph.outputs]
    for place, words in ((0, source), (1, target)):
        if words != "int8":
            inner, index = graph.tensors[ends[place]], len(tensors)
            factor = np.float32(1.5 if "other" in words else 1)
            zeros, real = inner.zero_points + 128, words == "float32"
            outer = replace(inner, name=words, dtype="uint8", scales=inner.scales * factor, zero_points=zeros)
            tensors.append(
                replace(outer, dtype=words, scales=outer.scales[:0], zero_points=zeros[:0]) if real else outer
            )
            pair = (index, ends[place]) if place == 0 else (ends[place], index)
            kind = "DEQUANTIZE" if real and place else "QUANTIZE"
            made = Operator(kind=kind, inputs=pair[:1], outputs=pair[1:], options=None)
            operators.insert(0 if place == 0 else len(operators), made)
            ends[place] = index
    return Graph(tensors=tuple(tensors), operators=tuple(operators), inputs=(ends[0],), outputs=(ends[1],))


_OPTIONS: Final = {
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), "Pool2D"),
    **dict.fromkeys(("MEAN", "REDUCE_MAX"), "Reducer"),
    "PADV2": "PadV2",
}
"""What the schema calls an operator's options, where that is not its own name."""


def write_tflite(graph: Graph, path: Path) -> Path:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    kinds = sorted({operator.kind for operator in graph.operators})
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [subgraph], [schema.BufferT()]
    model.operatorCodes = [_made(schema.OperatorCodeT, builtinCode=OPERATORS.index(kind), version=1) for kind in kinds]
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    types = {name: code for code, name in TYPES.items()}
    subgraph.inputs, subgraph.outputs, subgraph.tensors, subgraph.operators = [*graph.inputs], [*graph.outputs], [], []
    for tensor in graph.tensors:
        if tensor.constant:
            model.buffers.append(_made(schema.BufferT, data=tensor.content))
        quantization = _made(
            schema.QuantizationParametersT,
            scale=tensor.scales,
            zeroPoint=tensor.zero_points,
            quantizedDimension=tensor.channel_axis,
        )
        subgraph.tensors.append(
            _made(
                schema.TensorT,
                name=tensor.name,
                type=types[tensor.dtype],
                shape=[*tensor.shape],
                buffer=len(model.buffers) - 1 if tensor.constant else 0,
                quantization=quantization if tensor.scales.size else None,
            )
        )
    for operator in graph.operators:
        made = _made(
            schema.OperatorT,
            opcodeIndex=kinds.index(operator.kind),
            inputs=[*operator.inputs],
            outputs=[*operator.outputs],
        )
        camel = "".join(map(str.capitalize, operator.kind.split("_"))).replace("2d", "2D")
        name = f"{_OPTIONS.get(operator.kind, camel)}Options"
        if hasattr(schema, f"{name}T"):
            given: Any = operator.options or Options(*[1.0] * (operator.kind == "SOFTMAX"))
            options = getattr(schema, f"{name}T")()
            # Its fields are in the order of the schema.
            for field, value in zip(vars(options), given.fields, strict=False):
                setattr(options, field, value)
            made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, name), options
        subgraph.operators.append(made)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))
    return path


def _made(kind: Any, **fields: Any) -> Any:
    made = kind()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def reference_kernels(path: Path, levels: npt.NDArray[Any], tensors: Sequence[int]) -> list[npt.NDArray[np.float64]]:
    """Return what LiteRT's reference kernels write to each of these tensors, float64 [N, values]."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    answers = []
    for one in levels:
        interpreter.set_tensor(source, one[None])
        interpreter.invoke()
        answers.append([interpreter.get_tensor(index).astype(np.float64).reshape(-1) for index in tensors])
    return [np.array(values) for values in zip(*answers, strict=True)]
