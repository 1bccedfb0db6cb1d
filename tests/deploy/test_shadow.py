"""A release in the shadow on a board: it changes nothing, takes over when told to, and gives way again."""

import json
import os
from pathlib import Path

import pytest

from edgemnist.errors import DeployError
from edgemnist.field.samples import Label
from edgemnist.field.samples.store import SampleStore
from edgemnist.field.shadow import ShadowTally, write_tally
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, releases_on, rollback_on
from edgemnist.fleet.release.run import PromoteConfig, promote_on
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard
from tests.samples.making import sample_of

SHADOW = DeployConfig(retries=0, shadow=True)


def at_once(board: LoopbackBoard, beside: str = "", release: str = "") -> PromoteConfig:
    """Let one answer speak for the release in the shadow."""
    write_tally(board.root, ShadowTally(release=release, beside=beside, compared=1))
    return PromoteConfig(samples=str(board.root), least=1)


def shadow(board: LoopbackBoard, bundle: LocalBundle) -> str:
    result = deploy_to(board.target, bundle, SHADOW, lambda _: None)
    assert result.fault is None, result.fault
    assert result.status == "shadow"
    assert result.release is not None
    return result.release


def test_a_release_in_the_shadow_serves_only_after_its_promotion_and_rollback_goes_back(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    name = shadow(board, new_bundle)
    assert board.serves() == old
    listed = [(row.release, row.current, row.shadow) for row in releases_on(board.target).releases]
    assert listed == [(f"1-{old}", True, False), (name, False, True)]
    result = promote_on(board.target, at_once(board, f"1-{old}", name))
    assert (result.passed, result.release, result.previous) == (True, name, f"1-{old}")
    assert not os.path.lexists(board.store.shadow_link)
    assert rollback_on(board.target, None, 5.0).release == f"1-{old}"
    # It can be dropped, too, and then there is none to promote.
    shadow(board, new_bundle)
    result = promote_on(board.target, at_once(board), drop=True)
    assert (result.dropped, result.previous, board.serves()) == (True, f"1-{old}", old)
    with pytest.raises(DeployError, match="No release answers beside the one that serves"):
        promote_on(board.target, at_once(board))


def test_without_evidence_the_old_release_keeps_serving(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    samples = tmp_path / "samples"
    name = shadow(board, new_bundle)
    words = ("release", "promote", "--to", "board", "--root", str(board.root), "--ssh-config", str(board.ssh_config))
    done = run_edgemnist(*words, "--samples", str(samples), "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert (document["passed"], document["release"], document["previous"]) == (False, name, None)
    assert "It has answered 0 inputs in the shadow" in document["reasons"][0]
    assert document["verdict"]["outcome"] == "unknown"
    assert {len(document["verdict"]["rests_on"][name]) for name in ("artifact", "model")} == {64}
    done = run_edgemnist(*words, "--samples", str(samples), cwd=tmp_path)
    assert (done.returncode, "Unknown. It has answered 0 inputs" in " ".join(done.stdout.split())) == (1, True)
    assert board.serves() == old
    # Labels of what both get wrong speak for neither, and enough answers alike for the new one.
    with SampleStore.open(samples, create=True) as store:
        store.add(sample_of(1, labels=(Label("2", "ann", "2026-11-26T00:00:00.000Z", settles=False),)))
    write_tally(samples, ShadowTally(release=name, beside=f"1-{old}", compared=200, differing=2))
    done = run_edgemnist(*words, "--samples", str(samples), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"is serving {name}" in " ".join(done.stdout.split())
    assert board.store.current() == board.store.releases()[-1]
