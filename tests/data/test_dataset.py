"""What is in a data set, in numbers; drawing evenly over the classes, and the same images every time."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgemnist.errors import DataError, UsageError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.data import DataResult
from edgemnist.ground.sheet import as_pictures, class_sheet_png, terminal_rows
from edgemnist.pipeline.data.dataset import (
    Dataset,
    Split,
    describe,
    identified,
    random_order,
    stratified_indices,
    stratified_split,
)
from edgemnist.pipeline.data.idx import read_idx_directory
from tests.conftest import MNIST

label_lists = st.lists(st.integers(0, 12), min_size=1, max_size=120)


def test_counts_ranges_and_checksums_are_those_of_the_arrays() -> None:
    train = Split(np.arange(4 * 784, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8), np.array([2, 0, 2, 1]))
    test = Split(np.full((1, 28, 28), 9, dtype=np.uint8), np.array([1]))
    result = describe(identified(train, test, ["a", "b", "c"], source="here"))
    assert result.train.per_class == {"a": 1, "b": 1, "c": 2}
    assert result.test.per_class == {"a": 0, "b": 1, "c": 0}
    assert (result.train.images, result.train.minimum, result.train.maximum) == (4, 0, 255)
    assert result.train.mean == train.images.mean()
    assert (result.test.minimum, result.test.maximum, result.test.mean) == (9, 9, 9.0)
    assert len({result.train.sha256, result.test.sha256, result.data.sha256}) == 3
    assert result.data.source == "here"
    assert read_result(DataResult, result.to_json().encode()) == result


def test_every_digit_of_the_embedded_set_has_400_images_to_train_and_100_to_evaluate(embedded: Dataset) -> None:
    assert embedded.labels == tuple("0123456789")
    assert np.bincount(embedded.train.labels).tolist() == [400] * 10
    assert np.bincount(embedded.test.labels).tolist() == [100] * 10
    assert embedded.train.images.shape == (4000, 28, 28)
    assert embedded.train.images.dtype == np.uint8
    assert embedded.identity.reduced
    # The same split on every machine, and no image in both.
    assert embedded.identity.sha256 == "e922540ad684c67445591d786fe2b83d7843a4089bf4b00f07417cc323d0aabf"
    train, test = ({image.tobytes() for image in split.images} for split in (embedded.train, embedded.test))
    assert not train & test


@pytest.mark.needs("EDGEMNIST_DATA")
def test_none_of_its_images_is_among_the_test_images_of_mnist(embedded: Dataset) -> None:
    full = read_idx_directory(MNIST)
    assert full is not None
    train, test = ({image.tobytes() for image in split.images} for split in (full.train, full.test))
    ours = {image.tobytes() for split in (embedded.train, embedded.test) for image in split.images}
    assert ours <= train
    assert not ours & test


@given(label_lists, st.data(), st.integers(0, 2**32))
def test_a_draw_is_as_even_as_can_be_and_part_of_a_larger_one(
    labels: list[int], data: st.DataObject, seed: int
) -> None:
    values = np.array(labels)
    count = data.draw(st.integers(1, len(values)))
    indices = stratified_indices(values, count, seed)
    assert indices.dtype == np.int64
    assert len(indices) == count
    assert (np.diff(indices) > 0).all()
    sizes = np.bincount(values, minlength=13)
    drawn = np.bincount(values[indices], minlength=13)
    # A class that could have given more has no less than any other, but for the rest of the division.
    assert all(drawn[c] >= drawn.max() - 1 for c in range(13) if drawn[c] < sizes[c])
    if count > 1:
        assert set(stratified_indices(values, count - 1, seed).tolist()) <= set(indices.tolist())


def test_the_same_seed_draws_the_same_images_on_every_machine() -> None:
    labels = np.arange(1000) % 10
    assert stratified_indices(labels, 12, seed=1).tolist() == [61, 75, 176, 239, 291, 323, 458, 622, 774, 800, 857, 900]
    assert random_order(8, seed=1).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]


@pytest.mark.parametrize(("count", "error"), [(11, DataError), (0, UsageError), (-1, UsageError)])
def test_more_images_than_there_are_or_none_are_refused(count: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(count)):
        stratified_indices(np.arange(10), count, seed=0)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=8), st.floats(0.01, 0.9), st.integers(0, 99))
def test_a_split_takes_its_share_of_each_class_and_loses_nothing(sizes: list[int], share: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, second = stratified_split(labels, share, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    counts = np.bincount(labels[second], minlength=len(sizes))
    assert (counts >= 1).all()
    assert (np.abs(counts - np.array(sizes) * share) <= 1).all()


def test_a_class_of_one_cannot_be_split_and_is_named() -> None:
    with pytest.raises(DataError, match="Class seven has a single image"):
        stratified_split(np.array(["one", "one", "seven"]), 0.2, seed=0)


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
    sheet = np.asarray(opened(class_sheet_png(images, np.zeros(count, np.int64), ["0", "1"])))
    windows = np.lib.stride_tricks.sliding_window_view(sheet[::3, 1::3, 0], (28, 28))
    assert all((windows == image).all(axis=(2, 3)).any() for image in images[[0, -1]])


@pytest.mark.parametrize("labels", [["a", "b"], ["x" * 300, "T-shirt/top"], ["two\nlines", ""], ["七", "é"]])
def test_any_label_fits_on_a_sheet(labels: list[str]) -> None:
    split = Split(np.zeros((2, 28, 28), dtype=np.uint8), np.array([0, 1]))
    assert opened(class_sheet_png(split.images, split.labels, labels)).width < 2000


def test_a_class_is_named_without_the_accents_that_the_font_draws_as_boxes() -> None:
    image, label = np.zeros((1, 9, 9), np.uint8), np.zeros(1, np.int64)
    sheets = [class_sheet_png(image, label, [name]) for name in ("Größe", "Grosse", "Größen")]
    assert sheets[0] == sheets[1] != sheets[2]


def test_a_class_whose_name_the_font_lacks_has_its_number() -> None:
    images, truth = np.zeros((2, 9, 9), np.uint8), np.array([0, 1])
    for names, drawn in {
        ("苹果", "🍋 lemon"): ("class 0", "class 1: lemon"),
        ("a", "\N{CJK RADICAL BOLT OF CLOTH}"): ("a", "class 1"),
    }.items():
        assert class_sheet_png(images, truth, names) == class_sheet_png(images, truth, drawn)


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
