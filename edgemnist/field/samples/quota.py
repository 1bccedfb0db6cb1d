"""How many samples are kept: a limit, its shares for each reason, day and class, and an even draw from everything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgemnist.errors import check_range
from edgemnist.field.samples import CORRECTION, DISAGREEMENT, DOUBTFUL, UNIFORM

DEFAULT_MAX: Final = 500
LEAST_MAX: Final = 10
SHARES: Final = {UNIFORM: 0.2, CORRECTION: 0.2, DISAGREEMENT: 0.1}
"""Shares of the limit: for the even draw; for corrections that nobody else has confirmed; and for disagreements of two
models, by which a release in the shadow is judged, however doubtful the days are. The rest: doubt and refusals."""
DAY_SHARE: Final = 0.1
"""Share of the rest for one day: one bad day leaves room for nine others."""
CLASS_SHARE: Final = 0.3
"""Share of a day's quota for one class: a 1 that is always doubtful leaves room for the other digits."""


@dataclass(frozen=True)
class Quota:
    """The shares of a limit of `total` samples. Raises UsageError for a limit that is too low to be shared.

    The archive does not count: samples that have a label, but for the even draw and for corrections nobody confirmed.
    """

    total: int = DEFAULT_MAX

    def __post_init__(self) -> None:
        check_range("--collect-max", self.total, least=LEAST_MAX)

    def of(self, reason: str) -> int:
        """Return how many samples of a reason, and of those that share its quota, are kept at a time."""
        own = {kind: max(1, round(self.total * share)) for kind, share in SHARES.items()}
        return own.get(reason, self.total - sum(own.values()))

    @property
    def day(self) -> int:
        """Doubtful and refused samples of one day."""
        return max(1, round(self.of(DOUBTFUL) * DAY_SHARE))

    @property
    def day_and_class(self) -> int:
        """Of these, those of one answer."""
        return max(1, round(self.day * CLASS_SHARE))


AT_ONCE: Final = 2
"""Most samples that go for a new one: a limit that is lower than it was is reached sample by sample."""


def crowded_out(held: Sequence[tuple[int, str | None]], most: int) -> list[int]:
    """Return the ids that go for one more among `most`: the oldest of the group that has most, two if there are more.

    `held` are id and group of what is there, the oldest first.
    """
    left, gone = list(held), list[int]()
    while len(left) >= most and len(gone) < AT_ONCE:
        sizes = Counter(group for _, group in left)
        # `max` returns the first of equals: the group with the oldest sample.
        largest = max(sizes, key=sizes.__getitem__)
        oldest = next(one for one in left if one[1] == largest)
        left.remove(oldest)
        gone.append(oldest[0])
    return gone


def is_drawn(seen: int, size: int) -> bool:
    """Return whether the latest of `seen` items is kept among `size`, in a free place or in that of any other item.

    So each item of a stream is kept with the same probability, however long the stream gets (reservoir sampling,
    J. S. Vitter, "Random sampling with a reservoir", 1985, Algorithm R).
    """
    return random.random() * seen < size  # noqa: S311 - a sample, not a secret
