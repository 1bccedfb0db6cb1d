"""From pieces of ink to digits: read, split where several touch, join where one is broken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.mnist import IMAGE_SIDE, fit_digit
from edgemnist.digits.read.grid import Bools, Floats
from edgemnist.digits.read.layout import Along, around
from edgemnist.digits.read.likeness import verdicts_of
from edgemnist.digits.read.piece import MIN_HEIGHT, SOFT_EDGES, Piece, Pieces, Sheet, trimmed
from edgemnist.ground.arrays import Images
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import task_of

DOUBTFUL: Final = 0.8
"""Confidence below which a piece is tried as several digits, or as part of one."""
SPLIT_WIDTH: Final = 0.6
"""Width, in heights of a digit, below which a piece is not two digits."""
NARROW: Final = 1.0
"""Width by its own height below which a piece is a letter more often than two digits."""
SURELY_TWO: Final = 0.5
"""Product of its parts' confidences from which on such a piece is split: the bow of a B is a 3, its stem nothing."""
MAX_PART_WIDTH: Final = 1.7
"""Width, in heights of a digit, above which a part is not one digit."""
MIN_PART_HEIGHT: Final = 0.4
"""Height, in heights of a digit, below which a part is a splinter."""
JOIN_GAP: Final = 0.25
"""Gap between parts of a broken digit, in heights of a digit, at most."""
JOIN_SIZE: Final = 1.5
"""Height and width of a joined digit, in heights of a digit, at most."""
TALL: Final = 0.6
"""Height, in heights of a digit, from which on a piece may be a digit by itself."""
BOTH_LOW: Final = 0.4
"""Factor of the probability of two digits where both are lower: enlarged, halves of one look like digits."""
SIDE_BY_SIDE: Final = 1.1
"""Width by height above which two tall pieces are two digits: nine in ten digits are narrower."""
BAR: Final = 1
"""Index of the digit that any bare stroke is."""
FEWEST_LOWER: Final = 3
"""Pieces that are surely digits, at least, which tell that digits are lower than most of the ink."""
LARGE_SHARE: Final = 0.25
"""Share of what is higher than digits that are surely digits, at least, where these are read as well."""
LIKE_FRAMES: Final = (0, 8)
"""Digits that frames look like, and frames with a cross in them."""
BESIDE: Final = 0.6
"""Gap between a digit and a much lower one, in heights of a digit, at most."""
ON_LINE: Final = 0.25
"""Distance of their middles up or down, in such heights, at most: signs of degrees and exponents are farther off."""
MAX_TRIED: Final = 2000
"""Images that are tried beside the pieces: a page of a hundred digits takes 270 where they touch, noise any number."""


@dataclass(frozen=True)
class Reading:
    """A piece, and the digit that it was read as."""

    piece: Piece
    label: int
    """Index of the class."""
    confidence: float
    probability: float = 0.0
    """That of the class as the classifier alone sees it, which supposes a digit."""
    image: Images | None = None
    """uint8 [28, 28]: what the classifier was given."""
    runner_up: int = 0
    """Index of the most probable of the other classes."""

    @property
    def is_sure(self) -> bool:
        """Whether this is surely a digit, and no bare stroke."""
        return self.confidence >= DOUBTFUL and self.label != BAR


def _sure_digits(readings: Sequence[Reading]) -> list[Reading]:
    """Return which readings are surely digits, single ones, and no bare strokes."""
    return [one for one in readings if one.is_sure and one.piece.box[2] <= SIDE_BY_SIDE * one.piece.box[3]]


def _height(readings: Sequence[Reading]) -> float:
    return float(np.median([one.piece.box[3] for one in readings])) - SOFT_EDGES


def _unlike_frames(readings: Sequence[Reading], least: int = 1) -> Sequence[Reading]:
    """Return the readings, or none if they are fewer than `least` or all look like frames."""
    return readings if len(readings) >= least and {one.label for one in readings}.difference(LIKE_FRAMES) else []


def _with_low(found: Pieces, digits: Sequence[Reading], lower: Sequence[Reading]) -> Pieces:
    """Return the pieces with those of lower digits among the candidates that stand beside digits, or one another.

    Whoever writes fast writes some digits, zeros above all, much lower than others.
    """
    beside, others = [one.piece for one in digits], [one.piece for one in lower]
    # A low piece with nothing before it is a bullet.
    others = [*compress(others, np.any(_follow([*found.candidates, *others], others, found.height), axis=0))]
    newest = [*beside]
    while others and newest:
        is_near: npt.NDArray[np.bool_] = np.logical_or(
            _follow(newest, others, found.height).any(axis=0), _follow(others, newest, found.height).any(axis=1)
        )
        newest, others = [*compress(others, is_near)], [*compress(others, ~is_near)]
        beside += newest
    added = beside[len(digits) :]
    fragments = [piece for piece in found.fragments if all(piece is not one for one in added)]
    return replace(found, candidates=[*found.candidates, *added], fragments=fragments)


