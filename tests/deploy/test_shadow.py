"""A release in the shadow on a board: it changes nothing, takes over when told to, and gives way again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.deploy.remote import releases_on, rollback_on
from edgemnist.deploy.run import DeployConfig, LocalBundle, deploy_to
from edgemnist.errors import DeployError, GateMissedError
from edgemnist.promote.run import PromoteConfig, promote_on
from edgemnist.samples import Label
from edgemnist.samples.store import SampleStore
from edgemnist.shadow import ShadowTally, write_tally
from tests.conftest import run_edgemnist
from tests.deploy.answering import answering, ask, load, wait_for
from tests.deploy.loopback import LoopbackBoard
from tests.samples.making import sample_of

SHADOW = DeployConfig(retries=0, shadow=True)
AT_ONCE = PromoteConfig(least=0)


def shadow(board: LoopbackBoard, bundle: LocalBundle) -> str:
    result = deploy_to(board.target, bundle, SHADOW, lambda _: None)
    assert result.fault is None, result.fault
    assert result.status == "shadow"
    assert result.release is not None
    return result.release


def test_a_release_in_the_shadow_serves_only_after_its_promotion_and_rollback_goes_back(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str, new: str
) -> None:
    with answering(board.root, "standin.py", timeout_s=10) as address:

        def release() -> str:
            found: str = ask(f"{address}/healthz")["release"]
            return found

        with load(4, release) as (answers, failures):
            name = shadow(board, new_bundle)
            assert board.serves() == old
            assert [(one.release, one.current, one.shadow) for one in releases_on(board.target).releases] == [
                (f"1-{old}", True, False),
                (name, False, True),
            ]
            assert release() == f"1-{old}"
            result = promote_on(board.target, AT_ONCE)
            assert (result.passed, result.release, result.previous) == (True, name, f"1-{old}")
            wait_for(lambda: answers and answers[-1] == name)
            back = rollback_on(board.target, None, 5.0)
            assert back.release == f"1-{old}"
            wait_for(lambda: answers[-1] == f"1-{old}")
    assert failures == []
    assert board.serves() == old
    assert not os.path.lexists(board.store.shadow_link)
    assert name.endswith(new)


def test_without_evidence_the_old_release_keeps_serving(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    samples = tmp_path / "samples"
    name = shadow(board, new_bundle)
    words = ("promote", "--to", "board", "--root", str(board.root), "--ssh-config", str(board.ssh_config))
    done = run_edgemnist(*words, "--samples", str(samples), "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert (document["passed"], document["release"], document["previous"]) == (False, name, None)
    assert "It has answered 0 images in the shadow" in document["reasons"][0]
    assert board.serves() == old
    # Labels of what both get wrong speak for neither, and enough answers alike for the new one.
    with SampleStore.open(samples, create=True) as store:
        store.add(sample_of(1, labels=(Label("2", "ann", "2026-11-26T00:00:00.000Z", settles=False),)))
    write_tally(samples, ShadowTally(release=name, beside=f"1-{old}", compared=200, differing=2))
    done = run_edgemnist(*words, "--samples", str(samples), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"is serving {name}" in " ".join(done.stdout.split())
    assert board.store.current() == board.store.releases()[-1]


def test_what_is_in_the_shadow_is_never_pruned_and_can_be_dropped(
    board: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str
) -> None:
    name = shadow(board, new_bundle)
    for _ in range(3):
        assert deploy_to(board.target, old_bundle, DeployConfig(keep=2), lambda _: None).fault is None
    assert name in {one.name for one in board.store.releases()}
    result = promote_on(board.target, AT_ONCE, drop=True)
    assert (result.dropped, result.release, result.previous) == (True, name, f"1-{old}")
    assert board.store.shadow() is None
    with pytest.raises(DeployError, match="No release answers beside the one that serves"):
        promote_on(board.target, AT_ONCE)
    with pytest.raises(DeployError, match="No release answers beside the one that serves"):
        promote_on(board.target, AT_ONCE, drop=True)


def test_a_shadow_needs_something_to_answer_beside(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle
) -> None:
    board = new_board("board")
    result = deploy_to(board.target, new_bundle, SHADOW, lambda _: None)
    assert result.fault is not None
    assert "no release on this board yet" in result.fault.message
    assert board.store.releases() == []


def test_a_service_that_does_not_come_up_with_it_goes_back_and_it_stays_in_the_shadow(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    name = shadow(board, new_bundle)
    (board.root / "board.toml").write_text("[service]\nrestart = ['false']\n")
    with pytest.raises(GateMissedError, match=f"release 1-{old} serves again|cannot be restarted"):
        promote_on(board.target, AT_ONCE)
    assert board.serves() == old
    found = board.store.shadow()
    assert found is not None
    assert found.name == name


def test_a_release_that_is_deployed_is_no_longer_in_the_shadow(
    board: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    shadow(board, new_bundle)
    assert deploy_to(board.target, new_bundle, DeployConfig(), lambda _: None).fault is None
    assert board.serves() == new
    assert not os.path.lexists(board.store.shadow_link)
