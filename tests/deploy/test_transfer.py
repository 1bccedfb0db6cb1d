"""A transfer ends, and takes little memory, whatever the other side does."""

import getpass
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgemnist.errors import DeployError
from edgemnist.fleet.deploy import transport
from edgemnist.fleet.deploy.answers import Applied, Line, Ran, clean, clean_result, cleaned, convert, decode, message
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.fleet.deploy.transport import Connection, connect, parse_host, plain_path, remote_path
from tests.conftest import allocates_less_than
from tests.deploy.loopback import Sshd, make_key
from tests.messages import Told


def put_with(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a file with this shell script in the place of `sftp`."""
    script = tmp_path / "sftp"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"x")
    Connection(parse_host("pi@board"), []).put(file, "incoming/x")


def test_what_a_board_says_of_a_transfer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with allocates_less_than(10_000_000), pytest.raises(DeployError, match="does not accept the bundle") as caught:
        put_with("echo no; yes no | head -c 50000000 >&2; exit 1", tmp_path, monkeypatch)
    assert len(caught.value.message) < 5_000


def test_a_transfer_that_stands_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "QUICK_S", 0.5)
    with pytest.raises(DeployError, match="did not answer within 1 s"):
        put_with("exec sleep 60", tmp_path, monkeypatch)


def test_a_directory_that_begins_with_a_dash_is_no_option() -> None:
    assert plain_path("-x", "incoming") == "./-x/incoming"
    assert remote_path("--help me") == "'./--help me'"
    assert plain_path("~/a", "b") == "a/b"


@pytest.fixture(params=["user@address:port", "alias", "user@alias"])
def board(request: pytest.FixtureRequest, sshd: Sshd) -> str:
    """A board, as a user may name it."""
    user = getpass.getuser()
    return {"user@address:port": f"{user}@127.0.0.1:{sshd.port}", "alias": "board", "user@alias": f"{user}@board"}[
        str(request.param)
    ]


def config_for(sshd: Sshd, path: Path, host_key: Path | None = None) -> Path:
    """Write a client's configuration that also holds for the bare address."""
    sshd.client_config(path, host_key=host_key)
    own = path.read_text()
    common = "\n".join(line for line in own.splitlines() if not re.match(r"Host |  (HostName|Port) ", line))
    path.write_text(f"{own}Host 127.0.0.1\n{common}\n")
    return path


def hint_of(board: str, config: Path) -> str:
    target = BoardAddress.of(board, ssh_config=config)
    with pytest.raises(DeployError) as refused, connect(target.host, target.ssh_config):
        pass
    return refused.value.hint


def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shlex.split(command), *more], check=False, capture_output=True, text=True)


def test_a_changed_host_key_is_forgotten_by_the_command_that_is_printed(board: str, sshd: Sshd, tmp_path: Path) -> None:
    config = config_for(sshd, tmp_path / "ssh_config", make_key(tmp_path / "another"))
    found = re.search(r"ssh-keygen .*?(?=   )", hint_of(board, config))
    assert found is not None
    done = run(found[0])
    assert done.returncode == 0, done.stderr
    assert config.with_suffix(".known").read_text() == ""


def test_an_unknown_host_key_is_learnt_by_the_command_that_is_printed(board: str, sshd: Sshd, tmp_path: Path) -> None:
    config = config_for(sshd, tmp_path / "ssh_config")
    known = config.with_suffix(".known")
    known.write_text("")
    found = re.search(r"`(ssh .*?)`", hint_of(board, config))
    assert found is not None
    # In the place of somebody who compares the fingerprint, and says yes.
    done = run(found[1], "-o", "StrictHostKeyChecking=accept-new", "true")
    assert done.returncode == 0, done.stderr
    target = BoardAddress.of(board, ssh_config=config)
    with connect(target.host, target.ssh_config) as connection:
        assert connection.run("true")[0] == 0


def test_the_desk_may_be_a_windows_that_has_no_locks_of_unix() -> None:
    code = "import sys; sys.modules['fcntl'] = None; import edgemnist.fleet.deploy.run"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


RAN = {"exit_code": 0, "release": "1-a", "stdout": "\x1b[2J", "stderr": ""}
SELFTEST: dict[str, object] = {"passed": True, "reasons": [], "images": 1, "artifacts": [], "latencies": []}
APPLIED: dict[str, object] = {
    "status": "deployed", "release": "2-a", "previous": None, "removed": [], "selftest": SELFTEST
}  # fmt: skip


def test_no_text_moves_the_cursor_or_reverses_a_line() -> None:
    assert clean("\x1b[2Jred\x07 \u202etxt\ue000 café\t") == "\ufffd[2Jred\ufffd \ufffdtxt\ufffd café\ufffd"
    assert clean("one\r\ntwo\nthree\r") == "one\ntwo\nthree\ufffd"
    assert message("  one\r\n two\x1b ") == "one two\ufffd"
    assert len(message("x" * 5000)) == 2000


def test_every_text_of_a_document_is_cleaned_and_cut_however_deep_it_lies() -> None:
    dirty = {"a\x1b": ["b\x1b", {"c": "d\x1b"}, 1, None, 2.5, True]}
    assert cleaned(dirty) == {"a\ufffd": ["b\ufffd", {"c": "d\ufffd"}, 1, None, 2.5, True]}
    assert cleaned({"a" * 5000: ["b" * 5000], 1: "one"}) == {"a" * 2000: ["b" * 2000], "1": "one"}
    assert cleaned(["x" * 5000], 10) == ["x" * 10]
    # What a command printed is read on its own.
    assert len(convert("pi", {**RAN, "stdout": "x" * 5000}, Ran).stdout) == 5000


def test_a_deployment_that_cannot_have_been_is_not_told_as_one(told: Told) -> None:
    assert convert("pi", APPLIED, Applied).release == "2-a"
    changes: list[dict[str, object]] = [
        {"release": "x" * 100},
        {"previous": "x" * 100},
        {"removed": ["x" * 100]},
        {"selftest": {**SELFTEST, "passed": False}},
        {"status": "failed"},
    ]
    for change in changes:
        with told():
            convert("pi", {**APPLIED, **change}, Applied)


def test_an_answer_of_another_kind_is_told_in_a_sentence(told: Told) -> None:
    processes = (b'{"process": 1}', b'{"process": 4294967296}')
    for data in (*processes, b'{"step": "\x1b"}', b'{"step": \xff}', b'{"result": {"a": ' + b"[" * 100_000):
        with told():
            decode("pi", data, Line)


def test_an_answer_has_the_fields_of_its_kind_and_is_cleaned() -> None:
    there = Ran(exit_code=0, release="1-a", stdout="\ufffd[2J", stderr="")
    assert convert("pi", RAN, Ran) == there
    assert clean_result("pi", Ran(**RAN)) == there  # type: ignore[arg-type]  # they fit
    assert decode("pi", json.dumps({"step": "installing"}), Line) == Line(step="installing")
    assert decode("pi", b'{"process": 4711}', Line).process == 4711
    with pytest.raises(DeployError, match=r"pi sent an answer that this version cannot read: .*exit_code"):
        convert("pi", {**RAN, "exit_code": "none"}, Ran)
