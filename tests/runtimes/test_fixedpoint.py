"""Fixed-point numbers behave like the real numbers that they stand for."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.model.runtimes import fixedpoint

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
