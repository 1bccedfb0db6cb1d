"""`kill -9` at every step: whatever was going on, the board serves the old release or the new one, whole.

The board's program is killed just before a step that touches the disk, starts a process or asks the service, which an
audit hook of Python counts; so every state that a crash can leave is reached, which random moments would miss. What is
run next, to put that in order, is killed as well, at a step drawn at random.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgemnist.agent import Apply, Responder, SelfTestLimits
from edgemnist.agent.apply import apply
from edgemnist.agent.durable import TREE_FILE, find_change
from edgemnist.agent.store import Store
from edgemnist.deploy.run import LocalBundle
from tests.deploy.bundles import request_for
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, agent_file, copy_state
from tests.killing import Program, state_of
from tests.sweeping import swept

HERE = Path(__file__).parent
PUTTING_IN_ORDER = 14
"""Steps that any run has: the lock, what lies about, the switch that was cut off, and the first of its own work."""
LEAST = {"the first deployment": 90, "an upgrade": 90, "a rollback": 60, "a promotion": 50}
"""Kills of each scenario at every step; 200 are asked for in all."""
KINDS = {"the first deployment": 8, "an upgrade": 8, "a rollback": 6, "a promotion": 6}
"""Kinds of steps that each has at least."""


@dataclass(frozen=True)
class Scenario:
    """Something that is going on when the power fails."""

    name: str
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


@pytest.fixture(params=list(LEAST))
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
    name = request.param
    if name == "the first deployment":
        put_bundle(live, new_bundle)
        return Scenario(name, copy_state(live, board.root), "apply", request_for(new_bundle), None, new)
    deploy(live, old_bundle)
    if name == "an upgrade":
        put_bundle(live, new_bundle)
        return Scenario(name, copy_state(live, board.root), "apply", request_for(new_bundle), old, new)
    if name == "a promotion":
        put_bundle(live, new_bundle)
        wanted = request_for(new_bundle, shadow=True)
        apply(Store(live), Apply(**{**wanted, "limits": SelfTestLimits()}), Responder(io.StringIO()))  # type: ignore[arg-type]  # as it says
        wanted = {"release": f"2-{new}", "wait_s": 5.0, "limits": wanted["limits"]}
        return Scenario(name, copy_state(live, board.root), "promote", wanted, old, new)
    deploy(live, new_bundle)
    return Scenario(name, copy_state(live, board.root), "rollback", {"release": None, "wait_s": 5.0}, new, old)


@pytest.fixture
def program(scenario: Scenario) -> Iterator[Program]:
    root = scenario.state.parents[1] / "board" / "edgemnist"
    with Program(root, "-I", HERE / "kill_at.py", agent_file(root.parent)) as started:
        yield started


def deploy(root: Path, bundle: LocalBundle) -> None:
    put_bundle(root, bundle)
    wanted = Apply(sha256=bundle.sha256, identity=bundle.record.identity(), limits=SelfTestLimits())
    apply(Store(root), wanted, Responder(io.StringIO()))


@pytest.fixture(autouse=True)
def packages(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the thousands of files of the packages once, at the end; the program itself does in every run."""
    monkeypatch.setattr("edgemnist.agent.store.find_change", lambda _: "")
    yield
    for venv in installed.iterdir():
        assert (venv / TREE_FILE).is_file()
        assert find_change(venv) == ""


@pytest.mark.parametrize("every", swept([False, True], kept=[False]), ids=["a step of each kind", "every step"])
def test_killed_at_any_step_the_board_serves_a_whole_release_and_goes_on(
    scenario: Scenario, program: Program, old_bundle: LocalBundle, new_bundle: LocalBundle, *, every: bool
) -> None:
    root = scenario.state.parents[1] / "board" / "edgemnist"
    board = LoopbackBoard("board", root, Path())
    copy_state(scenario.state, root)
    counted = program.run(command=scenario.command, request=scenario.request)
    assert counted["code"] == 0, counted["said"]
    assert board.serves() == scenario.after
    steps = counted["steps"]
    switched = next(number for number, step in enumerate(steps, 1) if step.startswith("os.rename") and link(root, step))
    known: set[frozenset[tuple[str, str]]] = set()

    def what_comes_next() -> dict[str, Any]:
        if scenario.command == "rollback" and board.serves() == scenario.after:
            # What had been switched is settled by whoever comes next.
            put_bundle(root, old_bundle)
            return {"command": "apply", "request": request_for(old_bundle)}
        if scenario.command == "promote" and board.serves() == scenario.after:
            put_bundle(root, new_bundle)
            return {"command": "apply", "request": request_for(new_bundle)}
        if scenario.command == "apply":
            put_bundle(root, new_bundle)
        return {"command": scenario.command, "request": scenario.request}

    def goes_on(where: str) -> None:
        state = state_of(root)
        # From the same state the same follows.
        if state in known:
            return
        known.add(state)
        ended = program.run(**what_comes_next())
        assert ended["code"] == 0, f"{where}: {ended['said']}"
        assert board.serves() == scenario.after, where
        assert board.store.pending() is None, where
        current = board.store.current()
        assert current is not None
        assert json.loads((root / "served.json").read_text()) == {"release": current.name}, where
        assert not list(board.store.staging.iterdir()), where

    def is_whole(where: str) -> None:
        assert all(release.problems() == [] for release in board.store.releases()), where

    again = random.Random(scenario.name)
    chosen = range(1, len(steps) + 1) if every else of_each_kind(steps, switched, again)
    assert len(chosen) >= (LEAST[scenario.name] / 2 if every else KINDS[scenario.name])
    for step in chosen:
        name = steps[step - 1]
        where = f"step {step} of {len(steps)}, {name}"
        copy_state(scenario.state, root)
        killed = program.run(command=scenario.command, request=scenario.request, limit=step)
        assert killed["code"] == -9, f"{where}: {killed['said']}"
        assert board.serves() == (scenario.before if step <= switched else scenario.after), where
        is_whole(where)
        left = copy_state(root, root.parent / "left")
        goes_on(where)

        copy_state(left, root)
        then = again.randint(1, PUTTING_IN_ORDER)
        where += f", and step {then} of what came next"
        killed = program.run(**what_comes_next(), limit=then)
        assert killed["code"] == -9, f"{where}: {killed['said']}"
        assert board.serves() in {scenario.before, scenario.after}, where
        is_whole(where)
        goes_on(where)


def of_each_kind(steps: list[str], switched: int, rng: random.Random) -> list[int]:
    """Return the numbers of steps that stand for all: one of each kind, and those on both sides of the switch."""
    kinds: dict[str, list[int]] = {}
    for number, step in enumerate(steps, 1):
        kinds.setdefault(step.partition(" ")[0], []).append(number)
    return sorted({switched, switched + 1, *map(rng.choice, kinds.values())})


def link(root: Path, step: str) -> bool:
    """Return whether a step is about the link that says which release serves."""
    return f"'{root / 'current'}'" in step
