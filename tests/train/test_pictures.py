"""The pictures of a training show what happened: each mistake, each unit, each confusion."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgemnist.data.dataset import Dataset, Split
from edgemnist.images.sheet import COLUMNS as ACROSS
from edgemnist.images.sheet import GAP, HEADING, MARGIN, MOST, ROW, SCALE, TILE
from edgemnist.train.pictures import (
    FILTER_COLUMNS,
    confusion_png,
    filters_png,
    mistakes_png,
)

LABELS = [str(digit) for digit in range(10)]


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def answers(test: Split, wrong: dict[int, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return probabilities that are right, but for some images, by index, with how sure the wrong answer is."""
    probabilities = np.zeros((len(test), 10), np.float32)
    probabilities[np.arange(len(test)), test.labels] = 1
    for index, confidence in wrong.items():
        truth = int(test.labels[index])
        probabilities[index, truth], probabilities[index, (truth + 1) % 10] = 1 - confidence, confidence
    return probabilities


def test_the_sheet_shows_the_mistakes_and_the_most_confident_first(dataset: Dataset) -> None:
    test = dataset.test
    sheet = opened(mistakes_png(test, answers(test, {3: 0.6, 77: 0.9, 200: 0.7}), LABELS))
    assert sheet.height == 2 * MARGIN + HEADING + ROW
    for place, index in enumerate((77, 200, 3)):
        left, top = MARGIN + place * (TILE + GAP), MARGIN + HEADING
        tile = np.asarray(sheet.crop((left, top, left + TILE, top + TILE)))[::SCALE, ::SCALE, 0]
        np.testing.assert_array_equal(tile, test.images[index])


def test_of_too_many_mistakes_the_sheet_shows_as_many_as_can_be_looked_at(dataset: Dataset) -> None:
    everything = dict.fromkeys(range(len(dataset.test)), 0.8)
    sheet = opened(mistakes_png(dataset.test, answers(dataset.test, everything), LABELS))
    assert sheet.height == 2 * MARGIN + HEADING + MOST // ACROSS * ROW


def test_no_mistakes_make_an_empty_sheet(dataset: Dataset) -> None:
    assert opened(mistakes_png(dataset.test, answers(dataset.test, {}), LABELS)).height == 2 * MARGIN + HEADING


@pytest.mark.parametrize("classes", [2, 10, 26])
def test_the_confusion_matrix_is_drawn_for_any_number_of_classes(classes: int) -> None:
    truth = np.arange(200) % classes
    right = confusion_png(truth, truth, [chr(65 + index) for index in range(classes)])
    confused = truth.copy()
    confused[truth == 0] = 1
    wrong = confusion_png(truth, confused, [chr(65 + index) for index in range(classes)])
    red = [np.asarray(opened(png)).astype(int) for png in (right, wrong)]
    # A mistake is a field in a strong red.
    counts = [int(((image[..., 0] > 80) & (image[..., 1] < 40)).sum()) for image in red]
    assert counts[0] < counts[1]
    assert counts[1] > 500


def test_a_unit_that_looks_for_one_pixel_shows_it_in_red_and_what_speaks_against_it_in_blue() -> None:
    kernel = np.zeros((784, 40), np.float32)
    kernel[28 * 10 + 14, 7], kernel[28 * 20 + 3, 7] = 1, -1
    kernel[:, 8] = 0.001
    sheet = np.asarray(opened(filters_png([kernel, np.zeros(40, np.float32)]))).astype(int)
    assert sheet.shape[1] > FILTER_COLUMNS * 28
    # The unit with the largest weights comes first.
    first = sheet[:60, :60]
    assert ((first[..., 0] > 200) & (first[..., 2] < 120)).any()
    assert ((first[..., 2] > 200) & (first[..., 0] < 120)).any()
    assert not ((sheet[:60, 64:120, 0] > 200) & (sheet[:60, 64:120, 2] < 120)).all()
