"""What a board does with a bundle, step by step; the environment, its self-test and the service are stand-ins."""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent import Apply, Responder, SelfTestLimits
from edgemnist.board.agent import apply as applying
from edgemnist.board.agent.apply import DamagedTransferError, find_release
from edgemnist.board.agent.bundle import RECORD_FILE, SIGNATURE_FILE, Archive, BundleRecord, encode_archive, sign
from edgemnist.board.agent.durable import exclusive
from edgemnist.board.agent.facts import POINTER_BITS, program_machine
from edgemnist.board.agent.install import needs, venv_key
from edgemnist.board.agent.service import BoardService
from edgemnist.board.agent.store import COMPLETE_FILE, DEPLOYED_FILE, Release, Store
from edgemnist.errors import BundleError, DeployError, GateMissedError
from tests.agent.making import contents_of, record_of
from tests.deploy.loopback import make_key

LIMITS = SelfTestLimits(timeout_s=7.0, max_p99_us=900.0)
REPORT = {"passed": True, "images": 3}
ILL = GateMissedError("It is ill")


class Steps(Responder):
    """Remembers each step, and whether it could have been stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, bool]] = []

    def tell(self, **document: Any) -> None:
        self.steps.append((document["step"], self.stoppable))


class Board:
    """A store, with what stands in for its environment, its self-test and its service."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(root)
        self.responder = Steps()
        self.tested: list[tuple[Path, SelfTestLimits]] = []
        self.installed: list[str] = []
        self.activated: list[str] = []
        self.unfit: set[str] = set()
        self.ill: dict[str, GateMissedError] = {}
        self.restart = ["restart"]
        board = self

        class Service(BoardService):
            def activate(self, release: str) -> None:
                assert str(board.store.link.readlink()) == f"releases/{release}"
                board.activated.append(release)
                if release in board.ill:
                    raise board.ill[release]

        def make_venv(store: Store, record: BundleRecord, archive: Archive) -> str:
            assert store is self.store
            assert archive.read(record.package)
            name = venv_key(record)
            self.installed.append(name)
            (store.venvs / name).mkdir()
            (store.venvs / name / COMPLETE_FILE).write_text(json.dumps(needs(record)))
            return name

        def run_selftest(release: Path, limits: SelfTestLimits) -> dict[str, Any]:
            assert (release / "venv" / COMPLETE_FILE).is_file()
            self.tested.append((release, limits))
            if {release.name, release.name[-12:]} & self.unfit:
                raise GateMissedError("The self-test failed on the board")
            return REPORT

        def find_service(settings: Path) -> BoardService:
            assert settings == self.store.settings
            return Service(self.restart)

        monkeypatch.setattr(applying, "make_venv", make_venv)
        monkeypatch.setattr(applying, "run_selftest", run_selftest)
        monkeypatch.setattr(applying, "find_service", find_service)

    def send(self, record: BundleRecord, *, key: Path | None = None, **options: Any) -> Apply:
        """Put a bundle where a transfer leaves it, and return what asks for it."""
        files = contents_of(record.artifacts[0]) | {RECORD_FILE: record.encode()}
        if key is not None:
            files[SIGNATURE_FILE] = sign(record.encode(), key)
        data = encode_archive(files)
        digest = hashlib.sha256(data).hexdigest()
        self.store.create()
        self.store.part(digest, options.get("token", "")).write_bytes(data)
        return Apply(**{"sha256": digest, "identity": record.identity(), "limits": LIMITS, "wait_s": 0.0, **options})

    def apply(self, *records: BundleRecord, **options: Any) -> dict[str, Any]:
        """Send bundles, deploy them, and return what came of the last."""
        result: dict[str, Any] = {}
        for record in records:
            request = self.send(record, **options)
            self.forget()
            self.responder.stoppable = True
            result = applying.apply(self.store, request, self.responder)
        return result

    def rollback(self, name: str | None = None) -> dict[str, Any]:
        return applying.rollback(self.store, name, 0.0, self.responder)

    def forget(self) -> None:
        self.responder.steps.clear()
        self.tested.clear()
        self.activated.clear()

    def trust(self, key: Path) -> None:
        """Take what this key has signed, and nothing else."""
        self.store.create()
        self.store.allowed_signers.write_text(f"me@here {key.with_suffix('.pub').read_text()}")

    def steps(self) -> str:
        return ", ".join(name for name, _ in self.responder.steps)

    def path(self, name: str) -> Path:
        return self.store.releases_directory / name

    def releases(self) -> list[str]:
        return [release.name for release in self.store.releases()]

    def serves(self) -> str | None:
        current = self.store.current()
        return current.name if current else None

    def is_clean(self) -> bool:
        left = [*self.store.incoming.iterdir(), *self.store.staging.iterdir()]
        return not left and self.store.pending() is None


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path / "board", monkeypatch)


