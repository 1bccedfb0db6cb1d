"""Looking at the images."""

import io

import numpy as np
import pytest
from PIL import Image

from edgemnist.ground.sheet import as_pictures, class_sheet_png, strip_png, terminal_rows
from edgemnist.pipeline.data.dataset import Dataset, Split


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_a_sheet_shows_every_class_and_the_same_split_gives_the_same_bytes(embedded: Dataset) -> None:
    png = class_sheet_png(embedded.test.images, embedded.test.labels, embedded.labels)
    assert png == class_sheet_png(embedded.test.images, embedded.test.labels, embedded.labels)
    pixels = np.asarray(opened(png).convert("L"))
    # Nothing but digits is so white, and even ones are in a few pixels of a hundred.
    assert all((band >= 250).mean() > 0.02 for band in np.array_split(pixels[28:-28], 10))


@pytest.mark.parametrize("count", [1, 7, 200])
def test_a_sheet_holds_the_very_pixels_of_the_images(count: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    strip = np.asarray(opened(strip_png(images[:2].tolist())))
    classes = np.asarray(opened(class_sheet_png(images, np.zeros(count, np.int64), ["0", "1"])))
    for sheet, shown in ((strip, images[:2]), (classes, images[[0, -1]])):
        windows = np.lib.stride_tricks.sliding_window_view(sheet[::3, 1::3, 0], (28, 28))
        assert sum(int((windows == image).all(axis=(2, 3)).any()) for image in shown) == len(shown)


@pytest.mark.parametrize("labels", [["a", "b"], ["x" * 300, "T-shirt/top"], ["two\nlines", ""], ["七", "é"]])
def test_any_label_fits_on_a_sheet(labels: list[str]) -> None:
    split = Split(np.zeros((2, 28, 28), dtype=np.uint8), np.array([0, 1]))
    assert opened(class_sheet_png(split.images, split.labels, labels)).width < 2000


def test_a_terminal_row_has_two_pixels_a_character_and_as_many_images_as_fit(embedded: Dataset) -> None:
    image = np.zeros((1, 28, 28), dtype=np.uint8)
    image[0, 10, 5] = image[0, 11, 6] = image[0, 10, 7] = image[0, 11, 7] = image[0, 13, 5] = 255
    assert terminal_rows(image) == ["▀▄█", "▄"]
    for width in (40, 200):
        rows = terminal_rows(embedded.test.images, width=width)
        assert width - 28 <= max(map(len, rows)) <= width
        assert len(rows) <= 14
    assert terminal_rows(np.zeros((2, 28, 28), dtype=np.uint8)) == terminal_rows(image[:0]) == []


def windows(sheet: np.ndarray, tile: np.ndarray) -> int:
    """Return how often a tile is on a sheet, pixel by pixel."""
    views = np.lib.stride_tricks.sliding_window_view(sheet, tile.shape[:2], axis=(0, 1))
    return int((views == np.moveaxis(tile, -1, 0)).all(axis=(2, 3, 4)).sum())


@pytest.mark.parametrize("shape", [(32, 20, 3), (17, 23), (8, 8, 4), (96, 96, 3), (1, 4096), (3, 1, 3)])
def test_a_picture_of_any_size_fills_a_tile_in_its_proportions(shape: tuple[int, ...]) -> None:
    image = np.full((1, *shape), 255, np.uint8)
    image[0, 0, 0] = 200
    sheet = np.asarray(opened(class_sheet_png(image, np.zeros(1, np.int64), ["a"])))
    scale = 84 // max(shape[:2])
    if scale and len(shape) == 3 and shape[2] == 3:
        assert windows(sheet, image[0].repeat(scale, axis=0).repeat(scale, axis=1)) == 1
    white = np.all(sheet[72:180, :120] >= 200, axis=2)
    rows, columns = (int(np.count_nonzero(white.any(axis=axis))) for axis in (1, 0))
    assert abs(rows - max(1, 84 * shape[0] / max(shape[:2]))) <= 84 % max(shape[:2]) + 1
    assert abs(columns - max(1, 84 * shape[1] / max(shape[:2]))) <= 84 % max(shape[:2]) + 2


def test_numbers_are_curves_each_on_its_own_scale_if_they_are_few_and_grey_levels_in_two_dimensions() -> None:
    rows = np.array([[0, 1000], [1, 0], [0.5, 500]], np.float32)
    up, down, level = as_pictures(rows)
    for curve, ends in ((up, (slice(-9, None), slice(9))), (down, (slice(9), slice(-9, None)))):
        assert curve[ends[0], :9].any()
        assert curve[ends[1], -9:].any()
        assert not curve[ends[1], :9].any()
    assert (level[40:44].max(axis=0) > 100)[4:-4].all()
    np.testing.assert_array_equal(as_pictures(rows[2:], rows)[0], level)
    signal = np.zeros((2, 40), np.float32)
    signal[0, :20] = 3
    flat, step = as_pictures(signal)[::-1]
    assert not flat[:42].any()
    assert step[:42, :40].any()
    assert not step[:40, 50:].any()
    np.testing.assert_array_equal(as_pictures(np.array([[[0, 1], [2, 4]]], np.float32)), [[[0, 64], [128, 255]]])
    assert as_pictures(np.full((2, 1), 7, np.float32)).shape == (2, 84, 84)
    sheet = opened(class_sheet_png(rows, None, []))
    assert sheet.height < 300


def test_of_very_many_classes_the_first_are_drawn() -> None:
    rows, labels = np.zeros((300, 4), np.float32), [str(label) for label in range(150)]
    assert opened(class_sheet_png(rows, np.arange(300) % 150, labels)).height < 100 * 200
