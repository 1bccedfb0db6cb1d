"""Quantization follows its definition, for every scale and zero point."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes.pixels import (
    Numbers,
    can_express,
    covered_range,
    decoder,
    dequantize_scores,
    encoder,
    quantize_pixels,
)

SCALES = st.floats(min_value=2**-13, max_value=2**-3, width=32, allow_subnormal=False)
DIGIT = InputSpec(shape=(28, 28))
IMAGE = np.arange(784, dtype=np.int64).reshape(1, 28, 28).astype(np.uint8)


@given(scale=SCALES, zero_point=st.integers(-128, 127))
def test_quantized_pixels_are_the_nearest_number_that_the_dtype_has(scale: float, zero_point: int) -> None:
    numbers = Numbers(np.dtype(np.int8), scale, zero_point)
    quantized = quantize_pixels(numbers).astype(np.float64)
    real = np.arange(256) / 255
    unclipped = (quantized > -128) & (quantized < 127)
    error = np.abs(scale * (quantized - zero_point) - real)
    assert np.all(error[unclipped] <= scale / 2 * (1 + 1e-6) + 1e-12)
    assert np.all(np.diff(quantized) >= 0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@given(scale=SCALES, zero_point=st.integers(0, 127))
def test_the_fast_encoder_writes_what_the_table_says(dtype: type, scale: float, zero_point: int) -> None:
    for numbers in (Numbers(np.dtype(dtype), scale, zero_point), Numbers(np.dtype(dtype), 1 / 255, -128)):
        if np.dtype(dtype) == np.uint8 and numbers.zero_point < 0:
            continue
        out = np.empty(IMAGE.shape, np.uint8)
        encoder(numbers, DIGIT)(IMAGE, out)
        assert np.array_equal(out.view(dtype), quantize_pixels(numbers)[IMAGE])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_scaled_to_one(dtype: type) -> None:
    out: npt.NDArray[Any] = np.empty(IMAGE.shape, dtype)
    encoder(Numbers(np.dtype(dtype)), DIGIT)(IMAGE, out)
    assert np.allclose(out, IMAGE / 255, atol=1e-3)
    scores = decoder(Numbers(np.dtype(dtype)))(out)
    assert scores.dtype == np.float32
    assert scores is not out


RANGES = {"0..1": (0, 1), "-1..1": (-1, 1), "0..255": (0, 255)}


@pytest.mark.parametrize("name", RANGES)
def test_a_quantized_tensor_is_given_the_named_range_and_tells_which_it_was_made_for(name: str) -> None:
    low, high, spec = *RANGES[name], InputSpec.of_range((28, 28), name)
    scale = (high - low) / 255
    numbers = Numbers(np.dtype(np.int8), scale, -128 - round(low / scale))
    expected = np.arange(256) / 255 * (high - low) + low
    found = scale * (quantize_pixels(numbers, spec).astype(np.float64) - numbers.zero_point)
    assert np.abs(found - expected).max() <= scale * 0.501
    assert covered_range(numbers) == name
    out = np.empty(IMAGE.shape, np.uint8)
    encoder(numbers, spec)(IMAGE, out)
    assert np.array_equal(out.view(np.int8), quantize_pixels(numbers, spec)[IMAGE])


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        (Numbers(np.dtype(np.float32)), None),
        (Numbers(np.dtype(np.uint8)), None),
        # The ends come from images and get rounded: a tenth of the range is forgiven, and no more, at either.
        (Numbers(np.dtype(np.uint8), 1.09 / 255, 0), "0..1"),
        (Numbers(np.dtype(np.uint8), 1.11 / 255, 0), None),
        (Numbers(np.dtype(np.uint8), 0.89 / 255, 0), None),
        (Numbers(np.dtype(np.uint8), 1.55 / 255, 128), None),
        (Numbers(np.dtype(np.uint8), 2.1 / 255, 128), "-1..1"),
    ],
)
def test_a_range_is_recognized_by_both_of_its_ends(numbers: Numbers, name: str | None) -> None:
    assert covered_range(numbers) == name


@pytest.mark.parametrize(("dtype", "low"), [(np.int8, -128), (np.uint8, 0)])
def test_without_a_scale_the_numbers_are_the_pixels_themselves(dtype: type, low: int) -> None:
    table = quantize_pixels(Numbers(np.dtype(dtype)))
    assert table.tolist() == [value + low for value in range(256)]
    assert table.dtype == dtype
    scores = dequantize_scores(Numbers(np.dtype(dtype)))
    assert scores.tolist() == np.arange(256, dtype=np.uint8).view(dtype).tolist()
    assert scores.dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "zero_point", "ends"),
    [(np.int8, -140, (-128, 115)), (np.int8, 20, (20, 127)), (np.uint8, -9, (0, 246)), (np.uint8, 10, (10, 255))],
)
def test_what_lies_outside_of_the_dtype_is_cut_off_and_does_not_wrap(
    dtype: type[np.generic], zero_point: int, ends: tuple[int, int]
) -> None:
    """A file from elsewhere may have any zero point."""
    table = quantize_pixels(Numbers(np.dtype(dtype), scale=1 / 255, zero_point=zero_point))
    assert (int(table[0]), int(table[-1])) == ends
    assert (np.diff(table.astype(int)) >= 0).all()


def test_a_tensor_is_8_bit_or_a_float() -> None:
    known = [dtype for dtype in "?bBhHiIlLefd" if can_express(np.dtype(dtype))]
    assert known == list("bBefd")
    assert [Numbers(np.dtype(dtype)).storage for dtype in known] == [np.uint8, np.uint8, np.float16, np.float32, float]
