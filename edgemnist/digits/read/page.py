"""Reading a page or a camera's frame that is in memory: find, turn, recognize, arrange."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from types import ModuleType
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace
from PIL import Image

from edgemnist.digits.images.grey import Grey, to_grey
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.digits.images.paper import is_dark_on_light
from edgemnist.digits.read.assemble import Assembled
from edgemnist.digits.read.likeness import ReadConfig, verdicts_of
from edgemnist.digits.read.piece import Piece, Sheet
from edgemnist.digits.read.recognize import DOUBTFUL, LIKE_FRAMES, Reading, Recognizer
from edgemnist.digits.read.sliding import with_held, with_opened, with_seen
from edgemnist.digits.results import ReadResult, StageTimes
from edgemnist.digits.task import Box
from edgemnist.ground.registry import Entry, Package
from edgemnist.model.answers import Publish
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import task_of

SMALLEST: Final = 640
"""Longer side, in pixels, to which smaller pages are enlarged, since lines and gaps are told in pixels."""
LARGER: Final = 2
"""Factor by which they are, at most: beyond it all only grows softer."""
LOW: Final = 13
"""Height of most ink, in pixels, below which a page is enlarged: digits among it are lower than can be read."""
LOW_PIXELS: Final = 150_000
"""Pixels of such a page, at most: a larger one is a page of small print, which would take seconds."""
STRIP: Final = 0.3
"""Width by length below which a page stays as it is: what was cropped to a row of digits is full of them."""
FEW_SURE: Final = 3
"""Sure digits of a page below which its ink may be what is bright, or what is dark, after all."""
UPRIGHT: Final = 0.75
"""Mean confidence from which on a page is not turned: upside down, only 0, 1 and 8 read so well."""
FEWEST_TO_TURN: Final = 4
"""Pieces below which nobody knows how they lie: a 6 may be a 9."""
SLENDER: Final = 0.3
"""Width of a bar by its height, at most."""
MOST_TO_TURN: Final = 48
"""Pieces that are tried: they tell it."""
GAIN_OF_TURN: Final = 0.2
"""Mean confidence that a turn gains, at least."""
READABLE: Final = 0.6
"""Mean confidence that it reaches, at least: letters read badly whichever way they are turned."""
SOFT: Final = 0.15
"""Way on which ink rises from none to all, in heights of what is written, from which on it is out of focus. Drawn pages
blurred by a tenth of a digit's height have 0.19 and more, forty real ones of which a third is refused up to 0.14."""
FINDER: Final = Entry(
    target="edgemnist.digits.read.find",
    summary="Finding digits on a page",
    requires=(Package("opencv-python-headless", "cv2"),),
    extra="vision",
)


def read_page(
    image: Image.Image | npt.NDArray[np.uint8],
    classifier: Classifier,
    config: ReadConfig | None = None,
    *,
    source: str = "",
    publish: Publish | None = None,
) -> ReadResult:
    """Return every digit on a page, in reading order, and the numbers that neighbours form.

    A page that lies on its side or upside down is turned.

    `publish` is given the answer to each digit, with `source` as the name of the page.

    `image` is a picture, or an array as cameras give it: uint8 [h, w] grey or uint8 [h, w, 3] RGB. Neither is changed.

    Raises ImageError for a picture without pixels, and MissingDependencyError where OpenCV is not installed.
    """
    config = config or ReadConfig()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    width, height = picture.size
    grey = to_grey(picture, config.max_side)
    # Where the caller has let go of it as well, a large picture makes room for what is done with the small one.
    del image, picture
    page = recognize_page(grey, classifier, config)
    recognized_at = perf_counter()
    across, down = (width, height) if page.quarters % 2 == 0 else (height, width)
    scale = across / page.width, down / page.height
    assembled = Assembled(page.readings, page.sheet, classifier.labels, config, scale)
    refused = sum(digit.digit is None for digit in assembled.digits)
    sharp = 3 * refused <= len(assembled.digits) or not is_soft(page.readings, page.sheet)
    if publish is not None and sharp:
        publish(assembled.answers(source))
    result = ReadResult(
        source=source,
        width=width,
        height=height,
        min_confidence=config.min_confidence,
        sharp=sharp,
        digits=assembled.digits if sharp else [],
        numbers=assembled.numbers if sharp else [],
        tables=assembled.tables if sharp else [],
        complete=page.complete,
        milliseconds=replace(page.milliseconds, arrange=(perf_counter() - recognized_at) * 1e3),
    )
    return turned_back(result, page.quarters, across, down) if page.quarters else result


