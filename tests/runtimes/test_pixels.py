"""Quantization follows its definition, for every scale and zero point."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
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


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_scaled_to_one(dtype: type) -> None:
    out: npt.NDArray[Any] = np.empty(IMAGE.shape, dtype)
    encoder(Numbers(np.dtype(dtype)), DIGIT)(IMAGE, out)
    assert np.allclose(out, IMAGE / 255, atol=1e-3)
    scores = decoder(Numbers(np.dtype(dtype)))(out)
    assert scores.dtype == np.float32
    assert scores is not out


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


def test_a_tensor_is_8_bit_or_a_float() -> None:
    known = [dtype for dtype in "?bBhHiIlLefd" if can_express(np.dtype(dtype))]
    assert known == list("bBefd")
    assert [Numbers(np.dtype(dtype)).storage for dtype in known] == [np.uint8, np.uint8, np.float16, np.float32, float]
