"""Looking at the images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgemnist.data.dataset import Dataset, Split
from edgemnist.images.sheet import class_sheet_png, terminal_rows


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_a_sheet_shows_every_class_and_the_same_split_gives_the_same_bytes(embedded: Dataset) -> None:
    png = class_sheet_png(embedded.test.images, embedded.test.labels, embedded.labels)
    assert png == class_sheet_png(embedded.test.images, embedded.test.labels, embedded.labels)
    pixels = np.asarray(opened(png).convert("L"))
    bands = np.array_split(pixels[28:-28, 200:], 10)
    # Nothing but digits is so white, and even ones are in a few pixels of a hundred.
    assert all((band >= 250).mean() > 0.02 for band in bands)


def test_a_sheet_holds_the_very_pixels_of_the_images() -> None:
    random = np.random.default_rng(1)
    split = Split(random.integers(0, 256, (2, 28, 28), dtype=np.uint8), np.array([0, 1]))
    sheet = np.asarray(
        opened(class_sheet_png(split.images, split.labels, ["0", "1"], columns=1, rows_per_class=1)).convert("RGB")
    )
    doubled = split.images.repeat(2, axis=1).repeat(2, axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (56, 56))
    for image in doubled:
        assert (windows == image).all(axis=(2, 3)).sum() == 1


@pytest.mark.parametrize("labels", [["a", "b"], ["x" * 300, "T-shirt/top"], ["two\nlines", ""], ["七", "é"]])
def test_any_label_fits_on_a_sheet(labels: list[str]) -> None:
    split = Split(np.zeros((2, 28, 28), dtype=np.uint8), np.array([0, 1]))
    assert opened(class_sheet_png(split.images, split.labels, labels)).width < 2000


def test_each_label_stands_beside_its_own_class() -> None:
    split = Split(np.zeros((2, 28, 28), dtype=np.uint8), np.array([0, 1]))
    one, other = (np.asarray(opened(class_sheet_png(split.images, split.labels, ["0", label]))) for label in ("1", "8"))
    changed = np.flatnonzero((one != other).any(axis=(1, 2)))
    assert changed.min() > one.shape[0] / 2


def test_a_class_without_images_leaves_its_row_empty() -> None:
    split = Split(np.full((1, 28, 28), 255, dtype=np.uint8), np.array([0]))
    upper, lower = np.array_split(
        np.asarray(opened(class_sheet_png(split.images, split.labels, ["0", "1"])).convert("L"))[:, 60:], 2
    )
    assert (upper == 255).sum() == 56 * 56
    assert (lower == lower[0, 0]).all()


def test_a_terminal_row_has_two_pixels_a_character() -> None:
    image = np.zeros((1, 28, 28), dtype=np.uint8)
    image[0, 10, 5] = image[0, 11, 6] = image[0, 10, 7] = image[0, 11, 7] = image[0, 13, 5] = 255
    assert terminal_rows(image) == ["▀▄█", "▄"]


def test_as_many_images_are_drawn_as_fit_into_the_width(embedded: Dataset) -> None:
    for width in (40, 80, 200):
        rows = terminal_rows(embedded.test.images, width=width)
        assert width - 28 <= max(map(len, rows)) <= width
        assert len(rows) <= 14


def test_no_ink_draws_nothing() -> None:
    assert terminal_rows(np.zeros((2, 28, 28), dtype=np.uint8)) == []
    assert terminal_rows(np.zeros((0, 28, 28), dtype=np.uint8)) == []