@dataclass(frozen=True)
class Recognized:
    """What was recognized on a page, before what is around a reading decides with it."""

    readings: list[Reading]
    sheet: Sheet
    width: int
    height: int
    """Of the page in which they are, in pixels."""
    quarters: int
    """By how many it was turned, against the clock."""
    complete: bool
    milliseconds: StageTimes


def recognize_page(grey: Grey, classifier: Classifier, config: ReadConfig) -> Recognized:
    """Return what the pieces of a page, uint8 [h, w], are read as."""
    grey = _enlarged(grey, SMALLEST / max(grey.shape)) if min(grey.shape) >= STRIP * max(grey.shape) else grey
    dark = is_dark_on_light(grey)
    page = _recognize(grey, classifier, config, dark=dark)
    # A sheet on a dark table looks like a board, until it is read.
    if task_of(classifier).refuser and page.complete and len(_sure_pieces(page)) < FEW_SURE:
        other = _recognize(grey, classifier, config, dark=not dark)
        first, second = page.milliseconds, other.milliseconds
        both = {stage: getattr(first, stage) + getattr(second, stage) for stage in StageTimes.__struct_fields__}
        opened = sum(one.piece.opened and one.confidence >= DOUBTFUL for one in page.readings)
        better = other if len(_sure_pieces(other)) > len(_sure_pieces(page)) + opened else page
        return dataclasses.replace(better, milliseconds=StageTimes(**both))
    return page


def _sure_pieces(page: Recognized) -> list[Reading]:
    """Return what is surely a digit, and looks like neither a stroke nor a frame, without what strips have opened."""
    sure = (one for one in page.readings if one.is_sure and not one.piece.opened)
    return [one for one in sure if one.label not in LIKE_FRAMES]


def _recognize(grey: Grey, classifier: Classifier, config: ReadConfig, *, dark: bool) -> Recognized:
    finder = _finder()
    started = perf_counter()
    found = finder.find_sheet(grey, dark=dark)
    fullest = max(found.parts, key=lambda part: len(part.candidates) + len(part.fragments))
    if 0 < fullest.height < LOW and grey.size <= LOW_PIXELS:
        grey = _enlarged(grey, LARGER)
        found = finder.find_sheet(grey, dark=dark)
    find_s = perf_counter() - started
    recognizer = Recognizer(classifier)
    readings = recognizer.recognize_all(found)
    quarters, of_digits = 0, bool(task_of(classifier).refuser)
    if of_digits:
        pieces = [piece for part in found.parts for piece in part.candidates]
        quarters = best_turn(recognizer.first(pieces), pieces, classifier)
    if quarters:
        turned_at = perf_counter()
        grey = np.ascontiguousarray(np.rot90(grey, quarters))
        found = finder.find_sheet(grey, dark=dark)
        find_s += perf_counter() - turned_at
        readings = recognizer.recognize_all(found)
    complete = found.complete and recognizer.complete
    if of_digits and found.ink is not None:
        readings, all_seen = with_held(found.ink, found.parts[0].held, readings, classifier.labels)
        complete = complete and all_seen
        readings = with_seen(found.ink, readings, classifier.labels, config.join_gap)
        fields = [(window, 0) for window in found.parts[0].windows]
        # Where most is surely read, no display is left that fell into parts.
        if 2 * sum(one.is_sure for one in readings) <= len(readings):
            fields += finder.find_broken(grey, found.grids)
        readings = with_opened(grey, fields, readings, classifier.labels)
    times = StageTimes(
        find=find_s * 1e3, normalize=recognizer.normalize_ms, classify=recognizer.classify_ms, arrange=0.0
    )
    return Recognized(readings, found, grey.shape[1], grey.shape[0], quarters, complete, times)


