"""An export directory that edgemnist 0.1.0 made: small, verified and measured, and free of any training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

OLD = Path(__file__).parent / "made_by_0.1.0"


@pytest.fixture
def old_exports(tmp_path: Path) -> Path:
    """A copy, to break."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))
