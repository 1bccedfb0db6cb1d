"""What a distortion does to a digit, in numbers that a wrong sign or a factor of two would change."""

from __future__ import annotations

import numpy as np
import pytest

from edgemnist.train.augment import Distortion, restroke


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
