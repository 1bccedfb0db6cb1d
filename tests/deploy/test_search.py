"""A search times the shapes of networks on a board, and says so if the board goes away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemnist.errors import DeployError
from edgemnist.search.costs import Stopwatch, sample_of
from edgemnist.train.network import Network
from tests.deploy.loopback import LoopbackBoard
from tests.search.conftest import TIMING
from tests.train.conftest import small_dataset

pytestmark = pytest.mark.slow


def test_a_shape_is_timed_on_the_board_and_leaves_nothing_there(board: LoopbackBoard, cache: Path) -> None:
    watch = Stopwatch(sample=sample_of(small_dataset(cache)), timing=TIMING, board=board.target)
    shape = Network.parse("mlp:14:8:8bit")
    before = whole(board)
    assert 0.1 < watch(shape) < 1e5
    assert whole(board) == before
    gone = replace(watch, board=replace(board.target, root=str(board.root / "elsewhere")))
    with pytest.raises(DeployError, match="There is no current release on this board"):
        gone(shape)


def whole(board: LoopbackBoard) -> set[Path]:
    """Return what is on a board, but for the agent, which is sent when it is needed."""
    return {path for path in board.root.rglob("*") if not {"agent", "__pycache__"}.intersection(path.parts)}
