"""`kill -9` at every step: whatever was going on, the board serves the old release or the new one, whole.

The board's program is killed just before a step that touches the disk, starts a process or asks the service, which an
audit hook of Python counts; so every state that a crash can leave is reached, which random moments would miss. What is
run next, to put that in order, is killed as well, at a step drawn at random.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent.bundle import BundleRecord
from tests.agent.making import bundle_of, contents_of, record_of, with_environment
from tests.deploy.loopback import LoopbackBoard, agent_file, copy_state, run_agent
from tests.killing import Program, state_of

pytestmark = pytest.mark.all
HERE = Path(__file__).parent
PUTTING_IN_ORDER = 12
"""Steps that any run has: the lock, what lies about, the switch that was cut off, and the first of its own work."""
LEAST = {"the first deployment": 90, "an upgrade": 90, "a rollback": 60}
"""Kills of each scenario at every step; 200 are asked for in all."""
KINDS = {"the first deployment": 8, "an upgrade": 8, "a rollback": 6}
"""Kinds of steps that each has at least."""
OLD, NEW = (record_of(contents_of(name), artifacts=[name]) for name in ("old", "new"))
BEFORE, AFTER = (record.identity()[:12] for record in (OLD, NEW))


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


def send(root: Path, record: BundleRecord) -> dict[str, Any]:
    """Lay a bundle where a transfer would have put it, and return what asks for its deployment."""
    data = bundle_of(record)
    digest = hashlib.sha256(data).hexdigest()
    (root / "incoming").mkdir(parents=True, exist_ok=True)
    (root / "incoming" / digest).write_bytes(data)
    return {"sha256": digest, "identity": record.identity(), "limits": {"timeout_s": 60.0}}


def deploy(root: Path, record: BundleRecord) -> None:
    answer = run_agent(root, "apply", send(root, record))
    assert answer["release"].endswith(record.identity()[:12]), answer


@pytest.fixture(params=list(LEAST))
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    live, kept, name = tmp_path / "board" / "edgemnist", tmp_path / "before", request.param
    with_environment(live, OLD)
    (live / "board.toml").write_text(service_settings(live))
    if name == "the first deployment":
        return Scenario(name, kept, "apply", send(copy_state(live, kept), NEW), None, AFTER)
    deploy(live, OLD)
    if name == "an upgrade":
        return Scenario(name, kept, "apply", send(copy_state(live, kept), NEW), BEFORE, AFTER)
    deploy(live, NEW)
    return Scenario(name, copy_state(live, kept), "rollback", {"release": None, "wait_s": 5.0}, AFTER, BEFORE)


@pytest.fixture
def program(scenario: Scenario) -> Iterator[Program]:
    root = scenario.state.parent / "board" / "edgemnist"
    with Program(root, "-I", HERE / "kill_at.py", agent_file(root.parent)) as started:
        yield started


@pytest.mark.parametrize("every", [False, True], ids=["a step of each kind", "every step"])
def test_killed_at_any_step_the_board_serves_a_whole_release_and_goes_on(
    scenario: Scenario, program: Program, *, every: bool
) -> None:
    root = scenario.state.parent / "board" / "edgemnist"
    board = LoopbackBoard("board", root, Path())
    copy_state(scenario.state, root)
    counted = program.run(command=scenario.command, request=scenario.request)
    assert counted["code"] == 0, counted["said"]
    assert board.serves() == scenario.after
    steps = counted["steps"]
    switched = next(number for number, step in enumerate(steps, 1) if step.startswith("os.rename") and link(root, step))
    known: set[frozenset[tuple[str, str]]] = set()

    def what_comes_next() -> dict[str, Any]:
        if scenario.command != "apply" and board.serves() == scenario.after:
            # What had been switched is settled by whoever comes next.
            return {"command": "apply", "request": send(root, OLD)}
        if scenario.command == "apply":
            send(root, NEW)
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
