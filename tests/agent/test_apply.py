"""What a board does with a bundle, step by step; the environment, its self-test and the service are stand-ins."""

from __future__ import annotations

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

from edgemnist.agent import Apply, Responder, SelfTestLimits
from edgemnist.agent import apply as applying
from edgemnist.agent.apply import (
    DamagedTransferError,
    StoppedError,
    apply,
    drop_shadow,
    find_release,
    promote,
    rollback,
    settle,
)
from edgemnist.agent.bundle import (
    RECORD_FILE,
    SIGNATURE_FILE,
    Archive,
    BundledFile,
    BundleRecord,
    encode_archive,
    sign,
)
from edgemnist.agent.durable import exclusive, record_tree
from edgemnist.agent.install import needs, venv_key
from edgemnist.agent.service import BoardService
from edgemnist.agent.store import COMPLETE_FILE, Release, Store
from edgemnist.errors import BundleError, DeployError, GateMissedError
from tests.deploy.loopback import make_key

LIMITS = SelfTestLimits(timeout_s=7.0, max_p99_us=900.0)
REPORT = {"passed": True, "images": 3}


class Steps(Responder):
    """Remembers each step, and whether it could have been stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, bool]] = []

    def tell(self, **document: Any) -> None:
        """Keep the step."""
        self.steps.append((document["step"], self.stoppable))

    @property
    def names(self) -> list[str]:
        """The steps alone."""
        return [name for name, _ in self.steps]


class Board:
    """A store, with what stands in for its environment, its self-test and its service."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(root)
        self.responder = Steps()
        self.tested: list[tuple[Path, SelfTestLimits]] = []
        self.installed: list[str] = []
        self.activated: list[str] = []
        self.unfit: set[str] = set()
        self.ill: dict[str, Exception] = {}
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
            record_tree(store.venvs / name)
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
        files = {file.path: contents(file.path) for file in record.files} | {RECORD_FILE: record.encode()}
        if key is not None:
            files[SIGNATURE_FILE] = sign(record.encode(), key)
        data = encode_archive(files)
        digest = hashlib.sha256(data).hexdigest()
        self.store.create()
        self.store.part(digest, options.get("token", "")).write_bytes(data)
        return Apply(**{"sha256": digest, "identity": record.identity(), "limits": LIMITS, "wait_s": 0.0, **options})

    def apply(self, record: BundleRecord, **options: Any) -> dict[str, Any]:
        """Send a bundle, and deploy it."""
        request = self.send(record, **options)
        self.responder.steps.clear()
        self.tested.clear()
        self.activated.clear()
        self.responder.stoppable = True
        return apply(self.store, request, self.responder)

    def trust(self, key: Path) -> None:
        """Take what this key has signed, and nothing else."""
        self.store.create()
        self.store.allowed_signers.write_text(f"me@here {key.with_suffix('.pub').read_text()}")

    def releases(self) -> list[str]:
        """Return the names of all that are kept."""
        return [release.name for release in self.store.releases()]

    def serves(self) -> str | None:
        """Return the name of the release that serves."""
        current = self.store.current()
        return current.name if current else None


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path / "board", monkeypatch)


def contents(path: str) -> bytes:
    """Return what a bundle has at a path."""
    metadata = {"edgemnist-1.dist-info/METADATA": b"Provides-Extra: tflite\nProvides-Extra: onnx\n"}
    return encode_archive(metadata) if path.endswith(".whl") else path.encode()


def bundle_of(name: str, *, version: str = "1.2", extras: tuple[str, ...] = ("tflite",), **fields: Any) -> BundleRecord:
    """Return the record of a bundle; every file of it but the package holds its own path."""
    paths = ["wheels/edgemnist-1.whl", f"exports/{name}.tflite", "exports/golden.npz", "exports/below/manifest.json"]
    files = [BundledFile(path, len(contents(path)), hashlib.sha256(contents(path)).hexdigest()) for path in paths]
    values = {"machine": "any", "pythons": [], "artifacts": [name], "labels": ["0"], "constraints": [], **fields}
    return BundleRecord(
        schema_version=1, edgemnist=version, package=paths[0], extras=list(extras), files=files, **values
    )


