"""A float ONNX file of any tool as a source: its graph becomes a Keras model that gives the same answers.

The model is channels-last where that is asked for: an input [N, C, H, W] of pictures, or [N, C, L] of signals, becomes
[N, H, W, C] or [N, L, C]; other inputs, and all answers, stay as they are. ONNX Runtime folds constants
and fuses patterns first, so that some fifty operators are enough. Then every tensor that both graphs have is compared:
an operator whose attributes mean something else here is refused like one that is not read at all.
"""

import contextlib
import copy
import functools
import graphlib
import operator
import re
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, EdgemnistError, UsageError
from edgemnist.model.runtimes import ONNX, read_model

Array: TypeAlias = npt.NDArray[Any]
Foreign: TypeAlias = Any
"""A message of ONNX, a session of ONNX Runtime, a tensor or a model of Keras: none has types."""

TOLERANCE: Final = 1e-4
"""Largest difference from ONNX Runtime, by the largest absolute value of a tensor. Rounding in float32 came to 5.4e-6
in thirty networks of up to 245 operators, and to 5.6e-5 in a ResNet-50 whose weights are all alike; an epsilon of 1e-3
in place of 1e-5 comes to 5e-4."""
SAMPLES: Final = 6
"""Random rows that are compared: of 0 to 1, normally distributed and of 0 to 255, in turn."""
LEAST_FINITE: Final = 1 / 3
"""Share of answers that must be finite: exponentials of 255 are not, and logarithms of negative numbers."""
FREE_BATCH: Final = 1009
"""Rows at a time while a graph is read whose batch is free: a prime number, which marks that axis in all shapes."""
DAMAGED: Final = "It may be damaged, or its weights are missing beside it: export it again."
HINT: Final = "Export the model again without it, or save it as a .keras or .h5 file."

