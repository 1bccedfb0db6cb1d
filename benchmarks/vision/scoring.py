"""What was read against what stands on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgemnist.digits.read.layout import overlap
from edgemnist.digits.results import ReadDigit
from tools.likeness.page import Truth

MIN_OVERLAP: Final = 0.4
"""A box that shares less of its union with the true one has not found the digit."""


@dataclass(frozen=True)
class Score:
    """Counts over one or more pages."""

    truths: int = 0
    right: int = 0
    wrong: int = 0
    """Found, and read as another digit."""
    refused: int = 0
    """Found, and answered with `?`."""
    false: int = 0
    """Answers for what is no digit."""
    in_order: bool = True
    """Whether what was found came in reading order."""

    def __add__(self, other: Score) -> Score:
        """Return the counts of both."""
        return Score(
            self.truths + other.truths,
            self.right + other.right,
            self.wrong + other.wrong,
            self.refused + other.refused,
            self.false + other.false,
            self.in_order and other.in_order,
        )

    @property
    def share(self) -> float:
        """Share of the digits that were found and read right."""
        return self.right / max(1, self.truths)


def score(digits: Sequence[ReadDigit], truths: Sequence[Truth]) -> Score:
    """Match boxes with the digits on the page, each at most once, the best overlap first."""
    pairs = sorted(
        ((overlap(digit.box, truth.box), d, t) for d, digit in enumerate(digits) for t, truth in enumerate(truths)),
        reverse=True,
    )
    matched: dict[int, int] = {}
    for share, d, t in pairs:
        if share >= MIN_OVERLAP and d not in matched and t not in matched.values():
            matched[d] = t
    order = [matched[d] for d in sorted(matched)]
    return Score(
        truths=len(truths),
        right=sum(digits[d].digit == truths[t].digit for d, t in matched.items()),
        wrong=sum(digits[d].digit not in {None, truths[t].digit} for d, t in matched.items()),
        refused=sum(digits[d].digit is None for d in matched),
        false=sum(digit.digit is not None for d, digit in enumerate(digits) if d not in matched),
        in_order=order == sorted(order),
    )