def _follow(pieces: Sequence[Piece], others: Sequence[Piece], height: float) -> Bools:
    """Return which of other pieces follow each piece on its line, by the height of a digit: bool [pieces, others]."""
    x, y, w, h = np.array([piece.box for piece in pieces], dtype=np.float64).reshape(-1, 4).T[..., None]
    left, top, wide, high = np.array([piece.box for piece in others], dtype=np.float64).reshape(-1, 4).T
    gap, off = left + wide / 2 - x - w, np.abs(y + h / 2 - top - high / 2)
    return np.asarray((gap > 0) & (gap <= BESIDE * height + wide / 2) & (off <= ON_LINE * height))


class Recognizer:
    """A classifier with a watch: knows how long normalizing and classifying took."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._left = MAX_TRIED
        self._known: dict[int, Reading] = {}
        self.complete = True
        """False where there was more to try than `MAX_TRIED`."""
        self.normalize_ms = 0.0
        self.classify_ms = 0.0

    def recognize_all(self, found: Sheet) -> list[Reading]:
        """Return what all pieces of a page are read as, in no order."""
        outside, *tables = found.parts
        return [reading for part in (*self._layers(outside), *tables) for reading in self.recognize(part)]

    def _layers(self, found: Pieces) -> list[Pieces]:
        """Return the pieces of a page by the height of its digits, which not always is that of most ink.

        Frames are higher than what is printed beside them, and print is lower than what is written into it.
        """
        low = [piece for piece in found.fragments if piece.box[3] >= MIN_HEIGHT + SOFT_EDGES]
        knows_others = bool(task_of(self._classifier).refuser)
        if not knows_others or len(low) + len(found.large) > self._left:
            return [found]
        self._left -= len(low) + len(found.large)
        usual, lower, higher = (_sure_digits(self.first(pieces)) for pieces in (found.candidates, low, found.large))
        most = max(usual, _unlike_frames(lower, FEWEST_LOWER), _unlike_frames(higher), key=len)
        found = _with_low(found, usual, lower) if most is usual else found.by_height(_height(most))
        # The corner of a broken frame looks like a seven.
        large = _unlike_frames(_sure_digits(self.first(found.large)), round(LARGE_SHARE * len(found.large)))
        more = [Pieces([*found.large], [], 0).by_height(_height(large))] if large else []
        return [found, *more]

    def recognize(self, found: Pieces) -> list[Reading]:
        """Return what the pieces of a page are read as, in no order."""
        readings = self.first(found.candidates)
        readings = self._split(readings, found.height)
        readings = self._join(readings, found.height, found.fragments)
        return self._join(readings, found.height)

    def first(self, pieces: Sequence[Piece]) -> list[Reading]:
        """Return what pieces of the page are read as, each of which is asked for once."""
        new = [piece for piece in pieces if id(piece) not in self._known]
        self._known |= {id(piece): reading for piece, reading in zip(new, self._read(new), strict=True)}
        return [self._known[id(piece)] for piece in pieces]

    def _read(self, pieces: Sequence[Piece]) -> list[Reading]:
        if not pieces:
            return []
        started = perf_counter()
        images = np.empty((len(pieces), IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
        for index, piece in enumerate(pieces):
            images[index] = fit_digit(piece.ink)
        normalized = perf_counter()
        verdicts = verdicts_of(self._classifier, images)
        self.normalize_ms += (normalized - started) * 1e3
        self.classify_ms += (perf_counter() - normalized) * 1e3
        told = verdicts.classes.tolist(), verdicts.confidences.tolist(), verdicts.probabilities.tolist()
        return [Reading(*one) for one in zip(pieces, *told, images, verdicts.runners_up.tolist(), strict=True)]

    def _split(self, readings: list[Reading], height: float) -> list[Reading]:
        """Replace each piece by its parts where they are, all together, more probable than the whole."""
        result: list[Reading] = []
        trials: list[_Trial] = []
        for reading in readings:
            doubtful = reading.confidence < DOUBTFUL and reading.piece.box[2] >= SPLIT_WIDTH * height
            if doubtful and self.complete:
                trial = _Trial(reading, height)
                if self._may_try(len(trial.parts)):
                    self._left -= len(trial.parts)
                    trials.append(trial)
                    continue
            result.append(reading)
        parts = iter(self._read([part for trial in trials for part in trial.parts.values()]))
        for trial in trials:
            result.extend(trial.best({span: next(parts) for span in trial.parts}))
        return result

    def _join(self, readings: list[Reading], height: float, fragments: Sequence[Piece] = ()) -> list[Reading]:
        """Join neighbours where one digit is more probable than two; or fragments and the digits beside them."""
        every = [*readings, *(Reading(fragment, BAR, 1.0) for fragment in fragments)]
        pairs = _pairs(every, height)
        if not self._may_try(len(pairs)):
            pairs = pairs[: self._left]
        joined = self._read([_merge(every[one].piece, every[other].piece) for one, other in pairs])
        gains = [
            (whole.confidence - _are_two(every[one], every[other], height), one, other, whole)
            for (one, other), whole in zip(pairs, joined, strict=True)
        ]
        used: set[int] = set()
        result: list[Reading] = []
        for gain, one, other, whole in sorted(gains, key=lambda entry: -entry[0]):
            if gain > 0 and not {one, other} & used:
                used |= {one, other}
                result.append(whole)
        return result + [reading for index, reading in enumerate(readings) if index not in used]

    def _may_try(self, images: int) -> bool:
        """Return whether this many more images may be read, and remember if not."""
        enough = images <= self._left
        self.complete &= enough
        return enough


def _are_two(one: Reading, other: Reading, height: float) -> float:
    both_low = max(one.piece.box[3], other.piece.box[3]) < TALL * height
    return one.confidence * other.confidence * (BOTH_LOW if both_low else 1)


class _Trial:
    """A piece that may be several digits, with all parts that its seams make."""

    def __init__(self, whole: Reading, height: float) -> None:
        self._whole = whole
        seams = [None, *cut_columns(whole.piece), None]
        self._last = len(seams) - 1
        self.parts: dict[tuple[int, int], Piece] = {}
        for start in range(self._last):
            for stop in range(start + 1, self._last + 1):
                part = between(whole.piece, seams[start], seams[stop])
                if part is None or (start, stop) == (0, self._last):
                    continue
                if part.box[2] <= MAX_PART_WIDTH * height and part.box[3] >= MIN_PART_HEIGHT * height:
                    self.parts[start, stop] = part

    def best(self, read: dict[tuple[int, int], Reading]) -> list[Reading]:
        """Return the most probable sequence of parts: the one whose confidences have the largest product.

        A narrow piece stays whole where even that one is improbable.
        """
        read = {**read, (0, self._last): self._whole}
        best: dict[int, tuple[float, list[Reading]]] = {0: (1.0, [])}
        for stop in range(1, self._last + 1):
            ways = [
                (best[start][0] * read[start, stop].confidence, [*best[start][1], read[start, stop]])
                for start in range(stop)
                if start in best and (start, stop) in read
            ]
            if ways:
                best[stop] = max(ways, key=lambda way: way[0])
        probability, parts = best[self._last]
        width, height = self._whole.piece.box[2:]
        if len(parts) > 1 and all(part.label == BAR for part in parts):
            # Ones hardly touch, and the strokes of ticks, crosses and letters do.
            return [self._whole]
        # In the cell of a table, most pieces are one digit.
        is_one = width < NARROW * height or self._whole.piece.table is not None
        is_one = is_one or any(part.label == BAR for part in parts)
        return [self._whole] if is_one and probability < SURELY_TWO else parts


def _pairs(readings: Sequence[Reading], height: float) -> list[tuple[int, int]]:
    """Return the pairs of readings that may be one digit, the later one first."""
    boxes = np.array([reading.piece.box for reading in readings], dtype=np.int64).reshape(-1, 4)
    starts, ends, heights = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 3]
    confidences = np.array([reading.confidence for reading in readings])
    places = np.array([reading.piece.place for reading in readings], dtype=np.int64).reshape(-1, 2)
    middles = starts[:, 1] + heights / 2
    by_row = Along(middles)
    pairs: list[tuple[int, int]] = []
    for one in range(len(readings)):
        # Whatever both are at most as high as together.
        others = by_row.within(middles[one], JOIN_SIZE * height)
        others = others[others < one]
        doubtful = others[np.minimum(confidences[one], confidences[others]) < DOUBTFUL]
        if not doubtful.size:
            continue
        both = np.maximum(ends[one], ends[doubtful]) - np.minimum(starts[one], starts[doubtful])
        # Below 0 where they overlap.
        gaps = np.maximum(starts[one] - ends[doubtful], starts[doubtful] - ends[one]).max(axis=1)
        lower = np.minimum(heights[one], heights[doubtful])
        near = (
            (gaps <= JOIN_GAP * height)
            & (both.max(axis=1) <= JOIN_SIZE * height)
            & ((both[:, 0] <= SIDE_BY_SIDE * both[:, 1]) | (lower < TALL * height))
            & (places[doubtful] == places[one]).all(axis=1)
        )
        pairs += [(one, other) for other in doubtful[near].tolist()]
    return pairs


def _merge(one: Piece, other: Piece) -> Piece:
    x, y, w, h = around([one.box, other.box])
    ink = np.zeros((h, w), dtype=np.uint8)
    for piece in (one, other):
        left, top = piece.box[0] - x, piece.box[1] - y
        patch = ink[top : top + piece.box[3], left : left + piece.box[2]]
        np.maximum(patch, piece.ink, out=patch)
    return replace(other, box=(x, y, w, h), ink=ink)


SEAM_HEIGHT: Final = 32
"""Pixels of height at which seams are sought: finer ones do not cut better."""
SLANT_COST: Final = 0.2
"""Cost of a step aside, against 1 for a pixel of full ink: a seam may lean, but does not wander."""
NARROWEST_PART: Final = 0.12
"""Width of a part, as a share of the height, at least."""
SEAMS_APART: Final = 0.09
"""Distance of two seams in the mean, as a share of the height, at least: nearer ones cut off a sliver."""
CUTS_PER_WIDTH: Final = 4.0
"""Seams for each height's worth of width, at most."""
MAX_CUTS: Final = 8
"""Seams in all, at most."""


