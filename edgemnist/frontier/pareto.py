"""Which of several choices are worth considering: those that none is better than in every respect."""

from __future__ import annotations

from collections.abc import Sequence


def undominated(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Return for each choice whether none costs as little and is worth as much, and is better in one of the two."""
    choices = list(zip(costs, values, strict=True))
    return [
        not any(
            other_cost <= cost and other_value >= value and (other_cost < cost or other_value > value)
            for other_cost, other_value in choices
        )
        for cost, value in choices
    ]
