"""Where rounding, cutting off and exact sums make a difference: at the limits, which models seldom reach."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.runtimes import fixedpoint
from edgemnist.runtimes.fixedpoint import exact_matrix
from edgemnist.runtimes.integer import _fully_connected, _softmax
from edgemnist.runtimes.pixels import Numbers, quantize_pixels
from edgemnist.runtimes.tflite import Tensor


@pytest.mark.parametrize("zero_point", [-128, 0, 7])
def test_half_a_step_of_a_pixel_is_rounded_up(zero_point: int) -> None:
    """With two pixel values a step, every odd one is half a step; rounding halves to even would go down every time."""
    numbers = Numbers(np.dtype(np.int8), scale=2 / 255, zero_point=zero_point)
    odd = np.arange(1, 200, 2)
    assert (odd / 255 / (2 / 255) % 1 == 0.5).any(), "no value is exactly half a step"
    exact = np.flatnonzero(np.arange(256) / 255 / (2 / 255) % 1 == 0.5)
    expected = np.minimum((exact + 1) // 2 + zero_point, 127)
    assert quantize_pixels(numbers)[exact].tolist() == expected.tolist()


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


def tensor(
    *, dtype: str = "int8", scale: float = 1.0, zero_point: int = 0, values: npt.NDArray[np.generic] | None = None
) -> Tensor:
    """Return an activation, or a constant with `values`."""
    content = np.empty(0, np.uint8) if values is None else values.reshape(-1).view(np.uint8)
    return Tensor(
        name="x",
        dtype=dtype,
        shape=() if values is None else values.shape,
        scales=np.array([scale], np.float32),
        zero_points=np.array([zero_point], np.int64),
        channel_axis=0,
        content=content,
    )


def test_sums_are_exact_beyond_what_a_float32_holds() -> None:
    """1,101 inputs of 255 times 127, less what makes a small number of it: one too many or too few would be seen."""
    pixels, largest = 255, 127
    inputs = 2**24 // (pixels * largest) + 600
    weights = np.full((1, inputs), largest, np.int8)
    # One odd product makes the sum odd, which a float32 of more than 24 bits is not.
    weights[0, 0] = 126
    values = np.full((1, inputs), 127, dtype=np.int64)
    total = int(((values + 128) * weights).sum())
    assert total > 2**24
    values[0, 1] -= 1 - total % 2
    total = int(((values + 128) * weights).sum())
    assert total % 2 == 1
    bias = np.array([5 - total], np.int64)
    rescale = fixedpoint.multiply_by_quantized_multiplier
    step = _fully_connected(tensor(zero_point=-128), tensor(values=weights), bias, tensor(), "none", rescale)
    assert step(values).tolist() == [[5]]


@pytest.mark.parametrize(
    ("rows", "dtype"), [(2**24 // (255 * 127), np.float32), (2**24 // (255 * 127) + 1, np.float64)]
)
@pytest.mark.parametrize("zero_point", [-128, 127])
def test_the_fast_float_is_taken_as_long_as_it_is_exact(rows: int, dtype: type, zero_point: int) -> None:
    matrix = np.full((3, rows), -127, np.int64)
    matrix[:2] = 1
    assert exact_matrix(matrix, tensor(zero_point=zero_point)).dtype == dtype


@pytest.mark.parametrize("scale", [0.02, 0.1, 0.2499, 0.999, 1.0, 3.99])
def test_the_softmax_is_right_at_every_distance_from_the_maximum(scale: float) -> None:
    """Beyond the range of its exponential, 32, a share is 0; counted on, the exponential would start again at 1."""
    source = dataclasses.replace(tensor(scale=scale), shape=(1, 2))
    step = _softmax(source, tensor(scale=1 / 256, zero_point=-128), beta=1.0)
    for distance in range(256):
        values = np.array([[127, 127 - distance]], dtype=np.int64)
        expected = np.exp(-scale * distance) / (1 + np.exp(-scale * distance))
        assert abs(float(step(values).reshape(-1)[1] + 128) / 256 - expected) <= 1.01 / 256, distance