A, B, C = bundle_of("a"), bundle_of("b"), bundle_of("c")


def named(number: int, record: BundleRecord) -> str:
    return f"{number}-{record.identity()[:12]}"


def same_steps(board: Board, text: str) -> bool:
    return board.responder.names == text.split(", ")


def test_the_first_bundle_is_unpacked_installed_tested_and_serves(board: Board) -> None:
    result = board.apply(A, token="t")
    name = named(1, A)
    assert result == {"status": "deployed", "release": name, "previous": None, "removed": [], "selftest": REPORT}
    assert board.serves() == name
    release = board.store.releases()[0]
    assert release.problems() == []
    assert (release.path / RECORD_FILE).read_bytes() == A.encode()
    assert sorted(path.name for path in release.path.iterdir()) == sorted(
        [RECORD_FILE, "deployed.json", "exports", "venv"]
    )
    assert (release.path / "exports" / "below" / "manifest.json").read_text() == "exports/below/manifest.json"
    assert str((release.path / "venv").readlink()) == f"../../venvs/{venv_key(A)}"
    deployed = release.deployed()
    assert deployed["selftest"] == REPORT
    assert deployed["limits"] == {"timeout_s": 7.0, "max_p99_us": 900.0, "max_rss_mb": None}
    assert len(deployed["deployed_at"]) == len("2026-11-26T01:30:00Z")
    assert deployed["deployed_at"][4::3][:5] + deployed["deployed_at"][-1] == "--T::Z"
    # It was tested where it was prepared.
    assert board.tested == [(board.store.staging / A.identity()[:12], LIMITS)]
    assert list(board.store.incoming.iterdir()) == []
    assert list(board.store.staging.iterdir()) == []
    assert board.store.pending() is None
    assert board.store.history() == []
    assert same_steps(board, "check, unpack, install, self-test, switch, service, tidy")
    # Up to the self-test somebody may stop it; half a switch would be worse than none.
    assert [stoppable for _, stoppable in board.responder.steps] == [True] * 4 + [False] * 3


