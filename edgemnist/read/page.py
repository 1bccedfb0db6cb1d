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
from edgemnist.read.assemble import Assembled
from edgemnist.read.config import ReadConfig
from edgemnist.read.piece import Sheet
from edgemnist.read.recognize import Recognizer
from edgemnist.registry import Entry, Package
from edgemnist.results.pictures import ReadResult, StageTimes
from edgemnist.runtimes.interface import Classifier

FINDER: Final = Entry(
    target="edgemnist.read.pieces:find_sheet",
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
    find_sheet = _finder()
    started = perf_counter()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    width, height = picture.size
    grey = to_grey(picture, config.max_side)
    # Where the caller has let go of it as well, a large picture makes room for what is done with the small one.
    del image, picture
    found = find_sheet(grey)
    found_at = perf_counter()
    recognizer = Recognizer(classifier)
    readings = [reading for part in found.parts for reading in recognizer.recognize(part)]
    recognized_at = perf_counter()
    scale = width / grey.shape[1], height / grey.shape[0]
    assembled = Assembled(readings, found.grids, classifier.labels, config, scale)
    return ReadResult(
        width=width,
        height=height,
        min_confidence=config.min_confidence,
        digits=assembled.digits,
        numbers=assembled.numbers,
        tables=assembled.tables,
        complete=found.complete and recognizer.complete,
        milliseconds=StageTimes(
            find=(found_at - started) * 1e3,
            normalize=recognizer.normalize_ms,
            classify=recognizer.classify_ms,
            arrange=(perf_counter() - recognized_at) * 1e3,
        ),
    )


@cache
def _finder() -> Callable[[Grey], Sheet]:
    """Return `find_sheet`: which packages are installed is asked once, and not for each frame of a camera."""
    finder: Callable[[Grey], Sheet] = FINDER.load()
    return finder
