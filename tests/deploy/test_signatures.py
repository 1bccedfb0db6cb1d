"""A board that was told whom to trust takes bundles from nobody else."""

from __future__ import annotations

from pathlib import Path

from edgemnist.deploy.sequence import LocalBundle
from tests.deploy.bundles import bundled, request_for, small_exports
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, make_key, run_agent


def test_a_board_that_requires_signatures_refuses_all_else(
    board: LoopbackBoard,
    made_exports: Path,
    new_bundle: LocalBundle,
    old: str,
    new: str,
    tmp_path: Path,
) -> None:
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    board.store.allowed_signers.write_text(f"me@here {(tmp_path / 'mine.pub').read_text()}")
    exports = small_exports(made_exports, tmp_path / "signed", ["tflite-int8", "tflite-dynamic"])
    for key, said in ((None, "not signed"), (other, "stranger")):
        bundle = bundled(exports, key=key)
        put_bundle(board.root, bundle)
        answer = run_agent(board.root, "apply", request_for(bundle))
        assert said in answer["error"]["message"]
        assert board.serves() == old
    signed = bundled(exports, key=mine)
    # The signature is no part of the identity: it is the same release.
    assert signed.record.identity() == new_bundle.record.identity()
    put_bundle(board.root, signed)
    assert run_agent(board.root, "apply", request_for(signed))["status"] == "deployed"
    assert board.serves() == new


def test_a_release_from_before_signatures_were_required_is_not_taken_up_again(
    board: LoopbackBoard,
    old_bundle: LocalBundle,
    old: str,
    tmp_path: Path,
) -> None:
    make_key(tmp_path / "mine")
    board.store.allowed_signers.write_text(f"me@here {(tmp_path / 'mine.pub').read_text()}")
    answer = run_agent(board.root, "apply", request_for(old_bundle))
    assert "not signed" in answer["error"]["message"]
    assert board.serves() == old