def test_the_time_of_a_deployment_is_in_utc(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-9")
    time.tzset()
    board.apply(A)
    monkeypatch.undo()
    time.tzset()
    deployed_at = datetime.fromisoformat(board.store.releases()[0].deployed()["deployed_at"])
    assert abs((datetime.now(UTC) - deployed_at).total_seconds()) < 3_600


def test_the_release_that_serves_is_tested_again_and_nothing_is_switched(board: Board) -> None:
    board.apply(A)
    result = board.apply(A)
    assert (result["status"], result["release"], result["previous"]) == ("unchanged", named(1, A), named(1, A))
    assert board.tested == [(board.store.releases()[0].path, LIMITS)]
    assert board.activated == []
    assert list(board.store.incoming.iterdir()) == []
    assert same_steps(board, "self-test, tidy")
    assert board.responder.stoppable


def test_what_has_passed_its_self_test_is_not_stopped_half_way(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    stoppable = []
    adopt = Store.adopt

    def adopting(store: Store, path: Path, name: str) -> Release:
        stoppable.append(board.responder.stoppable)
        return adopt(store, path, name)

    monkeypatch.setattr(Store, "adopt", adopting)
    board.apply(A)
    assert stoppable == [False]


def test_a_second_bundle_takes_the_first_ones_place_and_its_environment(board: Board) -> None:
    board.apply(A)
    result = board.apply(B, keep=1)
    assert (result["release"], result["previous"], result["removed"]) == (named(2, B), named(1, A), [named(1, A)])
    assert board.releases() == [named(2, B)]
    assert len(board.installed) == 1
    assert "install" not in board.responder.names
    other = board.apply(bundle_of("d", extras=("onnx",)), keep=2)
    assert other["removed"] == []
    assert len(board.installed) == 2


def test_a_bundle_that_is_there_gets_the_newest_number_again(board: Board) -> None:
    for record in (A, B):
        board.apply(record)
    result = board.apply(A)
    assert (result["status"], result["release"], result["previous"]) == ("deployed", named(3, A), named(2, B))
    assert board.releases() == [named(2, B), named(3, A)]
    assert same_steps(board, "self-test, switch, service, tidy")
    assert board.activated == [named(3, A)]
    # One that went back to an older release comes to the newer one under its own number.
    rollback(board.store, None, 0.0, board.responder)
    assert board.apply(A)["release"] == named(3, A)


def test_without_a_service_there_is_no_step_for_it(board: Board) -> None:
    board.restart = []
    board.apply(A)
    assert same_steps(board, "check, unpack, install, self-test, switch, tidy")


def test_what_fails_its_self_test_leaves_nothing_behind(board: Board) -> None:
    board.apply(A)
    board.unfit.add(B.identity()[:12])
    with pytest.raises(GateMissedError, match="self-test failed"):
        board.apply(B)
    assert board.serves() == named(1, A)
    assert board.releases() == [named(1, A)]
    assert list(board.store.staging.iterdir()) == []
    assert board.activated == []
    # The transfer is kept: a test with other limits need not send it again.
    assert len(list(board.store.incoming.iterdir())) == 1
    board.unfit.clear()
    assert board.apply(B)["release"] == named(2, B)
    # What serves is still tested, and stays if it fails.
    board.unfit.add(named(2, B))
    with pytest.raises(GateMissedError):
        board.apply(B)
    assert board.serves() == named(2, B)


def test_where_the_service_stays_down_the_old_release_serves_again(board: Board) -> None:
    board.apply(A)
    board.ill[named(2, B)] = GateMissedError("It did not come up")
    with pytest.raises(GateMissedError) as failure:
        board.apply(B)
    assert failure.value.message == f"It did not come up; release {named(1, A)} serves again"
    assert failure.value.hint == "Look at the service's log on the board."
    assert board.activated == [named(2, B), named(1, A)]
    assert board.serves() == named(1, A)
    assert board.releases() == [named(1, A)], "what has never served is nothing to come back to"
    assert board.store.pending() is None
    assert board.responder.names[-3:] == ["switch", "service", "going back"]
    assert board.responder.steps[-1] == ("going back", False)


def test_a_release_that_has_served_before_is_kept_where_it_does_not_come_up(board: Board) -> None:
    for record in (A, B):
        board.apply(record)
    board.ill[named(3, A)] = GateMissedError("It did not come up")
    with pytest.raises(GateMissedError):
        board.apply(A)
    assert board.releases() == [named(2, B), named(3, A)]
    assert board.serves() == named(2, B)


def test_where_nothing_served_before_nothing_serves_after_a_failure(board: Board) -> None:
    board.ill[named(1, A)] = ValueError("broken answer")
    with pytest.raises(GateMissedError) as failure:
        board.apply(A)
    assert failure.value.message == (
        "The service cannot be checked: ValueError('broken answer'); no release is serving, as before"
    )
    assert board.serves() is None
    assert not os.path.lexists(board.store.link)
    assert board.store.pending() is None


def test_both_reasons_are_told_where_the_old_release_stays_down_as_well(board: Board) -> None:
    board.apply(A)
    board.ill = {named(2, B): GateMissedError("It is ill"), named(1, A): OSError("gone")}
    with pytest.raises(GateMissedError) as failure:
        board.apply(B)
    assert failure.value.message == (
        f"It is ill; the service does not come up with the old release {named(1, A)} either "
        "(The service cannot be checked: OSError('gone'))"
    )
    assert board.store.pending() is None


def test_a_switch_is_written_down_until_the_service_has_been_seen(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.apply(A)
    seen = []
    monkeypatch.setattr(Store, "switch", lambda store, _: seen.append(store.pending()))
    monkeypatch.setattr(BoardService, "activate", lambda *_: None)
    service = BoardService([])
    old, new = board.store.releases()[0], Release(board.store.releases_directory / named(2, B), 2)
    applying.switch(board.store, service, old, new, board.responder)
    applying.switch(board.store, service, None, new, board.responder)
    assert seen == [{"from": old.name, "to": new.name}, {"from": None, "to": new.name}]
    assert board.store.pending() is None


def test_a_shadow_answers_beside_the_release_that_serves(board: Board) -> None:
    with pytest.raises(DeployError) as failure:
        board.apply(A, shadow=True)
    assert failure.value.message == "There is no release on this board yet for a shadow to answer beside"
    assert failure.value.hint == "Deploy without --shadow first."
    board.apply(A)
    result = board.apply(B, shadow=True)
    assert (result["status"], result["release"], result["previous"]) == ("shadow", named(2, B), named(1, A))
    assert same_steps(board, "check, unpack, self-test, shadow, tidy")
    assert board.responder.steps[-2:] == [("shadow", False), ("tidy", False)]
    assert board.activated == []
    assert board.serves() == named(1, A)
    shadow = board.store.shadow()
    assert shadow is not None
    assert shadow.name == named(2, B)
    # A release that serves does not answer beside itself.
    board.apply(B)
    assert board.serves() == named(2, B)
    assert not os.path.lexists(board.store.shadow_link)


def test_a_shadow_survives_the_deployment_of_another_release_and_its_end_is_noticed(board: Board) -> None:
    for record, shadow in ((A, False), (B, True), (C, False)):
        board.apply(record, shadow=shadow, keep=1)
    assert board.releases() == [named(2, B), named(3, C)]
    board.store.remove(board.store.releases()[0])
    with pytest.raises(DeployError, match="No release answers beside"):
        drop_shadow(board.store, 0.0, board.responder)
    assert not os.path.lexists(board.store.shadow_link)


def test_what_is_promoted_is_checked_tested_and_serves(board: Board) -> None:
    for record, shadow in ((A, False), (B, True)):
        board.apply(record, shadow=shadow)
    board.responder.steps.clear()
    board.tested.clear()
    result = promote(board.store, named(2, B), LIMITS, 0.0, board.responder)
    assert result == {"release": named(2, B), "previous": named(1, A)}
    assert board.tested == [(board.store.releases_directory / named(2, B), LIMITS)]
    assert same_steps(board, "check, self-test, switch, service")
    assert board.serves() == named(2, B)
    assert not os.path.lexists(board.store.shadow_link)
    assert board.store.history() == []
    # Whoever asks again may not have been told.
    assert promote(board.store, named(2, B), LIMITS, 0.0, board.responder) == {
        "release": named(2, B),
        "previous": None,
    }
    assert same_steps(board, "check, self-test, switch, service")


def test_what_is_promoted_or_returned_to_gives_way_where_it_does_not_come_up(board: Board) -> None:
    for record, beside in ((A, False), (B, False), (C, True)):
        board.apply(record, shadow=beside)
    board.ill = {name: GateMissedError("It is ill") for name in (named(1, A), named(3, C))}
    actions: list[Callable[[], object]] = [
        lambda: promote(board.store, named(3, C), LIMITS, 0.0, board.responder),
        lambda: rollback(board.store, None, 0.0, board.responder),
    ]
    for action in actions:
        with pytest.raises(GateMissedError) as failure:
            action()
        assert failure.value.message == f"It is ill; release {named(2, B)} serves again"
        assert board.serves() == named(2, B)
        assert board.store.shadow() is not None
    # Where nothing serves, it comes to serve all the same.
    board.ill.clear()
    board.store.switch(None)
    assert promote(board.store, named(3, C), LIMITS, 0.0, board.responder) == {
        "release": named(3, C),
        "previous": None,
    }


def test_only_the_release_in_the_shadow_is_promoted_and_only_whole(board: Board) -> None:
    hint = "Deploy one with: edgemnist deploy BUNDLE --shadow --to HOST"
    for name in (named(9, A), named(1, B)):
        with pytest.raises(DeployError) as failure:
            promote(board.store, name, LIMITS, 0.0, board.responder)
        assert (failure.value.message, failure.value.hint) == (
            "No release answers beside the one that serves",
            hint,
        )
    for record, shadow in ((A, False), (B, True)):
        board.apply(record, shadow=shadow)
    with pytest.raises(DeployError) as failure:
        promote(board.store, named(9, C), LIMITS, 0.0, board.responder)
    assert failure.value.message == f"Release {named(9, C)} does not answer beside the one that serves"
    board.unfit.add(named(2, B))
    with pytest.raises(GateMissedError):
        promote(board.store, named(2, B), LIMITS, 0.0, board.responder)
    assert board.store.shadow() is not None
    (board.store.releases_directory / named(2, B) / "exports" / "b.tflite").write_text("damaged")
    with pytest.raises(DeployError) as failure:
        promote(board.store, named(2, B), LIMITS, 0.0, board.responder)
    assert failure.value.message == f"Release {named(2, B)} is damaged: exports/b.tflite is damaged"
    assert failure.value.hint == "Deploy its bundle again."
    assert board.serves() == named(1, A)


def test_a_shadow_is_dropped_and_its_release_kept(board: Board) -> None:
    for record, shadow in ((A, False), (B, True)):
        board.apply(record, shadow=shadow)
    assert drop_shadow(board.store, 0.0, board.responder) == {"release": named(2, B), "previous": named(1, A)}
    assert not os.path.lexists(board.store.shadow_link)
    assert board.releases() == [named(1, A), named(2, B)]
    board.store.set_shadow(named(2, B))
    board.store.switch(None)
    assert drop_shadow(board.store, 0.0, board.responder) == {"release": named(2, B), "previous": None}


def test_the_way_back_leads_to_the_newest_whole_release_before(board: Board) -> None:
    with pytest.raises(DeployError) as failure:
        rollback(board.store, None, 0.0, board.responder)
    assert failure.value.message == "There is no older release on this board to go back to"
    assert failure.value.hint == "Deploy a bundle."
    for record in (A, B, C):
        board.apply(record)
    board.responder.steps.clear()
    assert rollback(board.store, None, 0.0, board.responder) == {"release": named(2, B), "previous": named(3, C)}
    assert same_steps(board, "check, switch, service")
    assert board.serves() == named(2, B)
    assert rollback(board.store, named(3, C), 0.0, board.responder)["release"] == named(3, C)
    (board.store.releases_directory / named(2, B) / "exports" / "b.tflite").unlink()
    assert rollback(board.store, None, 0.0, board.responder)["release"] == named(1, A)
    with pytest.raises(DeployError) as failure:
        rollback(board.store, named(2, B), 0.0, board.responder)
    assert failure.value.message == (f"Release {named(2, B)} is damaged: exports/b.tflite: No such file or directory")
    assert failure.value.hint == "Deploy its bundle again."
    with pytest.raises(DeployError) as failure:
        rollback(board.store, "9-0123456789ab", 0.0, board.responder)
    assert failure.value.message == "There is no release 9-0123456789ab on this board"
    assert failure.value.hint == f"There are: {', '.join(board.releases())}."
    # Where none serves, the newest of all is taken.
    board.store.switch(None)
    assert rollback(board.store, None, 0.0, board.responder) == {"release": named(3, C), "previous": None}


def test_an_interrupted_switch_stands_where_its_service_is_well(board: Board) -> None:
    for record in (A, B):
        board.apply(record)
    board.activated.clear()
    board.responder.steps.clear()
    settle(board.store, BoardService([]), board.responder)
    assert board.responder.names == []
    board.store.begin_switch(named(1, A), named(2, B))
    board.apply(B)
    assert board.responder.names[0] == "finishing an interrupted switch"
    assert board.activated == [named(2, B)]
    assert board.serves() == named(2, B)
    assert board.store.pending() is None


def test_an_interrupted_switch_is_undone_where_its_service_is_not_well(board: Board) -> None:
    for record in (A, B):
        board.apply(record)
    board.ill[named(2, B)] = GateMissedError("It is ill")
    board.store.begin_switch(named(1, A), named(2, B))
    sweep = board.send(C)
    board.activated.clear()
    board.ill[named(3, C)] = GateMissedError("It is ill, too")
    with pytest.raises(GateMissedError, match=f"release {named(1, A)} serves again"):
        apply(board.store, sweep, board.responder)
    assert board.activated == [named(2, B), named(1, A), named(3, C), named(1, A)]
    assert board.store.pending() is None


def test_a_switch_that_had_not_begun_is_forgotten_though_the_old_service_is_ill(board: Board) -> None:
    for record in (A, B):
        board.apply(record)
    board.ill[named(2, B)] = GateMissedError("It is ill")
    board.store.begin_switch(named(2, B), named(1, A))
    board.activated.clear()
    result = rollback(board.store, None, 0.0, board.responder)
    # It is the old release that is ill: there is nothing to undo.
    assert board.activated == [named(2, B), named(1, A)]
    assert result == {"release": named(1, A), "previous": named(2, B)}
    assert board.store.pending() is None


def test_a_switch_to_a_release_that_is_gone_goes_back(board: Board) -> None:
    board.apply(A)
    board.store.begin_switch(named(1, A), named(2, B))
    board.store.switch(named(2, B))
    board.activated.clear()
    assert board.apply(A)["status"] == "unchanged"
    assert board.activated == [named(1, A)]
    assert board.serves() == named(1, A)
    # Where nothing had served, nothing does.
    board.store.begin_switch(None, named(2, B))
    board.store.switch(named(2, B))
    with pytest.raises(DeployError, match="No release answers"):
        drop_shadow(board.store, 0.0, board.responder)
    assert not os.path.lexists(board.store.link)
    board.store.begin_switch(None, named(2, B))
    with pytest.raises(DeployError, match="No release answers"):
        drop_shadow(board.store, 0.0, board.responder)
    assert board.store.pending() is None


def test_what_arrives_damaged_is_removed_and_asked_for_again(board: Board) -> None:
    request = board.send(A, token="t")
    part = board.store.part(request.sha256, "t")
    part.write_bytes(part.read_bytes()[:-1])
    for _ in range(2):
        with pytest.raises(DamagedTransferError) as failure:
            apply(board.store, request, board.responder)
        assert failure.value.message == "The bundle was damaged on its way to the board"
        assert failure.value.hint == "Run the same command again."
        assert not part.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"machine": "s390x", "pythons": ["3.11"]}, f"This board is {platform.machine()}, but"),
        (
            {"machine": platform.machine(), "pythons": ["2.7"]},
            "This board has Python {}.{}, but".format(*sys.version_info),
        ),
    ],
)
def test_what_does_not_fit_the_board_is_refused_and_not_kept(fields: dict[str, Any], words: str, board: Board) -> None:
    with pytest.raises(BundleError, match=words):
        board.apply(bundle_of("a", **fields))
    assert list(board.store.incoming.iterdir()) == []
    assert list(board.store.staging.iterdir()) == []
    python = "{}.{}".format(*sys.version_info)
    assert board.apply(bundle_of("a", machine=platform.machine(), pythons=[python]))["status"] == "deployed"


