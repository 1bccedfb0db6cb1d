"""The steps of the integer reference, on graphs of a few numbers, against real arithmetic."""

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.runtimes.fixedpoint import activation_range, exact_matrix, sums_of
from edgemnist.model.runtimes.integer import Rounding, chain, step
from edgemnist.model.runtimes.tflite import Graph, Operator, Table, Tensor


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


def run(
    kind: str,
    source: Tensor,
    target: Tensor,
    values: npt.NDArray[np.int64],
    *constants: Tensor,
    rounding: Rounding = Rounding(),  # noqa: B008 - frozen
    options: Any = None,
) -> npt.NDArray[np.int64]:
    """Return what one operator makes of values."""
    operator = Operator(kind=kind, inputs=(0, *range(2, 2 + len(constants))), outputs=(1,), options=options)
    graph = Graph(tensors=(source, target, *constants), operators=(operator,), inputs=(0,), outputs=(1,))
    return step(graph, operator, rounding)(values)


@pytest.mark.parametrize(("dtype", "low"), [("int8", -128), ("uint8", 0)])
@pytest.mark.parametrize("beta", [1.0, 0.5])
@pytest.mark.parametrize(("softmax", "error"), [("float", 0.501), ("integer", 1.01)])
def test_the_softmax_is_the_rounded_softmax_of_each_row(
    dtype: str, low: int, beta: float, softmax: str, error: float
) -> None:
    rows = np.random.default_rng(0).integers(low, low + 256, (200, 10))
    # A row that is sure, and one that is as unsure as can be.
    rows[0], rows[1] = [low + 255, *[low] * 9], [low] * 10
    source, target = (
        tensor(dtype=dtype, scale=0.05, zero_point=3, shape=(1, 10)),
        tensor(dtype=dtype, scale=1 / 256, zero_point=low),
    )
    rounding = Rounding(softmax=softmax)
    found = run("SOFTMAX", source, target, rows, rounding=rounding, options=options(struct.pack("<f", beta)))
    powers = np.exp(0.05 * beta * (rows - rows.max(axis=1, keepdims=True)))
    expected = np.clip(256 * powers / powers.sum(axis=1, keepdims=True) + low, low, low + 255)
    assert np.abs(found.reshape(200, 10) - expected).max() <= error
    assert found.dtype == np.int64


PROBABILITY = tensor(scale=1 / 256, zero_point=-128)


def test_a_softmax_whose_half_steps_are_exact_rounds_them_up() -> None:
    """512 equal values share 256 steps: half a step each."""
    source, values = tensor(scale=0.1, shape=(1, 512)), np.zeros((1, 512), np.int64)
    answers = run("SOFTMAX", source, PROBABILITY, values, rounding=Rounding(softmax="float"))
    assert np.unique(answers).tolist() == [-127]


def test_the_rule_says_what_the_softmax_is_computed_in() -> None:
    """The two are a step apart for some rows, so that one is not taken for the other."""
    source, rows = tensor(scale=0.02, shape=(1, 10)), np.random.default_rng(0).integers(-128, 128, (20_000, 10))
    integer, floats = (
        run("SOFTMAX", source, PROBABILITY, rows, rounding=Rounding(softmax=kind)) for kind in ("integer", "float")
    )
    assert np.abs(integer - floats).max() == 1


@pytest.mark.parametrize("softmax", ["integer", "float"])
def test_each_row_along_the_last_axis_has_its_own_softmax(softmax: str) -> None:
    values = np.random.default_rng(1).integers(-128, 128, (50, 3, 4))
    alone, together = (tensor(scale=0.02, shape=shape) for shape in ((1, 4), (1, 3, 4)))
    found = run("SOFTMAX", together, PROBABILITY, values, rounding=Rounding(softmax=softmax))
    rows = run("SOFTMAX", alone, PROBABILITY, values.reshape(-1, 4), rounding=Rounding(softmax=softmax))
    assert found.reshape(-1, 4).tolist() == rows.reshape(-1, 4).tolist()


@pytest.mark.parametrize("scale", [0.02, 0.1, 0.2499, 0.999, 1.0, 3.99])
def test_the_softmax_is_right_at_every_distance_from_the_maximum(scale: float) -> None:
    """Beyond the range of its exponential, 32, a share is 0; counted on, the exponential would start again at 1."""
    distances = np.arange(256)
    values = np.stack([np.full(256, 127), 127 - distances], axis=1)
    found = run("SOFTMAX", tensor(scale=scale, shape=(1, 2)), PROBABILITY, values).reshape(-1, 2)[:, 1]
    expected = np.exp(-scale * distances) / (1 + np.exp(-scale * distances))
    assert np.abs((found + 128) / 256 - expected).max() <= 1.01 / 256


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


WEIGHTS = np.array([[1, -2, 3], [4, 5, -6]], np.int8)
BIAS = tensor(name="b", values=np.array([8, -16], np.int32))
VALUES = np.array([[3, 3, 3], [4, 3, 3], [-10, 20, 9], [127, -128, 127], [-128, 127, -128]], np.int64)


