"""An export directory with everything known about it."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import OLD_EXPORTS
from tests.judged import judged_here


@pytest.fixture(scope="session")
def known_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that have been trained, exported, verified layer by layer and measured, as if here. Read only."""
    return judged_here(Path(shutil.copytree(OLD_EXPORTS, tmp_path_factory.mktemp("report") / "known")))


@pytest.fixture
def exports(known_exports: Path, tmp_path: Path) -> Path:
    """A copy of them, to break."""
    return Path(shutil.copytree(known_exports, tmp_path / "exports"))