def test_another_bundle_than_the_one_that_was_announced_is_refused(board: Board) -> None:
    request = board.send(A, token="t")
    with pytest.raises(BundleError) as failure:
        apply(board.store, replace(request, identity=B.identity()), board.responder)
    assert failure.value.message == "The bundle is not the one that was announced"
    assert failure.value.hint == "Run the same command again."
    assert list(board.store.incoming.iterdir()) == []


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "mine")


def test_a_board_that_trusts_a_key_takes_what_it_signed_and_remembers_it(board: Board, key: Path) -> None:
    board.trust(key)
    with pytest.raises(BundleError, match="not signed"):
        board.apply(A)
    assert board.responder.names == ["check"]
    assert list(board.store.incoming.iterdir()) == []
    board.apply(A, key=key)
    assert board.store.history() == [A.identity()[:12]]
    assert (board.store.releases()[0].path / SIGNATURE_FILE).read_bytes() == sign(A.encode(), key)
    # What answers in the shadow has not replaced anything yet.
    board.apply(B, key=key, shadow=True)
    assert board.store.history() == [A.identity()[:12]]
    promote(board.store, named(2, B), LIMITS, 0.0, board.responder)
    assert board.store.history() == [A.identity()[:12], B.identity()[:12]]
    board.apply(B, key=key)
    assert board.store.history() == [A.identity()[:12], B.identity()[:12]]


