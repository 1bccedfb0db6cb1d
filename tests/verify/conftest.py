"""A second model, for artifacts that are good and of the wrong seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import run_edgemnist


@pytest.fixture(scope="session")
def other_exports(shared_directory: Path, cache: Path) -> Path:
    """Another seed of the network of `made_exports`, as int8 and as int4, whose gate is the loosest. Read only."""
    directory = shared_directory / "other"
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "other.lock"):
        if not (directory / "golden.npz").exists():
            for command in (
                ["train", "--recipe", "baseline", "--hidden", "128", "--seed", "4"],
                ["export", "--format", "tflite", "--quantize", "int8", "--quantize", "int4"],
            ):
                done = run_edgemnist(*command, "--exports", directory, cwd=shared_directory, env=environment)
                assert done.returncode == 0, done.stderr
    return directory
