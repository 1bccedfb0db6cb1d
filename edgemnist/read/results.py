"""What reading a page found out."""

from __future__ import annotations

from edgemnist.results import Part, Result

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the picture; x to the right, y down."""


class ReadDigit(Part, frozen=True, kw_only=True):
    """One digit on a page."""

    digit: int | str | None
    """The label; None where it was refused, because the confidence is below the threshold."""
    confidence: float
    """Probability that it is this digit: that of the classifier, times that of the likeness network."""
    box: Box
    line: int
    """From 0, top to bottom."""


class ReadNumber(Part, frozen=True, kw_only=True):
    """Neighbouring digits."""

    text: str
    """With `?` for each digit that was refused."""
    confidence: float
    """That of its least certain digit."""
    line: int
    box: Box


class StageTimes(Part, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    find: float
    """From the picture to pieces of ink."""
    normalize: float
    """From pieces to 28×28, those of tried splits and joins included."""
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
    min_confidence: float
    digits: list[ReadDigit]
    """In reading order: lines, then left to right."""
    numbers: list[ReadNumber]
    complete: bool = True
    """False where there was more ink than on any page of digits, so that not all of it was tried."""
    milliseconds: StageTimes