_DOMAINS: Final = {"", "ai.onnx", "ai.onnx.ml"}
_FLOATS: Final[dict[int, type[np.generic]]] = {1: np.float32, 11: np.float64}
_INTEGERS: Final[dict[int, type[np.generic]]] = {2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64}
_LABELS: Final = {7, 8}
"""Integers and strings: an output of these only names the largest of the scores."""
_COLOURS: Final = {1, 3, 4}
_CHANNELS_FIRST: Final = {"BatchNormalization", "PRelu", "Resize", "Upsample"}
"""Operators for which the second axis is that of channels, beside convolutions and pools."""
_RESHAPING: Final = {"Flatten", "Reshape", "MatMul", "Gemm", "Squeeze", "Unsqueeze"}
_POSITIVE: Final = {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp"}
_PASSING: Final = {"MaxPool", "AveragePool", "Reshape", "Transpose"}
"""What makes no negative numbers, and what makes none of positive ones."""


def plain_file(path: Path) -> bytes:
    """Return the contents of an ONNX file, or what is left of it with its weights and without labels beside scores.

    Raises UsageError as `read_onnx` does.
    """
    import onnx

    with _told(f"{path} cannot be read", DAMAGED):
        file, data = _open(path), read_model(path, ONNX)
        proto = onnx.load_model_from_string(data)
        if len(proto.graph.output) == 1 and not any(
            map(onnx.external_data_helper.uses_external_data, proto.graph.initializer)
        ):
            return data
        return bytes(file.proto.SerializeToString(deterministic=True))


def read_onnx(path: Path, *, channels_last: bool = True) -> Foreign:
    """Return the Keras model of a float ONNX file, in this process and without limits.

    Its inputs have the channels of pictures and signals last, or where the file has them.

    Raises UsageError for a damaged file, weights that are missing beside it, free axes other than the batch, several
    inputs or outputs (labels beside scores are left out), operators that are not read, and answers that differ.
    """
    with _told(f"{path} cannot be read", DAMAGED):
        file = _open(path)
        file = replace(file, channels_first=file.channels_first and channels_last)
        builder = _Builder(file, _simplified(file))
    import keras

    source = builder.build()
    makers = {name: node for node in file.proto.graph.node for name in node.output}
    values = {name: value for name, value in builder.values.items() if name in makers}
    tensors = [value.tensor for value in values.values()]
    model = keras.Model(source, tensors if len(tensors) > 1 else tensors[0])
    largest: dict[str, Array] = {}
    rows, at_once = _random(file), file.batch or 1
    # A row at a time: all tensors of a large network take hundreds of megabytes.
    for part, theirs in zip(np.split(rows, len(rows) // at_once), file.run(list(values), rows, at_once), strict=True):
        answers = file.ask(model, part)
        ours = answers if len(values) > 1 else [answers]
        for (name, value), answer, expected in zip(values.items(), ours, theirs, strict=True):
            turned = np.asarray(answer).transpose(np.argsort(value.order))
            if turned.size != expected.size:
                raise _refused(path, makers[name], f"gives an array of {list(expected.shape)}")
            largest[name] = np.maximum(largest.get(name, 0), _difference(turned.reshape(expected.shape), expected))
    for name, (difference, most) in largest.items():
        if not difference <= TOLERANCE * most:
            raise _refused(path, makers[name], f"differs in Keras by {difference:.2g} of {most:.3g}")
    model = keras.Model(source, builder.answer(), name="onnx")
    parity(path, model, channels_last=channels_last)
    return model


def parity(path: Path, model: Foreign, *, channels_last: bool = True) -> float:
    """Return the largest absolute difference between the answers of an ONNX file and of the Keras model made of it.

    Both are given random rows. Raises UsageError where it is not within `TOLERANCE` of the largest answer, or few
    answers are finite.
    """
    with _told(f"{path} cannot be read", DAMAGED):
        file = _open(path)
    file = replace(file, channels_first=file.channels_first and channels_last)
    rows = _random(file)
    answers = np.asarray(file.ask(model, rows))
    expected = np.concatenate([tensors[0] for tensors in file.run([file.output], rows, file.batch or len(rows))])
    if answers.size != expected.size:
        raise UsageError(f"{path} answers with {list(expected.shape)}, and the Keras model with {list(answers.shape)}")
    if np.isfinite(expected).mean() <= LEAST_FINITE:
        raise UsageError(f"{path} answers with numbers that are not finite", hint="Train it again, or export it again.")
    difference, most = _difference(answers.reshape(expected.shape), expected)
    if not difference <= TOLERANCE * most:
        raise UsageError(
            f"{path} and the Keras model made of it give answers that differ by {difference:.2g}", hint=HINT
        )
    return difference


def _difference(ours: Array, theirs: Array) -> tuple[float, float]:
    """Return the largest difference, and the largest absolute number; what is not finite must be the same."""
    with np.errstate(invalid="ignore"):
        apart = np.where((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0, np.abs(ours - theirs))
    return float(apart.max()), float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0))


@dataclass(frozen=True, eq=False, kw_only=True)
class _File:
    """An ONNX file with one input and one output."""

    path: Path
    proto: Foreign
    """With all weights, and without what the output does not need."""
    input: str
    output: str
    shape: tuple[int, ...]
    """Of a row."""
    batch: int | None
    """Rows at a time; None where that is free."""
    dtype: type[np.generic]
    channels_first: bool

    def ask(self, model: Foreign, rows: Array) -> Foreign:
        """Return what a Keras model answers to rows."""
        with _told(f"{self.path} cannot be executed by Keras"):
            return model(np.moveaxis(rows, 1, -1) if self.channels_first else rows)

    def run(self, names: Sequence[str], rows: Array, at_once: int) -> Iterator[list[Array]]:
        """Yield tensors by name as ONNX Runtime computes them from this many rows at a time."""
        import onnx
        import onnxruntime

        proto = copy.deepcopy(self.proto)
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != self.output)
        with _told(f"{self.path} cannot be executed by ONNX Runtime"):
            session = _session(proto, onnxruntime.SessionOptions())
            for part in np.split(rows.astype(self.dtype), len(rows) // at_once):
                yield session.run(list(names), {self.input: part})


@contextlib.contextmanager
def _told(what: str, hint: str = HINT) -> Iterator[None]:
    """Raise UsageError for what a library raises: each has exceptions of its own."""
    try:
        yield
    except EdgemnistError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).split("\n", 1)[0][:300].rstrip(".")
        raise UsageError(f"{what}: {reason}", hint=hint) from error


def _open(path: Path) -> _File:
    import onnx
    import onnx.inliner

    try:
        data = read_model(path, ONNX)
    except ArtifactError as error:
        raise UsageError(error.message, hint="Name an ONNX file.") from error
    proto = onnx.load_model_from_string(data)
    onnx.external_data_helper.load_external_data_for_model(proto, str(path.parent))
    graph = (proto := onnx.inliner.inline_local_functions(proto)).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in given]
    maps = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    outputs = [*graph.output]
    scores = [tensor for tensor in outputs if tensor.type.tensor_type.elem_type not in _LABELS] or outputs
    if len(inputs) != 1 or len(scores) != 1:
        names = textwrap.shorten(", ".join(tensor.name for tensor in (*inputs, *graph.output)), 200, placeholder=" …")
        raise UsageError(
            f"{path} must have one input and one output of numbers (it has {names})",
            hint="Export it again with one of each.",
        )
    name, kind = inputs[0].name, inputs[0].type.tensor_type
    sizes = [axis.dim_value or None for axis in kind.shape.dim]
    if not 2 <= len(sizes) <= 4 or None in sizes[1:]:  # noqa: PLR2004 - rows of one to three axes
        axes = ", ".join(str(axis.dim_value or axis.dim_param or "?") for axis in kind.shape.dim)
        raise UsageError(
            f"{path} takes [{axes}], but its first axis alone may be free, and one to three must follow",
            hint="Export it with fixed sizes, and with a dynamic axis for the batch only.",
        )
    users = {node.op_type for node in graph.node if name in node.input}
    if kind.elem_type not in _FLOATS and (kind.elem_type not in _INTEGERS or users != {"Cast"}):
        raise UsageError(
            f"{path} computes with numbers of {_type(kind.elem_type)}", hint="Only a float32 file can be exported."
        )
    answers = scores[0].type.tensor_type.elem_type
    if answers not in {0, *_FLOATS}:
        raise UsageError(
            f"{path} answers with numbers of {_type(answers)}, in {scores[0].name!r}",
            hint="Export the model without what makes a label of its scores, or rounds its answer.",
        )
    output = maps.get(scores[0].name, scores[0].name)
    _prune(path, graph, output)
    return _File(
        path=path,
        proto=proto,
        input=name,
        output=output,
        shape=tuple(size or 0 for size in sizes[1:]),
        batch=sizes[0],
        dtype=(_FLOATS | _INTEGERS)[kind.elem_type],
        channels_first=_is_channels_first(graph, name, sizes),
    )


