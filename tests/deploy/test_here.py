"""A deployment on the board itself: what it does, keeps and refuses is what one over SSH does."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.board.agent.durable import exclusive, hash_file
from edgemnist.fleet.deploy.run import LocalBundle
from edgemnist.fleet.deploy.target import DEFAULT_ROOT, agent_name
from tests.command import Done
from tests.conftest import run_edgemnist
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, make_key
from tests.deploy.test_interrupt import Command, waiting_service

pytestmark = pytest.mark.all

HOST = socket.gethostname()


class Itself(LoopbackBoard):
    """This machine, with a home directory of its own: no option names it."""

    @property
    def environment(self) -> dict[str, str]:
        home = self.root.parents[2]
        return {"HOME": str(home), "PATH": f"{home.parent / 'bin'}:{os.environ['PATH']}"}


def run(board: LoopbackBoard, *words: str | Path) -> Done:
    named = () if isinstance(board, Itself) else ("--to", board.name)
    return run_edgemnist(*words, *named, cwd=board.root.parent, env=board.environment)


def release_files(board: LoopbackBoard) -> dict[str, str]:
    """Return all files of all releases, each with its hash but where its deployment wrote it, and which one serves."""
    found = {"current": str(board.store.link.readlink())}
    for release in board.store.releases():
        record = release.record()
        assert record is not None
        bundled = {file.path for file in record.files}
        for path in (path for path in release.path.rglob("*") if path.is_file()):
            name = path.relative_to(release.path).as_posix()
            found[f"{release.name}/{name}"] = hash_file(path) if name in bundled else "written"
    return found


@pytest.fixture
def here(installed: Path, tmp_path: Path) -> Itself:
    """Set up this machine, in which only the packages are installed already."""
    root = tmp_path / "home" / DEFAULT_ROOT
    root.mkdir(parents=True)
    (root / "venvs").symlink_to(installed)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name)
    return Itself(HOST, root, Path())


@pytest.fixture
def over_ssh(new_board: Callable[[str], LoopbackBoard]) -> LoopbackBoard:
    return new_board("board")


@pytest.fixture(params=["here", "over_ssh"])
def board(request: pytest.FixtureRequest) -> LoopbackBoard:
    made: LoopbackBoard = request.getfixturevalue(request.param)
    return made


def test_it_serves_can_be_listed_and_goes_back(
    board: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str, new: str
) -> None:
    for bundle, status in ((old_bundle, "deployed"), (new_bundle, "deployed"), (new_bundle, "unchanged")):
        document = run(board, "deploy", bundle.path, "--json").expect(0).json
        (row,) = document["boards"]
        assert (row["host"], row["status"], row["fault"]) == (board.name, status, None)
        assert (document["passed"], row["selftest"]["passed"]) == (True, True)
        assert [step["name"] for step in row["steps"]][:2] == ["connect", "preflight"]
    assert board.serves() == new
    assert (board.root / "agent" / agent_name()).is_file()
    assert not list(board.store.incoming.iterdir())
    listed = run(board, "release", "list", "--json").json
    assert listed["host"] == board.name
    rows = [(row["release"], row["current"], row["problems"]) for row in listed["releases"]]
    assert rows == [(f"1-{old}", False, []), (f"2-{new}", True, [])]
    back = run(board, "release", "rollback", "--json").json
    assert (back["host"], back["release"], back["previous"]) == (board.name, f"1-{old}", f"2-{new}")
    assert board.serves() == old


def test_both_ways_leave_the_same_release_and_the_same_list(
    here: Itself, over_ssh: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle
) -> None:
    lists = []
    for board in (here, over_ssh):
        for bundle in (old_bundle, new_bundle):
            run(board, "deploy", bundle.path).expect(0)
        listed = run(board, "release", "list", "--json").json
        rows = [{**row, "deployed_at": bool(row["deployed_at"])} for row in listed.pop("releases")]
        lists.append((rows, {name: value for name, value in listed.items() if name != "host"}))
    assert lists[0] == lists[1]
    assert release_files(here) == release_files(over_ssh)


def test_what_comes_next_is_a_command_for_this_machine(here: Itself, new_bundle: LocalBundle, tmp_path: Path) -> None:
    run(here, "release", "list").expect(0, f"{HOST} has no releases. Next: edgemnist deploy bundle.zip\n")
    run(here, "deploy", new_bundle.path).expect(0, "is on 1 of 1 board. Next: edgemnist release list\n")
    run(here, "release", "list").expect(0, "Next: edgemnist deploy bundle.zip\n")
    # Another directory belongs to the command.
    (tmp_path / "elsewhere").mkdir()
    words = ("release", "list", "--root", str(tmp_path / "elsewhere"))
    run(here, *words).expect(0, f"Next: edgemnist deploy bundle.zip --root {tmp_path / 'elsewhere'}\n")


def test_an_altered_bundle_is_refused(board: LoopbackBoard, new_bundle: LocalBundle, tmp_path: Path) -> None:
    data = bytearray(new_bundle.path.read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / "altered.zip"
    altered.write_bytes(data)
    run(board, "deploy", altered).expect(2, f"{altered} is damaged, or not a bundle")
    assert board.store.releases() == []


@pytest.mark.needs("ssh-keygen")
def test_a_signature_is_asked_for(
    board: LoopbackBoard, made_exports: Path, new_bundle: LocalBundle, tmp_path: Path
) -> None:
    mine, stranger = make_key(tmp_path / "mine"), make_key(tmp_path / "stranger")
    board.store.allowed_signers.write_text(f"me {mine.with_suffix('.pub').read_text()}")
    (row,) = json.loads(run(board, "deploy", new_bundle.path, "--json").expect(2).stdout)["boards"]
    assert "accepts only signed bundles" in row["fault"]["message"]
    signed = bundled(small_exports(made_exports, tmp_path / "signed", ["tflite-int8"]), key=stranger)
    (row,) = json.loads(run(board, "deploy", signed.path, "--json").expect(2).stdout)["boards"]
    assert "signed with a key that this board does not trust" in row["fault"]["message"]
    assert board.store.releases() == []


def test_one_that_fails_its_self_test_leaves_what_serves(
    board: LoopbackBoard, old_bundle: LocalBundle, bad_bundle: LocalBundle, old: str
) -> None:
    run(board, "deploy", old_bundle.path).expect(0)
    (row,) = run(board, "deploy", bad_bundle.path, "--json").expect(1).json["boards"]
    assert (row["host"], row["status"], row["fault"]["type"]) == (board.name, "failed", "GateMissedError")
    assert [one.name for one in board.store.releases()] == [f"1-{old}"]
    assert board.serves() == old


def test_a_second_one_at_once_is_refused(board: LoopbackBoard, new_bundle: LocalBundle) -> None:
    board.store.create()
    with exclusive(board.store.lock, wait_s=0, waiting=lambda _: None):
        done = run(board, "deploy", new_bundle.path, "--wait", "0", "--json").expect(2)
        (row,) = json.loads(done.stdout)["boards"]
        assert row["fault"]["message"].startswith(f"{board.name}: Another deployment is running")
        assert run(board, "release", "list", "--json").json["busy"] is not None
    run(board, "deploy", new_bundle.path).expect(0)


def test_a_full_or_foreign_directory_is_told_as_on_a_board(
    here: Itself, new_bundle: LocalBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copyfile(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    (row,) = json.loads(run(here, "deploy", new_bundle.path, "--json").expect(2).stdout)["boards"]
    assert row["fault"]["message"] == f"{HOST} does not accept the bundle: No space left on device"


def test_ctrl_c_stops_before_the_switch_and_lets_a_begun_one_end(here: Itself, new_bundle: LocalBundle) -> None:
    command = Command(here, "deploy", new_bundle.path)
    command.wait_until(f"{HOST}: self-test")
    command.press()
    code, output = command.end()
    fault = json.loads(output)["boards"][0]["fault"]
    assert (code, fault["type"], here.serves()) == (130, "StoppedError", None)
    go = waiting_service(here)
    command = Command(here, "deploy", new_bundle.path)
    command.wait_until(f"{HOST}: service")
    for _ in range(2):
        command.press()
        command.wait_until(f"{HOST}: stopping")
    go.touch()
    code, output = command.end()
    assert (code, json.loads(output)["boards"][0]["status"]) == (130, "deployed")
    assert here.serves() == new_bundle.record.identity()[:12]
