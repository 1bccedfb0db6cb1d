"""Where the cache is on each system."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.data.sources import keep
from edgemnist.storage import cache_directory
from tests.data.conftest import Listener

HOME = Path.home()


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, HOME / ".cache/edgemnist"),
        ("linux", {"XDG_CACHE_HOME": "/var/cache/me"}, Path("/var/cache/me/edgemnist")),
        ("linux", {"XDG_CACHE_HOME": "relative"}, HOME / ".cache/edgemnist"),
        ("linux", {"XDG_CACHE_HOME": ""}, HOME / ".cache/edgemnist"),
        ("darwin", {"XDG_CACHE_HOME": "/ignored"}, HOME / "Library/Caches/edgemnist"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/edgemnist/Cache")),
        ("win32", {}, HOME / "AppData/Local/edgemnist/Cache"),
        ("linux", {"EDGEMNIST_CACHE": "/mine", "XDG_CACHE_HOME": "/var/cache/me"}, Path("/mine")),
        ("win32", {"EDGEMNIST_CACHE": "/mine", "LOCALAPPDATA": "/local"}, Path("/mine")),
        ("linux", {"EDGEMNIST_CACHE": ""}, HOME / ".cache/edgemnist"),
    ],
)
def test_the_cache_is_where_the_system_keeps_them(platform: str, environ: dict[str, str], expected: Path) -> None:
    assert cache_directory(environ, platform) == expected


def test_what_is_kept_is_there_and_makes_its_directory(tmp_path: Path, listener: Listener) -> None:
    keep(tmp_path / "new" / "place", {"a": b"1", "b": b"2"}, listener)
    assert (tmp_path / "new" / "place" / "b").read_bytes() == b"2"
    assert listener.notices == []


def test_what_cannot_be_kept_is_said_and_no_failure(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "file").touch()
    keep(tmp_path / "file" / "below", {"a": b"1"}, listener)
    assert "could not be cached for the next run" in listener.heard
