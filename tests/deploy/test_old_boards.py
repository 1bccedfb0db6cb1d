"""Boards of the version before stay usable: they are updated, listed, examined, rolled back."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.fleet.deploy.run import DeployConfig, deploy_to, doctor_on, releases_on, rollback_on
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.bundles import bundled
from tests.deploy.loopback import LoopbackBoard

OLD = "fc2c256"
"""The last commit before the export directory and the board's part got their present layout."""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version's own tree, with the reference artifacts that it had."""
    git = ["git", "-C", str(REPOSITORY), "archive", OLD, "edgemnist", "exports", "pyproject.toml"]
    done = subprocess.run(git, check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"the history does not go back to {OLD}: git fetch --unshallow")
    target = tmp_path_factory.mktemp("old-code")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    return target


@pytest.fixture(scope="module")
def old_exports(old_code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export directory with results, all of them by the old version."""
    work = tmp_path_factory.mktemp("old-exports")
    shutil.copytree(old_code / "exports" / "reference", work / "exports")
    timed = ("--samples", "20", "--seconds", "0.01", "--rounds", "1")
    for words in (("verify",), ("bench", *timed), ("bench", "tflite-int8", "--duty-cycle", "100/s", *timed)):
        old_edgemnist(old_code, *words, cwd=work)
    return work / "exports"


def old_edgemnist(code: Path, *words: str | Path, cwd: Path) -> str:
    """Run the old version's command line; return its stdout."""
    environment = {**os.environ, "PYTHONPATH": str(code), "EDGEMNIST_OFFLINE": "1"}
    command = [sys.executable, "-m", "edgemnist", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.all
def test_a_release_of_the_old_version_is_updated_and_rolled_back_by_the_new_one(
    old_code: Path, old_exports: Path, new_board: Callable[[str], LoopbackBoard], installed: Path, tmp_path: Path
) -> None:
    board = new_board("board")
    # The old package needs an environment of its own; those of the other tests must not be pruned with it.
    board.store.venvs.unlink()
    board.store.venvs.mkdir()
    there = ("--to", "board", "--root", board.root, "--ssh-config", board.ssh_config)
    old_edgemnist(old_code, "bundle", "tflite-int8", "--exports", old_exports, "--output", "old.zip", cwd=tmp_path)
    old_edgemnist(old_code, "deploy", "old.zip", *there, cwd=tmp_path)

    (first,) = releases_on(board.target).releases
    assert (first.current, first.problems, first.artifacts) == (True, [], ["tflite-int8"])
    checks = {check.name: check for check in doctor_on(board.target).findings}
    assert checks["tflite-int8"].level.value == "ok"
    for words in (("verify",), ("predict", "--index", "0"), ("verify", "tflite-int8", "--max-flips", "0.5")):
        done = run_edgemnist(*words, "--on", "board", "--json", cwd=tmp_path, env=board.environment)
        assert done.returncode == 0, done.stderr
    for venv in installed.iterdir():
        shutil.copytree(venv, board.store.venvs / venv.name, symlinks=True, copy_function=os.link)
    new = bundled(Path(shutil.copytree(old_exports, tmp_path / "exports")), serve=False)
    result = deploy_to(board.target, new, DeployConfig(retries=0), lambda _: None)
    assert result.fault is None
    assert result.previous == first.release
    assert "install" not in {step.name for step in result.steps}
    assert board.serves() == new.record.identity()[:12]
    assert [row.problems for row in releases_on(board.target).releases] == [[], []]
    assert rollback_on(board.target, None, 10.0).release == first.release
    assert board.serves() == first.release.partition("-")[2]
    board.everything_is_whole()
    assert rollback_on(board.target, result.release, 10.0).previous == first.release
