"""Whatever a server, a thief, a clock, a disk or a power cut does, the board serves a whole release, and goes on."""

import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from benchmarks.deploy.altered import attack
from edgemnist.errors import DeployError
from edgemnist.fleet.channel import run as channel
from tests.channel.conftest import Site, serves
from tests.deploy.loopback import copy_state
from tests.deploy.test_faults import fill
from tests.deploy.test_kills import service_settings
from tests.killing import Program
from tests.watch.test_meter import run

SERVERS = itertools.product(["endless", "truncated", "slow"], ["timestamp", "snapshot", "targets", "bundles"])


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

    def waited(data: bytes) -> Iterator[bytes]:
        yield data[:1]
        if signal.getitimer(signal.ITIMER_REAL)[0] > 3.9 * 3600:
            os.kill(os.getpid(), signal.SIGALRM)

    def send(path: str, data: bytes) -> Iterable[bytes]:
        pieces = {"older": [old], "truncated": [data[:-1]], "slow": waited(data)}
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
        told = {"1970": "signed yet", "expired": "expired", "full": "MB free", "older": "version", "slow": "4 hours"}
        assert told.get(trouble, "cannot be") in fault.message, fault
        assert (fault.exit_code, serves(board), list(board.incoming.iterdir())) == (2, "old", [])
    site.publish()
    assert site.pull(board).board.fault is None
    assert serves(board) == "new"


@pytest.mark.needs("root")
def test_on_a_disk_that_fills_up_meanwhile_the_board_serves_what_it_served(site: Site) -> None:
    (root := site.home / "board").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", root], check=True)
    try:
        board, pages = site.board(), itertools.count()
        for name, before in (("old", None), ("new", "old")):
            site.publish(name)
            while (filling := fill(root, leave=4096 * next(pages))) and (fault := site.pull(board).board.fault):
                filling.unlink()
                assert fault.message == f"{root} cannot be changed: the disk of the board is full"
                assert serves(board) == before
            filling.unlink()
            assert serves(board) == name
        assert next(pages) > 3
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


@pytest.mark.needs("openssl")
def test_what_cannot_be_reached_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "Urllib3Fetcher", lambda: Urllib3Fetcher(socket_timeout=1))
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout it.pem -out it.pem -subj /CN=me", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "it.pem")
    with socket.create_server(("127.0.0.1", 0)) as silent, Site(tmp_path / "tls") as secret:
        secret.socket = context.wrap_socket(secret.socket, server_side=True)
        for url, reason in {
            "http://127.0.0.1:1": "Connection refused",
            "http://nowhere.invalid": "[A-Z][a-z ]+",
            f"http://127.0.0.1:{silent.getsockname()[1]}": "timed out",
            f"https://127.0.0.1:{secret.server_port}": r"certificate verify failed: self-signed certificate \(.*\)",
        }.items():
            said: list[str] = []
            report = None if reason == "timed out" else url
            found = channel.pull(f"{url}#{'0' * 64}", tmp_path, "any", report, said.append).board.fault
            assert re.fullmatch(f"{url} cannot be fetched: {reason}", found.message if found else ""), found
            assert report is None or re.search(f"put, .*: {reason}$", said[-1]), said
        secret.shutdown()


def test_who_stole_the_online_key_gives_boards_nothing_and_a_new_one_locks_out(site: Site, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("seed", "alterations"), [(0, 150), *(pytest.param(seed, 2_000, marks=pytest.mark.all) for seed in range(1, 6))]
)
def test_no_altered_metadata_signature_or_bundle_is_accepted(seed: int, alterations: int, site: Site) -> None:
    found = attack(site, seed, alterations)
    assert {outcome for outcomes in found.values() for outcome in outcomes} <= {"refused", "same"}, found
    assert (found["order"]["refused"], found["order of the first root"]["same"]) == (0, 0), found
    assert sum(outcomes["refused"] for outcomes in found.values()) > 0.8 * alterations