def _type(number: int) -> str:
    import onnx

    names = {value: name.lower() for name, value in onnx.TensorProto.DataType.items()}
    return str(names.get(number, "an unknown type"))


def _prune(path: Path, graph: Foreign, output: str) -> None:
    """Sort the nodes, and leave out those that an output does not need. Raises UsageError for what ends all reading."""
    import onnx

    makers = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    needs: dict[int, list[int]] = {}
    todo = [makers[output]] if output in makers else []
    while todo:
        if (at := todo.pop()) not in needs:
            needs[at] = [makers[name] for name in graph.node[at].input if name in makers]
            todo.extend(needs[at])
    kept = [graph.node[at] for at in graphlib.TopologicalSorter(needs).static_order()]
    if not kept:
        raise UsageError(f"{path} computes nothing from its input", hint="Name another file.")
    for node in kept:
        if node.domain not in _DOMAINS:
            raise _refused(path, node, f"is of the domain {node.domain!r}")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise _refused(path, node, "is control flow")
    del graph.node[:], graph.output[:]
    graph.node.extend(kept)
    graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))


def _is_channels_first(graph: Foreign, name: str, sizes: Sequence[int | None]) -> bool:
    """Return whether channels are the second axis of an input of three or four.

    The first operator tells that has such an axis. Without one, one, three or four channels are those of a picture.
    """
    reached = {name}
    for node in graph.node if len(sizes) > 2 else ():  # noqa: PLR2004 - rows, and one more
        if reached.isdisjoint(node.input):
            continue
        if node.op_type in _CHANNELS_FIRST or "Pool" in node.op_type or "Conv" in node.op_type:
            return True
        if node.op_type == "Transpose":
            return bool(_attributes(node).get("perm", [0])[-1] == 1)
        if node.op_type not in _RESHAPING:
            reached.update(node.output)
    return len(sizes) == 4 and sizes[1] in _COLOURS and sizes[3] not in _COLOURS  # noqa: PLR2004 - [N, C, H, W]


def _simplified(file: _File) -> Foreign:
    """Return the graph after ONNX Runtime has folded its constants and fused its patterns, for a number of rows."""
    import onnx
    import onnxruntime

    proto, options = copy.deepcopy(file.proto), onnxruntime.SessionOptions()
    del proto.graph.value_info[:]
    source = next(tensor for tensor in proto.graph.input if tensor.name == file.input)
    source.type.tensor_type.shape.dim[0].dim_value = file.batch or FREE_BATCH
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        for level in ("ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"):
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            options.optimized_model_filepath = str(Path(directory) / "simple.onnx")
            with _told(f"{file.path} is refused by ONNX Runtime"):
                _session(proto, options)
                simple = onnx.load(options.optimized_model_filepath)
            # In older opsets GELU is a pattern around it, which only the second level knows.
            if all(node.op_type != "Erf" for node in simple.graph.node):
                break
    return simple


def _session(proto: Foreign, options: Foreign) -> Foreign:
    import onnxruntime

    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        proto.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        # To fall back, from the only one to the only one, would be told on stdout.
        enable_fallback=0,
        # These make operators of ONNX Runtime's own.
        disabled_optimizers=["ConvActivationFusion", "GemmActivationFusion", "QuickGeluFusion"],
    )


def _attributes(node: Foreign) -> dict[str, Any]:
    import onnx

    values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _refused(path: Path, node: Foreign, reason: str) -> UsageError:
    return UsageError(
        f"{path} cannot be exported: its operator {node.op_type} ({node.name or node.output[0]!r}) {reason}", hint=HINT
    )


