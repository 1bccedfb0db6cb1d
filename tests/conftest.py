"""What the tests share: the command line as users run it, and one set of real artifacts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.browser import browser

__all__ = ["browser"]

REPOSITORY = Path(__file__).parents[1]
MNIST = REPOSITORY.parent / "shared" / "mnist"
"""The full MNIST, where it is there."""

LONGEST = ("test_readme.py", "test_kills.py")
"""Files that take minutes."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def run_edgemnist(
    *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "edgemnist", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Keep the tests away from the user's own cache and data."""
    monkeypatch.setenv("EDGEMNIST_CACHE", str(cache))
    monkeypatch.delenv("EDGEMNIST_DATA", raising=False)


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a parallel run see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cache(shared_directory: Path) -> Path:
    """Where the tests cache the embedded images."""
    return shared_directory / "cache"


@pytest.fixture(scope="session")
def made_exports(shared_directory: Path, cache: Path) -> Path:
    """All eight artifacts of a small network, made once by the product's own commands. Read only."""
    exports = shared_directory / "exports"
    # 5,000 images are what every machine has: no test may need a download.
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "exports.lock"):
        if not (exports / "golden.npz").exists():
            for command in (["train", "--recipe", "baseline", "--hidden", "128", "--seed", "3"], ["export"]):
                done = run_edgemnist(*command, cwd=shared_directory, env=environment)
                assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture(scope="session")
def exports_with_c(made_exports: Path, shared_directory: Path, cache: Path) -> Path:
    """The same with the C file, which has to be asked for. Read only."""
    exports = shared_directory / "with-c" / "exports"
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "with-c.lock"):
        if not (exports / "c-int8.c").exists():
            shutil.copytree(made_exports, exports, dirs_exist_ok=True)
            done = run_edgemnist("export", "--format", "c", cwd=exports.parent, env=environment)
            assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture
def exports(made_exports: Path, tmp_path: Path) -> Path:
    """A copy of the artifacts, to break."""
    return Path(shutil.copytree(made_exports, tmp_path / "exports"))


@pytest.fixture
def edgemnist(tmp_path: Path) -> Run:
    """Run the command line in an empty directory: `edgemnist("verify", "--json")`."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_edgemnist(*arguments, **{"cwd": tmp_path, **options})

    return run


@pytest.fixture
def edgemnist_json(edgemnist: Run) -> Callable[..., dict[str, Any]]:
    """Run a command that has to work, with `--json`, and return its document."""

    def run(*arguments: str | Path, **options: Any) -> dict[str, Any]:
        done = edgemnist(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return run
