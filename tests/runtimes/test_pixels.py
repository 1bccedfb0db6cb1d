"""Quantization follows its definition, for every scale and zero point."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.runtimes.pixels import Numbers, decoder, dequantize_scores, encoder, quantize_pixels

SCALES = st.floats(min_value=2**-13, max_value=2**-3, width=32, allow_subnormal=False)
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


@given(scale=SCALES, zero_point=st.integers(-128, 127))
def test_dequantizing_inverts_quantizing(scale: float, zero_point: int) -> None:
    numbers = Numbers(np.dtype(np.int8), scale, zero_point)
    patterns = np.arange(256, dtype=np.uint8)
    scores = dequantize_scores(numbers)[patterns].astype(np.float64)
    again = np.round(scores / np.float64(np.float32(scale)) + zero_point)
    assert np.array_equal(again, patterns.view(np.int8).astype(np.float64))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@given(scale=SCALES, zero_point=st.integers(0, 127))
def test_the_fast_encoder_writes_what_the_table_says(dtype: type, scale: float, zero_point: int) -> None:
    for numbers in (Numbers(np.dtype(dtype), scale, zero_point), Numbers(np.dtype(dtype), 1 / 255, -128)):
        if np.dtype(dtype) == np.uint8 and numbers.zero_point < 0:
            continue
        out = np.empty(IMAGE.shape, np.uint8)
        encoder(numbers)(IMAGE, out)
        assert np.array_equal(out.view(dtype), quantize_pixels(numbers)[IMAGE])


def test_the_usual_parameters_turn_one_bit_of_a_pixel() -> None:
    out = np.empty(IMAGE.shape, np.uint8)
    encoder(Numbers(np.dtype(np.int8), 1 / 255, -128))(IMAGE, out)
    assert np.array_equal(out, IMAGE ^ 0x80)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_scaled_to_one(dtype: type) -> None:
    out: npt.NDArray[Any] = np.empty(IMAGE.shape, dtype)
    encoder(Numbers(np.dtype(dtype)))(IMAGE, out)
    assert np.allclose(out, IMAGE / 255, atol=1e-3)
    scores = decoder(Numbers(np.dtype(dtype)))(out)
    assert scores.dtype == np.float32
    assert scores is not out
