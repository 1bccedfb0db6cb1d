"""Where a distortion reads each pixel, against a reading that goes pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.train.augment import (
    AFFINE_FIELDS,
    GAIN,
    PIVOT,
    Coefficients,
    Distortion,
    basis,
    distorted,
    restroke,
    warp,
)

PLAIN, SHARP = Distortion(grid=2), Distortion(grid=2, sharp=True)


def noise(count: int) -> npt.NDArray[np.float32]:
    """Return images of noise up to their edges, float32 [count, 28, 28]."""
    return np.random.default_rng(1).uniform(0, 1, (count, 28, 28)).astype(np.float32)


def affine(y: tuple[float, float, float], x: tuple[float, float, float], count: int = 1) -> Coefficients:
    """Return the factors of 1, y and x, for the displacement along y and along x."""
    coefficients = np.zeros((count, 2, AFFINE_FIELDS + 4), np.float32)
    coefficients[:, 0, :AFFINE_FIELDS], coefficients[:, 1, :AFFINE_FIELDS] = y, x
    return coefficients


def read(image: npt.NDArray[np.float32], y: float, x: float) -> float:
    """Read between four pixels; outside lies black, and half way to it half."""
    top, left = math.floor(y), math.floor(x)
    found = 0.0
    for row, weight in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < 28 and 0 <= column < 28:
                found += weight * share * float(image[row, column])
    return found


def contrast(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return what sharp reading makes of a grey."""
    return np.asarray(np.clip(PIVOT + GAIN * (values - PIVOT), 0, 1), np.float64)


@pytest.mark.parametrize(
    ("y", "x"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((0.25, 0, 0), (-0.75, 0, 0)),
        ((3.5, 0, 0), (27.5, 0, 0)),
        ((-27.5, 0, 0), (-6.25, 0, 0)),
        ((0.3, -0.2, 0.4), (-1.2, 0.3, 0.15)),
        ((0, 1.5, 0), (0, 0, 1.5)),
        ((0, -0.5, 0.3), (0.2, -0.3, -0.5)),
    ],
)
def test_every_pixel_is_read_where_its_displacement_points_to(
    y: tuple[float, float, float], x: tuple[float, float, float]
) -> None:
    image = noise(1)[0]
    expected = np.empty_like(image)
    for row in range(28):
        for column in range(28):
            centred = np.array([1, row - 13.5, column - 13.5])
            expected[row, column] = read(image, row + float(centred @ y), column + float(centred @ x))
    np.testing.assert_allclose(np.asarray(warp(image[None], affine(y, x), PLAIN))[0], expected, atol=2e-5)


def test_the_bumps_of_a_field_displace_too_and_each_image_has_its_own() -> None:
    images = np.repeat(noise(1), 3, axis=0)
    drawn = Distortion(grid=2, elastic=2).draw(3, np.random.default_rng(4))
    warped = np.asarray(warp(images, drawn, PLAIN))
    fields = drawn @ basis(2)
    for place, (row, column) in enumerate([(14, 14), (9, 20), (20, 8)]):
        down, right = fields[place, :, 28 * row + column]
        assert warped[place, row, column] == pytest.approx(
            read(images[place], row + float(down), column + float(right)), abs=1e-4
        )
    assert np.abs(warped[0] - warped[1]).mean() > 0.01


def test_sharp_reading_finds_the_pixels_themselves_and_the_spline_between_them() -> None:
    from scipy.interpolate import CubicSpline

    ramp = np.linspace(0.35, 0.55, 28, dtype=np.float32) ** 2 + np.float32(0.25)
    image = np.tile(ramp, (28, 1))

    spline = CubicSpline(np.arange(28), ramp, bc_type="natural")
    for turned in (image, image.T):
        same = np.asarray(warp(turned[None], affine((0, 0, 0), (0, 0, 0)), SHARP))[0]
        np.testing.assert_allclose(same, contrast(turned), atol=1e-5)
    half = np.asarray(warp(image[None], affine((0, 0, 0), (0.5, 0, 0)), SHARP))[0]
    np.testing.assert_allclose(half[3, :27], contrast(spline(np.arange(27) + 0.5)), atol=1e-5)
    # Black and white are the limits, and a shift by five pixels is one of ten half ones.
    noisy = noise(2)
    moved = np.asarray(warp(noisy, affine((5, 0, 0), (-2, 0, 0), count=2), SHARP))
    np.testing.assert_allclose(moved[:, :23, 2:], contrast(noisy[:, 5:, :26]), atol=1e-5)
    assert moved.min() == 0 == moved[:, 24:].max()
    assert contrast(noisy).max() == pytest.approx(moved.max(), abs=0.05) == 1


def test_each_amount_is_of_its_own_image() -> None:
    images = noise(3)
    together = np.asarray(restroke(images, np.array([0.5, 0, -0.5], np.float32)))
    np.testing.assert_array_equal(together[1], images[1])
    assert (together[0] >= images[0]).all()
    assert (together[2] <= images[2]).all()
    extremes = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    np.testing.assert_allclose(together[0], (images[0] + extremes[0].max(axis=(2, 3))) / 2, atol=1e-6)
    np.testing.assert_allclose(together[2], images[2] * 0.75 + extremes[2].min(axis=(2, 3)) * 0.25, atol=1e-6)


def test_a_stream_of_images_is_distorted_in_batches_each_with_its_own_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one image more than two batches, so that the last is another size; drawn once more by hand."""
    size = 3
    monkeypatch.setattr("edgemnist.train.augment.BATCH_SIZE", size)
    images = np.random.default_rng(2).integers(0, 256, (2 * size + 1, 28, 28), dtype=np.uint8)
    distortion = Distortion(shift=2, stroke=0.5, elastic=0.5, grid=2)
    found = distorted(images, distortion, np.random.default_rng(3))
    assert found.dtype == np.uint8
    rng = np.random.default_rng(3)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        drawn, strokes = distortion.draw(len(batch), rng), distortion.draw_strokes(len(batch), rng)
        values = np.asarray(restroke(warp(batch.astype(np.float32) / 255, drawn, PLAIN), strokes))
        expected = np.clip(values, 0, 1) * 255
        assert np.abs(found[start : start + size] - expected).max() <= 0.51


def test_sharp_images_stay_sharp_in_a_stream() -> None:
    images = (noise(3) * 255).astype(np.uint8)
    found = distorted(images, Distortion(sharp=True, grid=2), np.random.default_rng(0)).astype(np.float32) / 255
    expected = contrast(images / 255)
    assert np.abs(found - expected).max() < 0.003
