"""What stands in a row, read without finding its pieces first: digits, signs, and what is neither.

A network of convolutions alone sees a strip of ink and says, for every fourth column, what has its middle there. So
digits may touch one another, rules and dividers. Like the likeness network, it is an int8 file that the engine
executes, or NumPy; `tools/strips` made it, and `strips.json` records how.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.images.paper import Ink, dilate
from edgemnist.digits.read.layout import around, median
from edgemnist.digits.read.likeness import HERE, ShippedNetwork, checked, open_network, read_record
from edgemnist.digits.task import Box
from edgemnist.ground.arrays import Images, Probabilities
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
REACH: Final = 8
"""Half the window, in pixels of a strip, that no stroke fills: what is wider is shade, or a dark field."""
STRONG: Final = 98.5
"""Percentile of what a strip's pixels take of the light that is the strength of its ink."""
FAINTEST: Final = 24
"""That strength, of 255, at least: less is grain."""
CLASSES: Final = (*"0123456789", *".,/-:+×÷=()%", "other", "blank")
BLANK: Final = len(CLASSES) - 1


class Mark(NamedTuple):
    """Something in a strip."""

    text: str
    """One of `CLASSES`."""
    probability: float
    x: float
    """Its middle, in pixels of what was given."""
    runner_up: int = 0
    """The most probable digit there, or the second one where it is that."""

    def is_on(self, box: Box) -> bool:
        """Return whether this is what stands in a box."""
        left, _, wide, high = box
        return abs(self.x - left - wide / 2) <= ON_DIGIT * high


@cache
def _network() -> Classifier:
    checked(WEIGHTS_FILE, read_record(RECORD_FILE, ShippedNetwork))
    return open_network(WEIGHTS_FILE, (HEIGHT, WIDTH))


def columns_of(network: Classifier, tiles: Images) -> Probabilities:
    """Return the probability of each class in each column of tiles, uint8 [N, 32, 128]: float32 [N, 32, classes]."""
    scores = network.answer(tiles).reshape(-1, len(CLASSES))
    return softmax(scores).reshape(len(tiles), WIDTH // COLUMN, len(CLASSES))


def read_strips(strips: Sequence[Ink], heights: Sequence[float]) -> list[list[Mark]]:
    """Return what stands in strips of ink, uint8 [h, w] each, from left to right.

    `heights` are those of their digits, in pixels.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    by_strip = [_tiles(_scaled(255 - ink, DIGIT / height)) for ink, height in zip(strips, heights, strict=True)]
    if not by_strip:
        return []
    by_tile = columns_of(_network(), local_ink(np.stack([tile for tiles in by_strip for tile in tiles])))
    ends = np.cumsum([len(tiles) for tiles in by_strip])[:-1]
    return [
        _marks(_joined(tiles), height / DIGIT) for tiles, height in zip(np.split(by_tile, ends), heights, strict=True)
    ]


def local_ink(lights: Images) -> Images:
    """Return what is darker than all that is around it, as strong as it can be, of grey levels: uint8 [N, h, w]."""
    ground = 255 - dilate(255 - dilate(lights, REACH), REACH)
    inks = ground - np.minimum(ground, lights)
    flat = inks.reshape(len(inks), -1)
    at = int(STRONG / 100 * (flat.shape[1] - 1))
    strong = np.maximum(FAINTEST, np.partition(flat, at)[:, at].astype(np.uint16))[:, None, None]
    return np.asarray(np.minimum(255, inks.astype(np.uint16) * 255 // strong).astype(np.uint8))


def _scaled(light: Grey, scale: float) -> Grey:
    """Return a strip `HEIGHT` pixels high, its middle in the middle."""
    size = max(1, round(light.shape[1] * scale)), max(1, round(light.shape[0] * scale))
    resampling = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(light).resize(size, resampling))
    above = (HEIGHT - size[1]) // 2
    if above < 0:
        return small[-above : HEIGHT - above]
    return np.pad(small, ((above, HEIGHT - size[1] - above), (0, 0)), mode="edge")


def _tiles(strip: Grey) -> list[Grey]:
    step = WIDTH - OVERLAP * COLUMN
    count = max(1, -(-(strip.shape[1] - OVERLAP * COLUMN) // step))
    padded = np.pad(strip, ((0, 0), (0, count * step + OVERLAP * COLUMN - strip.shape[1])), mode="edge")
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
            digits = np.where(np.arange(10) == best[start], -1, columns[at, :10])
            x, other = (at + 0.5) * COLUMN * scale, int(digits.argmax())
            found.append(Mark(CLASSES[best[start]], float(columns[at, best[start]]), x, other))
    return found


BESIDE: Final = 1.2
"""Room to the left of a number that is read with it, for a sign before it, in heights of its digits."""
ABOVE: Final = 0.3
"""Room above and below it, in such heights."""
KEPT_SIGNS: Final = ".,/-:"
"""Signs that change what a number is."""
SURE_SIGN: Final = 0.6
SURE_SLASH: Final = 0.75
"""Probability of a sign, at least; and of a slash, which a leaning one resembles."""
OTHER: Final = "other"
FOREIGN: Final = (*"+×÷=()%", OTHER)
"""What is neither a digit nor a sign of a number: letters, operators."""
SURE_FOREIGN: Final = 0.99
"""Probability of it from which on it is no digit, whatever it was read as."""
SLASH: Final = "/"
FOOT: Final = 0.4
"""Distance of a dot from the middle of a slash, in heights of a digit, below which it is the foot of that."""
ON_DIGIT: Final = 0.2
"""Distance of a mark from the middle of a piece, in its heights, up to which that is the mark."""


def signs_of(numbers: Sequence[Sequence[Box]], ink: Ink) -> list[list[Mark]]:
    """Return what strips see in and before each number, by the boxes of its digits.

    `ink` is that of the page, uint8 [h, w], on which `x` of a mark is told, too.
    """
    strips, heights, lefts = [], [], []
    for boxes in numbers:
        x, y, w, h = around(boxes)
        height = median(np.array([box[3] for box in boxes]))
        left, above = max(0, round(x - BESIDE * height)), max(0, round(y - ABOVE * height))
        strips.append(ink[above : round(y + h + ABOVE * height), left : round(x + w + ABOVE * height)])
        heights.append(height)
        lefts.append(left)
    return [
        [mark._replace(x=mark.x + left) for mark in marks]
        for marks, left in zip(read_strips(strips, heights), lefts, strict=True)
    ]


def surely(marks: Sequence[Mark], height: float) -> list[Mark]:
    """Return the marks of a number that are surely signs or foreign.

    `height` is that of its digits, in pixels. Who writes one slash writes others, and the foot of one is no comma.
    """
    slashes = [mark for mark in marks if mark.text == SLASH and mark.probability >= SURE_SLASH]
    least = {**dict.fromkeys(KEPT_SIGNS, SURE_SIGN), **dict.fromkeys(FOREIGN, SURE_FOREIGN)}
    least[SLASH] = SURE_SIGN if slashes else SURE_SLASH
    return [
        mark for mark in marks
        if mark.probability >= least.get(mark.text, 2)
        and not (mark.text in (".", ",") and any(abs(one.x - mark.x) < FOOT * height for one in slashes))
    ]  # fmt: skip