def test_of_a_bundle_that_nobody_signed_no_file_is_read(
    board: Board, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Archive) -> BundleRecord:
        raise AssertionError("its files were read")

    monkeypatch.setattr(applying, "read_record", read)
    board.trust(key)
    with pytest.raises(BundleError, match="not signed"):
        board.apply(A)


def test_a_release_that_nobody_signed_neither_serves_again_nor_is_promoted(board: Board, key: Path) -> None:
    board.apply(A)
    board.apply(B, shadow=True)
    board.trust(key)
    assert find_release(board.store, A.identity()) is None
    with pytest.raises(BundleError, match="not signed"):
        promote(board.store, named(2, B), LIMITS, 0.0, board.responder)
    for name in (None, named(2, B)):
        if name is None:
            board.store.switch(named(2, B))
        with pytest.raises(BundleError, match="not signed"):
            rollback(board.store, name, 0.0, board.responder)
    # It is taken once more, signed.
    assert board.apply(A, key=key)["release"] == named(3, A)
    found = find_release(board.store, A.identity())
    assert found is not None
    assert found.name == named(3, A)
    # Past the unsigned one, to the last that somebody signed.
    board.apply(C, key=key)
    (board.store.releases_directory / named(3, A)).rename(board.store.releases_directory / named(0, A))
    assert rollback(board.store, None, 0.0, board.responder)["release"] == named(0, A)


