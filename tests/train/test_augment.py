"""Distortions move ink where they say, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from edgemnist.data.dataset import Dataset
from edgemnist.train.augment import AFFINE_FIELDS, Coefficients, Distortion, basis, restroke, warp

PLAIN = Distortion()
STRONG = Distortion(rotation=60, scale=0.5, shear=0.5, shift=12, elastic=6)


@pytest.fixture
def images(dataset: Dataset) -> npt.NDArray[np.float32]:
    """Return 200 digits, float32 [200, 28, 28] in 0..1."""
    return dataset.train.images[::10].astype(np.float32) / np.float32(255)


def coefficients(
    count: int, y: tuple[float, float, float], x: tuple[float, float, float], grid: int = 6
) -> Coefficients:
    """Return the same affine displacement for each of `count` images: the factors of 1, y and x, for y and for x."""
    values = np.zeros((count, 2, AFFINE_FIELDS + grid**2), np.float32)
    values[:, 0, :AFFINE_FIELDS], values[:, 1, :AFFINE_FIELDS] = y, x
    return values


def test_no_distortion_is_the_identity_to_the_last_bit(images: npt.NDArray[np.float32]) -> None:
    drawn = Distortion().draw(len(images), np.random.default_rng(0))
    np.testing.assert_array_equal(warp(images, drawn, PLAIN), images)


@pytest.mark.parametrize(("down", "right"), [(3, 0), (0, -5), (-2, 4), (40, 0), (0, 28)])
def test_a_shift_moves_each_pixel_by_so_many_and_leaves_black_behind(
    images: npt.NDArray[np.float32], down: int, right: int
) -> None:
    # The field says where a pixel is read, which is where the ink comes from.
    moved = warp(images, coefficients(len(images), (-down, 0, 0), (-right, 0, 0)), PLAIN)
    expected = np.zeros_like(images)
    for row in range(28):
        for column in range(28):
            if 0 <= row - down < 28 and 0 <= column - right < 28:
                expected[:, row, column] = images[:, row - down, column - right]
    np.testing.assert_array_equal(moved, expected)


def test_half_a_pixel_is_read_half_from_either_neighbour(images: npt.NDArray[np.float32]) -> None:
    moved = warp(images, coefficients(len(images), (0, 0, 0), (0.5, 0, 0)), PLAIN)
    np.testing.assert_allclose(moved[:, :, :-1], (images[:, :, :-1] + images[:, :, 1:]) / 2, atol=1e-6)


def test_a_quarter_turn_is_numpys(images: npt.NDArray[np.float32]) -> None:
    turned = warp(images, coefficients(len(images), (0, -1, 1), (0, -1, -1)), PLAIN)
    np.testing.assert_allclose(turned, np.rot90(images, k=1, axes=(1, 2)), atol=1e-5)


def test_rotations_alone_keep_lengths_and_stay_within_their_angle() -> None:
    drawn = Distortion(rotation=20).draw(500, np.random.default_rng(1))
    matrices = drawn[:, :, 1:3] + np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (500, 2, 2)), atol=1e-6
    )
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert np.abs(angles).max() <= 20
    assert np.abs(angles).max() > 19
    assert abs(angles.mean()) < 2


def test_elastic_displacements_are_as_large_as_asked_for() -> None:
    drawn = Distortion(elastic=1.5).draw(2_000, np.random.default_rng(2))
    displacements = drawn.reshape(-1, drawn.shape[-1]) @ basis(6)
    assert np.sqrt(np.mean(displacements**2)) == pytest.approx(1.5, rel=0.02)


def test_elastic_displacements_are_smooth() -> None:
    """Neighbours move together: a field changes by a small part of itself from pixel to pixel."""
    drawn = Distortion(elastic=1.0).draw(500, np.random.default_rng(3))
    fields = (drawn.reshape(-1, drawn.shape[-1]) @ basis(6)).reshape(-1, 28, 28)
    assert np.sqrt(np.mean(np.diff(fields, axis=2) ** 2)) < 0.2


def test_the_strongest_distortion_leaves_pixels_between_black_and_white(images: npt.NDArray[np.float32]) -> None:
    warped = np.asarray(warp(images, STRONG.draw(len(images), np.random.default_rng(4)), STRONG))
    assert warped.min() >= 0
    # Interpolation rounds in the last bit.
    assert warped.max() <= 1 + 1e-6
    assert warped.std() > 0.05


def test_sharp_reading_leaves_strokes_as_they_were_and_plain_reading_softens_them(
    images: npt.NDArray[np.float32],
) -> None:
    def shown(values: npt.ArrayLike) -> tuple[float, float]:
        """Return the share of white in the ink, and how much neighbours differ, of the mean."""
        found = np.asarray(values)
        return float(np.mean(found[found > 0.05] > 0.95)), float(np.abs(np.diff(found, axis=2)).mean() / found.mean())

    moderate = Distortion(rotation=5, scale=0.05, shear=0.05, shift=1, elastic=0.5)
    drawn = moderate.draw(len(images), np.random.default_rng(9))
    white, steps = shown(images)
    sharp = np.asarray(warp(images, drawn, replace(moderate, sharp=True)))
    assert sharp.min() >= 0
    assert sharp.max() <= 1
    assert shown(sharp) == pytest.approx((white, steps), abs=0.03)
    assert shown(warp(images, drawn, moderate))[0] < white - 0.15
    # It reads from the same places.
    np.testing.assert_allclose(sharp, warp(images, drawn, moderate), atol=0.6)
    assert np.abs(sharp - np.asarray(warp(images, drawn, moderate))).mean() < 0.02


def test_a_compiled_distortion_is_the_same(images: npt.NDArray[np.float32]) -> None:
    drawn = STRONG.draw(len(images), np.random.default_rng(5))
    compiled = tf.function(warp, jit_compile=True)(tf.constant(images), tf.constant(drawn), STRONG)
    np.testing.assert_allclose(compiled, warp(images, drawn, STRONG), atol=2e-3)


def test_half_the_strength_is_half_the_displacement() -> None:
    whole = STRONG.draw(50, np.random.default_rng(6))
    half = STRONG.scaled(0.5).draw(50, np.random.default_rng(6))
    np.testing.assert_allclose(half[:, :, 0], whole[:, :, 0] / 2, rtol=1e-5)
    np.testing.assert_allclose(half[:, :, AFFINE_FIELDS:], whole[:, :, AFFINE_FIELDS:] / 2, rtol=1e-5)
    angle = Distortion(rotation=40).scaled(0.5)
    assert angle == Distortion(rotation=20)


def test_strokes_get_thicker_above_zero_and_thinner_below_and_stay_at_zero(dataset: Dataset) -> None:
    images = tf.constant(dataset.train.images[:60].astype(np.float32) / 255)
    ink = [float(tf.reduce_mean(restroke(images, tf.fill([60], amount)))) for amount in (-1.0, -0.3, 0.0, 0.3, 1.0)]
    assert ink == sorted(ink)
    assert ink[0] < 0.8 * ink[2] < 0.64 * ink[4]
    np.testing.assert_array_equal(restroke(images, tf.zeros(60)), images)


def test_a_stroke_at_full_strength_is_the_brightest_of_three_by_three() -> None:
    point = np.zeros((1, 28, 28), np.float32)
    point[0, 5, 9] = 1
    thick = np.asarray(restroke(tf.constant(point), tf.ones(1)))
    np.testing.assert_array_equal(np.argwhere(thick[0]), [[y, x] for y in (4, 5, 6) for x in (8, 9, 10)])


def test_varied_strengths_go_from_nothing_to_all() -> None:
    drawn = Distortion(shift=2, varied=True).draw(2_000, np.random.default_rng(3))[:, 0, 0]
    even = Distortion(shift=2).draw(2_000, np.random.default_rng(3))[:, 0, 0]
    assert np.abs(drawn).max() <= 2
    # Of two independent even draws the product is smaller than either.
    assert np.abs(drawn).mean() == pytest.approx(0.5 * np.abs(even).mean(), rel=0.1)
