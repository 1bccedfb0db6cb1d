"""Which evidence lets a release take over."""

from typing import Any

import pytest

from edgemnist import __version__
from edgemnist.field.shadow import Evidence, ShadowTally
from edgemnist.fleet.deploy.run import MOST_WAIT_S
from edgemnist.fleet.release.run import PromoteConfig, gate
from edgemnist.ground.results.verdict import BUILT_IN, COMMAND_LINE, MISSED, PASSED, UNKNOWN, Basis
from tests.messages import Told


def evidence(compared: int = 1_000, differing: int = 0, **fields: Any) -> Evidence:
    tally = ShadowTally(release="2-b", beside="1-a", compared=compared, differing=differing)
    usual = {"unlabelled": 0, "images": 0, "left_out": 0, "before": 0, "after": 0, "fixed": 0, "broken": 0}
    return Evidence(release="2-b", tally=tally, **{**usual, **fields})


def test_the_gate(told: Told) -> None:
    labelled: list[dict[str, Any]] = [
        # Labels decide, up to a limit of their own: six of six are beyond chance (p = 0.03), five of five are not.
        *({"differing": 200, "images": 20, "fixed": fixed} for fixed in (6, 5)),
        {"differing": 201, "images": 20, "fixed": 10},
        {"differing": 200, "images": 20, "fixed": 4, "broken": 2},
        # A version that takes what was learnt for evidence says nothing.
        {"differing": 21, "images": 200, "fixed": 83, "left_out": None},
        *({"images": 20, "fixed": fixed, "broken": 3} for fixed in (2, 3)),
        {"images": 1, "broken": 1},
    ]
    others: list[dict[str, Any]] = [{"differing": differing} for differing in (0, 20, 21)]
    others += [{"compared": 1, "differing": 1}, {"compared": 99}]
    outcomes = []
    for fields in (*labelled, *others):
        verdict = gate(evidence(**fields), PromoteConfig())
        outcomes.append(verdict.outcome)
        assert verdict.passed == (verdict.reasons == [])
        assert [one.origin for one in verdict.limits] == [BUILT_IN] * 3
        told.says(*verdict.reasons)
    # Too little has been seen; all else has been seen, and is not good enough.
    assert outcomes[:8] == [PASSED, *[MISSED] * 5, PASSED, MISSED]
    assert outcomes[8:] == [PASSED, PASSED, MISSED, MISSED, UNKNOWN]
    # A limit that somebody gave is kept, whatever labels say.
    for limit, differing, passed in (
        (0.0, 0, True),
        (0.0, 1, False),
        (0.1, 100, True),
        (0.1, 101, False),
        (1, 1000, True),
    ):
        found = evidence(differing=differing, images=200, fixed=83, broken=0)
        verdict = gate(found, PromoteConfig(max_differing=limit))
        assert verdict.passed == passed
        told.says(*verdict.reasons)


@pytest.mark.parametrize("given", [{}, {"least": 1}, {"least": 1, "max_differing": 1.0}])
def test_a_release_that_has_answered_nothing_does_not_pass(given: dict[str, Any]) -> None:
    nothing = Evidence(release="2-b", tally=None, unlabelled=0, images=0, before=0, after=0, fixed=0, broken=0)
    verdict = gate(nothing, PromoteConfig(**given))
    assert verdict.outcome == UNKNOWN
    asked = f"It has answered 0 inputs in the shadow, but --least asks for {given.get('least', 100)}."
    assert verdict.reasons == [
        f"{asked} Wait, or lower --least.",
        "None of its answers has been compared with those of the release that serves.",
    ]


def test_the_verdict_says_what_it_rests_on_and_a_miss_comes_before_what_is_unknown() -> None:
    found = evidence(compared=20, differing=10, images=20, fixed=2, broken=3, sha256="b" * 64, beside="a" * 64)
    verdict = gate(found, PromoteConfig(least=50, max_differing=0.1))
    assert verdict.rests_on == Basis(artifact="b" * 64, model="a" * 64, edgemnist=__version__, images=20)
    assert [(one.name, one.measured, one.limit, one.origin, one.outcome) for one in verdict.limits] == [
        ("least", 20, 50, COMMAND_LINE, UNKNOWN),
        ("broken", 3, 2, BUILT_IN, MISSED),
        ("max-differing", 0.5, 0.1, COMMAND_LINE, MISSED),
    ]
    assert verdict.outcome == MISSED
    assert verdict.reasons[-1].startswith("It has answered 20 inputs")


def test_values_out_of_their_range_are_refused(told: Told) -> None:
    wrong: list[dict[str, Any]] = [
        {"least": 0},
        *({"max_differing": share} for share in (2.0, -0.1)),
        *({"wait_s": wait} for wait in (-0.1, MOST_WAIT_S + 1)),
    ]
    for options in wrong:
        with told():
            PromoteConfig(**options)
    for ends in ({"least": 1, "max_differing": 0.0, "wait_s": 0.0}, {"max_differing": 1.0, "wait_s": MOST_WAIT_S}):
        PromoteConfig(**ends)  # type: ignore[arg-type]  # of their own types