def test_signers_that_cannot_be_read_are_nobody(board: Board, key: Path) -> None:
    board.store.create()
    board.store.allowed_signers.symlink_to("nowhere")
    with pytest.raises(BundleError) as failure:
        board.apply(A, key=key)
    assert failure.value.message == (
        f"{board.store.allowed_signers} on the board cannot be read, so nobody is trusted: No such file or directory"
    )
    assert failure.value.hint == "Restore it on the board, or remove it if the board may take unsigned bundles."


HINT = "If you want that, add --allow-downgrade. To return to an earlier release, use: edgemnist rollback"


def test_a_bundle_that_was_replaced_here_needs_to_be_allowed(board: Board, key: Path) -> None:
    for record in (A, B):
        board.apply(record)
    # A board that takes anything goes back to anything.
    assert board.apply(A)["status"] == "deployed"
    board.trust(key)
    for record in (A, B):
        board.apply(record, key=key)
    for there in (True, False):
        if not there:
            for release in board.store.releases():
                if release.name.endswith(A.identity()[:12]):
                    board.store.remove(release)
        with pytest.raises(BundleError) as failure:
            board.apply(A, key=key)
        assert failure.value.message == "Another bundle has replaced this one on this board"
        assert failure.value.hint == HINT
        assert board.serves() is not None
        assert str(board.serves()).endswith(B.identity()[:12])
    assert board.apply(A, key=key, allow_downgrade=True)["status"] == "deployed"
    # The one that serves is no step back.
    assert board.apply(A, key=key)["status"] == "unchanged"


