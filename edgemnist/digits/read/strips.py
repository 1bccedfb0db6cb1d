"""What stands in a row, read without finding its pieces first: digits, signs, and what is neither.

A network of convolutions alone sees a strip of ink and says, for every fourth column, what has its middle there. So
digits may touch one another, rules and dividers. Like the likeness network, it is an int8 file that the engine
executes, or NumPy; `tools/strips` made it, and `strips.json` records how.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.layout import around
from edgemnist.digits.read.likeness import EXACT, HERE, ShippedNetwork, checked, read_record
from edgemnist.digits.task import Box
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.interface import Classifier, softmax

WEIGHTS_FILE: Final = HERE / "strips.tflite"
RECORD_FILE: Final = HERE / "strips.json"
HEIGHT: Final = 32
WIDTH: Final = 128
COLUMN: Final = 4
"""Height and width of what the network sees, and width of a column, in pixels."""
DIGIT: Final = 21
"""Height of a digit in a strip, in pixels: most of those that it has learned from are 13 to 29 high."""
OVERLAP: Final = 8
"""Columns that two tiles of a longer strip have in common: the network sees five beside each."""
CLASSES: Final = (*"0123456789", *".,/-:+×÷=()%", "other", "blank")
BLANK: Final = len(CLASSES) - 1


class Mark(NamedTuple):
    """Something in a strip."""

    text: str
    """One of `CLASSES`."""
    probability: float
    x: float
    """Its middle, in pixels of what was given."""


def open_network(file: Path) -> Classifier:
    """Return the network in a file. Raises ArtifactError where it is damaged."""
    runtime = next(name for name in EXACT if not RUNTIMES[name].missing())
    return load(file, runtime=runtime, spec=InputSpec.of_range((HEIGHT, WIDTH)), numbers=True)


@cache
def _network() -> Classifier:
    checked(WEIGHTS_FILE, read_record(RECORD_FILE, ShippedNetwork))
    return open_network(WEIGHTS_FILE)


def columns_of(network: Classifier, tiles: Images) -> Probabilities:
    """Return the probability of each class in each column of tiles, uint8 [N, 32, 128]: float32 [N, 32, classes]."""
    scores = network.answer(tiles).reshape(-1, len(CLASSES))
    return softmax(scores).reshape(len(tiles), WIDTH // COLUMN, len(CLASSES))


def read_strips(strips: Sequence[Ink], heights: Sequence[float]) -> list[list[Mark]]:
    """Return what stands in strips of ink, uint8 [h, w] each, from left to right.

    `heights` are those of their digits, in pixels. Ink is told by the strongest of a strip.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    tiles: list[Ink] = []
    spans: list[tuple[int, int]] = []
    for ink, height in zip(strips, heights, strict=True):
        cut = _tiles(_scaled(ink, DIGIT / height))
        spans.append((len(tiles), len(cut)))
        tiles += cut
    if not tiles:
        return []
    by_tile = columns_of(_network(), np.stack(tiles))
    return [
        _marks(_joined(by_tile[first : first + count]), height / DIGIT)
        for (first, count), height in zip(spans, heights, strict=True)
    ]


def _scaled(ink: Ink, scale: float) -> Ink:
    """Return a strip `HEIGHT` pixels high, its middle in the middle, and its ink as strong as it can be."""
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    small = np.asarray(
        Image.fromarray(ink).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    strong = max(1, int(small.max()))
    small = (small.astype(np.uint16) * 255 // strong).astype(np.uint8)
    above = (HEIGHT - size[1]) // 2
    if above < 0:
        return small[-above : HEIGHT - above]
    return np.pad(small, ((above, HEIGHT - size[1] - above), (0, 0)))


def _tiles(strip: Ink) -> list[Ink]:
    step = WIDTH - OVERLAP * COLUMN
    count = max(1, -(-(strip.shape[1] - OVERLAP * COLUMN) // step))
    padded = np.pad(strip, ((0, 0), (0, count * step + OVERLAP * COLUMN - strip.shape[1])))
    return [padded[:, at * step : at * step + WIDTH] for at in range(count)]


def _joined(tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the columns of a strip, float32 [columns, classes]: of two tiles, each has its half of the overlap."""
    half, last = OVERLAP // 2, len(tiles) - 1
    return np.concatenate(
        [tile[half if at else 0 : len(tile) if at == last else len(tile) - half] for at, tile in enumerate(tiles)]
    )


def _marks(columns: npt.NDArray[np.float32], scale: float) -> list[Mark]:
    """Return the marks of a strip: of neighbouring columns with the same one, the surest."""
    best = columns.argmax(axis=1)
    found: list[Mark] = []
    ends = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    for start, stop in pairwise(ends):
        if best[start] != BLANK:
            at = start + int(columns[start:stop, best[start]].argmax())
            found.append(Mark(CLASSES[best[start]], float(columns[at, best[start]]), (at + 0.5) * COLUMN * scale))
    return found


BESIDE: Final = 0.8
"""Room to the left of a number that is read with it, for a sign before it, in heights of its digits."""
ABOVE: Final = 0.3
"""Room above and below it, in such heights."""
KEPT_SIGNS: Final = ".,/-:"
"""Signs that change what a number is."""
SURE_SIGN: Final = 0.6
"""Probability of a sign, at least."""
FOREIGN: Final = (*"+×÷=()%", "other")
"""What is neither a digit nor a sign of a number: letters, operators."""
SURE_FOREIGN: Final = 0.99
"""Probability of it from which on it is no digit, whatever it was read as."""
ONE: Final = "1"
SURE_ONE: Final = 0.9
"""Probability of a one below which it may be a slash, if there is another one."""


def signs_of(numbers: Sequence[Sequence[Box]], ink: Ink) -> list[list[Mark]]:
    """Return the signs in and before each number, by the boxes of its digits, and the ones that may be slashes.

    `ink` is that of the page, uint8 [h, w], on which `x` of a mark is told, too.
    """
    strips, heights, lefts = [], [], []
    for boxes in numbers:
        x, y, w, h = around(boxes)
        height = float(np.median([box[3] for box in boxes]))
        left, above = max(0, round(x - BESIDE * height)), max(0, round(y - ABOVE * height))
        strips.append(ink[above : round(y + h + ABOVE * height), left : round(x + w + ABOVE * height)])
        heights.append(height)
        lefts.append(left)
    return [
        [mark._replace(x=mark.x + left) for mark in marks if _is_sign(mark)]
        for marks, left in zip(read_strips(strips, heights), lefts, strict=True)
    ]


def _is_sign(mark: Mark) -> bool:
    if mark.text == ONE:
        return mark.probability < SURE_ONE
    if mark.text in FOREIGN:
        return mark.probability >= SURE_FOREIGN
    return mark.text in KEPT_SIGNS and mark.probability >= SURE_SIGN
