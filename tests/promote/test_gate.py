"""Which evidence lets a release take over."""

from __future__ import annotations

from typing import Any

import pytest

from edgemnist.deploy.run import MOST_WAIT_S
from edgemnist.errors import UsageError
from edgemnist.promote.run import PromoteConfig, gate
from edgemnist.shadow import Evidence, ShadowTally


def evidence(compared: int = 1_000, differing: int = 0, **fields: Any) -> Evidence:
    tally = ShadowTally(release="2-b", beside="1-a", compared=compared, differing=differing)
    usual = {"unlabelled": 0, "images": 0, "before": 0, "after": 0, "fixed": 0, "broken": 0}
    return Evidence(release="2-b", tally=tally, **{**usual, **fields})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (evidence(), ""),
        (evidence(differing=20), ""),
        (evidence(differing=21), "21 of its 1,000 answers differ, at most 2.00 % may"),
        # Labels decide.
        (evidence(differing=300, images=20, fixed=10, broken=0), ""),
        (evidence(differing=300, images=20, fixed=4, broken=2), "the labels are too few"),
        (evidence(images=20, fixed=2, broken=3), "not better on 20 samples with a label: 2 fixed, 3 broken"),
        (evidence(images=20, fixed=3, broken=3), ""),
        (evidence(compared=1, differing=1), "1 of its 1 answer differs, at most 2.00 % may"),
        (evidence(images=1, broken=1), "not better on 1 sample with a label"),
        (evidence(compared=99), "It has answered 99 images in the shadow, but --least asks for 100"),
    ],
)
def test_the_gate(found: Evidence, said: str) -> None:
    reasons = gate(found, PromoteConfig())
    assert bool(reasons) == bool(said)
    assert said in " ".join(reasons)


def test_a_release_that_has_answered_nothing_does_not_pass() -> None:
    nothing = Evidence(release="2-b", tally=None, unlabelled=0, images=0, before=0, after=0, fixed=0, broken=0)
    assert gate(nothing, PromoteConfig(least=1)) == [
        "It has answered 0 images in the shadow, but --least asks for 1. Wait, or lower --least."
    ]
    assert gate(nothing, PromoteConfig(least=0)) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"least": -1}, "--least must be at least 0 (got -1)"),
        ({"max_differing": 2.0}, "--max-differing must be between 0 and 1 (got 2)"),
        ({"max_differing": -0.1}, "--max-differing must be between 0 and 1 (got -0.1)"),
        ({"wait_s": -0.1}, f"--wait must be between 0 and {MOST_WAIT_S:,.10g} (got -0.1)"),
        (
            {"wait_s": MOST_WAIT_S + 1},
            f"--wait must be between 0 and {MOST_WAIT_S:,.10g} (got {MOST_WAIT_S + 1:,.10g})",
        ),
    ],
)
def test_values_out_of_their_range_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        PromoteConfig(**wrong)
    assert caught.value.message == said


def test_the_ends_of_the_ranges_are_allowed() -> None:
    for ends in ({"least": 0, "max_differing": 0.0, "wait_s": 0.0}, {"max_differing": 1.0, "wait_s": MOST_WAIT_S}):
        PromoteConfig(**ends)  # type: ignore[arg-type]  # of their own types
