"""Of a channel that somebody has altered in any way, a board installs and believes only what was signed."""

import pytest

from benchmarks.deploy.altered import attack
from tests.channel.conftest import Site


@pytest.mark.parametrize(
    ("seed", "alterations"), [(0, 150), *(pytest.param(seed, 2_000, marks=pytest.mark.all) for seed in range(1, 6))]
)
def test_no_altered_metadata_signature_or_bundle_is_accepted(seed: int, alterations: int, site: Site) -> None:
    found = attack(site, seed, alterations)
    assert {outcome for outcomes in found.values() for outcome in outcomes} <= {"refused", "same"}, found
    assert (found["order"]["refused"], found["order of the first root"]["same"]) == (0, 0), found
    assert sum(outcomes["refused"] for outcomes in found.values()) > 0.8 * alterations
