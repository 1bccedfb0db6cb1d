"""The steps of the integer reference, on graphs of a few numbers, against real arithmetic."""

import math
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.model.runtimes import fixedpoint
from edgemnist.model.runtimes.fixedpoint import activation_range, exact_matrix
from edgemnist.model.runtimes.integer import Rounding, step
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
    operator = Operator(kind=kind, inputs=(0, *range(2, 2 + len(constants))), outputs=(1,), options=options)
    graph = Graph(tensors=(source, target, *constants), operators=(operator,), inputs=(0,), outputs=(1,))
    return step(graph, operator, rounding)(values)


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


INT32 = st.integers(-(2**31), 2**31 - 1)


def array(*values: int) -> fixedpoint.Raw:
    return np.array(values, dtype=np.int64)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


@given(st.integers(-(2**24), 2**24), st.floats(1e-5, 1.0))
def test_rounded_twice_is_the_product_in_31_bits_and_then_in_the_result(value: int, real: float) -> None:
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    high = half_up(Fraction(value * mantissa, 2**31) * Fraction(2) ** max(exponent, 0))
    expected = half_away(Fraction(high, 2 ** max(-exponent, 0)))
    assert fixedpoint.multiply_rounding_twice(array(value), mantissa, exponent)[0] == expected


def test_the_three_rules_differ_where_they_should() -> None:
    # 0.5 exactly: half up, half away from zero, half to even; and 2^-2 + 2^-33, which is 0.5 in 31 bits already.
    half = fixedpoint.quantized_multiplier(0.5)
    rules = (
        fixedpoint.multiply_by_quantized_multiplier, fixedpoint.multiply_rounding_twice, fixedpoint.multiply_in_float
    )  # fmt: skip
    assert [rule(array(-1), *half)[0] for rule in rules] == [0, 0, 0]
    assert [rule(array(1), *half)[0] for rule in rules] == [1, 1, 0]
    below = (2**31 - 1, -2)
    assert [rule(array(2), *below)[0] for rule in rules] == [0, 1, 0]


@given(st.integers(-(2**31), 2**31 - 1), st.floats(1e-5, 1.0))
def test_in_float_is_the_product_of_the_two_nearest_floats(value: int, real: float) -> None:
    """Large sums have more digits than a float32, and lose them as XNNPACK does."""
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    factor = np.float32(mantissa * 2.0 ** (exponent - 31))
    found = fixedpoint.multiply_in_float(array(value), mantissa, exponent)
    assert found[0] == int(np.rint(np.float32(value) * factor))
    assert found.dtype == np.int64


def test_multipliers_at_the_ends_of_their_range() -> None:
    assert fixedpoint.quantized_multiplier(1.0) == (2**30, 1)
    # The mantissa is rounded up to one more bit than it may have.
    assert fixedpoint.quantized_multiplier(1 - 2**-40) == (2**30, 1)
    assert fixedpoint.quantized_multiplier(2.0**29) == (2**30, 30)
    assert fixedpoint.quantized_multiplier(2.0**30) == (2**31 - 1, 30)
    assert fixedpoint.quantized_multiplier(2.0**-32) == (2**30, -31)
    assert fixedpoint.quantized_multiplier(2.0**-33) == (0, 0)
