"""The steps of the integer reference, on graphs of a few numbers, against real arithmetic and LiteRT's kernels."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.arrays import Images
from edgemnist.errors import ArtifactError
from edgemnist.exports import reference_directory
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.runtimes.fixedpoint import (
    activation_range,
    affine,
    bias_of,
    constant_weights,
    multipliers,
    numbers_of,
    weight_matrix,
)
from edgemnist.runtimes.integer import (
    IntegerClassifier,
    Rounding,
    _float_softmax,
    chain,
    requantize,
    softmax_exponentials,
    step,
)
from edgemnist.runtimes.pixels import Numbers
from edgemnist.runtimes.tflite import Graph, Operator, Table, Tensor, read_graph

DIGITS = reference_directory() / "tflite-int8.tflite"


def tensor(
    *,
    name: str = "x",
    dtype: str = "int8",
    scale: float | list[float] = 1.0,
    zero_point: int = 0,
    shape: tuple[int, ...] = (),
    values: npt.NDArray[np.generic] | None = None,
) -> Tensor:
    """Return an activation, or a constant with `values`."""
    scales = np.array(scale, np.float32).reshape(-1)
    return Tensor(
        name=name,
        dtype=dtype if values is None else str(values.dtype),
        shape=shape if values is None else values.shape,
        scales=scales,
        zero_points=np.full(scales.shape, zero_point, np.int64),
        channel_axis=0,
        content=np.empty(0, np.uint8) if values is None else values.reshape(-1).view(np.uint8),
    )


def options(value: bytes) -> Table:
    """Return a table whose field 0 holds these bytes."""
    return Table(struct.pack("<HHHi", 6, 8, 4, 6)[:10] + value, 6)


EVERY = np.arange(-128, 128, dtype=np.int64).reshape(-1, 1)
"""All values of an int8 tensor, one a row."""


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("scale", "zero_point", "to_scale", "to_zero_point"),
    [(0.1, 5, 0.25, -7), (0.5, -128, 0.125, 100), (0.3, 0, 0.3, 0)],
)
def test_requantized_values_stand_for_the_same_real_numbers(
    scale: float, zero_point: int, to_scale: float, to_zero_point: int, *, relu: bool
) -> None:
    run = requantize(
        tensor(scale=scale, zero_point=zero_point), tensor(scale=to_scale, zero_point=to_zero_point), relu=relu
    )
    real = scale * (EVERY - zero_point)
    wanted = np.clip((np.maximum(real, 0) if relu else real) / to_scale + to_zero_point, -128, 127)
    assert np.abs(run(EVERY) - wanted).max() <= 0.501


@pytest.mark.parametrize(("dtype", "low"), [("int8", -128), ("uint8", 0)])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_the_softmax_in_floats_is_the_rounded_softmax_of_each_row(dtype: str, low: int, beta: float) -> None:
    rows = np.random.default_rng(0).integers(low, low + 256, (200, 10))
    # A row that is sure, and one that is as unsure as can be.
    rows[0], rows[1] = [low + 255, *[low] * 9], [low] * 10
    source = tensor(dtype=dtype, scale=0.05, zero_point=3, shape=(1, 10))
    found = _float_softmax(source, tensor(dtype=dtype, scale=1 / 256, zero_point=low), beta)(rows)
    powers = np.exp(0.05 * beta * (rows - rows.max(axis=1, keepdims=True)))
    expected = np.clip(256 * powers / powers.sum(axis=1, keepdims=True) + low, low, low + 255)
    assert np.abs(found.reshape(200, 10) - expected).max() <= 0.501
    assert found.dtype == np.int64


def test_a_softmax_whose_half_steps_are_exact_rounds_them_up() -> None:
    """512 equal values share 256 steps: half a step each."""
    source = tensor(scale=0.1, shape=(1, 512))
    answers = _float_softmax(source, tensor(scale=1 / 256, zero_point=-128), 1.0)(np.zeros((1, 512), np.int64))
    assert np.unique(answers).tolist() == [-127]


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (1 / 256, -127)])
def test_a_softmax_with_another_output_than_the_specified_one_is_refused(scale: float, zero_point: int) -> None:
    with pytest.raises(ValueError, match=r"^the output of its SOFTMAX has another scale than 1/256$"):
        softmax_exponentials(tensor(), tensor(scale=scale, zero_point=zero_point), 1.0)


@pytest.mark.parametrize(("beta", "scale"), [(1.0, 0.05), (2.0, 0.05), (1.0, 1e-4), (1.0, 40.0)])
def test_exponentials_by_distance_are_exps(beta: float, scale: float) -> None:
    found = softmax_exponentials(tensor(scale=scale), tensor(scale=1 / 256, zero_point=-128), beta)
    # From a scale of 16 on the difference is cut off: the next value is further than the exponential's range anyway.
    assert found / 2**31 == pytest.approx(np.exp(-min(beta * scale, 16) * np.arange(256)), abs=1e-6)
    assert found.dtype == np.int64


def test_the_ends_of_a_fused_activation_are_in_steps_from_the_zero_point() -> None:
    target = tensor(scale=0.1, zero_point=-20)
    assert activation_range(target, "none") == (-128, 127)
    assert activation_range(target, "relu") == (-20, 127)
    assert activation_range(target, "relu6") == (-20, 40)
    assert activation_range(target, "relu_n1_to_1") == (-30, -10)
    # Half a step goes away from zero, and no end lies outside of the dtype.
    assert activation_range(tensor(scale=2.0), "relu_n1_to_1") == (-1, 1)
    assert activation_range(tensor(scale=0.01), "relu6") == (0, 127)
    assert activation_range(tensor(scale=0.001), "relu_n1_to_1") == (-128, 127)
    assert activation_range(tensor(dtype="uint8", scale=0.1, zero_point=10), "relu6") == (10, 70)
    with pytest.raises(ValueError, match=r"^it has a fused activation 9$"):
        activation_range(target, "activation 9")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float32"}, "its tensor 'x' is float32, not quantized to 8 bits"),
        ({"scale": [1.0, 2.0]}, "its tensor 'x' is int8, not quantized to 8 bits"),
        ({"scale": 0.0}, "the scale of its tensor 'x' is 0.0"),
        ({"scale": float("inf")}, "the scale of its tensor 'x' is inf"),
        ({"scale": float("nan")}, "the scale of its tensor 'x' is nan"),
        ({"zero_point": 128}, "the zero point of its tensor 'x' is not of type int8"),
        ({"zero_point": -129}, "the zero point of its tensor 'x' is not of type int8"),
        ({"dtype": "uint8", "zero_point": -1}, "the zero point of its tensor 'x' is not of type uint8"),
    ],
)
def test_an_activation_that_is_not_quantized_to_8_bits_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        numbers_of(tensor(**changes))  # type: ignore[arg-type]  # of its parameters


@pytest.mark.parametrize("zero_point", [-128, 127])
def test_an_activation_has_a_scale_and_a_zero_point(zero_point: int) -> None:
    assert affine(tensor(scale=0.5, zero_point=zero_point)) == (0.5, zero_point)
    numbers = numbers_of(tensor(scale=0.5, zero_point=zero_point))
    assert numbers == Numbers(np.dtype(np.int8), 0.5, zero_point)
    with pytest.raises(ValueError, match="zero point"):
        numbers_of(replace(tensor(), zero_points=np.array([], np.int64)))


WEIGHTS = np.array([[1, -2, 3], [4, 5, -6]], np.int8)


def test_weights_are_read_as_they_are_stored_with_one_scale_or_one_an_output() -> None:
    for scale in (0.5, [0.5, 0.25]):
        found = weight_matrix(tensor(scale=scale, values=WEIGHTS))
        assert found.tolist() == WEIGHTS.tolist()
        assert found.dtype == np.int8
    with_axis = constant_weights(
        tensor(scale=[1, 2, 3], values=WEIGHTS), "a CONV_2D", "matrix", dimensions=2, channel_axis=1
    )
    assert with_axis.tolist() == WEIGHTS.tolist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (tensor(values=WEIGHTS.view(np.uint8)), "are not a constant matrix of symmetric int8"),
        (tensor(shape=(2, 3)), "are not a constant matrix of symmetric int8"),
        (tensor(values=WEIGHTS, zero_point=1), "are not a constant matrix of symmetric int8"),
        (tensor(values=WEIGHTS[0]), "are not a constant matrix of symmetric int8"),
        (tensor(values=WEIGHTS, scale=[1, 2, 3]), "do not have one finite scale, or one for each output"),
        (tensor(values=WEIGHTS, scale=[1, float("inf")]), "do not have one finite scale, or one for each output"),
    ],
)
def test_other_weights_are_refused(weights: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^the weights of a FULLY_CONNECTED {message}$"):
        weight_matrix(weights)


def dense(
    *, bias: npt.NDArray[np.int32] | None, activation: int = 0, scale: float | list[float] = 0.5
) -> tuple[Graph, Operator]:
    """Return a graph of one FULLY_CONNECTED with `WEIGHTS`, and the operator."""
    tensors = [
        tensor(scale=0.25, zero_point=3, shape=(1, 3)),
        tensor(scale=scale, values=WEIGHTS),
        tensor(scale=0.5, zero_point=-4, shape=(1, 2)),
        *([] if bias is None else [tensor(name="b", values=bias)]),
    ]
    operator = Operator(
        kind="FULLY_CONNECTED",
        inputs=(0, 1, -1 if bias is None else 3),
        outputs=(2,),
        options=options(bytes([activation])),
    )
    return Graph(tensors=tuple(tensors), operators=(operator,), inputs=(0,), outputs=(2,)), operator


VALUES = np.array([[3, 3, 3], [4, 3, 3], [-10, 20, 9], [127, -128, 127], [-128, 127, -128]], np.int64)


@pytest.mark.parametrize("scale", [0.5, [0.5, 0.125]])
@pytest.mark.parametrize("activation", [0, 1, 3])
@pytest.mark.parametrize("rescaling", ["single", "double", "float"])
def test_a_dense_layer_is_the_product_of_real_numbers_rounded(
    scale: float | list[float], activation: int, rescaling: str
) -> None:
    bias = np.array([8, -16], np.int32)
    found = step(*dense(bias=bias, activation=activation, scale=scale), Rounding(rescaling=rescaling))(VALUES)
    real = (VALUES - 3) * 0.25 @ (WEIGHTS.T * np.array(scale)) + bias * 0.25 * np.array(scale)
    real = np.clip(real, *{0: (-np.inf, np.inf), 1: (0, np.inf), 3: (0, 6)}[activation])
    # Rounded twice, a quarter may go the whole way up.
    assert np.abs(found - np.clip(real / 0.5 - 4, -128, 127)).max() <= (0.75 if rescaling == "double" else 0.5)


def test_a_bias_may_be_left_out_and_has_one_value_an_output() -> None:
    graph, operator = dense(bias=np.array([8, -16], np.int32))
    assert bias_of(graph, operator, 2).tolist() == [8, -16]
    assert bias_of(graph, operator, 2).dtype == np.int64
    for inputs in ((0, 1), (0, 1, -1)):
        without = bias_of(graph, replace(operator, inputs=inputs), 2)
        assert without.tolist() == [0, 0]
        assert without.dtype == np.int64
    with pytest.raises(ValueError, match=r"^it has 2 biases 'b' for 1,000 outputs$"):
        bias_of(graph, operator, 1_000)


def test_multipliers_take_the_scales_of_sums_to_that_of_the_output() -> None:
    weights = tensor(scale=[0.5, 0.03], values=WEIGHTS)
    mantissa, exponent = multipliers(tensor(scale=0.25), weights, tensor(scale=0.7))
    assert mantissa / 2**31 * 2.0**exponent == pytest.approx([0.25 * 0.5 / 0.7, 0.25 * 0.03 / 0.7], rel=1e-6)
    assert mantissa.dtype == exponent.dtype == np.int64


def operators(*kinds: str) -> Graph:
    """Return a chain of operators from tensor 0 on, each to the next."""
    return Graph(
        tensors=(),
        operators=tuple(
            Operator(kind=kind, inputs=(place,), outputs=(place + 1,), options=None) for place, kind in enumerate(kinds)
        ),
        inputs=(0,),
        outputs=(len(kinds),),
    )


def test_a_chain_is_what_computes_from_the_input_to_the_output() -> None:
    graph = operators("QUANTIZE", "RESHAPE", "RELU", "SQUEEZE", "EXPAND_DIMS", "SOFTMAX")
    assert [operator.kind for operator in chain(graph)] == ["QUANTIZE", "RELU", "SOFTMAX"]
    shape = [
        Operator(kind=kind, inputs=(9,), outputs=(10,), options=None) for kind in ("SHAPE", "STRIDED_SLICE", "PACK")
    ]
    beside = replace(graph, operators=(shape[0], *graph.operators[:3], *shape[1:], *graph.operators[3:]))
    assert chain(beside) == chain(graph)


def test_what_is_no_chain_is_refused_with_where_it_breaks() -> None:
    known = (
        "FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D, MAX_POOL_2D, AVERAGE_POOL_2D, MEAN, STRIDED_SLICE, RELU, "
        "SOFTMAX, QUANTIZE, MUL, ADD, SUB, EXPAND_DIMS, RESHAPE, SQUEEZE"
    )
    with pytest.raises(ValueError, match=f"^it has the operator TANH, and only {known} are known$"):
        chain(operators("RELU", "TANH"))
    graph = operators("RELU", "QUANTIZE", "SOFTMAX")
    with pytest.raises(ValueError, match=r"^its SOFTMAX does not follow the operator before it$"):
        chain(replace(graph, operators=graph.operators[::2]))
    with pytest.raises(ValueError, match=r"^its last operator does not lead to the output$"):
        chain(replace(graph, operators=graph.operators[:2]))


def test_a_chain_that_shares_its_weights_is_no_small_one() -> None:
    """A file of a megabyte can have a matrix of half of it, and a thousand operators that use it."""
    too_large = r"^it has more than 2,000 operators, or 16 MB of weights$"
    layer = Operator(kind="FULLY_CONNECTED", inputs=(0, 1, -1), outputs=(0,), options=None)
    weights = tensor(values=np.zeros((1024, 1024), np.int8))
    graph = Graph(tensors=(tensor(), weights), operators=(layer,) * 16, inputs=(0,), outputs=(0,))
    assert len(chain(graph)) == 16
    with pytest.raises(ValueError, match=too_large):
        chain(replace(graph, operators=(layer,) * 17))
    small = replace(graph, tensors=(tensor(), tensor(values=np.zeros((1, 1), np.int8))))
    assert len(chain(replace(small, operators=(layer,) * 2000))) == 2000
    with pytest.raises(ValueError, match=too_large):
        chain(replace(small, operators=(layer,) * 2001))


def digits(count: int) -> Images:
    """Return pictures of two digits, one over the other, of which a network is not sure."""
    exports = reference_directory()
    images = read_golden(exports, read_manifest(exports)).images[: count + 1]
    return images[1:] // 2 + images[:-1] // 2


def test_the_shipped_network_answers_with_the_bits_of_the_reference_kernels() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    images = digits(400)
    interpreter = Interpreter(str(DIGITS), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], (images ^ 0x80).view(np.int8))
    interpreter.invoke()
    expected = interpreter.get_tensor(target["index"]).astype(np.int64)
    classifier = IntegerClassifier.load(DIGITS, labels=list("abcdefghij"))
    assert classifier.quantized(images).tolist() == expected.tolist()
    assert classifier.labels == tuple("abcdefghij")
    np.testing.assert_array_equal(classifier.predict_proba(images), (expected + 128).astype(np.float32) / 256)


def test_the_rule_says_what_the_softmax_is_computed_in() -> None:
    """The two are a step apart for some rows, so that one is not taken for the other."""
    source, target = tensor(scale=0.02, shape=(1, 10)), tensor(scale=1 / 256, zero_point=-128, shape=(1, 10))
    operator = Operator(kind="SOFTMAX", inputs=(0,), outputs=(1,), options=None)
    graph = Graph(tensors=(source, target), operators=(operator,), inputs=(0,), outputs=(1,))
    rows = np.random.default_rng(0).integers(-128, 128, (20_000, 10))
    integer, floats = (step(graph, operator, Rounding(softmax=kind))(rows) for kind in ("integer", "float"))
    assert np.array_equal(floats, _float_softmax(source, target, 1.0)(rows))
    assert np.abs(integer - floats).max() == 1
    twice = replace(operator, options=options(struct.pack("<f", 2.0)))
    assert np.array_equal(
        step(graph, twice, Rounding(softmax="float"))(rows), _float_softmax(source, target, 2.0)(rows)
    )


def test_a_file_that_is_not_in_integers_is_refused_with_what_is_taken(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "exports" / "made_by_0.1.0" / "tflite-float32.tflite"
    with pytest.raises(ArtifactError) as caught:
        IntegerClassifier.load(path)
    assert caught.value.message.startswith(f"{path} cannot be computed in integers: its tensor ")
    assert caught.value.hint == (
        "The integer runtime takes full-int8 TFLite files of dense layers, convolutions and pooling, "
        "such as tflite-int8."
    )
    graph = read_graph(DIGITS.read_bytes())
    for changed in (replace(graph, inputs=graph.inputs * 2), replace(graph, outputs=graph.outputs * 2)):
        with pytest.raises(ValueError, match=r"^it has more than one input or output$"):
            IntegerClassifier(changed, tmp_path)
    wide = replace(graph.tensors[graph.inputs[0]], shape=(-1, 28, 29))
    tensors = [wide if place == graph.inputs[0] else one for place, one in enumerate(graph.tensors)]
    with pytest.raises(ArtifactError, match=r"its input is an array of \[-1, 28, 29\]"):
        IntegerClassifier(replace(graph, tensors=tuple(tensors)), tmp_path)


def test_the_range_of_the_input_can_be_named() -> None:
    images = digits(40)
    plain = IntegerClassifier.load(DIGITS).quantized(images)
    assert IntegerClassifier.load(DIGITS, input_range="0..1").quantized(images).tolist() == plain.tolist()
    assert IntegerClassifier.load(DIGITS, input_range="-1..1").quantized(images).tolist() != plain.tolist()


def graph_of(kind: str, source: Tensor, target: Tensor, *constants: Tensor) -> tuple[Graph, Operator]:
    operator = Operator(kind=kind, inputs=(0, *range(2, 2 + len(constants))), outputs=(1,), options=None)
    return Graph(tensors=(source, target, *constants), operators=(operator,), inputs=(0,), outputs=(1,)), operator


@pytest.mark.parametrize("softmax", ["integer", "float"])
def test_each_row_along_the_last_axis_has_its_own_softmax(softmax: str) -> None:
    values = np.random.default_rng(1).integers(-128, 128, (50, 3, 4))
    alone, together = (tensor(scale=0.02, shape=shape) for shape in ((1, 4), (1, 3, 4)))
    target = tensor(scale=1 / 256, zero_point=-128)
    found = step(*graph_of("SOFTMAX", together, target), Rounding(softmax=softmax))(values)
    rows = step(*graph_of("SOFTMAX", alone, target), Rounding(softmax=softmax))(values.reshape(-1, 4))
    assert found.reshape(-1, 4).tolist() == rows.reshape(-1, 4).tolist()
    assert (np.abs(found.reshape(-1, 4).sum(axis=1) + 4 * 128 - 256) <= 2).all()


@pytest.mark.parametrize(("rescaling", "halves"), [("single", -2), ("double", -3), ("float", -2)])
def test_an_operator_rescales_by_its_own_rule(rescaling: str, halves: int) -> None:
    """Minus two and a half: up, away from zero, and to even; of a ReLU nothing is left."""
    source, target = tensor(scale=0.25, shape=(1, 2)), tensor(scale=1.0, shape=(1, 2))
    values = np.array([[-10, 12]], np.int64)
    rounding = Rounding(rescaling=rescaling)
    assert step(*graph_of("QUANTIZE", source, target), rounding)(values).tolist() == [[halves, 3]]
    assert step(*graph_of("RELU", source, target), rounding)(values).tolist() == [[0, 3]]


@pytest.mark.parametrize("kind", ["MUL", "ADD", "SUB"])
def test_numbers_are_scaled_by_one_number_only(kind: str) -> None:
    source, target = tensor(scale=0.5, shape=(1, 2)), tensor(scale=1.0, shape=(1, 2))
    for other in (tensor(values=np.array([3, 4], np.int8)), tensor(shape=(1,))):
        with pytest.raises(ValueError, match=f"^it has a {kind} of more than a single number$"):
            step(*graph_of(kind, source, target, other), Rounding())


def test_a_mean_is_rounded_as_convolutions_are() -> None:
    axes = tensor(name="axes", values=np.array([1, 2], np.int32))
    source, target = tensor(scale=0.5, shape=(1, 1, 2, 1)), tensor(scale=1.0, shape=(1, 1))
    for rescaling, half in (("single", -3), ("double", -3), ("float", -2)):
        run = step(*graph_of("MEAN", source, target, axes), Rounding(rescaling=rescaling))
        assert run(np.array([[-6, -4], [20, 20]], np.int64).reshape(2, 1, 2, 1)).reshape(-1).tolist() == [half, 10]
