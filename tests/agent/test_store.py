"""Which releases a board keeps."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemnist.board.agent.durable import exclusive
from edgemnist.board.agent.install import find_venv, needs
from edgemnist.board.agent.store import COMPLETE_FILE, Release, Store, is_release_name
from tests.agent.making import PACKAGE, PASSING_PYTHON, contents_of, record_of
from tests.deploy.loopback import agent_file, run_agent

IDENTITY = "0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board with five releases, each with a virtual environment of its own."""
    made = Store(tmp_path)
    made.create()
    for number in range(1, 6):
        (made.venvs / f"venv{number}").mkdir()
        release = made.releases_directory / f"{number}-{IDENTITY}"
        release.mkdir()
        (release / "venv").symlink_to(made.venvs / f"venv{number}")
    return made


def kept(store: Store) -> list[int]:
    return [release.sequence for release in store.releases()]


@pytest.mark.parametrize("current", [1, 3, 5])
@pytest.mark.parametrize("keep", [1, 2, 4, 9])
def test_the_newest_are_kept_and_the_one_that_serves_whatever_its_age(store: Store, current: int, keep: int) -> None:
    store.switch(f"{current}-{IDENTITY}")
    removed = store.prune(keep, store.incoming / "none")
    assert kept(store) == sorted({current, *list(range(1, 6))[-keep:]})
    assert removed == [f"{number}-{IDENTITY}" for number in range(1, 6) if number not in kept(store)]
    assert sorted(venv.name for venv in store.venvs.iterdir()) == [f"venv{number}" for number in kept(store)]
    assert list(store.staging.iterdir()) == []
    serving = store.current()
    assert serving is not None
    assert serving.sequence == current


def test_transfers_are_kept_for_a_day_and_the_deployed_bundle_is_not(store: Store) -> None:
    for name, age_s in (("deployed", 0), ("young", 86_000), ("old", 87_000)):
        (store.incoming / name).write_bytes(b"bundle")
        os.utime(store.incoming / name, (time.time() - age_s,) * 2)
    store.prune(5, store.incoming / "deployed")
    assert [path.name for path in store.incoming.iterdir()] == ["young"]


def test_boards_in_the_field_find_everything_by_its_name(tmp_path: Path) -> None:
    """An update must find what the version before it has left."""
    store = Store(tmp_path / "not" / "there")
    assert (store.releases(), store.current(), store.next_name("f" * 64)) == ([], None, f"1-{'f' * 12}")
    store.create()
    (store.venvs / "kept").touch()
    store.create()
    assert {path.name for path in store.root.iterdir()} == {"releases", "venvs", "staging", "incoming"}
    assert (store.venvs / "kept").exists()
    assert (store.link, store.lock) == (store.root / "current", store.root / "lock")
    assert (store.allowed_signers, store.settings) == (store.root / "allowed_signers", store.root / "board.toml")


def test_a_new_release_is_newer_than_all_others_whatever_their_names_sort_like(store: Store) -> None:
    for number in (9, 10):
        (store.releases_directory / f"{number}-{IDENTITY}").mkdir()
    (store.releases_directory / "99-no-release").mkdir()
    assert kept(store) == [1, 2, 3, 4, 5, 9, 10]
    assert store.next_name("f" * 64) == f"11-{'f' * 12}"
    (store.staging / "made").mkdir()
    adopted = store.adopt(store.staging / "made", f"11-{'f' * 12}")
    assert (adopted.path, adopted.sequence) == (store.releases_directory / f"11-{'f' * 12}", 11)
    assert kept(store)[-1] == 11


