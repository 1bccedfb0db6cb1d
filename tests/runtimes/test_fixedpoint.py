"""Fixed-point numbers behave like the real numbers that they stand for."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from edgemnist.model.runtimes import fixedpoint

INT32 = st.integers(-(2**31), 2**31 - 1)


def array(*values: int) -> fixedpoint.Raw:
    return np.array(values, dtype=np.int64)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


@given(INT32, INT32)
def test_the_doubling_high_multiplication_is_the_rounded_product(one: int, other: int) -> None:
    expected = min(half_up(Fraction(one * other, 2**31)), 2**31 - 1)
    assert fixedpoint.doubling_high_multiply(array(one), array(other))[0] == expected


@given(INT32, st.integers(0, 31))
def test_a_division_by_a_power_of_two_rounds_halves_away_from_zero(value: int, exponent: int) -> None:
    exact = Fraction(abs(value), 2**exponent)
    expected = half_up(exact) * (1 if value >= 0 else -1)
    assert fixedpoint.rounding_divide_by_power(array(value), exponent)[0] == expected


@given(st.floats(1e-9, 1e4))
def test_a_multiplier_is_within_half_a_unit_of_its_31_bits(real: float) -> None:
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    assert 2**30 <= mantissa < 2**31
    assert abs(mantissa * 2.0 ** (exponent - 31) - real) <= real * 2**-31


def test_a_multiplier_too_small_to_matter_is_zero() -> None:
    assert fixedpoint.quantized_multiplier(1e-12) == (0, 0)


@given(st.integers(-(2**24), 2**24), st.floats(1e-5, 1.0))
def test_a_rescaled_accumulator_is_the_rounded_product(value: int, real: float) -> None:
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    expected = half_up(Fraction(value * mantissa) * Fraction(2) ** (exponent - 31))
    assert fixedpoint.multiply_by_quantized_multiplier(array(value), mantissa, exponent)[0] == expected


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


@given(st.integers(-(2**31) + 1, 0))
def test_the_exponential_is_right_to_six_digits(value: int) -> None:
    found = fixedpoint.exp_on_negative_values(array(value))[0] / 2**31
    assert abs(found - math.exp(value / 2**26)) < 5e-7


@given(st.integers(1, 2**31 - 1))
def test_the_reciprocal_is_right_to_eight_digits(value: int) -> None:
    found, leading = fixedpoint.reciprocal(array(value))
    one = found[0] / 2**31 * 2.0 ** -(31 - leading[0])
    assert abs(one * value - 1.0) < 1e-8


@given(st.integers(-(2**31), 2**31 - 1), st.floats(1e-5, 1.0))
def test_in_float_is_the_product_of_the_two_nearest_floats(value: int, real: float) -> None:
    """Large sums have more digits than a float32, and lose them as XNNPACK does."""
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    factor = np.float32(mantissa * 2.0 ** (exponent - 31))
    found = fixedpoint.multiply_in_float(array(value), mantissa, exponent)
    assert found[0] == int(np.rint(np.float32(value) * factor))
    assert found.dtype == np.int64


def test_each_column_has_its_own_multiplier() -> None:
    values, mantissas, exponents = array(1_000, 1_000, -7), array(2**30, 2**30, 2**30), array(0, -2, 3)
    for rule in (
        fixedpoint.multiply_by_quantized_multiplier, fixedpoint.multiply_rounding_twice, fixedpoint.multiply_in_float
    ):  # fmt: skip
        assert rule(values, mantissas, exponents).tolist() == [500, 125, -28]


def test_multipliers_at_the_ends_of_their_range() -> None:
    assert fixedpoint.quantized_multiplier(1.0) == (2**30, 1)
    # The mantissa is rounded up to one more bit than it may have.
    assert fixedpoint.quantized_multiplier(1 - 2**-40) == (2**30, 1)
    assert fixedpoint.quantized_multiplier(2.0**29) == (2**30, 30)
    assert fixedpoint.quantized_multiplier(2.0**30) == (2**31 - 1, 30)
    assert fixedpoint.quantized_multiplier(2.0**-32) == (2**30, -31)
    assert fixedpoint.quantized_multiplier(2.0**-33) == (0, 0)


@given(INT32, st.integers(0, 8))
@example(2**30, 1)
@example(-(2**30) - 1, 1)
def test_a_shift_to_the_left_stays_within_32_bits(value: int, bits: int) -> None:
    assert fixedpoint.saturating_shift_left(array(value), bits)[0] == max(-(2**31), min(value * 2**bits, 2**31 - 1))
