"""What `edgemnist predict`, `read` and `watch` print, and what `serve` answers to pictures."""

from datetime import datetime
from typing import Any

import msgspec

from edgemnist.digits.task import Box
from edgemnist.ground.results import Part, Result


class Prediction(Part, frozen=True, kw_only=True):
    """The answer for one picture."""

    source: str
    answer: int | str | None = None
    """The class: a number where its name is one. None where the model answers with numbers."""
    digit: int | str | msgspec.UnsetType | None = msgspec.UNSET
    """The same, as 0.1.0 has it, of models of digits, and of any classes of their shape; left out for others."""
    confidence: float
    """0 where the model answers with numbers."""
    probabilities: list[float]
    """In the order of `labels`."""
    values: list[float] | msgspec.UnsetType = msgspec.UNSET
    """What a model answers that answers with numbers, in their order; left out for classes."""
    inverted: bool = False
    """True where ink on a light background was inverted for the model."""
    told: list[str] = msgspec.field(default_factory=list)
    """What was lost when the picture was prepared, such as its colours, in words without a full stop."""
    label: int | str | None = None
    """The true label, where the image is one of the evaluation images."""
    image: list[Any] | None = None
    """What the model was given, row by row: nested as its shape says, pixels of 0 to 255; only with `--show`."""
    verdict: str | None = None
    """`digit`; `no-digit`, where the picture does not look like one; `several`, where it shows more than one.
    None where that is unknown: for evaluation images, and for models of another task than `digits`."""

    def __post_init__(self) -> None:
        """Raise ValueError for an image whose rows differ in length, or whose pixels are not of 0 to 255."""
        if self.answer is None and self.digit is not msgspec.UNSET:
            # Of a board with 0.1.0.
            msgspec.structs.force_setattr(self, "answer", self.digit)
        if self.image is None:
            return
        import numpy as np

        from edgemnist.ground.arrays import WHITE

        values = np.array(self.image)
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ValueError("the image is no array of numbers")
        if values.dtype.kind != "f" and (values.min(initial=0) < 0 or values.max(initial=0) > WHITE):
            raise ValueError(f"a pixel of the image is not within 0 and {WHITE}")


class PredictResult(Result, frozen=True, kw_only=True):
    """`edgemnist predict`."""

    artifact: str
    runtime: str
    labels: list[str]
    predictions: list[Prediction]
    unread: list[str] = msgspec.field(default_factory=list)
    """Why pictures that were named could not be read, one sentence each; the exit code is then 2."""


class PredictTimes(Part, frozen=True, kw_only=True):
    """Microseconds of each stage, for all pictures of the request."""

    decode: float
    normalize: float
    """From the picture to what the model takes."""
    classify: float
    """Classification by the first artifact."""


class Comparison(Part, frozen=True, kw_only=True):
    """What another artifact says about the same inputs."""

    artifact: str
    runtime: str
    agrees: bool
    """Whether it answers every picture with the same class as the first artifact, or with the same numbers."""
    predictions: list[Prediction]
    microseconds: float
    """Time of its classification."""


class PredictResponse(PredictResult, frozen=True, kw_only=True):
    """The document of `edgemnist predict --json`, and what the request asked for beyond it."""

    microseconds: PredictTimes
    compared: list[Comparison] = msgspec.field(default_factory=list)
    """One for each further artifact, in the order in which they were asked for."""


class ReadDigit(Part, frozen=True, kw_only=True):
    """One digit on a page."""

    digit: int | str | None
    """The label; None where it was refused. Among digits that are sure, a quarter of the threshold is enough."""
    confidence: float
    """Probability that it is this digit: that of the classifier, times that of the likeness network."""
    box: Box
    runner_up: int | str | None = None
    """The label that it has otherwise; None where it was refused."""
    refused: str | None = None
    """What speaks against it most: its own `confidence`, its `size`, what the `strips` see there, the `word` that it
    stands in, its `surroundings`, a `pattern` all over the page; or it is part of `print`, or a `sign` of a number."""
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
    """With its signs, `?` for each digit that was refused, and a space for each empty cell between two of a comb."""
    confidence: float
    """That of its least certain digit."""
    line: int
    box: Box


class StageTimes(Part, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    find: float
    """From the picture to pieces of ink."""
    normalize: float
    """From pieces to what the model takes, including those of tried splits and joins."""
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
    sharp: bool = True
    """False where over a third was refused and is out of focus, so that nothing is reported."""
    milliseconds: StageTimes


class WatchNumber(ReadNumber, frozen=True, kw_only=True):
    """A number that several frames agree on; its confidence is the mean over them, its box that of the latest."""


class WatchTimes(StageTimes, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    wait: float
    """From the arrival of the frame until work on it began."""
    total: float
    """From the arrival of the frame to its reading."""


class MeterReading(Part, frozen=True, kw_only=True):
    """What a meter has counted."""

    unit: str
    value: float | None = None
    confidence: float | None = None
    taken: datetime | None = None
    """The latest value that can be, in `unit`, and the time of its picture; None before there was any."""
    text: str = ""
    runner_up: str | None = None
    """What this frame shows, and the same with what its least certain digit may be instead, where that is known."""
    held: str | None = None
    """Why that cannot be, so that `value` is an earlier one."""


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
    meter: MeterReading | None = None
    """With `--meter`, which finds no tables; None until frames agree."""
    dropped: int
    """Frames since the last reading that came faster than they could be read."""
    skipped: int
    """Frames since the last reading that showed nothing new."""
    milliseconds: WatchTimes
