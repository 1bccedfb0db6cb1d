"""Where a distortion reads each pixel, against a reading that goes pixel by pixel, and what it does to a digit."""

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


def matrices(distortion: Distortion, count: int = 500) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the linear part of `count` distortions of places (y, x), float64 [count, 2, 2]."""
    coefficients = distortion.draw(count, np.random.default_rng(5)).astype(np.float64)
    return coefficients[:, :, 1:3] + np.eye(2)


def test_turning_and_slanting_change_no_area() -> None:
    """A rotation and a shear have determinant 1, whatever their angles; a wrong sign in one of the terms has not."""
    determinants = np.linalg.det(matrices(Distortion(rotation=20, shear=0.4)))
    assert np.allclose(determinants, 1, atol=1e-5)


def test_area_changes_as_the_two_stretches_multiply() -> None:
    both, alone = (matrices(Distortion(rotation=angle, shear=shear, scale=0.2)) for angle, shear in ((20, 0.4), (0, 0)))
    assert np.allclose(alone[:, [0, 1], [1, 0]], 0)
    assert np.allclose(np.linalg.det(both), alone[:, 0, 0] * alone[:, 1, 1], atol=1e-5)


def test_a_slant_moves_rows_sideways_and_not_columns_up() -> None:
    slanted = matrices(Distortion(shear=0.3))
    assert np.allclose(slanted[:, 0], [1, 0])
    assert np.allclose(slanted[:, 1, 1], 1)
    slants = slanted[:, 1, 0]
    assert 0.28 < slants.max() <= 0.3
    assert -0.3 <= slants.min() < -0.28


def test_a_turned_slant_is_the_rotation_times_the_slant() -> None:
    """With the same random numbers, drawn alone and together."""
    together = matrices(Distortion(rotation=25, shear=0.3))
    rotation, slant = matrices(Distortion(rotation=25)), matrices(Distortion(shear=0.3))
    assert np.allclose(together, rotation @ slant, atol=1e-5)


@pytest.mark.parametrize(
    ("amount", "inside", "edge", "outside"), [(1.0, 1, 1, 1), (0.5, 1, 1, 0.5), (-1.0, 1, 0.5, 0), (-0.5, 1, 0.75, 0)]
)
def test_a_stroke_gets_thicker_in_full_and_thinner_by_half(
    amount: float, inside: float, edge: float, outside: float
) -> None:
    image = np.zeros((1, 28, 28), np.float32)
    image[0, 10:15, 10:15] = 1
    changed = np.asarray(restroke(image, np.array([amount], np.float32)))[0]
    assert changed[12, 12] == inside
    assert changed[12, 10] == changed[14, 12] == edge
    assert changed[12, 9] == changed[15, 12] == outside
    assert changed[12, 8] == 0


ALL = Distortion(rotation=30, scale=0.25, shear=0.4, shift=3, elastic=1.5, grid=3, varied=True)


def test_each_amount_draws_its_own_coefficient_and_no_other() -> None:
    """With one amount at a time, all other displacements are nothing, and the largest is what was asked for."""
    for amount, place in (
        (Distortion(shift=3, grid=2), (slice(None), 0)),
        (Distortion(elastic=1.5, grid=2), (slice(None), slice(3, None))),
    ):
        drawn = amount.draw(400, np.random.default_rng(6))
        assert drawn.dtype == np.float32
        assert drawn.shape == (400, 2, 7)
        inside = drawn[:, *place].reshape(400, 2, -1)
        rest = drawn.copy()
        rest[:, *place] = 0
        assert not rest.any()
        # Down and sideways, and each bump, are drawn independently.
        assert np.abs(np.corrcoef(inside.reshape(400, -1), rowvar=False) - np.eye(inside.shape[2] * 2)).max() < 0.2
        if amount.shift:
            assert inside.max() == pytest.approx(3, rel=0.02)
            assert inside.min() == pytest.approx(-3, rel=0.02)
        else:
            assert inside.std() == pytest.approx(1.5, rel=0.05)


def test_stretches_are_as_large_as_asked_for_along_both_axes_either_way() -> None:
    stretches = matrices(Distortion(scale=0.25))[:, [0, 1], [0, 1]]
    assert np.allclose(stretches.max(axis=0), 1.25, atol=0.005)
    assert np.allclose(stretches.min(axis=0), 0.75, atol=0.005)
    assert abs(np.asarray(np.corrcoef(stretches, rowvar=False))[0, 1]) < 0.1


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
