"""What a run may claim: neither a difference within the noise, nor a clean block that the firmware disturbed."""

from __future__ import annotations

import pytest

from edgemnist.bench.baseline import verdict
from edgemnist.bench.quality import taints
from edgemnist.machine import Conditions, Watch


@pytest.mark.parametrize(
    ("ratio", "low", "high", "expected"),
    [
        (1.0, 0.9, 1.1, "same"),
        (1.1, 1.05, 1.15, "same"),
        (1 / 1.1, 0.85, 0.95, "same"),
        (1.2, 1.01, 1.4, "slower"),
        (1.2, 0.99, 1.4, "unclear"),
        (1.2, 1.0, 1.4, "unclear"),
        (0.8, 0.7, 0.99, "faster"),
        (0.8, 0.7, 1.0, "unclear"),
        (0.8, 0.7, 1.01, "unclear"),
    ],
)
def test_a_difference_is_one_where_the_whole_interval_is_on_its_side(
    ratio: float, low: float, high: float, expected: str
) -> None:
    assert verdict(ratio, low, high, limit=1.1) == expected


def block(before: int | None, after: int | None) -> Watch:
    """Return a second that went by undisturbed, but for these bits of the firmware."""
    conditions = (Conditions(firmware=bits) for bits in (before, after))
    return Watch(before=next(conditions), after=next(conditions), elapsed=10**9, cpu_time=10**9)


@pytest.mark.parametrize("bit", range(4))
@pytest.mark.parametrize(
    ("before", "after", "tainted"),
    [
        (0, 1, True),
        (1, 0, True),
        (1, 1, True),
        (0, 1 << 16, True),
        (1 << 16, 1 << 16, False),
        (1 << 16, 0, False),
        (0, 0, False),
    ],
)
def test_what_the_firmware_did_before_during_and_after_a_block_taints_it(
    bit: int, before: int, after: int, *, tainted: bool
) -> None:
    """A bit of the present counts at either end; one of the past only where it was not there before."""
    assert bool(taints(block(before << bit, after << bit))) == tainted


def test_a_machine_without_that_firmware_has_no_such_taint() -> None:
    for before, after in ((None, None), (None, 1), (1, None)):
        assert taints(block(before, after)) == []
