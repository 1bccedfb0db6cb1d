"""Class labels as users see them."""

from __future__ import annotations


def as_digit(label: str) -> int | str:
    """Return a label as a number where it is one."""
    return int(label) if label.isdecimal() else label
