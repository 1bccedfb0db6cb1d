"""A transfer ends, and takes little memory, whatever the other side does."""

import os
import tracemalloc
from pathlib import Path

import pytest

from edgemnist.errors import DeployError
from edgemnist.fleet.deploy import transport
from edgemnist.fleet.deploy.transport import Connection, parse_host, plain_path, remote_path


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
    tracemalloc.start()
    try:
        with pytest.raises(DeployError, match="does not accept the bundle") as caught:
            put_with("echo no; yes no | head -c 50000000 >&2; exit 1", tmp_path, monkeypatch)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert len(caught.value.message) < 5_000


def test_a_transfer_that_stands_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "QUICK_S", 0.5)
    with pytest.raises(DeployError, match="did not answer within 1 s"):
        put_with("exec sleep 60", tmp_path, monkeypatch)


def test_a_directory_that_begins_with_a_dash_is_no_option() -> None:
    assert plain_path("-x", "incoming") == "./-x/incoming"
    assert remote_path("--help me") == "'./--help me'"
    assert plain_path("~/a", "b") == "a/b"