def test_a_release_is_whole_only_with_every_file_as_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    contents = contents_of("a")
    record = record_of(contents)
    release = Release(store.releases_directory / store.next_name(record.identity()), 1)
    for path, data in contents.items():
        # Of the wheels a board keeps none.
        if path.startswith("exports/"):
            (release.path / path).parent.mkdir(parents=True, exist_ok=True)
            (release.path / path).write_bytes(data)
    (release.path / "bundle.json").write_bytes(record.encode())
    venv = store.venvs / "venv"
    venv.mkdir()
    (release.path / "venv").symlink_to(venv)
    assert release.problems() == ["its virtual environment is missing"]
    for complete in (b"", b"1", b"[" * 100_000, b"\xff"):
        (venv / ".complete").write_bytes(complete)
        assert release.problems() == []
    # One that is missing does not end the search.
    (release.path / "exports" / "a.tflite").unlink()
    (release.path / "exports" / "golden.npz").write_bytes(contents["exports/golden.npz"].swapcase())
    damaged = ["exports/a.tflite: No such file or directory", "exports/golden.npz is damaged"]
    assert release.problems() == damaged
    (release.path / "bundle.json").write_bytes(record_of(contents, artifacts=["b"]).encode())
    assert release.problems() == ["bundle.json belongs to another release", *damaged]
    (release.path / "bundle.json").write_bytes(b"{")
    assert release.problems() == ["bundle.json is missing or damaged"]


def test_a_second_sender_takes_over_what_a_silent_one_left_and_leaves_a_busy_one_alone(store: Store) -> None:
    sha256 = "a" * 64
    assert store.part(sha256) == store.incoming / sha256
    # One of them is renamed between the listing and the look: the name is there, and nothing behind it.
    (store.incoming / f"{sha256}.gone").symlink_to("nowhere")
    for token, age in (("busy", 50), ("silent", 70), ("silent-too", 70)):
        path = store.incoming / f"{sha256}.{token}"
        path.write_text(token)
        os.utime(path, (time.time() - age,) * 2)
    own = store.part(sha256, "mine")
    assert (own, own.read_text()) == (store.incoming / f"{sha256}.mine", "silent")
    # What is here already is gone on with.
    assert store.part(sha256, "mine").read_text() == "silent"
    assert store.part("b" * 64, "mine") == store.incoming / f"{'b' * 64}.mine"
    left = {path.name.rpartition(".")[2] for path in store.incoming.iterdir()}
    assert left == {"busy", "gone", "mine", "silent-too"}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '{"from": "1-a", "to": 5}', '["a", 1]', "[" * 100_000, "null"])
def test_a_damaged_pending_switch_is_none(text: str, store: Store) -> None:
    (store.root / "pending.json").write_text(text)
    assert store.pending() is None


def test_a_pending_switch_is_read_as_it_was_begun(store: Store) -> None:
    assert store.pending() is None
    for old in (None, "1-0123456789ab"):
        store.begin_switch(old, "2-0123456789ab")
        assert store.pending() == {"from": old, "to": "2-0123456789ab"}
        assert json.loads((store.root / "pending.json").read_bytes()) == store.pending()
    for _ in range(2):
        store.end_switch()
        assert not (store.root / "pending.json").exists()


def test_a_sweep_removes_what_is_unfinished_and_nothing_else(store: Store) -> None:
    (store.venvs / "venv1" / ".complete").touch()
    (store.venvs / "file").touch()
    (store.staging / "half").mkdir()
    (store.staging / "link").symlink_to(store.venvs / "venv1")
    store.sweep()
    assert [path.name for path in store.venvs.iterdir()] == ["venv1"]
    assert (store.venvs / "venv1" / ".complete").is_file()
    assert list(store.staging.iterdir()) == []
    assert kept(store) == [1, 2, 3, 4, 5]


def test_the_names_of_releases_are_a_number_and_twelve_digits() -> None:
    assert is_release_name(f"10-{IDENTITY}")
    for name in ("", *(f"{sign}{IDENTITY}" for sign in ("", "-", "x-", "1-0")), f"1-{IDENTITY[1:]}", f"1-{IDENTITY}/"):
        assert not is_release_name(name)


def test_current_is_the_release_that_a_link_names(store: Store) -> None:
    assert store.current() is None
    store.switch(f"1-{IDENTITY}")
    assert (store.root / "current").readlink() == Path(f"releases/1-{IDENTITY}")
    assert store.current() == Release(store.releases_directory / f"1-{IDENTITY}", 1)
    # It is not pruned, whatever its age.
    assert store.prune(1, store.incoming / "none") == [f"{number}-{IDENTITY}" for number in (2, 3, 4)]
    store.switch(f"9-{IDENTITY}")
    assert store.current() is None
    for _ in range(2):
        store.switch(None)
        assert not os.path.lexists(store.link)