@pytest.mark.parametrize("bias", [[8, -16], [0, 0]])
@pytest.mark.parametrize("scale", [0.5, [0.5, 0.125]])
@pytest.mark.parametrize("activation", [0, 1, 3])
@pytest.mark.parametrize("rescaling", ["single", "double", "float"])
def test_a_dense_layer_is_the_product_of_real_numbers_rounded(
    bias: list[int], scale: float | list[float], activation: int, rescaling: str
) -> None:
    source, target = tensor(scale=0.25, zero_point=3), tensor(scale=0.5, zero_point=-4)
    constants = (tensor(scale=scale, values=WEIGHTS), *([BIAS] if any(bias) else []))
    rounding, fused = Rounding(rescaling=rescaling), options(bytes([activation]))
    found = run("FULLY_CONNECTED", source, target, VALUES, *constants, rounding=rounding, options=fused)
    real = (VALUES - 3) * 0.25 @ (WEIGHTS.T * np.array(scale)) + np.array(bias) * 0.25 * np.array(scale)
    real = np.clip(real, *{0: (-np.inf, np.inf), 1: (0, np.inf), 3: (0, 6)}[activation])
    # Rounded twice, a quarter may go the whole way up.
    assert np.abs(found - np.clip(real / 0.5 - 4, -128, 127)).max() <= (0.75 if rescaling == "double" else 0.5)


def test_an_operator_with_weights_is_read_as_it_is_stored() -> None:
    tensors = (tensor(scale=0.25, zero_point=3), tensor(scale=[0.5, 0.03], values=WEIGHTS), tensor(scale=0.7), BIAS)
    operator = Operator(kind="FULLY_CONNECTED", inputs=(0, 1, 3), outputs=(2,), options=None)
    graph = Graph(tensors=tensors, operators=(operator,), inputs=(0,), outputs=(2,))
    sums = sums_of(graph, operator)
    assert sums.weights.tolist() == WEIGHTS.tolist()
    assert sums.weights.dtype == np.int8
    assert (sums.zero, sums.bias.tolist()) == (3, [8, -16])
    real = sums.mantissa / 2**31 * 2.0**sums.exponent
    assert real == pytest.approx([0.25 * 0.5 / 0.7, 0.25 * 0.03 / 0.7], rel=1e-6)
    for inputs in ((0, 1), (0, 1, -1)):
        assert sums_of(graph, replace(operator, inputs=inputs)).bias.tolist() == [0, 0]


def test_sums_are_exact_beyond_what_a_float32_holds() -> None:
    """1,101 inputs of 255 times 127, less what makes a small number of it: one too many or too few would be seen."""
    inputs = 2**24 // (255 * 127) + 600
    weights, values = np.full((1, inputs), 127, np.int8), np.full((1, inputs), 127, dtype=np.int64)
    # One odd product makes the sum odd, which a float32 of more than 24 bits is not.
    weights[0, 0] = 126
    values[0, 1] -= 1 - int(((values + 128) * weights).sum()) % 2
    total = int(((values + 128) * weights).sum())
    assert total > 2**24
    assert total % 2 == 1
    constants = tensor(values=weights), tensor(values=np.array([5 - total], np.int32))
    found = run("FULLY_CONNECTED", tensor(zero_point=-128), tensor(), values, *constants, options=options(b"\0"))
    assert found.tolist() == [[5]]


@pytest.mark.parametrize(("more", "dtype"), [(0, np.float32), (1, np.float64)])
@pytest.mark.parametrize("zero_point", [-128, 127])
def test_the_fast_float_is_taken_as_long_as_it_is_exact(more: int, dtype: type, zero_point: int) -> None:
    matrix = np.full((3, 2**24 // (255 * 127) + more), -127, np.int8)
    matrix[:2] = 1
    assert exact_matrix(matrix, tensor(zero_point=zero_point)).dtype == dtype


@pytest.mark.parametrize(("rescaling", "halves", "means"), [("single", -3, -3), ("double", -3, -3), ("float", -2, -2)])
def test_an_operator_rescales_by_its_own_rule(rescaling: str, halves: int, means: int) -> None:
    """Minus two and a half: away from zero, or to even; of a ReLU nothing is left."""
    source, target = tensor(scale=0.25, shape=(1, 2)), tensor(scale=1.0, shape=(1, 2))
    values, rounding = np.array([[-10, 12]], np.int64), Rounding(rescaling=rescaling)
    assert run("QUANTIZE", source, target, values, rounding=rounding).tolist() == [[halves, 3]]
    assert run("RELU", source, target, values, rounding=rounding).tolist() == [[0, 3]]
    # A mean is rounded as convolutions are.
    image, axes = tensor(scale=0.5, shape=(1, 1, 2, 1)), tensor(values=np.array([1, 2], np.int32))
    found = run("MEAN", image, tensor(shape=(1, 1)), np.array([[-6, -4], [20, 20]]), axes, rounding=rounding)
    assert found.reshape(-1).tolist() == [means, 10]


def test_a_chain_is_what_computes_from_the_input_to_the_output() -> None:
    kinds = ("QUANTIZE", "RESHAPE", "RELU", "SQUEEZE", "EXPAND_DIMS", "SOFTMAX")
    operators = tuple(
        Operator(kind=kind, inputs=(place,), outputs=(place + 1,), options=None) for place, kind in enumerate(kinds)
    )
    graph = Graph(tensors=(), operators=operators, inputs=(0,), outputs=(len(kinds),))
    assert [operator.kind for operator in chain(graph)] == ["QUANTIZE", "RELU", "SOFTMAX"]
    shape = [
        Operator(kind=kind, inputs=(9,), outputs=(10,), options=None) for kind in ("SHAPE", "STRIDED_SLICE", "PACK")
    ]
    beside = replace(graph, operators=(shape[0], *graph.operators[:3], *shape[1:], *graph.operators[3:]))
    assert chain(beside) == chain(graph)
