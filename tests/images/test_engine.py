"""The engine in C and NumPy find and frame a digit alike, to the last byte, and Pillow's reductions are those of C."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from edgemnist.digits import images as normalize
from edgemnist.digits.images.fitting import BLANK, FITTED, MAX_PAPER_SIDE, MAX_SIDE, UNEVEN, Fitter, _Found, fitter
from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.images.mnist import fit_by_numpy, fit_digit
from edgemnist.digits.images.paper import extract_ink, extract_ink_by_numpy, is_dark_on_light, light_by_numpy
from edgemnist.digits.native import CODE
from edgemnist.errors import ImageError
from edgemnist.model.native import WARNINGS
from tests.images.drawing import random_drawing
from tests.needs import require

pytestmark = pytest.mark.all

NORMAL = "edgemnist.digits.images.fitter"


@pytest.fixture(scope="module")
def engine() -> Fitter:
    require("engine")
    found = fitter()
    assert found is not None
    return found


def outcome(drawing: Image.Image) -> Any:
    """Return all that normalizing gives, or the message of the error."""
    try:
        found = normalize.normalize_digit(drawing)
    except ImageError as error:
        return error.message
    return found.image.tolist(), found.inverted, found.box, found.several


def test_drawings_become_the_same_bytes_with_and_without_engine(
    engine: Fitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings, rng = [random_drawing(seed) for seed in range(600)], np.random.default_rng(4)
    for _ in range(300):
        sheet, side = np.full(rng.integers(4, 400, 2), 255, dtype=np.uint8), int(rng.integers(2, 26))
        top, left = (int(rng.integers(0, max(1, length - side))) for length in sheet.shape)
        place = sheet[top : top + side, left : left + side]
        place[:] = rng.integers(0, 256, place.shape)
        drawings.append(Image.fromarray(sheet))
    kinds = {
        kind if isinstance(kind := engine.picture(to_grey(one, 512, whole=True)), int) else FITTED for one in drawings
    }
    assert kinds == {FITTED, BLANK, UNEVEN}
    with_engine = [outcome(one) for one in drawings]
    monkeypatch.setattr(NORMAL, lambda: None)
    without = [outcome(one) for one in drawings]
    assert [index for index, one in enumerate(with_engine) if one != without[index]] == []


def test_ink_of_one_digit_becomes_the_same_bytes(engine: Fitter) -> None:
    for seed in range(1_000, 1_300):
        ink = np.asarray(random_drawing(seed, largest=400))
        assert np.array_equal(engine.digit(ink), fit_by_numpy(ink)), seed
    assert not fit_digit(np.zeros((5, 5), dtype=np.uint8)).any()
    # Beyond what the engine takes, NumPy does it.
    large = np.zeros((MAX_SIDE + 1, 40), dtype=np.uint8)
    large[50:900, 10:20] = 255
    assert np.array_equal(fit_digit(large), fit_by_numpy(large))


def test_the_roundest_blots_are_thinned_within_their_memory(engine: Fitter) -> None:
    y, x = np.mgrid[:100, :100]
    for cut in range(0, 45, 5):
        octagon = (x + y >= cut) & (x + y <= 198 - cut) & (abs(x - y) <= 99 - cut)
        ink = np.where(octagon, 255, 0).astype(np.uint8)
        assert np.array_equal(engine.digit(ink), fit_by_numpy(ink)), cut


def test_large_pictures_are_made_smaller_in_c_as_by_pillow(engine: Fitter) -> None:
    scratch = np.empty(2_500_000, dtype=np.uint8)
    for seed in range(40):
        drawing = random_drawing(seed, largest=5_000)
        pixels, image, found = np.asarray(drawing), np.empty((28, 28), dtype=np.uint8), _Found()
        kind = engine._picture(
            pixels.ctypes.data, *drawing.size, image.ctypes.data, ctypes.addressof(found), scratch.ctypes.data
        )
        expected = engine.picture(to_grey(drawing, 512, whole=True))
        if isinstance(expected, int):
            assert kind == expected, seed
        else:
            assert kind == FITTED
            assert np.array_equal(image, expected.image), seed
            assert (found.left, found.top, found.width, found.height) == expected.box


def test_light_and_ink_are_the_same_in_c_and_in_numpy(engine: Fitter) -> None:
    for seed in range(60):
        grey = np.asarray(random_drawing(seed, largest=1_500).convert("L"))
        assert engine.light(grey) == light_by_numpy(grey), seed
        for dark in (False, True):
            assert np.array_equal(engine.extract_ink(grey, dark=dark), extract_ink_by_numpy(grey, dark=dark)), seed


def test_a_page_that_is_too_long_for_the_engine_goes_to_numpy(engine: Fitter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(wraps=engine.extract_ink)
    monkeypatch.setattr(engine, "extract_ink", asked)
    grey = np.random.default_rng(1).integers(0, 256, (MAX_PAPER_SIDE + 1, 30), dtype=np.uint8)
    assert np.array_equal(extract_ink(grey, dark=True), extract_ink_by_numpy(grey, dark=True))
    assert isinstance(is_dark_on_light(grey), bool)
    assert not asked.called
    assert np.array_equal(extract_ink(grey[1:], dark=True), extract_ink_by_numpy(grey[1:], dark=True))
    assert asked.called


@pytest.mark.needs("gcc")
def test_light_and_ink_stay_within_their_memory(tmp_path: Path) -> None:
    """Of every size at which something changes, under the sanitizers, and equal to NumPy."""
    program = tmp_path / "paper"
    driver = Path(__file__).parent / "paper_driver.c"
    options = ("-std=c99", "-g", "-O1", *WARNINGS, "-Werror", "-fsanitize=address,undefined")
    command = ("gcc", *options, "-fno-sanitize-recover=all", f"-I{CODE.folder}", str(driver), "-o", str(program))
    subprocess.run(command, check=True)
    sides = [(1, 1), (1, 4096), (4096, 1), (2, 3), (95, 96), (97, 97), (96, 385), (384, 384), (385, 384), (4096, 300)]
    for seed, (width, height) in enumerate([*sides, (300, 4096), (768, 767), (1023, 1), (11, 700)]):
        told = subprocess.run((str(program), f"{width}", f"{height}", f"{seed}"), check=True, capture_output=True)
        size = width * height
        grey, *inks = np.frombuffer(told.stdout[:size] + told.stdout[size + 56 :], np.uint8).reshape(3, height, width)
        light = np.frombuffer(told.stdout[size : size + 56], np.int64)
        expected = light_by_numpy(grey)
        assert [*expected.fine, *expected.coarse, 2 * expected.brightness] == light.tolist(), (width, height)
        for dark, ink in enumerate(inks):
            assert np.array_equal(ink, extract_ink_by_numpy(grey, dark=bool(dark))), (width, height)