def _random(file: _File) -> Array:
    """Return random rows, float32 [N, ...], with the axes of the file; N is a multiple of its batch."""
    random, batch = np.random.default_rng(0), file.batch or 1
    shape = (batch * -(-SAMPLES // batch), *file.shape)
    rows = random.uniform(0, 1, shape)
    rows[1::3] = random.normal(0, 1, rows[1::3].shape)
    rows[2::3] *= 255
    return np.floor(np.abs(rows) * 100 % 128 if file.dtype not in _FLOATS.values() else rows).astype(np.float32)


@dataclass(frozen=True)
class _Value:
    """A tensor of the file as the Keras model has it."""

    tensor: Foreign
    """Its first axis is the batch."""
    order: tuple[int, ...]
    """Which axis of the file each of its axes is."""
    merged: bool = False
    """Whether the file has it flattened to [N, K], in its own order of axes: weights can be turned instead."""


class _Builder:
    """Reads node after node; the functions for operators ask it for inputs and attributes, and have it make layers."""

    def __init__(self, file: _File, proto: Foreign) -> None:
        import onnx

        self.file, self.graph = file, proto.graph
        self.batch = file.batch or FREE_BATCH
        self.values: dict[str, _Value] = {}
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.positive: set[str] = set()
        """Tensors without negative numbers."""
        self.node: Foreign = None
        self.get: Callable[..., Any]
        """Returns an attribute of the node by name, or a default; ONNX Runtime has filled in those of the opset."""
        self._layers = 0
        for node in self.graph.node:
            if node.op_type not in _OPERATORS:
                raise _refused(file.path, node, "is not one that is read")

    def build(self) -> Foreign:
        """Make all tensors, and return the input."""
        import keras

        shape, order = self.file.shape, tuple(range(len(self.file.shape) + 1))
        if self.file.channels_first:
            shape, order = (*shape[1:], shape[0]), (0, *order[2:], 1)
        source = keras.Input(shape, name="input")
        self.values[self.file.input] = _Value(source, order)
        for node in self.graph.node:
            self.node, self.get = node, _attributes(node).get
            with _told(self.refused("cannot be a layer of Keras").message):
                made = _OPERATORS[node.op_type](self)
            self.values.update(zip(node.output, made if isinstance(made, list) else [made], strict=False))
            if node.op_type in _POSITIVE or (node.op_type in _PASSING and node.input[0] in self.positive):
                self.positive.update(node.output)
        return source

    def answer(self) -> Foreign:
        """Return the output, flat if only one of its axes is longer than 1."""
        if self.file.output not in self.values:
            raise UsageError(f"{self.file.path} answers with a constant, whatever it is given", hint=HINT)
        value = self.values[self.file.output]
        shape = self.shape(value)
        if len(shape) != 2 and prod(shape) == self.batch * max(shape[1:], default=1):  # noqa: PLR2004 - rows and numbers
            value = self.reshaped(value, (self.batch, prod(shape[1:])))
        return self.permuted(value).tensor

    def refused(self, reason: str) -> UsageError:
        """Return the error for the node that is being read."""
        return _refused(self.file.path, self.node, reason)

    def value(self, index: int = 0) -> _Value:
        """Return an input that is computed."""
        name = self.node.input[index]
        if name not in self.values:
            raise self.refused(f"takes {name!r}, which is constant or a second output")
        return self.values[name]

    def constant(self, index: int, name: str = "", default: Any = None) -> Any:  # noqa: ANN401 - an array, or the default
        """Return an input that is constant; earlier opsets have an attribute `name` in its place."""
        given = self.node.input[index] if index < len(self.node.input) else ""
        if given and given not in self.constants:
            raise self.refused(f"takes {given!r}, which is not constant")
        return self.constants[given] if given else self.get(name, default)

    def layer(self, kind: str, value: _Value, *weights: Array | None, **options: Any) -> _Value:  # noqa: ANN401 - Keras has no types
        """Return what a new layer makes of a tensor; weights that are None are left out."""
        import keras

        layer = getattr(keras.layers, kind)(name=self._name(), **options)
        made = replace(value, tensor=layer(value.tensor))
        if weights:
            layer.set_weights([one.astype(np.float32) for one in weights if one is not None])
        return made

    def compute(self, function: Callable[..., Foreign] | str, *arguments: Any, **options: Any) -> _Value:  # noqa: ANN401 - Keras has no types
        """Return what a function, by default one of `keras.ops`, makes of arguments, which are in one order of axes."""
        import keras

        function = getattr(keras.ops, function) if isinstance(function, str) else function
        tensor = function(*(one.tensor if isinstance(one, _Value) else one for one in arguments), **options)
        # Its own name has a number that counts up in the whole process, and files would differ.
        tensor._keras_history.operation.name = self._name()  # noqa: SLF001 - there is no public way
        return replace(next(one for one in arguments if isinstance(one, _Value)), tensor=tensor)

    def _name(self) -> str:
        self._layers += 1
        named = re.sub(r"[^A-Za-z0-9.]+", "_", self.node.name).strip("_.") or self.node.op_type
        return f"{named}_{self._layers}"

    def shape(self, value: _Value) -> tuple[int, ...]:
        """Return the shape that a tensor has in the file."""
        sizes = self.batch, *value.tensor.shape[1:]
        shape = tuple(sizes[place] for place in np.argsort(value.order))
        return (self.batch, prod(sizes[1:])) if value.merged else shape

    def plain(self, value: _Value) -> _Value:
        """Return a tensor that is not merged."""
        if not value.merged:
            return value
        return replace(self.layer("Flatten", self.permuted(replace(value, merged=False))), order=(0, 1))

    def permuted(self, value: _Value, order: tuple[int, ...] = ()) -> _Value:
        """Return a tensor with its axes in an order, by default that of the file."""
        value = self.plain(value)
        order = order or tuple(range(len(value.order)))
        if order == value.order:
            return value
        if order[0] != value.order[0]:
            raise self.refused("takes the batch in another place than the first")
        places = [value.order.index(axis) for axis in order[1:]]
        sizes = [value.tensor.shape[place] for place in places]
        long = [place for place, size in zip(places, sizes, strict=True) if size != 1]
        # Where only axes of size 1 move, no number does.
        kind, options = ("Permute", {"dims": places}) if long != sorted(long) else ("Reshape", {"target_shape": sizes})
        return replace(self.layer(kind, value, **options), order=order)

    def channels_last(self, value: _Value) -> _Value:
        """Return a tensor with its second axis behind all others."""
        return self.permuted(value, (0, *range(2, len(self.shape(value))), 1))

    def reshaped(self, value: _Value, shape: tuple[int, ...]) -> _Value:
        """Return a tensor in another shape, which keeps its rows apart."""
        old = self.shape(value)
        if old == shape:
            return value
        value = self.plain(value)
        if value.order[0] != 0 or shape[:1] != (self.batch,) or prod(shape) != prod(old):
            raise self.refused(f"makes {list(shape)} of {list(old)}, and mixes the rows of a batch")
        flat = len(shape) == 2  # noqa: PLR2004 - rows and numbers
        if [axis for axis in value.order if old[axis] != 1] != [axis for axis, size in enumerate(old) if size != 1]:
            if flat:
                return replace(value, merged=True)
            value = self.permuted(value)
        made = self.layer("Flatten", value) if flat else self.layer("Reshape", value, target_shape=shape[1:])
        return replace(made, order=tuple(range(len(shape))))

    def place(self, value: _Value, axis: int) -> int:
        """Return which axis in Keras an axis of the file is, which must not be the batch."""
        place = value.order.index(axis % len(value.order))
        if place == 0:
            raise self.refused("mixes the rows of a batch")
        return place


def _laid(b: _Builder, value: _Value, kernel: Sequence[int]) -> tuple[_Value, dict[str, Any], Array]:
    """Return what a kernel is laid on, padded where TensorFlow does not do so itself, and options of the layer.

    The last is what an average counts of it: 1 or 0 for each place.
    """
    strides, dilations = (b.get(name, [1] * len(kernel)) for name in ("strides", "dilations"))
    pads, counted = b.get("pads", [0] * 2 * len(kernel)), b.get("count_include_pad", 0)
    given, beyond, padding = [], [], "valid" if counted else "same"
    for at, size in enumerate(value.tensor.shape[1:-1]):
        reach = (kernel[at] - 1) * dilations[at] + 1
        total = max((-(-size // strides[at]) - 1) * strides[at] + reach - size, 0)
        same = total // 2, total - total // 2
        fixed = {"SAME_UPPER": same, "SAME_LOWER": same[::-1], "VALID": (0, 0)}
        first, last = fixed.get(b.get("auto_pad", ""), (pads[at], pads[at + len(kernel)]))
        steps, rest = divmod(size + first + last - reach, strides[at])
        # One more, unless it would begin behind the tensor.
        more = b.get("ceil_mode") and rest and (steps + 1) * strides[at] < size + first
        given.append((first, last))
        beyond.append((0, strides[at] - rest if more else 0))
        padding = padding if (first, last + beyond[at][1]) == same else "valid"
    counts = np.pad(np.pad(np.ones(value.tensor.shape[1:-1]), given, constant_values=counted), beyond)
    if padding == "valid":
        value = _edged(b, value, np.add(given, beyond))
    return value, {"strides": tuple(strides), "padding": padding}, counts[np.newaxis, ..., np.newaxis]


def _edged(b: _Builder, value: _Value, widths: Array) -> _Value:
    """Return a tensor with its axes of space padded: by 0 where that changes nothing, or by what is at its edge."""
    most, mode = widths.max(), "constant"
    if b.node.op_type == "MaxPool" and b.node.input[0] not in b.positive:
        # 0 may be larger than the largest number of a window, and what is smaller than all would spoil int8.
        most, mode = 1, "symmetric"
    while widths.any():
        step = np.minimum(widths, most)
        value = b.compute("pad", value, [(0, 0), *map(tuple, step.tolist()), (0, 0)], mode)
        widths -= step
    return value


def _convolution(b: _Builder) -> _Value:
    kernel, bias, groups = b.constant(1), b.constant(2), b.get("group", 1)
    value, options, _ = _laid(b, b.channels_last(b.value()), kernel.shape[2:])
    channels, axes = value.tensor.shape[-1], range(2, kernel.ndim)
    options |= {"kernel_size": kernel.shape[2:], "dilation_rate": tuple(b.get("dilations", [1] * len(axes)))}
    options |= {"use_bias": bias is not None}
    if groups == channels > 1 and len(set(options["strides"])) == 1:
        kernel = kernel.reshape(channels, -1, *kernel.shape[2:]).transpose(*axes, 0, 1)
        return b.layer(f"DepthwiseConv{len(axes)}D", value, kernel, bias, depth_multiplier=kernel.shape[-1], **options)
    kernel = kernel.transpose(*axes, 1, 0)
    return b.layer(f"Conv{len(axes)}D", value, kernel, bias, filters=kernel.shape[-1], groups=groups, **options)


def _pool(b: _Builder) -> _Value:
    kind, kernel = f"{b.node.op_type}ing", b.get("kernel_shape")
    value = b.channels_last(b.value())
    if kind.startswith("Global"):
        return b.layer(f"{kind}{len(value.order) - 2}D", value, keepdims=True)
    value, options, counts = _laid(b, value, kernel)
    value = b.layer(f"{kind}{len(kernel)}D", value, pool_size=tuple(kernel), **options)
    if kind == "AveragePooling" and options["padding"] == "valid" and counts.min() == 0:
        import keras

        shares = keras.ops.average_pool(counts, tuple(kernel), **options)
        value = b.compute("multiply", value, (1 / np.asarray(shares)).astype(np.float32))
    return value


def _reduction(b: _Builder) -> _Value:
    value, kind = b.plain(b.value()), b.node.op_type.removeprefix("Reduce")
    shape = b.shape(value)
    axes = [int(axis) % len(shape) for axis in b.constant(1, "axes", range(len(shape)))]
    places = sorted(b.place(value, axis) for axis in axes)
    if kind == "Mean" and len(shape) > 2 and places == list(range(1, len(shape) - 1)):  # noqa: PLR2004 - rows, and one more
        value = b.layer(f"GlobalAveragePooling{len(places)}D", value, keepdims=True)
    else:
        value = b.compute(kind.lower(), value, axis=places, keepdims=True)
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return value if b.get("keepdims", 1) else b.reshaped(value, kept)


def _product(b: _Builder) -> _Value:
    """Read MatMul and Gemm."""
    value, kernel, bias = b.value(), b.constant(1), b.constant(2)
    if b.get("transA") or kernel.ndim != 2:  # noqa: PLR2004 - a matrix
        raise b.refused("does not multiply rows by a matrix")
    kernel = (kernel.T if b.get("transB") else kernel) * np.float32(b.get("alpha", 1))
    if bias is not None:
        bias = np.broadcast_to(bias * np.float32(b.get("beta", 1)), (1, kernel.shape[1])).ravel()
    if value.merged:
        sizes = b.shape(replace(value, merged=False))[1:]
        places = np.arange(prod(sizes)).reshape(sizes).transpose([axis - 1 for axis in value.order[1:]])
        kernel, value = kernel[places.ravel()], _Value(b.layer("Flatten", value).tensor, (0, 1))
    elif value.order[-1] != len(value.order) - 1:
        value = b.permuted(value)
    return b.layer("Dense", value, kernel, bias, units=kernel.shape[1], use_bias=bias is not None)


def _arithmetic(b: _Builder) -> _Value:
    sides = [b.constants[name] if name in b.constants else b.value(at) for at, name in enumerate(b.node.input)]
    values = [side for side in sides if isinstance(side, _Value)]
    alike = {(value.merged, value.order, value.tensor.shape) for value in values}
    if len(alike) > 1 or any(side.size > 1 for side in sides if not isinstance(side, _Value)):
        sides = [b.plain(side) if isinstance(side, _Value) else side for side in sides]
        values = [side for side in sides if isinstance(side, _Value)]
        if len({len(value.order) for value in values}) > 1:
            raise b.refused("takes tensors with different numbers of axes")
        order = max(values, key=lambda value: prod(value.tensor.shape[1:])).order
        sides = [b.permuted(side, order) if isinstance(side, _Value) else _spread(b, side, order) for side in sides]
    sides = [side if isinstance(side, _Value) or side.size > 1 else side.item() for side in sides]
    return functools.reduce(functools.partial(b.compute, _ARITHMETIC[b.node.op_type]), sides)


def _spread(b: _Builder, constant: Array, order: Sequence[int]) -> Array:
    """Return a constant with an order of axes, in which none of them is a row of the batch."""
    spread = constant.reshape((1,) * (len(order) - constant.ndim) + constant.shape).transpose(order)
    if spread.shape[0] != 1:
        raise b.refused("has a constant for each row of a batch")
    return spread.astype(np.float32)


def _normalization(b: _Builder) -> _Value:
    weights = [b.constant(at) for at in range(1, 5)]
    return b.layer("BatchNormalization", b.channels_last(b.value()), *weights, epsilon=b.get("epsilon", 1e-5))


def _layer_normalization(b: _Builder) -> _Value:
    scale, offset = b.constant(1), b.constant(2)
    options = {"epsilon": b.get("epsilon", 1e-5), "center": offset is not None}
    return b.layer("LayerNormalization", b.permuted(b.value()), scale, offset, **options)


def _parametric(b: _Builder) -> _Value:
    value = b.plain(b.value())
    slope = _spread(b, b.constant(1), value.order)[0]
    return b.layer("PReLU", value, slope, shared_axes=[axis + 1 for axis, size in enumerate(slope.shape) if size == 1])


def _clip(b: _Builder) -> _Value:
    low, high = (float(np.asarray(b.constant(*at)).item()) for at in ((1, "min", -np.inf), (2, "max", np.inf)))
    if low != 0:
        return b.compute("clip", b.value(), low, high)
    b.positive.add(b.node.output[0])
    return b.layer("ReLU", b.value(), max_value=high if high < np.finfo(np.float32).max else None)


def _hard(b: _Builder) -> _Value:
    """Read HardSigmoid, which is alpha x + beta between 0 and 1, and HardSwish, which multiplies x by it."""
    value, swish = b.value(), b.node.op_type == "HardSwish"
    alpha, beta = (1 / 6, 0.5) if swish else (b.get("alpha", 0.2), b.get("beta", 0.5))
    # Where alpha is 1/6, this is the ReLU6 that all runtimes have; in float32 the inverse is 5.9999998.
    limited = b.layer("ReLU", b.compute("add", value, round(beta / alpha, 6)), max_value=round(1 / alpha, 6))
    return b.compute("multiply", b.compute("multiply", value, limited) if swish else limited, alpha)


def _softmax(b: _Builder) -> _Value:
    value = b.plain(b.value())
    axis = b.get("axis", -1) % len(value.order)
    if b.node.op_type == "Softmax":
        return b.layer("Softmax", value, axis=b.place(value, axis))
    value = b.permuted(value, (*(other for other in value.order if other != axis), axis))
    return b.layer("Activation", value, activation="log_softmax")


def _transpose(b: _Builder) -> _Value:
    value = b.plain(b.value())
    axes = list(b.get("perm", range(len(value.order))[::-1]))
    return replace(value, order=tuple(axes.index(axis) for axis in value.order))


def _shaped(b: _Builder) -> _Value:
    """Read Flatten, Reshape, Squeeze and Unsqueeze."""
    value, kind = b.value(), b.node.op_type
    old = b.shape(value)
    if kind == "Flatten":
        axis = b.get("axis", 1)
        shape = [prod(old[:axis]), prod(old[axis:])]
    elif kind == "Reshape":
        shape = [int(size) or old[axis] for axis, size in enumerate(b.constant(1, "shape"))]
        shape = [prod(old) // -prod(shape) if size == -1 else size for size in shape]
    else:
        axes = b.constant(1, "axes", [axis for axis, size in enumerate(old) if size == 1])
        rank = len(old) + (len(axes) if kind == "Unsqueeze" else 0)
        places, sizes = {int(axis) % rank for axis in axes}, iter(old)
        if kind == "Squeeze":
            shape = [size for axis, size in enumerate(old) if axis not in places]
        else:
            shape = [1 if axis in places else next(sizes) for axis in range(rank)]
    return b.reshaped(value, tuple(shape))


def _concatenation(b: _Builder) -> _Value:
    values = [b.plain(b.value(at)) for at in range(len(b.node.input))]
    largest = max(values, key=lambda value: prod(value.tensor.shape[1:]))
    tensors = [b.permuted(value, largest.order).tensor for value in values]
    return b.layer("Concatenate", replace(largest, tensor=tensors), axis=b.place(largest, b.get("axis")))


def _pad(b: _Builder) -> _Value:
    value, mode = b.plain(b.value()), b.get("mode", "constant")
    rank, pads, fill = len(value.order), b.constant(1, "pads"), np.asarray(b.constant(2, "value", 0.0)).item()
    axes = [int(axis) % rank for axis in b.constant(3, "", range(rank))]
    widths = {axis: (int(pads[at]), int(pads[at + len(axes)])) for at, axis in enumerate(axes)}
    ordered = [widths.get(axis, (0, 0)) for axis in value.order]
    if min(map(min, ordered)) < 0 or mode not in {"constant", "reflect"}:
        raise b.refused(f"pads by {[int(width) for width in pads]} in the mode {mode!r}")
    return b.compute("pad", value, ordered, mode, **({"constant_values": fill} if mode == "constant" else {}))


def _resize(b: _Builder) -> _Value:
    value, sizes = b.channels_last(b.value()), b.constant(3)
    # Before opset 11, scales were the second input, and before that an attribute.
    scales = b.constant(min(len(b.node.input) - 1, 2), "scales") if sizes is None else sizes / b.shape(value)
    size = tuple(int(scale) for scale in scales[2:])
    return b.layer(f"UpSampling{len(size)}D", value, size=size if len(size) > 1 else size[0])


def _slice(b: _Builder) -> _Value:
    value, starts, ends = b.plain(b.value()), b.constant(1, "starts"), b.constant(2, "ends")
    axes, steps = b.constant(3, "axes", range(len(starts))), b.constant(4, "", [1] * len(starts))
    limits = zip(axes, starts, ends, steps, strict=True)
    return _cut(b, value, {int(axis): slice(int(start), int(end), int(step)) for axis, start, end, step in limits})


def _split(b: _Builder) -> list[_Value]:
    value, parts, axis = b.plain(b.value()), len(b.node.output), b.get("axis", 0)
    ends = np.cumsum([0, *b.constant(1, "split", [-(-b.shape(value)[axis] // parts)] * parts)])
    return [_cut(b, value, {axis: slice(int(start), int(end))}) for start, end in pairwise(ends)]


def _cut(b: _Builder, value: _Value, cuts: Mapping[int, slice]) -> _Value:
    found = {b.place(value, axis): cut for axis, cut in cuts.items()}
    return b.compute(operator.getitem, value, tuple(found.get(place, slice(None)) for place in range(len(value.order))))


def _scaler(b: _Builder) -> _Value:
    """Read the step of scikit-learn's scalers: (x - offset) * scale."""
    offset, scale = (np.asarray(b.get(name), np.float32) for name in ("offset", "scale"))
    return b.compute("multiply", b.compute("subtract", b.permuted(b.value()), offset), scale)


_ARITHMETIC: Final = {"Add": "add", "Sum": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "power"}
_ACTIVATIONS: Final = ("Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh")
"""Of the same names in Keras."""
_FUNCTIONS: Final = {"Abs": "absolute", "Neg": "negative"} | {
    name: name.lower() for name in ("Erf", "Exp", "Log", "Reciprocal", "Sqrt")
}
_OPERATORS: Final[dict[str, Callable[[_Builder], _Value | list[_Value]]]] = {
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys(_ACTIVATIONS, lambda b: b.layer("Activation", b.value(), activation=b.node.op_type.lower())),
    **dict.fromkeys(_FUNCTIONS, lambda b: b.compute(_FUNCTIONS[b.node.op_type], b.value())),
    **dict.fromkeys(["MatMul", "Gemm"], _product),
    **dict.fromkeys(["MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"], _pool),
    **dict.fromkeys(["ReduceMean", "ReduceMax", "ReduceSum"], _reduction),
    **dict.fromkeys(["Flatten", "Reshape", "Squeeze", "Unsqueeze"], _shaped),
    **dict.fromkeys(["Softmax", "LogSoftmax"], _softmax),
    **dict.fromkeys(["Identity", "Dropout", "Cast"], lambda b: b.value()),
    **dict.fromkeys(["Resize", "Upsample"], _resize),
    "BatchNormalization": _normalization,
    "Clip": _clip,
    "Concat": _concatenation,
    "Conv": _convolution,
    "Elu": lambda b: b.layer("ELU", b.value(), alpha=b.get("alpha", 1.0)),
    "Gelu": lambda b: b.compute("gelu", b.value(), approximate=b.get("approximate") == "tanh"),
    "HardSigmoid": _hard,
    "HardSwish": _hard,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": lambda b: b.layer("LeakyReLU", b.value(), negative_slope=b.get("alpha", 0.01)),
    "PRelu": _parametric,
    "Pad": _pad,
    "Scaler": _scaler,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