def bundle_of(name: str, **fields: Any) -> BundleRecord:
    return record_of(contents_of(name), **{"artifacts": [name], **fields})


A, B, C = bundle_of("a"), bundle_of("b"), bundle_of("c")


def named(number: int, record: BundleRecord) -> str:
    return f"{number}-{record.identity()[:12]}"


A1, B2, C3, A3 = named(1, A), named(2, B), named(3, C), named(3, A)


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named in /proc")
def test_all_of_a_release_is_on_disk_before_it_takes_its_place(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[Path] = set()
    left: list[Path] = []
    sync, adopt = os.fsync, Store.adopt

    def fsync(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    def adopted(store: Store, path: Path, name: str) -> Release:
        left.extend({path.parent, path, *(below for below in path.rglob("*") if not below.is_symlink())} - synced)
        assert len(synced) > 5
        # What has passed its self-test is not stopped half way.
        assert not board.responder.stoppable
        return adopt(store, path, name)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Store, "adopt", adopted)
    board.apply(A)
    assert board.serves() == A1
    assert left == []


def test_a_first_bundle_is_unpacked_installed_tested_and_serves(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-9")
    time.tzset()
    result = board.apply(A, token="t")
    monkeypatch.undo()
    time.tzset()
    assert result == {"status": "deployed", "release": A1, "previous": None, "removed": [], "selftest": REPORT}
    assert board.serves() == A1
    release = board.store.releases()[0]
    assert release.problems() == []
    assert (release.path / RECORD_FILE).read_bytes() == A.encode()
    assert {path.name for path in release.path.iterdir()} == {RECORD_FILE, DEPLOYED_FILE, "exports", "venv"}
    assert (release.path / "exports" / "below" / "manifest.json").read_text() == "exports/below/manifest.json"
    assert str((release.path / "venv").readlink()) == f"../../venvs/{venv_key(A)}"
    deployed = release.deployed()
    assert deployed["selftest"] == REPORT
    assert deployed["limits"] == {"timeout_s": 7.0, "max_p99_us": 900.0, "max_rss_mb": None}
    deployed_at = datetime.strptime(deployed["deployed_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - deployed_at).total_seconds()) < 3_600
    # It was tested where it was prepared.
    assert board.tested == [(board.store.staging / A.identity()[:12], LIMITS)]
    assert board.is_clean()
    assert board.steps() == "check, unpack, install, self-test, switch, service, tidy"
    # Up to the self-test somebody may stop it; half a switch would be worse than none.
    assert [stoppable for _, stoppable in board.responder.steps] == [True] * 4 + [False] * 3


def test_the_release_that_serves_is_tested_again_and_nothing_is_switched(board: Board) -> None:
    board.apply(A)
    result = board.apply(A)
    assert (result["status"], result["release"], result["previous"]) == ("unchanged", A1, A1)
    assert board.tested == [(board.path(A1), LIMITS)]
    assert (board.activated, board.steps(), board.is_clean()) == ([], "self-test, tidy", True)
    assert board.responder.stoppable


def test_a_second_bundle_takes_the_first_ones_place_and_its_environment(board: Board) -> None:
    board.apply(A)
    board.restart = []
    result = board.apply(B, keep=1)
    assert (result["release"], result["previous"], result["removed"]) == (B2, A1, [A1])
    assert board.releases() == [B2]
    assert len(board.installed) == 1
    # Without a service there is no step for it.
    assert board.steps() == "check, unpack, self-test, switch, tidy"
    assert board.apply(bundle_of("d", extras=["onnx"]), keep=2)["removed"] == []
    assert len(board.installed) == 2


def test_a_bundle_that_is_there_gets_the_newest_number_again(board: Board) -> None:
    result = board.apply(A, B, A)
    assert (result["status"], result["release"], result["previous"]) == ("deployed", A3, B2)
    assert board.releases() == [B2, A3]
    assert (board.steps(), board.activated) == ("self-test, switch, service, tidy", [A3])
    # One that went back to an older release comes to the newer one under its own number.
    board.rollback()
    assert board.apply(A)["release"] == A3


def test_what_fails_its_self_test_leaves_nothing_behind(board: Board) -> None:
    board.apply(A)
    board.unfit.add(B.identity()[:12])
    with pytest.raises(GateMissedError, match="self-test failed"):
        board.apply(B)
    assert (board.serves(), board.releases(), board.activated) == (A1, [A1], [])
    assert list(board.store.staging.iterdir()) == []
    # The transfer is kept: a test with other limits need not send it again.
    assert len(list(board.store.incoming.iterdir())) == 1
    board.unfit.clear()
    assert board.apply(B)["release"] == B2
    # What serves is still tested, and stays if it fails.
    board.unfit.add(B2)
    with pytest.raises(GateMissedError):
        board.apply(B)
    assert board.serves() == B2


def test_where_the_service_stays_down_the_old_release_serves_again(board: Board) -> None:
    board.apply(A)
    board.ill[B2] = ILL
    with pytest.raises(GateMissedError, match=f"^It is ill; release {A1} serves again$"):
        board.apply(B)
    assert board.activated == [B2, A1]
    assert (board.serves(), board.store.pending()) == (A1, None)
    assert board.releases() == [A1], "what has never served is nothing to come back to"
    assert board.steps().endswith("switch, service, going back")
    assert board.responder.steps[-1] == ("going back", False)
    # Both reasons are told where the old release stays down as well.
    board.ill[A1] = GateMissedError("It is gone")
    with pytest.raises(GateMissedError, match=f"^It is ill; .* with the old release {A1} either .It is gone.$"):
        board.apply(B)
    assert (board.serves(), board.store.pending()) == (A1, None)


def test_a_release_that_has_served_before_is_kept_where_it_does_not_come_up(board: Board) -> None:
    board.apply(A, B)
    board.ill[A3] = ILL
    with pytest.raises(GateMissedError):
        board.apply(A)
    assert (board.releases(), board.serves()) == ([B2, A3], B2)


def test_where_nothing_served_before_nothing_serves_after_a_failure(board: Board) -> None:
    board.ill[A1] = ILL
    with pytest.raises(GateMissedError, match="It is ill; no release is serving, as before"):
        board.apply(A)
    assert not os.path.lexists(board.store.link)
    assert board.store.pending() is None


def test_the_way_back_leads_to_the_newest_whole_release_before(board: Board) -> None:
    with pytest.raises(DeployError, match="There is no older release on this board to go back to"):
        board.rollback()
    board.apply(A, B, C)
    board.forget()
    assert board.rollback() == {"release": B2, "previous": C3}
    # With the limits of its deployment.
    assert board.tested == [(board.path(B2), LIMITS)]
    assert (board.steps(), board.serves()) == ("check, self-test, switch, service", B2)
    assert board.rollback(C3)["release"] == C3
    (board.path(B2) / "exports" / "b.tflite").unlink()
    assert board.rollback()["release"] == A1
    with pytest.raises(DeployError, match=f"Release {B2} is damaged: exports/b.tflite: No such file or directory"):
        board.rollback(B2)
    with pytest.raises(DeployError, match="There is no release 9-0123456789ab on this board") as failure:
        board.rollback("9-0123456789ab")
    assert failure.value.hint == f"There are: {', '.join(board.releases())}."
    # Where none serves, the newest of all is taken.
    board.store.switch(None)
    assert board.rollback() == {"release": C3, "previous": None}


def test_the_way_back_leads_to_what_served_before_and_it_is_kept_however_old(board: Board) -> None:
    """Not to what an earlier rollback has left, though that is newer."""
    board.apply(A, B)
    assert board.rollback()["release"] == A1
    d = bundle_of("d")
    assert board.apply(d, keep=2)["removed"] == []
    assert board.rollback()["release"] == A1
    board.apply(d)
    # With one kept there is no way back, as was asked for.
    assert board.apply(bundle_of("e"), keep=1)["removed"][0] == A1
    assert len(board.releases()) == 1


@pytest.mark.parametrize("name", [None, A1])
def test_what_fails_its_self_test_does_not_serve_again(name: str | None, board: Board) -> None:
    board.apply(A, B)
    board.unfit = {A1}
    board.activated.clear()
    with pytest.raises(GateMissedError, match="The self-test failed on the board"):
        board.rollback(name)
    assert (board.serves(), board.activated) == (B2, [])


def test_an_interrupted_switch_stands_where_its_service_is_well(board: Board) -> None:
    board.apply(A, B)
    board.store.begin_switch(A1, B2)
    board.apply(B)
    assert board.steps().startswith("finishing an interrupted switch, ")
    assert (board.activated, board.serves(), board.store.pending()) == ([B2], B2, None)


def test_an_interrupted_switch_is_undone_where_its_service_is_not_well(board: Board) -> None:
    board.apply(A, B)
    board.store.begin_switch(A1, B2)
    board.ill = {B2: ILL, C3: ILL}
    with pytest.raises(GateMissedError, match=f"release {A1} serves again"):
        board.apply(C)
    assert board.activated == [B2, A1, C3, A1]
    assert board.store.pending() is None


def test_a_switch_that_had_not_begun_is_forgotten_though_the_old_service_is_ill(board: Board) -> None:
    board.apply(A, B)
    board.ill[B2] = ILL
    board.store.begin_switch(B2, A1)
    board.activated.clear()
    # It is the old release that is ill: there is nothing to undo.
    assert board.rollback() == {"release": A1, "previous": B2}
    assert board.activated == [B2, A1]
    assert board.store.pending() is None


def test_a_switch_to_a_release_that_is_gone_goes_back(board: Board) -> None:
    board.apply(A)
    board.store.begin_switch(A1, B2)
    board.store.switch(B2)
    assert board.apply(A)["status"] == "unchanged"
    assert (board.activated, board.serves()) == ([A1], A1)
    # Where nothing had served, nothing does.
    for switched in (True, False):
        board.store.begin_switch(None, B2)
        if switched:
            board.store.switch(B2)
        with pytest.raises(DeployError, match="There is no release x on this board"):
            board.rollback("x")
        assert not os.path.lexists(board.store.link)
        assert board.store.pending() is None


def test_what_arrives_damaged_is_removed_and_asked_for_again(board: Board) -> None:
    request = board.send(A, token="t")
    part = board.store.part(request.sha256, "t")
    part.write_bytes(part.read_bytes()[:-1])
    for _ in range(2):
        with pytest.raises(DamagedTransferError, match="The bundle was damaged on its way to the board"):
            applying.apply(board.store, request, board.responder)
        assert not part.exists()


PYTHON = "{}.{}".format(*sys.version_info)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"machine": "s390x", "pythons": ["3.11"]}, f"This board is {platform.machine()}, but"),
        ({"machine": platform.machine(), "pythons": ["2.7"]}, f"This board has Python {PYTHON}, but"),
    ],
)
def test_what_does_not_fit_the_board_is_refused_and_not_kept(fields: dict[str, Any], said: str, board: Board) -> None:
    with pytest.raises(BundleError, match=said):
        board.apply(bundle_of("a", **fields))
    assert board.is_clean()
    assert board.apply(bundle_of("a", machine=platform.machine(), pythons=[PYTHON]))["status"] == "deployed"


