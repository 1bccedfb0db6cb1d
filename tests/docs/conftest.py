"""What the blocks of the book need."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from edgemnist.model.exports.findings import BENCH_FILE
from tests.conftest import run_edgemnist
from tests.deploy.conftest import board, installed, new_board, new_bundle, old_bundle, sshd
from tests.judged import measured_here
from tests.serve.conftest import service

__all__ = ["board", "installed", "new_board", "new_bundle", "old_bundle", "service", "sshd"]


@pytest.fixture(scope="session")
def known_exports(made_exports: Path, shared_directory: Path) -> Path:
    """Artifacts that have been trained, exported, verified and measured. Read only."""
    exports = shared_directory / "known"
    with FileLock(shared_directory / "known.lock"):
        if not (exports / BENCH_FILE).exists():
            shutil.copytree(made_exports, exports, dirs_exist_ok=True)
            bench = ["bench", "--no-keras", "--seconds", "0"]
            for command in (["verify"], bench):
                done = run_edgemnist(*command, "--exports", exports, cwd=shared_directory)
                # A network this small may miss a gate, and that is worth showing, too.
                assert done.returncode in {0, 1}, done.stderr
                assert (exports / f"{command[0]}.json").exists(), done.stderr
            # Whatever else keeps this machine busy, the figures count.
            (exports / BENCH_FILE).write_text(measured_here(exports).to_json())
    return exports
