"""Which releases a board keeps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgemnist.agent.store import Store

IDENTITY = "0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board with five releases, each with a virtual environment of its own."""
    made = Store(tmp_path)
    made.create()
    for number in range(1, 6):
        (made.venvs / f"venv{number}").mkdir()
        release = made.releases_directory / f"{number}-{IDENTITY}"
        release.mkdir()
        (release / "venv").symlink_to(made.venvs / f"venv{number}")
    return made


def kept(store: Store) -> list[int]:
    return [release.sequence for release in store.releases()]


@pytest.mark.parametrize("current", [1, 2, 3, 5])
@pytest.mark.parametrize("keep", [1, 2, 4, 9])
def test_the_newest_are_kept_and_the_one_that_serves_whatever_its_age(store: Store, current: int, keep: int) -> None:
    store.switch(f"{current}-{IDENTITY}")
    removed = store.prune(keep, "")
    assert kept(store) == sorted({current, *list(range(1, 6))[-keep:]})
    assert removed == [f"{number}-{IDENTITY}" for number in range(1, 6) if number not in kept(store)]
    assert sorted(venv.name for venv in store.venvs.iterdir()) == [f"venv{number}" for number in kept(store)]
    assert list(store.staging.iterdir()) == []
    serving = store.current()
    assert serving is not None
    assert serving.sequence == current


def test_transfers_are_kept_for_a_day_and_the_deployed_bundle_is_not(store: Store) -> None:
    for name, age_s in (("deployed", 0), ("young", 86_000), ("old", 87_000)):
        (store.incoming / name).write_bytes(b"bundle")
        os.utime(store.incoming / name, (time.time() - age_s,) * 2)
    store.prune(5, "deployed")
    assert [path.name for path in store.incoming.iterdir()] == ["young"]
