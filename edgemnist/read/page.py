"""Reading a page or a camera's frame that is in memory: find, recognize, arrange."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.images.grey import Grey, to_grey
from edgemnist.read.assemble import Assembled, SeenDigit
from edgemnist.read.config import ReadConfig
from edgemnist.read.piece import Sheet
from edgemnist.read.recognize import Recognizer
from edgemnist.read.turn import best_turn, turned_back
from edgemnist.registry import Entry, Package
from edgemnist.results.pictures import DIGITS, ReadResult, StageTimes
from edgemnist.runtimes.interface import Classifier

SMALLEST: Final = 640
LARGER: Final = 2
"""A page of fewer pixels on its longer side is enlarged to so many, since lines and gaps are told in pixels, but by no
more than this factor, beyond which all only grows softer."""
STRIP: Final = 0.3
"""Except one narrower than this share of its length: what was cropped to a row of digits is full of them."""
FINDER: Final = Entry(
    target="edgemnist.read.pieces:find_sheet",
    summary="Finding digits on a page",
    requires=(Package("opencv-python-headless", "cv2"),),
    extra="vision",
)


def read_page(
    image: Image.Image | npt.NDArray[np.uint8],
    classifier: Classifier,
    config: ReadConfig | None = None,
    *,
    on_digits: Callable[[list[SeenDigit]], None] | None = None,
) -> ReadResult:
    """Return every digit on a page, in reading order, and the numbers that neighbours form.

    A page that lies on its side or upside down is turned.

    `on_digits` is given what the classifier was given for each digit, and what it answered.

    `image` is a picture, or an array as cameras give it: uint8 [h, w] grey or uint8 [h, w, 3] RGB. Neither is changed.

    Raises ImageError for a picture without pixels, and MissingDependencyError where OpenCV is not installed.
    """
    config = config or ReadConfig()
    find_sheet = _finder()
    started = perf_counter()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    width, height = picture.size
    grey = _enlarged(to_grey(picture, config.max_side))
    # Where the caller has let go of it as well, a large picture makes room for what is done with the small one.
    del image, picture
    found = find_sheet(grey)
    find_s = perf_counter() - started
    recognizer = Recognizer(classifier)
    readings = [reading for part in found.parts for reading in recognizer.recognize(part)]
    quarters = 0
    if tuple(classifier.labels) == DIGITS:
        quarters = best_turn(readings, [piece for part in found.parts for piece in part.candidates], classifier)
    if quarters:
        turned_at = perf_counter()
        grey = np.ascontiguousarray(np.rot90(grey, quarters))
        found = find_sheet(grey)
        find_s += perf_counter() - turned_at
        readings = [reading for part in found.parts for reading in recognizer.recognize(part)]
    recognized_at = perf_counter()
    across, down = (width, height) if quarters % 2 == 0 else (height, width)
    scale = across / grey.shape[1], down / grey.shape[0]
    assembled = Assembled(readings, found, classifier.labels, config, scale)
    if on_digits is not None:
        on_digits(assembled.seen())
    result = ReadResult(
        width=width,
        height=height,
        min_confidence=config.min_confidence,
        digits=assembled.digits,
        numbers=assembled.numbers,
        tables=assembled.tables,
        complete=found.complete and recognizer.complete,
        milliseconds=StageTimes(
            find=find_s * 1e3,
            normalize=recognizer.normalize_ms,
            classify=recognizer.classify_ms,
            arrange=(perf_counter() - recognized_at) * 1e3,
        ),
    )
    return turned_back(result, quarters, across, down) if quarters else result


def _enlarged(grey: Grey) -> Grey:
    """Return the grey levels of a page, uint8 [h, w], enlarged where they are few."""
    height, width = grey.shape
    factor = min(LARGER, SMALLEST / max(height, width))
    if factor <= 1 or min(height, width) < STRIP * max(height, width):
        return grey
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))


@cache
def _finder() -> Callable[[Grey], Sheet]:
    """Return `find_sheet`: which packages are installed is asked once, and not for each frame of a camera."""
    finder: Callable[[Grey], Sheet] = FINDER.load()
    return finder
