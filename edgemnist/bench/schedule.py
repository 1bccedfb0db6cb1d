"""In which order the processes of a benchmark run take their turns."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SEED = 0


def interleave(subjects: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, subject): each subject once a round, in another place of the order each time.

    So a machine that slows down as it warms up slows down all subjects alike, and none of them always runs after the
    same neighbour has emptied the caches. The order is drawn with a fixed seed: two runs take the same course.
    """
    order = list(subjects)
    generator = random.Random(SEED)  # noqa: S311 - an order, no secret
    generator.shuffle(order)
    for number in range(rounds):
        # Turned by an equal part of the order, so that after all rounds each subject has run early and late.
        turn = number * len(order) // rounds
        yield from ((number, subject) for subject in order[turn:] + order[:turn])
