"""From pieces of ink to digits: read, split where several touch, join where one is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.images.mnist import fit_digit
from edgemnist.read.layout import around
from edgemnist.read.likeness import verdicts_of
from edgemnist.read.piece import Piece, Pieces, between, cut_columns
from edgemnist.runtimes.interface import Classifier

DOUBTFUL: Final = 0.8
"""Pieces read with less confidence are tried as several digits, or as part of one."""
SPLIT_WIDTH: Final = 0.6
"""A piece narrower than this, against a digit's height, is not two digits."""
NARROW: Final = 1.0
"""A piece narrower than this, against its own height, is a letter more often than two digits."""
SURELY_TWO: Final = 0.5
"""A narrow piece is split where its parts are digits with at least this probability, all together. The bow of a B is a
3, but its stem is nothing."""
MAX_PART_WIDTH: Final = 1.7
"""A part wider than this, against a digit's height, is not one digit."""
MIN_PART_HEIGHT: Final = 0.4
"""A part lower than this, against a digit's height, is a splinter."""
JOIN_GAP: Final = 0.25
"""Parts of a broken digit are at most this far apart, against a digit's height."""
JOIN_SIZE: Final = 1.5
"""A joined digit is at most this high and wide, against a digit's height."""
TALL: Final = 0.6
"""A piece at least this high, against a digit's height, may be a digit by itself."""
BOTH_LOW: Final = 0.4
"""How much less probable two digits are where both pieces are lower: halves of one look like digits when enlarged."""
SIDE_BY_SIDE: Final = 1.1
"""Two tall pieces are two digits where together they are this much wider than high: nine in ten digits are narrower,
and hardly one of the others falls into two tall halves."""
BAR: Final = 1
"""Index of the digit that any bare stroke is."""
MAX_TRIED: Final = 2000
"""Images, beside those of the pieces as they are: parts, and pieces put together. A page of a hundred digits takes 30
to 70 of them, and 270 where they touch; noise takes as many as it is given."""


Boxes = npt.NDArray[np.int64]
"""int64 [N, 4]: x, y, width, height of each box."""


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


class Recognizer:
    """A classifier with a watch: knows how long normalizing and classifying took."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._left = MAX_TRIED
        self.complete = True
        """False where there was more to try than `MAX_TRIED`."""
        self.normalize_ms = 0.0
        self.classify_ms = 0.0

    def recognize(self, found: Pieces) -> list[Reading]:
        """Return what the pieces of a page are read as, in no order."""
        readings = self._read(found.candidates)
        readings = self._split(readings, found.height)
        readings = self._absorb(readings, found.fragments, found.height)
        return self._join(readings, found.height)

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
        return [
            Reading(piece, int(label), float(confidence), float(probability), image)
            for piece, label, confidence, probability, image in zip(
                pieces, verdicts.classes, verdicts.confidences, verdicts.probabilities, images, strict=True
            )
        ]

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

    def _absorb(self, readings: list[Reading], fragments: Sequence[Piece], height: float) -> list[Reading]:
        """Add each fragment to the digit beside it where that makes the digit more certain."""
        result = list(readings)
        boxes, confidences = _boxes(result), np.array([reading.confidence for reading in result])
        places = _places(result)
        for fragment in fragments:
            box = np.array(fragment.box)
            gaps = _gaps(box, boxes)
            near = np.flatnonzero(
                (confidences < DOUBTFUL)
                & (gaps <= JOIN_GAP * height)
                & _fits(_around(box, boxes), height)
                & (places == fragment.place).all(axis=1)
            )
            if not near.size or not self._may_try(1):
                continue
            index = int(near[np.argmin(gaps[near])])
            self._left -= 1
            (joined,) = self._read([_merge(fragment, result[index].piece)])
            if joined.confidence > result[index].confidence:
                result[index], boxes[index], confidences[index] = joined, joined.piece.box, joined.confidence
        return result

    def _join(self, readings: list[Reading], height: float) -> list[Reading]:
        """Join neighbours where one digit is more probable than two."""
        pairs = _pairs(readings, height)
        if not self._may_try(len(pairs)):
            pairs = pairs[: self._left]
        joined = self._read([_merge(readings[one].piece, readings[other].piece) for one, other in pairs])
        gains = [
            (whole.confidence - _apart(readings[one], readings[other], height), one, other, whole)
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
        """Tell whether so many more images may be read, and remember if not."""
        enough = images <= self._left
        self.complete &= enough
        return enough


def _apart(one: Reading, other: Reading, height: float) -> float:
    """Return how probable it is that two pieces are two digits."""
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
    boxes, confidences = _boxes(readings), np.array([reading.confidence for reading in readings])
    places = _places(readings)
    pairs: list[tuple[int, int]] = []
    for one, (box, confidence) in enumerate(zip(boxes, confidences, strict=True)):
        doubtful = np.flatnonzero(np.minimum(confidence, confidences[:one]) < DOUBTFUL)
        if not doubtful.size:
            continue
        others = boxes[doubtful]
        both = _around(box, others)
        near = (
            (_gaps(box, others) <= JOIN_GAP * height)
            & _fits(both, height)
            & ~_side_by_side(np.minimum(box[3], others[:, 3]), both, height)
            & (places[doubtful] == places[one]).all(axis=1)
        )
        pairs += [(one, other) for other in doubtful[near].tolist()]
    return pairs


def _boxes(readings: Sequence[Reading]) -> Boxes:
    return np.array([reading.piece.box for reading in readings], dtype=np.int64).reshape(-1, 4)


def _places(readings: Sequence[Reading]) -> Boxes:
    """Return table and cell of each reading, int64 [N, 2]."""
    return np.array([reading.piece.place for reading in readings], dtype=np.int64).reshape(-1, 2)


def _gaps(box: Boxes, others: Boxes) -> npt.NDArray[np.int64]:
    """Return how far each of the others, int64 [N, 4], is from a box, int64 [4]: below 0 where they overlap."""
    ends, others_ends = box[:2] + box[2:], others[:, :2] + others[:, 2:]
    return np.asarray(np.maximum(box[:2] - others_ends, others[:, :2] - ends).max(axis=1))


def _around(box: Boxes, others: Boxes) -> Boxes:
    """Return width and height, int64 [N, 2], of what encloses a box and each of the others."""
    ends = np.maximum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    return np.asarray(ends - np.minimum(box[:2], others[:, :2]))


def _fits(sizes: Boxes, height: float) -> npt.NDArray[np.bool_]:
    return np.asarray(sizes.max(axis=1) <= JOIN_SIZE * height)


def _side_by_side(lower: npt.NDArray[np.int64], sizes: Boxes, height: float) -> npt.NDArray[np.bool_]:
    """Tell pairs of digits by the height of the lower one and the size of both together."""
    return np.asarray((sizes[:, 0] > SIDE_BY_SIDE * sizes[:, 1]) & (lower >= TALL * height))


def _merge(one: Piece, other: Piece) -> Piece:
    x, y, w, h = around([one.box, other.box])
    ink = np.zeros((h, w), dtype=np.uint8)
    for piece in (one, other):
        left, top = piece.box[0] - x, piece.box[1] - y
        patch = ink[top : top + piece.box[3], left : left + piece.box[2]]
        np.maximum(patch, piece.ink, out=patch)
    return replace(other, box=(x, y, w, h), ink=ink)
