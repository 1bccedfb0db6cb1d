"""Whatever a server, a thief, a clock, a disk or a power cut does, the board serves a whole release, and goes on."""

import itertools
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile

from edgemnist.errors import DeployError
from edgemnist.fleet.channel import run as channel
from tests.channel.conftest import Site, serves
from tests.deploy.loopback import copy_state
from tests.deploy.test_kills import service_settings
from tests.killing import Program

SERVERS = itertools.product(["endless", "truncated", "altered"], ["timestamp", "snapshot", "targets", "bundles"])


@pytest.mark.parametrize(
    ("trouble", "part"), [*SERVERS, ("older", "timestamp"), ("1970", ""), ("expired", ""), ("full", "")]
)
def test_in_trouble_the_board_serves_what_it_served_says_so_and_then_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, trouble: str, part: str
) -> None:
    board, old = site.board(), b""
    for name in ("old", ""):
        site.publish(name)
        assert site.pull(board).board.fault is None
        old = old or (site.folder / "timestamp.json").read_bytes()

    def send(path: str, data: bytes) -> Iterable[bytes]:
        half = len(data) // 2
        altered = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        pieces = {"older": [old], "truncated": [data[:-1]], "altered": [altered]}
        return pieces.get(trouble, itertools.repeat(data)) if part and part in path else [data]

    with monkeypatch.context() as patch:
        if trouble == "1970":
            patch.setattr(time, "time", lambda: 0.0)
        elif trouble == "expired":
            patch.setitem(channel.ROLES, "timestamp", (Metadata, 0))
        elif trouble == "full":
            patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        site.publish("new")
        patch.setattr(site, "wicked", send)
        fault = site.pull(board).board.fault
        assert fault is not None
        told = {"1970": "signed yet", "expired": "expired", "full": "MB free", "older": "version"}
        assert told.get(trouble, "cannot be") in fault.message, fault
        assert (fault.exit_code, serves(board), list(board.incoming.iterdir())) == (2, "old", [])
    site.publish()
    assert site.pull(board).board.fault is None
    assert serves(board) == "new"


def test_who_stole_the_online_key_gives_boards_nothing_and_is_locked_out_by_a_new_one(
    site: Site, tmp_path: Path
) -> None:
    site.publish("old")
    boards = [site.board(name) for name in ("board", *channel.KEYS)]
    site.pull(boards[0])
    before = copy_state(site.folder, tmp_path / "before")
    root = Metadata.from_file(str(site.keys / "1.root.json")).signed
    (key,) = site.keys.glob("online-*.pem")
    thief = Signer.from_priv_key_uri(f"file2:{key}", root.keys[root.roles["timestamp"].keyids[0]])
    snapshot: dict[str, Any] = {"meta": {"targets.json": MetaFile(9)}}
    timestamp: dict[str, Any] = {"snapshot_meta": MetaFile(9)}
    for name, change in (("1.targets", {"targets": {}}), ("1.snapshot", snapshot), ("timestamp", timestamp)):
        metadata = Metadata.from_file(str(site.folder / f"{name}.json"))
        metadata.signed.version = 9
        vars(metadata.signed).update(change)
        metadata.sign(thief)
        metadata.to_file(str(site.folder / f"{name.replace('1', '9')}.json"))
    fault = site.pull(boards[0]).board.fault
    assert fault is not None
    assert "cannot be trusted" in fault.message
    with pytest.raises(DeployError, match="of somebody else"):
        site.publish("new")
    copy_state(before, site.folder)
    for name in channel.KEYS:
        site.publish(key=name)
    site.publish("new")
    # The thief's timestamp had the highest number, which is worth nothing now; and who comes new follows, too.
    assert [site.pull(board).board.fault for board in boards] == [None] * 4
    assert {serves(board) for board in boards} == {"new"}


@pytest.mark.all
@pytest.mark.parametrize(("before", "name", "code"), [(None, "new", 0), ("old", "new", 0), ("old", "bad", 1)])
def test_killed_at_any_step_the_board_serves_a_whole_release(
    site: Site, tmp_path: Path, before: str | None, name: str, code: int
) -> None:
    board = site.board()
    (board.root / "board.toml").write_text(service_settings(board.root))
    if before is not None:
        site.publish(before)
        assert site.pull(board).board.fault is None
    site.publish(name)
    kept = copy_state(board.root, tmp_path / "kept")
    words = ["release", "pull", "--channel", site.address, "--root", str(board.root), "--name", "board"]
    with Program(board.root, "-m", "tests.killing", "edgemnist.fleet.channel.run") as program:
        steps = program.run(words=words)["steps"]
        # 200 are asked for in all.
        assert len(steps) >= 67
        for number, step in enumerate(steps, 1):
            copy_state(kept, board.root)
            assert program.run(words=words, limit=number)["code"] == -9, step
            assert serves(board) in {before, "new"}, step
            ended = program.run(words=words)
            found = ended["code"], serves(board), board.pending()
            assert found == (code, before if code else "new", None), f"{step}: {ended['said']}"
            assert not list(board.staging.iterdir()), step
