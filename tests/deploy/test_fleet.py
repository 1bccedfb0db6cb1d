"""Many boards: canaries first, a stop where too many fail, one result for each."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import UsageError
from edgemnist.fleet.deploy.cli import deploy_page
from edgemnist.fleet.deploy.run import DeployConfig, FleetConfig, LocalBundle, deploy_fleet, read_inventory
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.ground.console.tables import fault_line
from edgemnist.ground.results.boards import BoardResult, Fault
from tests.agent.making import PACKAGE, record_of
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard
from tests.patience import PATIENCE_S
from tests.render.test_narrow import drawn

ONCE = DeployConfig(retries=0)


@pytest.fixture
def boards(new_board: Callable[[str], LoopbackBoard]) -> list[LoopbackBoard]:
    return [new_board(f"board{number}") for number in range(3)]


FAULT = Fault(type="DeployError", message="It is away", hint="", exit_code=2)
BUNDLE = LocalBundle(Path("b.zip"), "0" * 64, 1, record_of({PACKAGE: b""}))


@pytest.mark.parametrize(
    ("fleet", "failing", "status"),
    [
        (FleetConfig(), "", "dddd"),
        # A canary that fails keeps the rest as it is; those that are well let it follow.
        (FleetConfig(canary=1), "0", "fsss"),
        (FleetConfig(canary=2), "3", "dddf"),
        # No board is begun after too many failures.
        (FleetConfig(parallel=1, max_failures=1), "01", "ffss"),
        (FleetConfig(parallel=1, max_failures=2), "01", "ffdd"),
    ],
)
def test_canaries_come_first_and_too_many_failures_end_it(
    fleet: FleetConfig, failing: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    together = threading.Barrier(4)

    def deploy_to(target: BoardAddress, *_: object) -> BoardResult:
        name = target.host.name
        events.append(f"begin {name}")
        if fleet == FleetConfig():
            # All have begun before the first is done.
            together.wait(PATIENCE_S)
        events.append(f"end {name}")
        fault = FAULT if name in failing else None
        return BoardResult(host=name, root="", status="failed" if fault else "deployed", fault=fault)

    monkeypatch.setattr("edgemnist.fleet.deploy.run.deploy_to", deploy_to)
    result = deploy_fleet([BoardAddress.of(name) for name in "0123"], BUNDLE, ONCE, fleet)
    assert [board.host for board in result.boards] == list("0123")
    assert "".join(board.status[0] for board in result.boards) == status
    assert result.passed == (status == "dddd")
    if fleet == FleetConfig(canary=2):
        assert set(events[:4]) == {"begin 0", "end 0", "begin 1", "end 1"}


def test_two_directories_of_one_host_are_two_boards(boards: list[LoopbackBoard], new_bundle: LocalBundle) -> None:
    events: list[str] = []
    named = [boards[0].target, replace(boards[0].target, root=str(boards[1].root)), boards[2].target]
    result = deploy_fleet(named, new_bundle, ONCE, FleetConfig(), lambda board, _: events.append(board))
    names = [f"board0 {boards[0].root}", f"board0 {boards[1].root}", "board2"]
    assert set(events) == set(names)
    assert [board.root for board in result.boards] == [str(board.root) for board in boards[:3]]
    short = [msgspec.structs.replace(board, root=f"/{n}") for n, board in enumerate(result.boards)]
    targets = [BoardAddress.of(board.host, root=board.root) for board in short]
    page = drawn(deploy_page(msgspec.structs.replace(result, boards=short), targets))
    assert page.rstrip().endswith("Next: edgemnist bench --on board0 --root /0")
    assert [line.split("deployed")[0].split() for line in page.splitlines() if "deployed" in line] == [
        ["board0", "/0"],
        ["board0", "/1"],
        ["board2"],
    ]


@pytest.mark.parametrize("message", ["board0: The bundle is torn", "board0 is asleep", "The line to board0 was cut"])
def test_what_went_wrong_names_its_board_once(message: str) -> None:
    fault = Fault(type="DeployError", message=message, hint="Wake it.", exit_code=2)
    said = fault_line("board0", "board0", fault).plain
    assert said.startswith("board0")
    assert not said.startswith("board0: board0")
    assert said.endswith(f"{message.removeprefix('board0')}. Wake it.")


def test_the_inventory_names_boards_and_their_directories(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('root = "/srv"\n[[board]]\nhost = "pi@a:22"\n[[board]]\nhost = "b"\nroot = "/data"\n')
    assert [(target.host.name, target.root) for target in read_inventory(file, root=None, ssh_config=None)] == [
        ("pi@a:22", "/srv"),
        ("b", "/data"),
    ]


@pytest.mark.parametrize("text", ["", "[[board]]\nhots = 'a'", "[[board]]\nhost = 3", "[[board]", "[[board]]\nhost=''"])
def test_an_inventory_that_makes_no_sense_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        read_inventory(file, root=None, ssh_config=None)


def test_the_command_answers_for_every_board_and_exits_with_the_gravest(
    boards: list[LoopbackBoard], bad_bundle: LocalBundle, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("".join(f'[[board]]\nhost = "{board.name}"\nroot = "{board.root}"\n' for board in boards[:2]))
    options = ("--inventory", "fleet.toml", "--ssh-config", str(boards[0].ssh_config), "--json")
    done = run_edgemnist("deploy", bad_bundle.path, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert [board["status"] for board in json.loads(done.stdout)["boards"]] == ["failed", "failed"]
    assert "board0: self-test" in done.stderr


@pytest.mark.all
def test_no_board_and_a_board_named_twice_are_wrong_usage(new_bundle: LocalBundle, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("board = []")
    assert run_edgemnist("deploy", new_bundle.path, "--inventory", "fleet.toml", cwd=tmp_path).returncode == 2
    assert run_edgemnist("deploy", new_bundle.path, "--to", "a", "--to", "a", cwd=tmp_path).returncode == 2