def test_the_release_that_serves_after_a_rollback_is_no_step_back(board: Board, key: Path) -> None:
    board.trust(key)
    for record in (A, B):
        board.apply(record, key=key)
    rollback(board.store, None, 0.0, board.responder)
    assert board.apply(A, key=key)["status"] == "unchanged"
    # Where none serves, the last that was deployed may serve again, and none before it.
    board.store.switch(None)
    with pytest.raises(BundleError, match="Another bundle has replaced this one"):
        board.apply(B, key=key)
    assert board.apply(A, key=key)["status"] == "deployed"


@pytest.mark.parametrize(
    ("here", "sent", "refused"),
    [
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("1.2", "1.2.1", False),
        ("1.2.1", "1.2", True),
        ("1.2", "1.2", False),
        ("1.2", "1.1.9.dev1", True),
        ("1.2", "nonsense", True),
        ("nonsense", "0", False),
    ],
)
def test_a_bundle_of_an_earlier_edgemnist_needs_to_be_allowed(
    here: str, sent: str, *, refused: bool, board: Board, key: Path
) -> None:
    board.trust(key)
    board.apply(bundle_of("a", version=here), key=key)
    newer = bundle_of("b", version=sent)
    if refused:
        with pytest.raises(BundleError) as failure:
            board.apply(newer, key=key)
        assert failure.value.message == (f"The bundle has edgemnist {sent}, which is older than {here} on this board")
        assert failure.value.hint == HINT
        assert board.apply(newer, key=key, allow_downgrade=True)["status"] == "deployed"
    else:
        assert board.apply(newer, key=key)["status"] == "deployed"


