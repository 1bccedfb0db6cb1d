"""The tables of a health report, cell by cell: for a terminal, and for the report of an export directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgemnist.formatting import percent

if TYPE_CHECKING:
    from edgemnist.results.samples import EstimatedAccuracy, HealthReport, LabelledAccuracy, Quantity

ACCURACY: Final = ("accuracy", "images", "share", "95 %")
QUANTITIES: Final = ("quantity", "golden pack", "first week", "lately", "evidence")


def accuracies(found: HealthReport) -> list[tuple[str, ...]]:
    """Return the cells below `ACCURACY`."""
    rows: list[tuple[str, EstimatedAccuracy | LabelledAccuracy | None]] = [
        ("golden pack, with labels", found.golden),
        ("first week, estimated", found.first),
        ("lately, estimated", found.lately),
        ("even draw, with labels", found.labelled),
    ]
    return [
        (
            name,
            f"{one.images:,}",
            percent(one.accuracy),
            "" if one.interval is None else f"{one.interval.low * 100:.1f}–{one.interval.high * 100:.1f}",
        )
        for name, one in rows
        if one is not None
    ]


def quantities(found: HealthReport) -> list[tuple[str, ...]]:
    """Return the cells below `QUANTITIES`."""
    return [
        (
            one.name,
            *(value_of(one, value) for value in (one.golden, one.first, one.lately)),
            evidence_of(one.evidence),
        )
        for one in found.quantities
    ]


def evidence_of(log10: float | None) -> str:
    """Return evidence as a power of ten; empty for none."""
    # What has hardly any is 10^0, not 10^-0.
    return "" if log10 is None else f"10^{log10:z.0f}"


def value_of(one: Quantity, value: float | None) -> str:
    """Return a share in percent, or a mean with its unit."""
    if value is None:
        return ""
    return f"{value:.2f} {one.unit}" if one.unit else percent(value, 1)
