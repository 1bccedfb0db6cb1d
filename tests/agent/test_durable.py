"""On a board, nothing is seen before it is on the disk."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from edgemnist.board.agent import MARK, Responder, SelfTestLimits
from edgemnist.board.agent.durable import exclusive, holder, replace_file, replace_link, sync_tree
from edgemnist.board.agent.install import _run, run_selftest
from edgemnist.board.agent.store import Store
from edgemnist.errors import BundleError, DeployError
from tests.messages import Told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named in /proc")


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each `sync`, `replace`, `rename` and `unlink` below the directory of the test, as it happens."""
    found: list[str] = []

    def told(path: str | Path) -> str:
        return str(Path(path).relative_to(tmp_path))

    real_sync = os.fsync

    def sync(descriptor: int) -> None:
        found.append(f"sync {told(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("replace", "rename", "unlink"):
        real = getattr(os, name)

        def call(path: str | Path, *rest: str | Path, name: str = name, real: object = real) -> None:
            found.append(f"{name} {told(rest[0] if rest else path)}")
            real(path, *rest)  # type: ignore[operator]  # one of the functions above

        monkeypatch.setattr(os, name, call)
    return found


def test_files_links_and_directories_are_on_the_disk_before_anything_rests_on_them(
    tmp_path: Path, events: list[str]
) -> None:
    replace_file(tmp_path / "file", b"new")
    assert events == ["sync .file.new", "replace file", "sync ."]
    assert (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "link").symlink_to("old")
    events.clear()
    replace_link(tmp_path / "link", "new")
    assert [event for event in events if not event.startswith("unlink")] == ["replace link", "sync ."]
    assert (tmp_path / "link").readlink() == Path("new")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "c").mkdir()
    events.clear()
    sync_tree(tmp_path / "tree")
    assert sorted(events) == ["sync tree", "sync tree/a", "sync tree/a/b", "sync tree/c"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def test_directories_are_on_the_disk_before_anything_is_in_them(tmp_path: Path, events: list[str]) -> None:
    store = Store(tmp_path / "root")
    store.create()
    assert events == ["sync .", *["sync root"] * 4]
    store.create()
    assert len(events) == 5


def test_an_adopted_release_is_on_the_disk_in_its_new_place_alone(store: Store, events: list[str]) -> None:
    (store.staging / "made").mkdir()
    store.adopt(store.staging / "made", "1-0123456789ab")
    assert events[0] == "rename releases/1-0123456789ab"
    assert sorted(events[1:]) == ["sync releases", "sync staging"]


def test_the_beginning_and_the_end_of_a_switch_are_on_the_disk(store: Store, events: list[str]) -> None:
    store.begin_switch(None, "1-0123456789ab")
    assert events[-2:] == ["replace pending.json", "sync ."]
    store.end_switch()
    assert events[-2:] == ["unlink pending.json", "sync ."]
    store.switch("1-0123456789ab")
    store.switch(None)
    assert events[-2:] == ["unlink current", "sync ."]


def test_a_link_replaces_what_an_interrupted_attempt_left(tmp_path: Path) -> None:
    for target in ("one", "two"):
        (tmp_path / ".link.new").symlink_to("left")
        replace_link(tmp_path / "link", target)
        assert (tmp_path / "link").readlink() == Path(target)
        assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_the_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", list[str]()
    assert holder(lock) is None
    with exclusive(lock, wait_s=0, waiting=told.append):
        assert holder(lock) == str(os.getpid())
        with pytest.raises(DeployError) as caught, exclusive(lock, wait_s=0.25, waiting=told.append):
            pass
    assert caught.value.message == f"Another deployment is running on this board (process {os.getpid()})"
    assert told == [f"waiting for another deployment (process {os.getpid()})"]
    assert holder(lock) is None
    # A shorter process number takes the place of a longer one as a whole.
    lock.write_text("123456789012")
    with exclusive(lock, wait_s=0, waiting=told.append):
        assert lock.read_text() == str(os.getpid())
    assert len(told) == 1


def test_every_line_is_marked_and_sent_at_once() -> None:
    flushed = []

    class Stream(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    responder = Responder(Stream())
    assert responder.stoppable
    responder.step("check")
    assert flushed[-1] == '@edgemnist {"step": "check"}\n'
    responder.error(BundleError("It is damaged", hint="Make it again."))
    responder.tell(result={"release": "1-0123456789ab"}, process=7)
    assert [json.loads(line.removeprefix(MARK)) for line in flushed[-1].splitlines()] == [
        {"step": "check"},
        {"error": {"type": "BundleError", "message": "It is damaged", "hint": "Make it again."}},
        {"result": {"release": "1-0123456789ab"}, "process": 7},
    ]


def test_where_nobody_listens_any_more_the_work_goes_on_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            tried.append(text)
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    responder = Responder(sys.stdout)
    for _ in range(3):
        responder.step("check")
    assert len(tried) == 1
    # Nor does Python complain at its end.
    assert sys.stdout.write("é") == 1
    sys.stdout.close()


def test_the_reason_of_a_failed_installation_is_told(told: Told) -> None:
    # As pip tells a defect of its own.
    defect = "ERROR: Exception:\nTraceback (most recent call last):\n  File\nTypeError: x"
    for said in ("WARNING: slow\nERROR: No matching x\nmore", defect, ""):
        program = f"import sys; sys.stderr.write({said!r}); sys.exit(1)"
        with told():
            _run([sys.executable, "-c", program], "pip cannot install edgemnist", "A hint.")


def test_a_self_test_that_does_not_pass_says_why(tmp_path: Path, told: Told) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    for script in (
        "exec sleep 60",
        "kill -ILL $$",
        "echo no module >&2; exit 3",
        "echo '[1]'",
        """echo '{"passed": false, "reasons": ["a", "b"]}'""",
        # Its limits are those of the deployment.
        'echo "$*" >&2; exit 1',
    ):
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        with told():
            run_selftest(tmp_path, SelfTestLimits(timeout_s=2.0, max_p99_us=900.5, max_rss_mb=64))
