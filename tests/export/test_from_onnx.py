"""An ONNX file of any tool becomes a Keras model that gives the same answers, or is refused by operator and node."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ModelError, UsageError
from edgemnist.ground.progress import SILENT
from edgemnist.pipeline.export import from_onnx
from edgemnist.pipeline.export.from_onnx import parity, read_onnx
from edgemnist.pipeline.export.model import find_origin, read_source

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(0)


def some(*shape: int) -> Array:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


class Network:
    """Writes nodes one behind the other; constants are given as arrays, and None leaves an input out."""

    def __init__(self, *shape: int | str, batch: int | str = "n", dtype: str = "FLOAT", opset: int = 17) -> None:
        self.shape, self.dtype, self.opset = (batch, *shape), dtype, opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "x"

    def add(self, kind: str, *inputs: str | Array | np.generic | None, outputs: int = 1, **options: Any) -> str:
        """Return the first output, which the next node takes by default; a second one has a `b` behind its name."""
        from onnx import helper, numpy_helper

        names = [given if isinstance(given, str) else "" for given in inputs or [self.last]]
        for at, given in enumerate(inputs):
            if isinstance(given, np.ndarray | np.generic):
                names[at] = f"c{len(self.constants)}"
                self.constants.append(numpy_helper.from_array(np.asarray(given), names[at]))
        self.last = f"t{len(self.nodes)}"
        made = [self.last + "b" * at for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, name=f"{kind}_{len(self.nodes)}", **options))
        return self.last

    def save(self, path: Path, inputs: tuple[str, ...] = ("x",), outputs: dict[str, str] | None = None) -> Path:
        """Outputs have a type each, by default the last tensor is the only one."""
        from onnx import TensorProto, helper

        ends = outputs or {self.last: "FLOAT"}
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(name, getattr(TensorProto, self.dtype), self.shape) for name in inputs],
            [helper.make_tensor_value_info(name, getattr(TensorProto, kind), None) for name, kind in ends.items()],
            self.constants,
        )
        opsets = {node.domain: 1 for node in self.nodes} | {"": self.opset}
        identifiers = [helper.make_opsetid(*item) for item in opsets.items()]
        path.write_bytes(helper.make_model(graph, opset_imports=identifiers, ir_version=8).SerializeToString())
        return path


def agrees(path: Path, model: Any) -> None:
    """Compare a model with ONNX Runtime, without a word of the module's own."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    batch, *shape = session.get_inputs()[0].shape
    rows = np.random.default_rng(1).normal(0, 1, (batch if isinstance(batch, int) else 3, *shape)).astype(np.float32)
    expected = session.run(None, {"x": rows})[0]
    turned = np.moveaxis(rows, 1, -1) if model.input_shape[1:] != tuple(shape) else rows
    answers = np.asarray(model(turned, training=False))
    assert np.abs(answers.reshape(expected.shape) - expected).max() <= 1e-5 * np.abs(expected).max()


