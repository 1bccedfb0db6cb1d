"""A board that was told whom to trust takes bundles from nobody else."""

import platform
import sys
from pathlib import Path

import pytest

from edgemnist.errors import BundleError
from edgemnist.fleet.bundle import pack
from edgemnist.fleet.bundle.pack import WheelsConfig
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, releases_on, rollback_on
from edgemnist.ground.results.boards import BoardResult
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, make_key


def deploy(board: LoopbackBoard, bundle: LocalBundle) -> BoardResult:
    return deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None)


def test_a_board_that_requires_signatures_takes_what_is_signed_by_one_of_them_and_nothing_else(
    board: LoopbackBoard,
    made_exports: Path,
    new_bundle: LocalBundle,
    old: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The packages are on the board already, so this bundle has to bring none; nor an engine for this processor.
    engines = pack.board_engines
    monkeypatch.setattr(pack, "fetch_wheels", lambda *_: [])
    monkeypatch.setattr(pack, "board_engines", lambda *_: engines())
    wheels = WheelsConfig(machine=platform.machine(), pythons=(f"3.{sys.version_info[1]}",))
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    board.store.allowed_signers.write_text(f"me@here {mine.with_suffix('.pub').read_text()}")
    exports = small_exports(made_exports, tmp_path / "signed", ["tflite-int8", "tflite-dynamic"])
    for bundle, said, sent in (
        (new_bundle, "accepts only signed bundles", False),
        (bundled(exports, key=other, wheels=wheels), "does not trust", True),
    ):
        result = deploy(board, bundle)
        assert result.fault is not None
        assert (result.fault.type, said in result.fault.message) == ("BundleError", True)
        assert ("transfer" in {step.name for step in result.steps}) == sent
        assert board.serves() == old
        # It will never be taken.
        assert not any(path.stat().st_size for path in board.store.incoming.iterdir())
    signed = bundled(exports, key=mine, wheels=wheels)
    for status in ("deployed", "unchanged"):
        result = deploy(board, signed)
        assert (result.fault, result.status, result.release) == (None, status, f"2-{signed.record.identity()[:12]}")
    assert [(row.signed, row.current) for row in releases_on(board.target).releases] == [(False, False), (True, True)]
    with pytest.raises(BundleError, match="not signed"):
        rollback_on(board.target, None, 10.0)
