"""Reading a page or a camera's frame that is in memory: find, recognize, arrange."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.arrays import as_digit
from edgemnist.images.grey import Grey, to_grey
from edgemnist.read.config import ReadConfig
from edgemnist.read.layout import around, arrange, numbers_in
from edgemnist.read.piece import Pieces
from edgemnist.read.recognize import Reading, Recognizer
from edgemnist.registry import Entry, Package
from edgemnist.results.pictures import Box, ReadDigit, ReadNumber, ReadResult, StageTimes
from edgemnist.runtimes.interface import Classifier

REFUSED: Final = "?"

FINDER: Final = Entry(
    target="edgemnist.read.pieces:find_pieces",
    summary="Finding digits on a page",
    requires=(Package("opencv-python-headless", "cv2"),),
    extra="vision",
)


def read_page(
    image: Image.Image | npt.NDArray[np.uint8], classifier: Classifier, config: ReadConfig | None = None
) -> ReadResult:
    """Return every digit on a page, in reading order, and the numbers that neighbours form.

    `image` is a picture, or an array as cameras give it: uint8 [h, w] grey or uint8 [h, w, 3] RGB. Neither is changed.

    Raises ImageError for a picture without pixels, and MissingDependencyError where OpenCV is not installed.
    """
    config = config or ReadConfig()
    find_pieces = _finder()
    started = perf_counter()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    width, height = picture.size
    grey = to_grey(picture, config.max_side)
    # Where the caller has let go of it as well, a large picture makes room for what is done with the small one.
    del image, picture
    found = find_pieces(grey)
    found_at = perf_counter()
    recognizer = Recognizer(classifier)
    readings = recognizer.recognize(found)
    recognized_at = perf_counter()
    scale = width / grey.shape[1], height / grey.shape[0]
    digits, numbers = _arranged(readings, classifier.labels, config, scale)
    return ReadResult(
        width=width,
        height=height,
        min_confidence=config.min_confidence,
        digits=digits,
        numbers=numbers,
        complete=found.complete and recognizer.complete,
        milliseconds=StageTimes(
            find=(found_at - started) * 1e3,
            normalize=recognizer.normalize_ms,
            classify=recognizer.classify_ms,
            arrange=(perf_counter() - recognized_at) * 1e3,
        ),
    )


@cache
def _finder() -> Callable[[Grey], Pieces]:
    """Return `find_pieces`: which packages are installed is asked once, and not for each frame of a camera."""
    finder: Callable[[Grey], Pieces] = FINDER.load()
    return finder


def _arranged(
    readings: list[Reading], labels: tuple[str, ...], config: ReadConfig, scale: tuple[float, float]
) -> tuple[list[ReadDigit], list[ReadNumber]]:
    boxes = [_scaled(reading.piece.box, scale) for reading in readings]
    digits: list[ReadDigit] = []
    numbers: list[ReadNumber] = []
    for number, line in enumerate(arrange(boxes)):
        for members in numbers_in(line, boxes, config.join_gap):
            these = [_digit(readings[index], boxes[index], number, labels, config) for index in members]
            digits += these
            numbers.append(
                ReadNumber(
                    text="".join(REFUSED if one.digit is None else str(one.digit) for one in these),
                    confidence=min(one.confidence for one in these),
                    line=number,
                    box=around([one.box for one in these]),
                )
            )
    return digits, numbers


def _digit(reading: Reading, box: Box, line: int, labels: tuple[str, ...], config: ReadConfig) -> ReadDigit:
    answered = reading.confidence >= config.min_confidence
    return ReadDigit(
        digit=as_digit(labels[reading.label]) if answered else None,
        confidence=reading.confidence,
        box=box,
        line=line,
    )


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    left, top = round(box[0] * scale[0]), round(box[1] * scale[1])
    right, bottom = round((box[0] + box[2]) * scale[0]), round((box[1] + box[3]) * scale[1])
    return left, top, max(1, right - left), max(1, bottom - top)