def test_another_bundle_than_the_one_that_was_announced_is_refused(board: Board) -> None:
    request = board.send(A, token="t")
    with pytest.raises(BundleError, match="The bundle is not the one that was announced"):
        applying.apply(board.store, replace(request, identity=B.identity()), board.responder)
    assert board.is_clean()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "mine")


# A signature covers the packages of a bundle that brings them.
WHOLE = {"machine": program_machine(platform.machine(), POINTER_BITS), "pythons": [PYTHON]}
WHOLE_A, WHOLE_B, WHOLE_C = (bundle_of(name, **WHOLE) for name in "abc")


@pytest.mark.needs("ssh-keygen")
def test_a_board_with_a_key_takes_what_it_signed(board: Board, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board.trust(key)
    with monkeypatch.context() as patch:
        # Of a bundle that nobody signed no file is read.
        patch.setattr("edgemnist.board.agent.bundle.read_record", lambda _: pytest.fail("its files were read"))
        with pytest.raises(BundleError, match="not signed"):
            board.apply(A)
    assert (board.steps(), board.is_clean()) == ("check", True)
    with pytest.raises(BundleError, match="does not cover the packages that the board would fetch"):
        board.apply(A, key=key)
    board.apply(WHOLE_A, key=key)
    assert (board.path(named(1, WHOLE_A)) / SIGNATURE_FILE).read_bytes() == sign(WHOLE_A.encode(), key)


@pytest.mark.needs("ssh-keygen")
def test_a_release_that_nobody_signed_does_not_serve_again(board: Board, key: Path) -> None:
    board.apply(A, B)
    board.trust(key)
    assert find_release(board.store, A.identity()) is None
    with pytest.raises(BundleError, match="not signed"):
        board.rollback(A1)
    with pytest.raises(BundleError, match="not signed"):
        board.rollback()
    # Past the unsigned ones, to the last that somebody signed.
    signed = board.apply(WHOLE_A, key=key)["release"]
    assert find_release(board.store, WHOLE_A.identity()) == Release(board.path(signed), 3)
    board.apply(WHOLE_C, key=key)
    board.path(signed).rename(board.path(named(0, WHOLE_A)))
    assert board.rollback()["release"] == named(0, WHOLE_A)


@pytest.mark.needs("ssh-keygen")
def test_signers_that_cannot_be_read_are_nobody(board: Board, key: Path) -> None:
    board.store.create()
    board.store.allowed_signers.symlink_to("nowhere")
    for signed_with, said in ((key, "does not trust"), (None, "not signed")):
        with pytest.raises(BundleError, match=said):
            board.apply(A, key=signed_with)


def test_one_at_a_time_changes_a_board(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemnist.board.agent.durable._POLL_S", 0.001)
    request = replace(board.send(C), wait_s=0.01)
    (board.store.staging / "half").mkdir()
    actions: list[Callable[[], object]] = [
        lambda: applying.apply(board.store, request, board.responder),
        board.rollback,
    ]
    with exclusive(board.store.lock, wait_s=0, waiting=lambda _: None):
        for action in actions:
            with pytest.raises(DeployError, match="Another deployment is running on this board"):
                action()
        # Somebody who waits is told so.
        assert board.responder.steps[0][0] == f"waiting for another deployment (process {os.getpid()})"
        board.store.sweep_if_idle()
        assert (board.store.staging / "half").exists()
    board.store.sweep_if_idle()
    assert not (board.store.staging / "half").exists()
    Store(board.store.root / "nowhere").sweep_if_idle()


def test_whatever_ends_a_deployment_its_half_is_removed(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: Store, *_: object) -> str:
        (store.venvs / "half").mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(applying, "make_venv", full)
    board.send(A)
    (board.store.staging / "left").mkdir()
    with pytest.raises(OSError, match="No space left"):
        board.apply(A)
    assert list(board.store.venvs.iterdir()) == []
    assert list(board.store.staging.iterdir()) == []
    # What cannot even be swept up does not hide the reason.
    swept = []

    def refuse(_: Store) -> None:
        swept.append(True)
        if len(swept) > 1:
            raise OSError("Read-only file system")

    monkeypatch.setattr(Store, "sweep", refuse)
    with pytest.raises(OSError, match="No space left"):
        board.apply(A)
    assert len(swept) == 2