def cut_columns(piece: Piece) -> list[npt.NDArray[np.int64]]:
    """Return seams through a piece, from left to right: for each row, the first column right of the cut.

    A seam runs from top to bottom where it crosses the least ink (dynamic programming, as in seam carving). The best
    one through each point at half the height is sought, since the best of all run together in the widest gap.
    """
    height, width = piece.ink.shape
    scale = SEAM_HEIGHT / height
    small_width = max(1, round(width * scale))
    small = np.asarray(Image.fromarray(piece.ink).resize((small_width, SEAM_HEIGHT), Image.Resampling.BOX))
    ink = small / max(1.0, float(small.max()))
    middle = SEAM_HEIGHT // 2
    from_top, steps_up = _least_costs(ink[: middle + 1])
    from_bottom, steps_down = _least_costs(ink[: middle - 1 : -1])
    costs = from_top + from_bottom
    margin = max(1, round(NARROWEST_PART * SEAM_HEIGHT))
    limit = min(MAX_CUTS, max(1, round(CUTS_PER_WIDTH * small_width / SEAM_HEIGHT)))
    seams: list[Floats] = []
    for through in sorted(range(margin, small_width - margin), key=lambda x: costs[x]):
        seam = np.concatenate([_trace(steps_up, through), _trace(steps_down, through)[-2::-1]])
        if (
            all(np.abs(seam - other).mean() >= SEAMS_APART * SEAM_HEIGHT for other in seams)
            and margin <= seam.mean() < small_width - margin
        ):
            seams.append(seam)
        if len(seams) == limit:
            break
    rows = np.minimum((np.arange(height) * scale).astype(np.int64), SEAM_HEIGHT - 1)
    seams.sort(key=lambda seam: float(seam.mean()))
    return [np.rint(seam[rows] / scale).astype(np.int64) for seam in seams]


