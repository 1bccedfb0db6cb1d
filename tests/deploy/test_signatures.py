"""A board that was told whom to trust takes bundles from nobody else."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgemnist.agent.apply import _check_order
from edgemnist.agent.bundle import RECORD_FILE, SIGNATURE_FILE, decode_record, sign
from edgemnist.agent.durable import TREE_FILE, replace_link
from edgemnist.agent.install import find_venv
from edgemnist.agent.store import Store
from edgemnist.deploy.remote import releases_on, rollback_on
from edgemnist.deploy.run import DeployConfig, LocalBundle, deploy_to
from edgemnist.errors import BundleError
from tests.deploy.bundles import bundled, request_for, small_exports
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, make_key, run_agent


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return make_key(tmp_path / "mine")


def trust(board: LoopbackBoard, key: Path) -> None:
    """Tell a board to take what this key has signed, and nothing else."""
    board.store.allowed_signers.write_text(f"me@here {key.with_suffix('.pub').read_text()}")


def apply(board: LoopbackBoard, bundle: LocalBundle) -> dict[str, object]:
    put_bundle(board.root, bundle)
    return run_agent(board.root, "apply", request_for(bundle))


def own_environment(board: LoopbackBoard) -> Path:
    """Give a board a copy of the environment that the boards of these tests share, to break."""
    current = board.store.current()
    assert current is not None
    shared = (current.path / "venv").resolve()
    board.store.venvs.unlink()
    return Path(shutil.copytree(shared, board.store.venvs / shared.name, symlinks=True))


def test_a_board_that_requires_signatures_refuses_all_else(
    board: LoopbackBoard,
    made_exports: Path,
    new_bundle: LocalBundle,
    mine: Path,
    old: str,
    new: str,
    tmp_path: Path,
) -> None:
    trust(board, mine)
    exports = small_exports(made_exports, tmp_path / "signed", ["tflite-int8", "tflite-dynamic"])
    for key, said in ((None, "not signed"), (make_key(tmp_path / "other"), "does not trust")):
        answer = apply(board, bundled(exports, key=key))
        assert said in str(answer["error"])
        assert board.serves() == old
        # It will never be taken.
        assert not list(board.store.incoming.iterdir())
    signed = bundled(exports, key=mine)
    # The signature is no part of the identity: it is the same release.
    assert signed.record.identity() == new_bundle.record.identity()
    assert apply(board, signed)["status"] == "deployed"
    assert board.serves() == new


def test_a_release_from_before_signatures_were_required_is_not_taken_up_again(
    board: LoopbackBoard, old_bundle: LocalBundle, mine: Path, old: str
) -> None:
    trust(board, mine)
    result = deploy_to(board.target, old_bundle, DeployConfig(retries=0), lambda _: None)
    assert result.fault is not None
    assert "not signed" in result.fault.message
    assert board.serves() == old


def test_a_signed_bundle_is_taken_where_its_contents_are_there_unsigned(
    board: LoopbackBoard, made_exports: Path, mine: Path, old: str, tmp_path: Path
) -> None:
    trust(board, mine)
    signed = bundled(small_exports(made_exports, tmp_path / "signed", ["tflite-int8"]), key=mine)
    for status in ("deployed", "unchanged"):
        result = deploy_to(board.target, signed, DeployConfig(retries=0), lambda _: None)
        assert (result.fault, result.status, result.release) == (None, status, f"2-{old}")
    assert [(row.signed, row.current) for row in releases_on(board.target).releases] == [(False, False), (True, True)]


def test_no_way_back_leads_to_a_release_that_nobody_signed(
    board: LoopbackBoard, made_exports: Path, new_bundle: LocalBundle, mine: Path, old: str, new: str, tmp_path: Path
) -> None:
    assert apply(board, new_bundle)["status"] == "deployed"
    trust(board, mine)
    for release in (None, f"1-{old}"):
        with pytest.raises(BundleError, match="not signed"):
            rollback_on(board.target, release, 10.0)
    assert board.serves() == new
    for names in (["tflite-int8"], ["tflite-int8", "tflite-dynamic"]):
        assert apply(board, bundled(small_exports(made_exports, tmp_path / names[-1], names), key=mine))["release"]
    # Past the unsigned one of the same contents.
    assert [release.name for release in board.store.releases()] == [f"2-{new}", f"3-{old}", f"4-{new}"]
    assert rollback_on(board.target, None, 10.0).release == f"3-{old}"


def test_an_unsigned_bundle_is_refused_before_it_is_sent(
    board: LoopbackBoard, new_bundle: LocalBundle, mine: Path, old: str
) -> None:
    trust(board, mine)
    steps: list[str] = []
    result = deploy_to(board.target, new_bundle, DeployConfig(retries=0), steps.append)
    assert result.fault is not None
    assert result.fault.type == "BundleError"
    assert "not signed" in result.fault.message
    assert "transfer" not in steps
    assert board.serves() == old


def test_an_older_signed_bundle_needs_to_be_allowed(
    board: LoopbackBoard, made_exports: Path, mine: Path, tmp_path: Path
) -> None:
    trust(board, mine)
    names = ["tflite-int8", "tflite-dynamic"]
    older, newer = (bundled(small_exports(made_exports, tmp_path / name, [name]), key=mine) for name in names)
    for bundle in (older, newer):
        assert apply(board, bundle)["status"] == "deployed"
    for prune in (False, True):
        if prune:
            # It is remembered when its release is long gone.
            board.store.remove(board.store.releases()[-2])
        answer = apply(board, older)
        assert "Another bundle has replaced this one" in str(answer["error"])
        assert "--allow-downgrade" in str(answer["error"])
        assert board.serves() == newer.record.identity()[:12]
    put_bundle(board.root, older)
    assert run_agent(board.root, "apply", request_for(older, allow_downgrade=True))["status"] == "deployed"
    assert board.serves() == older.record.identity()[:12]


@pytest.mark.parametrize(("bundled_version", "refused"), [("0.0.1", True), ("999", False), ("0.9.9.dev1", True)])
def test_a_bundle_of_an_older_edgemnist_is_a_downgrade(
    bundled_version: str,
    *,
    refused: bool,
    board: LoopbackBoard,
    mine: Path,
) -> None:
    trust(board, mine)
    current = board.store.current()
    assert current is not None
    raw = (current.path / RECORD_FILE).read_bytes()
    (current.path / SIGNATURE_FILE).write_bytes(sign(raw, mine))
    record = decode_record(raw)
    other = replace(record, edgemnist=bundled_version)
    newest = replace(record, edgemnist="1.0")
    (current.path / RECORD_FILE).write_bytes(newest.encode())
    (current.path / SIGNATURE_FILE).write_bytes(sign(newest.encode(), mine))
    if refused:
        with pytest.raises(BundleError, match=f"has edgemnist {bundled_version}, which is older than 1.0"):
            _check_order(board.store, other, other.identity())
    else:
        _check_order(board.store, other, other.identity())


def test_what_was_changed_in_an_environment_is_found_and_installed_again(
    board: LoopbackBoard, old_bundle: LocalBundle, installed: Path
) -> None:
    current, own = board.store.current(), own_environment(board)
    assert current is not None
    assert current.problems() == [], "a copy has other stamps, and the same contents"
    module = next(own.glob("lib/python3.*/site-packages/edgemnist/errors.py"))
    before = module.read_bytes()
    status = module.stat()
    module.write_bytes(before.replace(b"EXIT_OK = 0", b"EXIT_OK = 1"))
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [problem for problem in current.problems() if "errors.py was changed" in problem]
    module.write_bytes(before)
    assert current.problems() == []
    (module.parent / "sitecustomize.py").touch()
    assert [problem for problem in current.problems() if "sitecustomize.py was added" in problem]
    (module.parent / "sitecustomize.py").unlink()
    # A link is as good as the file it leads to: Python runs this one whenever it starts.
    (module.parents[1] / "sitecustomize.py").symlink_to(module)
    assert [problem for problem in current.problems() if "sitecustomize.py was added" in problem]
    (module.parents[1] / "sitecustomize.py").unlink()
    (module.parents[1] / "usercustomize").symlink_to(module.parent)
    assert [problem for problem in current.problems() if "usercustomize was added" in problem]
    (module.parents[1] / "usercustomize").unlink()
    leads = (own / "bin" / "python").readlink()
    replace_link(own / "bin" / "python", "/usr/bin/true")
    assert [problem for problem in current.problems() if "bin/python was changed" in problem]
    replace_link(own / "bin" / "python", str(leads))
    assert current.problems() == []
    (own / TREE_FILE).rename(board.root / "away")
    assert [problem for problem in current.problems() if f"{TREE_FILE} is missing" in problem]
    (board.root / "away").rename(own / TREE_FILE)
    module.unlink()
    assert [problem for problem in current.problems() if "errors.py is missing" in problem]
    store = Store(board.root / "other")
    store.create()
    (store.venvs / "changed").symlink_to(own)
    assert find_venv(store, old_bundle.record) is None
    (store.venvs / "whole").symlink_to(next(installed.iterdir()))
    assert find_venv(store, old_bundle.record) == "whole"


def test_what_python_compiled_is_not_trusted(board: LoopbackBoard, old_bundle: LocalBundle) -> None:
    own = own_environment(board)
    (compiled,) = own.glob("lib/python3.*/site-packages/edgemnist/__pycache__/errors.*.pyc")
    # Python compares what its header says about the source, and no more.
    compiled.write_bytes(compiled.read_bytes()[:16] + b"\xff" * 100)
    result = deploy_to(board.target, old_bundle, DeployConfig(retries=0), lambda _: None)
    assert (result.fault, result.status) == (None, "unchanged")


def test_no_way_back_leads_to_what_python_compiled(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    own = own_environment(board)
    current = board.store.current()
    assert current is not None
    assert apply(board, new_bundle)["status"] == "deployed"
    (compiled,) = own.glob("lib/python3.*/site-packages/edgemnist/__pycache__/errors.*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:16] + b"\xff" * 100)
    assert rollback_on(board.target, None, 10.0).release == f"1-{old}"
    assert not compiled.exists()


def test_a_release_runs_in_an_environment_of_its_board_only(board: LoopbackBoard, tmp_path: Path) -> None:
    current = board.store.current()
    assert current is not None
    foreign = shutil.copytree((current.path / "venv").resolve(), tmp_path / "foreign", symlinks=True)
    replace_link(current.path / "venv", str(foreign))
    assert current.problems() == ["its virtual environment is not one of the board's"]


def test_an_environment_with_more_in_it_does_for_a_board_that_trusts_everybody_only(
    installed: Path, old_bundle: LocalBundle, tmp_path: Path
) -> None:
    store = Store(tmp_path / "board")
    store.create()
    (store.venvs / "more").symlink_to(next(installed.iterdir()))
    record = old_bundle.record
    assert find_venv(store, record) == "more"
    fewer = replace(record, constraints=record.constraints[:-1])
    assert find_venv(store, fewer) == "more"
    store.allowed_signers.touch()
    # An unsigned bundle may have brought the rest, before the board asked for signatures.
    assert find_venv(store, fewer) is None
    assert find_venv(store, record) == "more"


def test_a_list_of_signers_that_is_gone_trusts_nobody(
    board: LoopbackBoard, made_exports: Path, mine: Path, old: str, tmp_path: Path
) -> None:
    board.store.allowed_signers.symlink_to(tmp_path / "unplugged" / "allowed_signers")
    for key in (None, mine):
        exports = small_exports(made_exports, tmp_path / f"by-{key and key.name}", ["tflite-dynamic"])
        assert "nobody is trusted" in str(apply(board, bundled(exports, key=key))["error"])
    assert board.serves() == old
