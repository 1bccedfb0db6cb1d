"""The engine in C and NumPy find and frame a digit alike, to the last byte, and Pillow's reductions are those of C."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import ImageError
from edgemnist.images import normalize
from edgemnist.images.grey import to_grey
from edgemnist.images.mnist import fit_by_numpy, fit_digit
from edgemnist.native.fitting import BLANK, FITTED, MAX_SIDE, UNEVEN, Fitter, _Found, fitter
from tests.images.drawings import random_drawing
from tests.needs import require

pytestmark = pytest.mark.slow

NORMAL = "edgemnist.images.normalize.fitter"


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


def test_drawings_become_the_same_bytes_with_the_engine_and_without(
    engine: Fitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = [random_drawing(seed) for seed in range(600)]
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


@pytest.mark.parametrize("size", [(1_030, 700), (1_025, 3_075), (2_600, 1_900)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_levels_are_those_of_pillow(
    engine: Fitter, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], mode: str
) -> None:
    """The largest one is beyond the 16 MB that Pillow keeps in one piece, so it goes to the engine in strips."""
    asked: list[int] = []
    reduce = engine.reduce

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return reduce(*arguments)

    monkeypatch.setattr(engine, "reduce", counted)
    channels = (3,) if mode == "RGB" else ()
    pixels = np.random.default_rng(size[0]).integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    mine = to_grey(picture, 512, whole=True)
    assert len(asked) == 1 or (mode, size[0]) == ("RGB", 2_600)
    assert asked
    monkeypatch.setattr("edgemnist.images.grey.fitter", lambda: None)
    assert np.array_equal(mine, to_grey(picture, 512, whole=True))