def test_nobody_else_may_write_what_a_board_runs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    request = {"identity": "", "sha256": "0" * 64, "bytes": 1}
    subprocess.run(
        [sys.executable, "-I", agent_file(tmp_path), "prepare", root],
        input=json.dumps(request), check=True, capture_output=True, text=True, umask=0,
    )  # fmt: skip
    found = [root, *root.rglob("*")]
    assert len(found) > 4
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o022] == []


def test_an_environment_is_taken_that_has_all_that_a_bundle_needs(store: Store) -> None:
    record = record_of({PACKAGE: b"wheel"})
    has = needs(record)

    def taken(has: object) -> str | None:
        (store.venvs / "venv1" / COMPLETE_FILE).write_text(json.dumps(has))
        return find_venv(store, record)

    lacking: list[dict[str, object]] = [
        {"package": "1" * 64}, {"python": [3, 9, "armv7l"]}, {"extras": ["onnx"]}, {"constraints": ["numpy==1"]},
        {"wheels": []},
    ]  # fmt: skip
    for lacks in lacking:
        assert taken(has) == "venv1"
        assert taken({**has, **lacks}) is None
    assert [taken(json.loads(text)) for text in ('"nonsense"', "[]", "{}", "null")] == [None] * 4
    more = {**has, "extras": ["serve", "tflite"], "constraints": ["numpy==2", "starlette==1"]}
    assert taken(more) == "venv1"
    # An unsigned bundle may have brought the rest, before the board asked for signatures.
    store.allowed_signers.touch()
    assert taken(more) is None
    assert taken(has) == "venv1"


@pytest.fixture
def old_store(tmp_path: Path) -> Store:
    """A board with a release of 0.1.0 that serves, and an older one of the same version."""
    old_store = Store(tmp_path / "board")
    old_store.create()
    (old_store.root / "board.toml").touch()
    venv = old_store.venvs / "0123456789ab"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(PASSING_PYTHON)
    (venv / "bin" / "python").chmod(0o755)
    (venv / "lib" / "python3.11" / "site-packages" / "edgemnist" / "drift").mkdir(parents=True)
    (venv / ".complete").write_text(json.dumps({"package": "0" * 64, "extras": ["tflite"]}))
    for name in ("a", "b"):
        contents = contents_of(name)
        record = record_of(contents, edgemnist="0.1.0", artifacts=[name])
        release = old_store.releases_directory / old_store.next_name(record.identity())
        for path, data in {**contents, "bundle.json": record.encode()}.items():
            if not path.startswith("wheels/"):
                (release / path).parent.mkdir(parents=True, exist_ok=True)
                (release / path).write_bytes(data)
        (release / "deployed.json").write_text('{"deployed_at": "2026-01-01T00:00:00Z"}')
        (release / "venv").symlink_to("../../venvs/0123456789ab")
    old_store.switch(old_store.releases()[1].name)
    return old_store


def test_they_are_listed_and_gone_back_to(old_store: Store) -> None:
    first, second = old_store.releases()
    old_store.begin_switch(first.name, second.name)
    with exclusive(old_store.lock, wait_s=0, waiting=print):
        listed = run_agent(old_store.root, "releases")
    assert (listed["busy"], listed["pending"]) == (str(os.getpid()), second.name)
    assert [(row["release"], row["edgemnist"], row["problems"], row["current"]) for row in listed["releases"]] == [
        (first.name, "0.1.0", [], False),
        (second.name, "0.1.0", [], True),
    ]
    answer = run_agent(old_store.root, "rollback", {"release": None, "wait_s": 1.0})
    assert answer == {"release": first.name, "previous": second.name}
    wanted = {"identity": second.record().identity(), "sha256": "0" * 64, "bytes": 1}  # type: ignore[union-attr]  # it has one
    assert run_agent(old_store.root, "prepare", wanted)["known"], "an update finds what it need not send"


def test_a_module_is_run_in_the_release_that_serves(old_store: Store) -> None:
    exports = old_store.link.resolve() / "exports"
    request = {"module": ["edgemnist.field.samples", "{exports}", "--json"], "files": {}}
    answer = run_agent(old_store.root, "run", request)
    assert answer["stdout"] == f"-I -m edgemnist.field.samples {exports} --json\n"
