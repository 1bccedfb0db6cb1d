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
