"""The conditions that robustness is told for are what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from edgemnist.data.dataset import Dataset, Split
from edgemnist.train.checks import conditions


@pytest.fixture(scope="module")
def shown(dataset: Dataset) -> dict[str, Split]:
    return dict(conditions(dataset.test))


def test_a_shift_moves_every_pixel_by_so_many_columns_and_rows(shown: dict[str, Split], dataset: Dataset) -> None:
    images = dataset.test.images
    np.testing.assert_array_equal(shown["shifted by +2, +0 px"].images[:, :, 2:], images[:, :, :-2])
    np.testing.assert_array_equal(shown["shifted by +0, -2 px"].images[:, :-2], images[:, 2:])
    assert not shown["shifted by +2, +0 px"].images[:, :, :2].any()
    np.testing.assert_array_equal(shown["shifted by +2, +2 px"].images[:, 2:, 2:], images[:, :-2, :-2])


def test_strokes_get_thicker_and_thinner(shown: dict[str, Split], dataset: Dataset) -> None:
    images = dataset.test.images
    thick, thin = shown["thicker strokes"].images, shown["thinner strokes"].images
    assert (thick >= images).all()
    assert (thin <= images).all()
    assert thin.mean() < 0.7 * images.mean() < 0.49 * thick.mean()


def test_the_two_rotations_turn_against_each_other(shown: dict[str, Split], dataset: Dataset) -> None:
    left, right = shown["rotated by -10°"].images.astype(float), shown["rotated by +10°"].images.astype(float)
    images = dataset.test.images.astype(float)
    assert np.abs(left - right).mean() > np.abs(left - images).mean() > 3


def test_the_noise_has_the_deviation_that_is_named(shown: dict[str, Split], dataset: Dataset) -> None:
    grey = (dataset.test.images > 90) & (dataset.test.images < 165)
    difference = shown["noise, σ 0.1"].images.astype(float) - dataset.test.images
    assert difference[grey].std() == pytest.approx(25.5, rel=0.05)


def test_what_predict_makes_of_dark_ink_on_light_paper_is_white_on_black_again(
    shown: dict[str, Split], dataset: Dataset
) -> None:
    (name,) = (name for name in shown if name.startswith("dark on light"))
    read = shown[name]
    assert len(read) == len(dataset.test)
    assert np.median(read.images[:, 0, 0]) == 0
    correlations = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1]
        for one, other in zip(read.images, dataset.test.images, strict=True)
    ]
    assert np.median(correlations) > 0.9


def test_labels_stay_with_their_images(shown: dict[str, Split], dataset: Dataset) -> None:
    for name, split in shown.items():
        if not name.startswith("dark"):
            np.testing.assert_array_equal(split.labels, dataset.test.labels)
