"""How many samples are kept: a limit for all, shares of it for each day and class, and an even draw from everything."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from edgemnist.errors import check_range
from edgemnist.samples import CORRECTION, UNIFORM, Sample

DEFAULT_MAX: Final = 500
LEAST_MAX: Final = 10
UNIFORM_SHARE: Final = 0.2
"""Share of the limit for the even draw."""
DAY_SHARE: Final = 0.1
"""Share of the rest for one day: one bad day leaves room for nine others."""
CLASS_SHARE: Final = 0.3
"""Share of a day's quota for one class: a 1 that is always doubtful leaves room for the other digits."""
WRITER_SHARE: Final = 0.25
"""Share of the rest for the corrections of one writer: nobody alone decides what is learned."""


@dataclass(frozen=True)
class Quota:
    """The shares of a limit of `total` samples. Raises UsageError for a limit that is too low to be shared."""

    total: int = DEFAULT_MAX

    def __post_init__(self) -> None:
        check_range("--collect-max", self.total, least=LEAST_MAX)

    @property
    def uniform(self) -> int:
        """Samples in the even draw."""
        return max(1, round(self.total * UNIFORM_SHARE))

    @property
    def chosen(self) -> int:
        """Samples that are kept for any other reason."""
        return self.total - self.uniform

    @property
    def day(self) -> int:
        """Of these, those of one day."""
        return max(1, round(self.chosen * DAY_SHARE))

    @property
    def day_and_class(self) -> int:
        """Of these, those of one answer."""
        return max(1, round(self.day * CLASS_SHARE))

    @property
    def writer(self) -> int:
        """Corrections of one writer."""
        return max(1, round(self.chosen * WRITER_SHARE))


class Filled:
    """How far the quotas of the days, classes and writers are filled."""

    def __init__(self, quota: Quota, samples: list[Sample]) -> None:
        self._quota = quota
        self._days: Counter[tuple[str, str | None]] = Counter()
        self._writers: Counter[str] = Counter()
        for one in samples:
            self.add(one)

    def add(self, sample: Sample) -> None:
        """Count a sample that is kept."""
        if sample.reason == CORRECTION:
            self._writers.update(label.writer for label in sample.labels[:1])
        elif sample.reason != UNIFORM:
            # The day as a whole stands under None, which is the answer of no sample that is counted by its class.
            self._days[sample.day, None] += 1
            if sample.answer is not None:
                self._days[sample.day, sample.answer] += 1

    def has_room(self, day: str, answer: str | None) -> bool:
        """Return whether the quota of a day and that of an answer on it have room; None for no answer."""
        if self._days[day, None] >= self._quota.day:
            return False
        return answer is None or self._days[day, answer] < self._quota.day_and_class

    def has_room_for(self, writer: str) -> bool:
        """Return whether one more correction of a writer is kept."""
        return self._writers[writer] < self._quota.writer


class Reservoir:
    """Draws `size` of a stream of any length, each of its items with the same probability.

    Algorithm L (K.-H. Li, "Reservoir-Sampling Algorithms of Time Complexity O(n(1 + log(N/n)))", 1994): once it is
    full, it draws how many items to skip, so that an item that is not kept costs one subtraction.
    """

    def __init__(self, size: int, seen: int = 0, rng: random.Random | None = None) -> None:
        """Continue after `seen` items."""
        self._size = size
        self._rng = rng or random.Random()  # noqa: S311 - a sample, not a secret
        self.seen = seen
        """Items so far."""
        self._threshold = 1.0
        self._skip = 0
        if seen >= size:
            # The largest of the `size` smallest of `seen` even draws, as it would be by now: Beta(size, seen-size+1).
            self._threshold = self._rng.betavariate(size, seen - size + 1)
            self._skip = self._draw_skip()

    def take(self) -> bool:
        """Count an item, and return whether it is kept: in a free place, or in that of another item, drawn evenly."""
        self.seen += 1
        if self._skip:
            self._skip -= 1
            return False
        if self.seen >= self._size:
            self._threshold *= self._rng.random() ** (1 / self._size)
            self._skip = self._draw_skip()
        return True

    def _draw_skip(self) -> int:
        draw = 1 - self._rng.random()
        return int(math.log(draw) / math.log1p(-self._threshold)) if self._threshold < 1 else 0