def between(piece: Piece, left: npt.NDArray[np.int64] | None, right: npt.NDArray[np.int64] | None) -> Piece | None:
    """Return the part of a piece between two seams (None: to its end), or None if there is no ink."""
    columns = np.arange(piece.ink.shape[1])
    ink = piece.ink
    if left is not None:
        ink = np.where(columns >= left[:, None], ink, 0)
    if right is not None:
        ink = np.where(columns < right[:, None], ink, 0)
    return trimmed(piece, ink, int(ink.max()) // 3)


def _least_costs(ink: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return, for each column of the last row, the cost of the best seam there; and the steps that lead to it."""
    steps = np.zeros(ink.shape, dtype=np.int64)
    padded = np.full(ink.shape[1] + 2, np.inf)
    costs = padded[1:-1]
    costs[:] = ink[0]
    for row in range(1, len(ink)):
        aside = np.minimum(padded[:-2], padded[2:]) + SLANT_COST
        steps[row] = np.where(costs <= aside, 0, np.where(padded[:-2] <= padded[2:], -1, 1))
        costs[:] = np.minimum(costs, aside) + ink[row]
    return costs.copy(), steps


def _trace(steps: npt.NDArray[np.int64], end: int) -> Floats:
    seam = np.empty(len(steps))
    column = end
    for row in range(len(steps) - 1, -1, -1):
        seam[row] = column
        column += steps[row, column]
    return seam