def test_a_newer_edgemnist_is_no_step_back_even_to_models_that_were_replaced(board: Board, key: Path) -> None:
    """What an earlier edgemnist deployed and a later one replaced may come again with a later one still."""
    board.trust(key)
    older, newer = bundle_of("a", version="1.3"), bundle_of("b", version="1.2")
    board.apply(newer, key=key)
    board.apply(older, key=key)
    board.apply(newer, key=key, allow_downgrade=True)
    assert board.store.history() == [one.identity()[:12] for one in (newer, older, newer)]
    board.store.remove(board.store.releases()[0])
    assert board.apply(older, key=key)["status"] == "deployed"


def test_without_a_history_the_names_of_the_signed_releases_stand_for_it(board: Board, key: Path) -> None:
    """A version before the history was kept has left releases alone."""
    board.trust(key)
    for record in (A, B):
        board.apply(record, key=key)
    (board.store.root / "history.json").unlink()
    with pytest.raises(BundleError, match="Another bundle has replaced this one"):
        board.apply(A, key=key)
    assert board.apply(B, key=key)["status"] == "unchanged"


def refused_by_the_lock(board: Board) -> list[Callable[[], object]]:
    request = board.send(C)
    return [
        lambda: apply(board.store, request, board.responder),
        lambda: promote(board.store, "1-0123456789ab", LIMITS, 0.0, board.responder),
        lambda: drop_shadow(board.store, 0.0, board.responder),
        lambda: rollback(board.store, None, 0.0, board.responder),
    ]


def test_one_at_a_time_changes_a_board(board: Board) -> None:
    actions = refused_by_the_lock(board)
    (board.store.staging / "half").mkdir()
    with exclusive(board.store.lock, wait_s=0, waiting=lambda _: None):
        for action in actions:
            with pytest.raises(DeployError, match="Another deployment is running on this board"):
                action()
        board.store.sweep_if_idle()
        assert (board.store.staging / "half").exists()
    board.store.sweep_if_idle()
    assert not (board.store.staging / "half").exists()
    Store(board.store.root / "nowhere").sweep_if_idle()


def test_somebody_who_waits_is_told_so(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemnist.agent.durable._POLL_S", 0.001)
    board.store.create()
    with (
        exclusive(board.store.lock, wait_s=0, waiting=lambda _: None),
        pytest.raises(DeployError, match="Another deployment"),
    ):
        drop_shadow(board.store, 0.01, board.responder)
    assert board.responder.names == [f"waiting for another deployment (process {os.getpid()})"]


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


def test_who_stopped_it_is_told_by_the_exit_code() -> None:
    assert StoppedError("stopped").exit_code == 130
    assert DamagedTransferError("damaged").exit_code == DeployError("refused").exit_code == 2
