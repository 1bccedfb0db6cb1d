"""What `edgemnist predict`, `read` and `watch` print."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from edgemnist.results.base import Part, Result

DIGITS: Final = tuple("0123456789")
"""Labels of a model that is asked whether a picture is one of the ten digits at all."""
DIGIT: Final = "digit"
NO_DIGIT: Final = "no-digit"
SEVERAL: Final = "several"


Row = Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=255)]], msgspec.Meta(min_length=28, max_length=28)]
Rows = Annotated[list[Row], msgspec.Meta(min_length=28, max_length=28)]


class Prediction(Part, frozen=True, kw_only=True):
    """The answer for one picture."""

    source: str
    digit: int | str
    """The label: a number where the labels are numbers, as in MNIST."""
    confidence: float
    probabilities: list[float]
    """In the order of `labels`."""
    inverted: bool = False
    """True where a dark digit on a light background was inverted for the model."""
    label: int | str | None = None
    """The true label, where the image is one of the evaluation images."""
    image: Rows | None = None
    """28 rows of 28 pixels, 0 to 255: what the model was given; only with `--show`."""
    verdict: str | None = None
    """`digit`; `no-digit`, where the picture does not look like the digit; `several`, where it shows more than one.
    None where that is unknown: for evaluation images, and for models of other classes than the ten digits."""


class PredictResult(Result, frozen=True, kw_only=True):
    """`edgemnist predict`."""

    artifact: str
    runtime: str
    labels: list[str]
    predictions: list[Prediction]
    unread: list[str] = msgspec.field(default_factory=list)
    """Why pictures that were named could not be read, one sentence each; the exit code is then 2."""


Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the picture; x to the right, y down."""


class ReadDigit(Part, frozen=True, kw_only=True):
    """One digit on a page."""

    digit: int | str | None
    """The label; None where it was refused: the confidence is below the threshold, or all around are letters. Among
    digits that are sure, a quarter of the threshold is enough."""
    confidence: float
    """Probability that it is this digit: that of the classifier, times that of the likeness network."""
    box: Box
    line: int
    """From 0, top to bottom."""
    table: int | None = None
    """Index of the table that it stands in; `row` and `column` are those of its cell. None outside of tables."""
    row: int | None = None
    column: int | None = None


class ReadCell(Part, frozen=True, kw_only=True):
    """One cell of a table."""

    row: int
    column: int
    """From 0; of a merged cell, those of its first."""
    rows: int
    columns: int
    """How many it spans: 1, or more where cells are merged."""
    box: Box
    text: str
    """What was read, with `?` for each digit that was refused; empty where nothing is written."""
    confidence: float | None
    """That of its least certain digit; None where nothing is written."""


class ReadTable(Part, frozen=True, kw_only=True):
    """Cells that lines enclose: a grid, a form's comb, a column of a list."""

    rows: int
    columns: int
    corners: list[tuple[int, int]]
    """x, y in pixels of the picture, clockwise from the corner that is at the upper left as the table reads."""
    cells: list[ReadCell]
    """Row by row, including empty ones."""


class ReadNumber(Part, frozen=True, kw_only=True):
    """Neighbouring digits, or those of a comb."""

    text: str
    """With `?` for each digit that was refused, and a space for each empty cell between two digits of a comb."""
    confidence: float
    """That of its least certain digit."""
    line: int
    box: Box


class StageTimes(Part, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    find: float
    """From the picture to pieces of ink."""
    normalize: float
    """From pieces to 28×28, including those of tried splits and joins."""
    classify: float
    """The classifier itself, and the judgement whether it is a digit."""
    arrange: float
    """Lines and numbers."""


class ReadResult(Result, frozen=True, kw_only=True):
    """`edgemnist read`."""

    source: str = ""
    artifact: str = ""
    runtime: str = ""
    width: int
    height: int
    """Of the picture, in pixels, upright."""
    turned: int = 0
    """Degrees by which the page was turned clockwise to be read: 0, 90, 180 or 270. Boxes refer to the picture as
    given; rows, columns and lines to the page as it reads."""
    min_confidence: float
    digits: list[ReadDigit]
    """In reading order: lines, then left to right."""
    numbers: list[ReadNumber]
    tables: list[ReadTable] = msgspec.field(default_factory=list)
    """From top to bottom."""
    complete: bool = True
    """False where there was more ink than on any page of digits, so that not all of it was tried."""
    milliseconds: StageTimes


class WatchNumber(Part, frozen=True, kw_only=True):
    """A number that several frames agree on."""

    text: str
    """With `?` for each digit that was refused."""
    confidence: float
    """Mean over the frames that agree on it."""
    line: int
    """From 0, top to bottom."""
    box: Box
    """x, y, width, height in pixels of the latest frame."""


class WatchTimes(Part, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    wait: float
    """From the arrival of the frame until work on it began."""
    find: float
    normalize: float
    classify: float
    arrange: float
    total: float
    """From the arrival of the frame to its reading."""


class WatchReading(Result, frozen=True, kw_only=True):
    """What was read in one frame, steadied by those before it."""

    timestamp: str
    """When the frame arrived: ISO 8601, UTC."""
    source: str
    """The camera, the URL or the file."""
    frame: int
    """Number of the frame in the source, from 0, counting dropped frames."""
    position: float | None = None
    """Seconds from the start of a video file."""
    numbers: list[WatchNumber]
    """In reading order."""
    tables: list[ReadTable] = msgspec.field(default_factory=list)
    """Those that several frames agree on, from top to bottom, if the latest frame shows them. The texts of their
    cells are also what several frames agree on, with `?` where they do not agree yet."""
    confidence: float | None
    """That of the least certain number; None if there is none."""
    dropped: int
    """Frames since the last reading that came faster than they could be read."""
    skipped: int
    """Frames since the last reading that showed nothing new."""
    milliseconds: WatchTimes