def is_soft(readings: Sequence[Reading], found: Sheet) -> bool:
    """Return whether most of what was read on a page is out of focus."""
    if found.ink is None:
        return False
    ways: list[float] = []
    for x, y, w, h in (reading.piece.box for reading in readings):
        ink = found.ink[y : y + h, x : x + w].astype(np.int16)
        steepest = max(int(np.abs(np.diff(ink, axis=axis)).max(initial=1)) for axis in (0, 1))
        ways.append(float(ink.max(initial=0)) / steepest / h)
    return float(np.median(ways or [0.0])) >= SOFT


def _enlarged(grey: Grey, factor: float) -> Grey:
    """Return the grey levels of a page, uint8 [h, w], enlarged by a factor above 1, and by `LARGER` at most."""
    if factor <= 1:
        return grey
    height, width = (round(min(LARGER, factor) * side) for side in grey.shape)
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC))


@cache
def _finder() -> ModuleType:
    """Return the module: which packages are installed is asked once, and not for each frame of a camera."""
    finder: ModuleType = FINDER.load()
    return finder


def best_turn(readings: Sequence[Reading], pieces: Sequence[Piece], classifier: Classifier) -> int:
    """Return how many quarters, against the clock, a page is to be turned so that its pieces read best; mostly 0.

    `readings` are those of these pieces as they are.
    """
    if float(np.mean([reading.confidence for reading in readings] or [1.0])) >= UPRIGHT:
        return 0
    # A bare stroke is a one or a scrap of a line, whichever way it lies; and around a table there are letters.
    pieces = [piece for piece in pieces if min(piece.box[2:]) > SLENDER * max(piece.box[2:])]
    inside = [piece for piece in pieces if piece.table is not None]
    pieces = inside if len(inside) >= FEWEST_TO_TURN else pieces
    if len(pieces) < FEWEST_TO_TURN:
        return 0
    # From all over the page: of its largest pieces, many may be the same letter.
    chosen = np.linspace(0, len(pieces) - 1, min(MOST_TO_TURN, len(pieces))).astype(int)
    images = np.stack([fit_digit(pieces[index].ink) for index in chosen])
    surely = [float(verdicts_of(classifier, np.rot90(images, turn, (1, 2))).confidences.mean()) for turn in range(4)]
    best = int(np.argmax(surely))
    return best if surely[best] >= max(READABLE, surely[0] + GAIN_OF_TURN) else 0


def turned_back(result: ReadResult, quarters: int, width: int, height: int) -> ReadResult:
    """Return what was read on a page of `width`×`height` pixels, turned by quarters against the clock, as it lay."""

    def back(box: Box) -> Box:
        return box_before(box, quarters, width, height)

    return replace(
        result,
        turned=(4 - quarters) % 4 * 90,
        digits=[replace(digit, box=back(digit.box)) for digit in result.digits],
        numbers=[replace(number, box=back(number.box)) for number in result.numbers],
        tables=[
            replace(
                table,
                corners=[back((x, y, 0, 0))[:2] for x, y in table.corners],
                cells=[replace(cell, box=back(cell.box)) for cell in table.cells],
            )
            for table in result.tables
        ],
    )


def box_before(box: Box, quarters: int, width: int, height: int) -> Box:
    """Return where a box was before its page, now `width`×`height` pixels, was turned by quarters against the clock."""
    x, y, w, h = box
    for _ in range(quarters % 4):
        # What was on the right is on top.
        x, y, w, h = height - y - h, x, h, w
        width, height = height, width
    return x, y, w, h