MAPS, SIGNAL, VECTOR = (4, 9, 8), (4, 11), (7,)
HALF = np.float32(0.5)
OPERATORS: dict[str, tuple[tuple[int, ...], str, tuple[Any, ...], dict[str, Any]]] = {
    "convolution": (MAPS, "Conv", (some(5, 4, 3, 2), some(5)), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "dilated": (MAPS, "Conv", (some(5, 4, 3, 3),), {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    "grouped": (MAPS, "Conv", (some(6, 2, 3, 3), some(6)), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": (MAPS, "Conv", (some(8, 1, 3, 3), some(8)), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "unequal strides": (MAPS, "Conv", (some(4, 1, 3, 3),), {"group": 4, "strides": [2, 1]}),
    "same lower": (MAPS, "Conv", (some(5, 4, 2, 2),), {"auto_pad": "SAME_LOWER"}),
    "of signals": (SIGNAL, "Conv", (some(5, 4, 3), some(5)), {"pads": [2, 0], "strides": [2]}),
    "depthwise of signals": (SIGNAL, "Conv", (some(4, 1, 3),), {"group": 4}),
    "gemm": (VECTOR, "Gemm", (some(7, 3), some(3)), {"alpha": 0.5, "beta": 2.0}),
    "transposed gemm": (VECTOR, "Gemm", (some(3, 7), some(1)), {"transB": 1}),
    "matrix": (VECTOR, "MatMul", (some(7, 3),), {}),
    "matrix behind axes": ((5, 6, 7), "MatMul", (some(7, 3),), {}),
    "add to channels": (MAPS, "Add", (some(4, 1, 1),), {}),
    "subtract a picture": (MAPS, "Sub", (some(1, 4, 9, 8),), {}),
    "multiply by rows": (MAPS, "Mul", (some(9, 1),), {}),
    "divide": (VECTOR, "Div", (some(7) + 3,), {}),
    "reciprocal": (VECTOR, "Reciprocal", (), {}),
    "power": (VECTOR, "Pow", (np.float32(2),), {}),
    "batch normalization": (MAPS, "BatchNormalization", (some(4), some(4), some(4), some(4) ** 2), {"epsilon": 0.01}),
    "of vectors": (VECTOR, "BatchNormalization", (some(7), some(7), some(7), some(7) ** 2), {}),
    "layer normalization": (VECTOR, "LayerNormalization", (some(7), some(7)), {}),
    "leaky": (MAPS, "LeakyRelu", (), {"alpha": 0.3}),
    "parametric": (MAPS, "PRelu", (some(4, 1, 1),), {}),
    "relu6": (VECTOR, "Clip", (np.float32(0), np.float32(6)), {}),
    "clip": (VECTOR, "Clip", (np.float32(-0.3), HALF), {}),
    "clip below": (VECTOR, "Clip", (None, HALF), {}),
    "hard sigmoid": (VECTOR, "HardSigmoid", (), {"alpha": 0.3, "beta": 0.4}),
    **{name: (MAPS, name, (), {}) for name in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Selu", "Softplus", "Softsign")},
    **{name: (VECTOR, name, (), {}) for name in ("Abs", "Exp", "Neg", "Erf", "Identity", "LogSoftmax", "Softmax")},
    "elu": (VECTOR, "Elu", (), {"alpha": 0.7}),
    "softmax of channels": (MAPS, "Softmax", (), {"axis": 1}),
    "log softmax of channels": (MAPS, "LogSoftmax", (), {"axis": 1}),
    "maximum": (MAPS, "MaxPool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "maximum to the end": (MAPS, "MaxPool", (), {"kernel_shape": [2, 3], "strides": [2, 3], "ceil_mode": 1}),
    "of a signal": (SIGNAL, "MaxPool", (), {"kernel_shape": [3], "strides": [2]}),
    "average": (MAPS, "AveragePool", (), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
    "average with edges": (
        *(MAPS, "AveragePool", ()),
        {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "average without edges": (
        *(MAPS, "AveragePool", ()),
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 1], "ceil_mode": 1},
    ),
    "global average": (MAPS, "GlobalAveragePool", (), {}),
    "global maximum": (SIGNAL, "GlobalMaxPool", (), {}),
    "mean": (MAPS, "ReduceMean", (), {"axes": [2, 3], "keepdims": 0}),
    "mean of rows": (MAPS, "ReduceMean", (), {"axes": [-2]}),
    "largest": (MAPS, "ReduceMax", (), {"axes": [1]}),
    "flatten": (MAPS, "Flatten", (), {}),
    "reshape": (MAPS, "Reshape", (whole(0, 2, 2, -1, 4),), {}),
    "merge and part": (MAPS, "Reshape", (whole(-1, 6, 48),), {}),
    "transpose": (MAPS, "Transpose", (), {"perm": [0, 3, 1, 2]}),
    "squeeze": ((1, 9, 8), "Squeeze", (whole(1),), {}),
    "unsqueeze": (SIGNAL, "Unsqueeze", (whole(1, -1),), {}),
    "concatenation": (MAPS, "Concat", ("x",), {"axis": 1}),
    "padding": (MAPS, "Pad", (whole(0, 0, 1, 2, 0, 0, 0, 3), HALF), {}),
    "reflection": (MAPS, "Pad", (whole(0, 0, 1, 0, 0, 0, 1, 1),), {"mode": "reflect"}),
    "slice": (MAPS, "Slice", (whole(1, -5), whole(4, 1000), whole(1, 3), whole(2, 1)), {}),
    "repetition": (
        *(MAPS, "Resize", (None, np.array([1, 1, 2, 3], np.float32))),
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
}


@pytest.mark.all
@pytest.mark.parametrize("case", OPERATORS)
def test_an_operator_gives_the_answers_of_onnx_runtime(case: str, tmp_path: Path) -> None:
    shape, kind, constants, options = OPERATORS[case]
    network = Network(*shape)
    network.add(kind, "x", *constants, **options)
    path = network.save(tmp_path / "one.onnx")
    agrees(path, read_onnx(path))


@pytest.mark.all
@pytest.mark.parametrize("size", [7, 8, 9])
def test_windows_end_where_those_of_onnx_runtime_end(size: int, tmp_path: Path) -> None:
    """Every branch is a tensor that is compared by itself."""
    network = Network(2, size, size + 3)
    ends = []
    for kernel, stride, pads in ((2, 1, (0, 1)), (2, 3, (1, 0)), (3, 2, (1, 1)), (3, 2, (0, 1)), (4, 3, (2, 1))):
        window: dict[str, Any] = {"strides": [stride] * 2, "pads": [pads[0], pads[1], pads[1], pads[0]]}
        network.add("Conv", "x", some(3, 2, kernel, kernel), **window)
        ends.append(network.add("Flatten"))
        for ceil_mode in (0, 1):
            network.add("MaxPool", "x", kernel_shape=[kernel] * 2, ceil_mode=ceil_mode, **window)
            ends.append(network.add("Flatten"))
        network.add("AveragePool", "x", kernel_shape=[kernel] * 2, count_include_pad=1, **window)
        ends.append(network.add("Flatten"))
    network.add("Concat", *ends, axis=1)
    path = network.save(tmp_path / "windows.onnx")
    agrees(path, read_onnx(path))


def keras_like(network: Network) -> None:
    """Channels-last outside, as Keras' converters write it."""
    network.add("Transpose", perm=[0, 3, 1, 2])
    network.add("Pad", network.last, whole(0, 0, 0, 0, 0, 0, 1, 1), np.float32(0))
    network.add("Conv", network.last, some(6, 3, 3, 3), some(6), strides=[2, 2])
    network.add("MaxPool", network.add("Relu"), kernel_shape=[2, 2], strides=[2, 2])
    network.add("Transpose", perm=[0, 2, 3, 1])
    network.add("Reshape", network.last, whole(-1, 24))
    network.add("Softmax", network.add("Add", network.add("MatMul", network.last, some(24, 5)), some(5)))


def residual(network: Network) -> None:
    """A shape that is computed, as PyTorch's `view` leaves it."""
    start = network.add("Relu", network.add("Conv", "x", some(6, 3, 3, 3), some(6), pads=[1] * 4))
    network.add("Conv", start, some(6, 6, 3, 3), pads=[1] * 4)
    network.add("BatchNormalization", network.last, some(6), some(6), some(6), some(6) ** 2)
    joined = network.add("Relu", network.add("Add", network.last, start))
    pooled = network.add("MaxPool", joined, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    rows = network.add("Gather", network.add("Shape", pooled), whole(0), axis=0)
    network.add("Reshape", pooled, network.add("Concat", rows, whole(-1), axis=0))
    network.add("Gemm", network.last, some(5, 96), some(5), transB=1)


def squeezing(network: Network) -> None:
    wide = network.add("HardSwish", network.add("Conv", "x", some(8, 3, 1, 1), some(8)))
    half = network.add("Split", wide, outputs=2, axis=1)
    network.add("Concat", half + "b", half, axis=1)
    maps = network.add("Conv", network.last, some(8, 1, 3, 3), some(8), group=8, strides=[2, 2], pads=[1] * 4)
    network.add("Flatten", network.add("GlobalAveragePool", maps))
    network.add("Relu", network.add("Gemm", network.last, some(8, 4), some(4)))
    network.add("HardSigmoid", network.add("Gemm", network.last, some(4, 8), some(8)))
    network.add("Mul", network.add("Unsqueeze", network.last, whole(2, 3)), maps)
    network.add("Reshape", network.last, whole(-1, 2, 4, 4, 4))
    network.add("Reshape", network.add("Transpose", perm=[0, 2, 1, 3, 4]), whole(-1, 8, 4, 4))
    network.add("Conv", network.last, some(5, 8, 1, 1))
    network.add("ReduceMean", network.last, axes=[2, 3], keepdims=0)


def gelu(network: Network) -> None:
    """As opset 11 spells it, and a softmax over the axis that was its default."""
    flat = network.add("Gemm", network.add("Flatten"), some(192, 6), some(6))
    network.add("Erf", network.add("Div", flat, np.float32(2**0.5)))
    network.add("Mul", flat, network.add("Add", network.last, np.float32(1)))
    network.add("MatMul", network.add("Mul", network.last, np.float32(0.5)), some(6, 5))
    network.add("Softmax", network.add("Unsqueeze", axes=[2, 3]))


WHOLE: dict[str, tuple[Any, tuple[int, ...], dict[str, Any], int]] = {
    "keras": (keras_like, (8, 8, 3), {"opset": 11}, 0),
    "residual": (residual, (3, 8, 8), {}, 0),
    "squeezing": (squeezing, (3, 8, 8), {}, 3),
    "gelu": (gelu, (3, 8, 8), {"opset": 11}, 0),
    "of one row": (residual, (3, 8, 8), {"batch": 1}, 0),
    "of four rows": (squeezing, (3, 8, 8), {"batch": 4}, 3),
}


@pytest.mark.all
@pytest.mark.parametrize("name", WHOLE)
def test_a_network_is_channels_last_and_moves_no_more_than_it_must(name: str, tmp_path: Path) -> None:
    add, shape, options, moves = WHOLE[name]
    network = Network(*shape, **options)
    add(network)
    path = network.save(tmp_path / "whole.onnx")
    model = read_onnx(path)
    assert model.input_shape == (None, 8, 8, 3)
    assert model.output_shape == (None, 5)
    agrees(path, model)
    assert [type(operation).__name__ for operation in model.operations].count("Permute") == moves


@pytest.mark.all
def test_of_a_classifier_of_scikit_learn_the_probabilities_are_the_answer(tmp_path: Path) -> None:
    network = Network(13, opset=15)
    network.add("Scaler", domain="ai.onnx.ml", offset=list(some(13)), scale=list(some(13)))
    network.add("Relu", network.add("MatMul", network.add("Cast", to=1), some(13, 8)))
    scores = network.add("Softmax", network.add("Add", network.add("MatMul", network.last, some(8, 3)), some(3)))
    labels = network.add("ArgMax", scores, axis=1, keepdims=0)
    maps = network.add("ZipMap", scores, domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    model = read_onnx(network.save(tmp_path / "sklearn.onnx", outputs={labels: "INT64", maps: "UNDEFINED"}))
    assert model.output_shape == (None, 3)
    assert np.abs(np.asarray(model(some(20, 13))).sum(axis=1) - 1).max() <= 1e-5


@pytest.mark.all
def test_the_same_file_becomes_the_same_bytes_which_keep_its_answers(tmp_path: Path) -> None:
    from edgemnist.model.runtimes.keras import decode_keras_model, model_bytes

    network = Network(3, 8, 8)
    squeezing(network)
    path = network.save(tmp_path / "network.onnx")
    first, again = (model_bytes(read_onnx(path)) for _ in range(2))
    assert first == again
    agrees(path, decode_keras_model(first, path))


@pytest.mark.all
def test_weights_may_lie_beside_the_file(tmp_path: Path) -> None:
    import onnx

    network = Network(13)
    network.add("MatMul", "x", some(13, 3))
    path = network.save(tmp_path / "whole.onnx")
    onnx.save(onnx.load(path), tmp_path / "apart.onnx", save_as_external_data=True, location="w", size_threshold=0)
    agrees(path, read_onnx(tmp_path / "apart.onnx"))
    (tmp_path / "w").unlink()
    with pytest.raises(UsageError, match=r"apart\.onnx cannot be read"):
        read_onnx(tmp_path / "apart.onnx")


@pytest.mark.all
@pytest.mark.parametrize("damage", [0.01, np.nan])
def test_a_model_with_other_weights_is_not_the_file(damage: float, tmp_path: Path) -> None:
    network = Network(13)
    network.add("Gemm", "x", some(13, 3), some(3))
    path = network.save(tmp_path / "network.onnx")
    model = read_onnx(path)
    assert parity(path, model) <= 1e-3
    kernel, bias = model.get_weights()
    bias[0] += damage * np.abs(kernel).max() * 100
    model.set_weights([kernel, bias])
    with pytest.raises(UsageError, match="give answers that differ by"):
        parity(path, model)


@pytest.mark.all
def test_an_operator_that_is_read_wrongly_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = Network(13)
    network.add("Softmax", network.add("Elu", network.add("Relu"), alpha=0.5))
    path = network.save(tmp_path / "network.onnx")
    monkeypatch.setitem(from_onnx._OPERATORS, "Relu", lambda b: b.layer("ReLU", b.value(), max_value=200.0))
    with pytest.raises(UsageError, match=r"operator Relu \('Relu_0'\) differs in Keras"):
        read_onnx(path)


@pytest.mark.all
def test_what_takes_gigabytes_ends_in_a_child_process(tmp_path: Path) -> None:
    network = Network(1, 8, 8)
    network.add("Resize", "x", None, np.array([1, 1, 10**4, 10**4], np.float32))
    network.add("GlobalMaxPool")
    path = network.save(tmp_path / "network.onnx")
    with pytest.raises(ModelError, match="its layers take gigabytes of memory"):
        read_source(path)


def branching() -> Network:
    from onnx import TensorProto, helper

    end = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "branch", [], [end])
    network = Network(3)
    network.add("If", np.array([True]), then_branch=branch, else_branch=branch)
    return network


def one(kind: str, *constants: str | Array | np.generic | None, on: Network | None = None, **options: Any) -> Network:
    network = on or Network(3, 8, 8)
    network.add(kind, network.last, *constants, **options)
    return network


def quantized() -> Network:
    step = np.float32(0.1), np.int8(0)
    return one("DequantizeLinear", *step, on=one("QuantizeLinear", *step))


BY_FILE: list[tuple[Callable[[], Network], str]] = [
    (lambda: one("LSTM", some(1, 16, 3), some(1, 16, 4), hidden_size=4, on=Network(8, 3)), r"LSTM \('LSTM_0'\) is not"),
    (quantized, r"operator QuantizeLinear \('QuantizeLinear_0'\) is not one that is read"),
    (branching, r"operator If \('If_0'\) is control flow"),
    (lambda: one("Magic", domain="com.example"), "Magic .* is of the domain 'com.example'"),
    (lambda: one("Normalizer", domain="ai.onnx.ml", on=Network(3)), "Normalizer .* is not one that is read"),
    (lambda: one("Nothing"), "is refused by ONNX Runtime"),
    (lambda: one("Relu", on=Network(3, "h", 8)), r"takes \[n, 3, h, 8\]"),
    (lambda: one("Relu", on=Network(3, 8, 8, 8)), r"takes \[n, 3, 8, 8, 8\]"),
    (lambda: one("Relu", on=Network()), r"takes \[n\]"),
    (lambda: one("Relu", on=Network(3, dtype="FLOAT16")), "numbers of float16"),
    (lambda: one("Add", np.int32(1), on=Network(3, dtype="INT32")), "numbers of int32"),
]
WINDOW: dict[str, Any] = {"strides": [2, 2], "pads": [1] * 4}
BY_KERAS: list[tuple[Callable[[], Network], str]] = [
    (lambda: one("ReduceSum", whole(0)), "ReduceSum .* mixes the rows"),
    (lambda: one("Reshape", whole(3, -1, 8)), "Reshape .* mixes the rows"),
    (lambda: one("Reshape", whole(1, -1)), "Reshape .* mixes the rows"),
    (lambda: one("Softmax", axis=0), "Softmax .* mixes the rows"),
    (lambda: one("Add", some(2, 3, 8, 8), on=Network(3, 8, 8, batch=2)), "Add .* a constant for each row"),
    (lambda: one("MatMul", "x", on=Network(3, 8, 8)), "MatMul .* is not constant"),
    (lambda: one("Pad", whole(0, 0, 1, 1, 0, 0, 1, 1), mode="edge"), "Pad .* in the mode 'edge'"),
    (lambda: one("Resize", None, np.array([1, 1, 2, 2], np.float32), mode="cubic"), "Resize .* differs in Keras"),
    (lambda: one("Conv", some(2, 3, 3, 3), dilations=[2, 2], **WINDOW), "Conv .* cannot be a layer of Keras"),
]


@pytest.mark.parametrize(
    ("make", "message"), [*BY_FILE, *(pytest.param(*case, marks=pytest.mark.all) for case in BY_KERAS)]
)
def test_what_cannot_be_read_is_refused_by_name(make: Callable[[], Network], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_onnx(make().save(tmp_path / "refused.onnx"))


def test_two_inputs_two_outputs_and_damage_are_refused(tmp_path: Path) -> None:
    network = one("Add", "x", on=one("Relu", on=Network(3)))
    path = network.save(tmp_path / "outputs.onnx", outputs={"t0": "FLOAT", "t1": "FLOAT"})
    for several in (network.save(tmp_path / "inputs.onnx", ("x", "other")), path):
        with pytest.raises(UsageError, match="must have one input and one output of numbers"):
            read_onnx(several)
    with pytest.raises(UsageError, match="answers with numbers of uint8, in 't0'"):
        read_onnx(one("Cast", on=Network(3), to=2).save(tmp_path / "label.onnx", outputs={"t0": "UINT8"}))
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"\x08\x08" + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"outputs\.onnx"):
            read_onnx(path)


def test_each_channel_of_a_dynamic_convolution_has_a_scale_of_its_own(tmp_path: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from edgemnist.pipeline.export.onnx import with_channel_scales

    kernel = some(4, 4, 3, 3) * np.array([1, 0.01, 0.003, 0], np.float32)[:, None, None, None]
    path = one("Conv", kernel, some(4), on=Network(*MAPS)).save(tmp_path / "float.onnx")
    quantize_dynamic(path, tmp_path / "made.onnx", per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    made, rows = with_channel_scales(onnx.load(tmp_path / "made.onnx"), onnx.load(path)), some(4, *MAPS)
    exact, found = (ReferenceEvaluator(model).run(None, {"x": rows})[0] for model in (onnx.load(path), made))
    assert (np.abs(found - exact).max(axis=(0, 2, 3)) <= 0.02 * np.ptp(exact, axis=(0, 2, 3))).all()


def test_a_saved_model_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    file = tmp_path / "saved_model.pb"
    file.write_bytes(b"\x08\x01" + bytes(100))
    for named in (tmp_path, file):
        with pytest.raises(ModelError, match="is a SavedModel, which is not read") as failure:
            find_origin(named, tmp_path / "exports", SILENT)
        assert 'model.save("model.keras")' in failure.value.hint
