"""`kill -9` at any step: whatever was going on, the board serves the old release or the new one, whole.

The board's program is killed just before a step that touches the disk, starts a process or asks the service, which an
audit hook of Python counts; so every state that a crash can leave is reached, which random moments would miss.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgemnist.deploy.board.apply import apply, rollback
from edgemnist.deploy.board.request import Answers, Apply, SelfTestLimits
from edgemnist.deploy.board.store import Store
from edgemnist.deploy.sequence import LocalBundle
from tests.deploy.bundles import request_for
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, agent_file, copy_state

HERE = Path(__file__).parent
POINTS = 70
"""Kill points a scenario; there are three."""
PARTS = 2
"""Of a scenario, so that two processes share the work."""


@dataclass(frozen=True)
class Scenario:
    """Something that is going on when the power fails."""

    state: Path
    """The board before."""
    command: str
    request: dict[str, Any]
    before: str | None
    after: str


def service_settings(root: Path) -> str:
    """Return a service that notes which release it would answer from, and is healthy when it has."""
    note = root / "served.json"
    script = f"""printf '{{"release": "%s"}}' "$(basename "$(readlink '{root}/current')")" > '{note}'"""
    return f"[service]\nrestart = {json.dumps(['sh', '-c', script])}\nhealth = 'file://{note}'\ntimeout = 5\n"


def kill_at(step: int, root: Path, scenario: Scenario) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", HERE / "kill_at.py", str(step), root.parent / "board.pyz", scenario.command, root],
        input=json.dumps(scenario.request),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(params=["the first deployment", "an upgrade", "a rollback"])
def scenario(
    request: pytest.FixtureRequest,
    new_board: Callable[[str], LoopbackBoard],
    old_bundle: LocalBundle,
    new_bundle: LocalBundle,
    old: str,
    new: str,
) -> Scenario:
    board = new_board("before")
    (board.root / "board.toml").write_text(service_settings(board.root.parents[1] / "board" / "edgemnist"))
    live = copy_state(board.root, board.root.parents[1] / "board" / "edgemnist")
    agent_file(live.parent)
    if request.param == "the first deployment":
        put_bundle(live, new_bundle)
        return Scenario(copy_state(live, board.root), "apply", request_for(new_bundle), None, new)
    deploy(live, old_bundle)
    if request.param == "an upgrade":
        put_bundle(live, new_bundle)
        return Scenario(copy_state(live, board.root), "apply", request_for(new_bundle), old, new)
    deploy(live, new_bundle)
    return Scenario(copy_state(live, board.root), "rollback", {"release": None, "wait_s": 5.0}, new, old)


def deploy(root: Path, bundle: LocalBundle) -> dict[str, Any]:
    put_bundle(root, bundle)
    wanted = Apply(sha256=bundle.sha256, identity=bundle.record.identity(), limits=SelfTestLimits())
    return apply(Store(root), wanted, Answers(io.StringIO()))


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_step_the_board_serves_a_whole_release_and_goes_on(
    part: int, scenario: Scenario, old_bundle: LocalBundle, new_bundle: LocalBundle
) -> None:
    root = scenario.state.parents[1] / "board" / "edgemnist"
    board = LoopbackBoard("board", root, Path())
    copy_state(scenario.state, root)
    counted = kill_at(0, root, scenario)
    assert counted.returncode == 0, counted.stderr
    assert board.serves() == scenario.after
    steps = int(counted.stderr.split()[-1])
    points = random.Random(f"{scenario.command}{scenario.before}{part}")
    outcomes = set()
    kills = 0
    while kills < POINTS // PARTS:
        step = points.randint(1, steps)
        copy_state(scenario.state, root)
        killed = kill_at(step, root, scenario)
        # How often the service is asked varies, so a step near the end may not come.
        assert killed.returncode in {-9, 0}, f"step {step} of {steps}: {killed.stdout}{killed.stderr}"
        kills += killed.returncode == -9
        serves = board.serves()
        assert serves in {scenario.before, scenario.after}, f"step {step} of {steps}"
        assert all(release.problems() == [] for release in board.store.releases()), f"step {step} of {steps}"
        outcomes.add(serves)
        if scenario.command == "apply":
            deploy(root, new_bundle)
        elif serves != scenario.after:
            rollback(board.store, None, 5.0, Answers(io.StringIO()))
        else:
            # What had been switched is settled by whoever comes next.
            deploy(root, old_bundle)
        assert board.serves() == scenario.after, f"step {step} of {steps}"
        assert board.store.pending() is None
        current = board.store.current()
        assert current is not None
        assert json.loads((root / "served.json").read_text()) == {"release": current.name}, f"step {step} of {steps}"
        assert not list(board.store.staging.iterdir()), f"step {step} of {steps}"
    assert outcomes == {scenario.before, scenario.after}
