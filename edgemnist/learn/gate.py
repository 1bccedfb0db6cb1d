"""Whether the model that learnt may replace the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.results.samples import Paired

SIGNIFICANT: Final = 0.05
"""Significance level of McNemar's test, on held-out samples."""
MOST_LOST: Final = 0.0005
"""Share of the golden pack that may be lost, but one image at least: a single one is noise."""


def gate(held_out: Paired, golden: Paired) -> list[str]:
    """Return why the new model must not replace the present one, in sentences; none if it may."""
    reasons = []
    if held_out.fixed <= held_out.broken:
        reasons.append(
            f"It is not better on labels that it has not learnt from: {held_out.fixed} fixed, {held_out.broken} broken."
        )
    elif held_out.p_value is None or held_out.p_value >= SIGNIFICANT:
        reasons.append(
            f"The labels are too few to tell whether it is better: {held_out.fixed} fixed and {held_out.broken} broken "
            f"of {held_out.images} may be chance (p = {held_out.p_value or 1:.2f}). Label more samples."
        )
    lost, allowed = golden.before - golden.after, max(1, int(MOST_LOST * golden.images))
    if lost > allowed:
        reasons.append(
            f"It is worse on the golden pack: {lost:,} of {count(golden.images, 'image')} lost, {allowed:,} allowed."
        )
    return reasons
