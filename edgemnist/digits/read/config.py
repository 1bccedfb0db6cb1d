"""How a page is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgemnist.digits.read.likeness import CALIBRATION_FILE, ShippedThreshold, read_record
from edgemnist.errors import UsageError

DEFAULT_MIN_CONFIDENCE: Final = read_record(CALIBRATION_FILE, ShippedThreshold).min_confidence
"""What `tools/likeness` found on held-out training digits, for the reference model."""


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """Options of reading. Raises UsageError for values out of range."""

    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    """Below this a digit is refused, 0 to 1."""
    max_side: int = 2048
    """Longer side, in pixels, to which larger pictures are scaled first: an A4 sheet at 175 dots per inch."""
    join_gap: float = 0.6
    """Digits of a line belong to one number where the gap between them is at most this share of their height."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(
                f"--min-confidence {self.min_confidence} is not a probability", hint="Give a number from 0 to 1."
            )
        if self.max_side < 1 or self.join_gap < 0:
            raise UsageError("max_side must be at least 1, and join_gap at least 0")
