"""Where a distortion reads each pixel, against a reading that goes pixel by pixel, and what it does to a digit."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.pipeline.train.augment import (
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


@pytest.mark.all
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
def test_every_pixel_is_read_where_it_points(y: tuple[float, float, float], x: tuple[float, float, float]) -> None:
    image = noise(1)[0]
    expected = np.empty_like(image)
    for row in range(28):
        for column in range(28):
            centred = np.array([1, row - 13.5, column - 13.5])
            expected[row, column] = read(image, row + float(centred @ y), column + float(centred @ x))
    np.testing.assert_allclose(np.asarray(warp(image[None], affine(y, x), PLAIN))[0], expected, atol=2e-5)


@pytest.mark.all
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


@pytest.mark.all
def test_each_amount_is_of_its_own_image() -> None:
    images = noise(3)
    together = np.asarray(restroke(images, np.array([0.5, 0, -0.5], np.float32)))
    np.testing.assert_array_equal(together[1], images[1])
    assert (together[0] >= images[0]).all()
    assert (together[2] <= images[2]).all()
    extremes = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    np.testing.assert_allclose(together[0], (images[0] + extremes[0].max(axis=(2, 3))) / 2, atol=1e-6)
    np.testing.assert_allclose(together[2], images[2] * 0.75 + extremes[2].min(axis=(2, 3)) * 0.25, atol=1e-6)


@pytest.mark.all
def test_a_stream_of_images_is_distorted_in_batches_each_with_its_own_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one image more than two batches, so that the last is another size; drawn once more by hand."""
    size = 3
    monkeypatch.setattr("edgemnist.pipeline.train.augment.BATCH_SIZE", size)
    images = np.random.default_rng(2).integers(0, 256, (2 * size + 1, 28, 28), dtype=np.uint8)
    distortion = Distortion(shift=2, stroke=0.5, elastic=0.5, grid=2, sharp=True)
    found = distorted(images, distortion, np.random.default_rng(3))
    assert found.dtype == np.uint8
    rng = np.random.default_rng(3)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        drawn, strokes = distortion.draw(len(batch), rng), distortion.draw_strokes(len(batch), rng)
        values = np.asarray(restroke(warp(batch.astype(np.float32) / 255, drawn, distortion), strokes))
        expected = np.clip(values, 0, 1) * 255
        assert np.abs(found[start : start + size] - expected).max() <= 0.55


def matrices(distortion: Distortion, count: int = 500) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the linear part of `count` distortions of places (y, x), float64 [count, 2, 2]."""
    coefficients = distortion.draw(count, np.random.default_rng(5)).astype(np.float64)
    return coefficients[:, :, 1:3] + np.eye(2)


def test_amounts_are_as_large_as_asked_for_along_both_axes_either_way() -> None:
    turned = matrices(Distortion(rotation=20))
    angles = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 19 < np.abs(angles).max() <= 20
    assert abs(angles.mean()) < 2
    slanted = matrices(Distortion(shear=0.3))
    # Rows move sideways, and columns not up.
    assert np.allclose(slanted[:, 0], [1, 0])
    assert np.allclose(slanted[:, 1, 1], 1)
    assert 0.28 < slanted[:, 1, 0].max() <= 0.3
    assert -0.3 <= slanted[:, 1, 0].min() < -0.28
    stretches = matrices(Distortion(scale=0.25))[:, [0, 1], [0, 1]]
    assert np.allclose(stretches.max(axis=0), 1.25, atol=0.005)
    assert np.allclose(stretches.min(axis=0), 0.75, atol=0.005)
    assert abs(np.asarray(np.corrcoef(stretches, rowvar=False))[0, 1]) < 0.1


ALL = Distortion(rotation=30, scale=0.25, shear=0.4, shift=3, elastic=1.5, grid=3, varied=True)


def test_a_varied_distortion_is_the_even_one_at_a_strength_between_none_and_full_for_each_image() -> None:
    varied = Distortion(shear=0.4, shift=3, varied=True, grid=2).draw(400, np.random.default_rng(5))
    even = Distortion(shear=0.4, shift=3, grid=2).draw(400, np.random.default_rng(5))
    strengths = varied[:, [0, 1, 1], [0, 0, 1]] / even[:, [0, 1, 1], [0, 0, 1]]
    # One strength serves all that is done to an image.
    assert np.allclose(strengths, strengths[:, :1], rtol=1e-3)
    assert 0 <= strengths.min() < 0.01
    assert 0.99 < strengths.max() <= 1.0001
    assert strengths.mean() == pytest.approx(0.5, abs=0.05)
    bumps = Distortion(elastic=1, varied=True, grid=2).draw(400, np.random.default_rng(5))[:, :, 3:]
    weak, strong = bumps[strengths[:, 0] < 0.3], bumps[strengths[:, 0] > 0.7]
    assert weak.std() < 0.3 * strong.std()
    assert bumps.dtype == varied.dtype == np.float32


def test_the_same_seed_draws_the_same_distortions_in_every_version() -> None:
    """A recipe with a seed has to give the same model: these figures were drawn once."""
    drawn = ALL.draw(2, np.random.default_rng(7))
    first, second = drawn[:, :, :4].tolist()
    assert first[0] == pytest.approx([0.45428, 0.03792, -0.03253, -0.14696], abs=1e-4)
    assert first[1] == pytest.approx([-0.30121, -0.06626, -0.02601, 0.13144], abs=1e-4)
    assert second[0] == pytest.approx([-0.08563, -0.09825, -0.19938, -0.14832], abs=1e-4)
    assert second[1] == pytest.approx([-0.59171, 0.28524, 0.06462, -0.27898], abs=1e-4)
    strokes = Distortion(stroke=0.5).draw_strokes(3, np.random.default_rng(7))
    assert strokes.dtype == np.float32
    assert strokes.tolist() == pytest.approx([0.12510, 0.39721, 0.27569], abs=1e-4)


def test_a_scaled_distortion_has_each_amount_scaled_and_all_else_as_it_was() -> None:
    whole = Distortion(rotation=1, scale=2, shear=3, shift=4, elastic=5, grid=3, stroke=6, sharp=True, varied=True)
    assert whole.scaled(0.5) == Distortion(
        rotation=0.5, scale=1, shear=1.5, shift=2, elastic=2.5, grid=3, stroke=3, sharp=True, varied=True
    )


@pytest.mark.all
def test_no_distortion_is_the_identity_to_the_last_bit() -> None:
    images = noise(20)
    np.testing.assert_array_equal(warp(images, Distortion().draw(20, np.random.default_rng(0)), Distortion()), images)


def test_elastic_displacements_are_as_large_as_asked_for_and_smooth() -> None:
    drawn = Distortion(elastic=1.5).draw(2_000, np.random.default_rng(2))
    fields = (drawn.reshape(-1, drawn.shape[-1]) @ basis(6, 28, 28)).reshape(-1, 28, 28)
    assert np.sqrt(np.mean(fields**2)) == pytest.approx(1.5, rel=0.02)
    # Neighbours move together.
    assert np.sqrt(np.mean(np.diff(fields, axis=2) ** 2)) < 0.3
