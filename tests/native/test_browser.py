"""What a browser leaves behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemnist.native import webassembly as browser


def test_a_directory_into_which_a_helper_still_writes_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    real, tries = shutil.rmtree, 0

    def written_into(path: Path, *, ignore_errors: bool) -> None:
        nonlocal tries
        tries += 1
        real(path, ignore_errors=ignore_errors)
        if tries <= 3:
            (path / "Default").mkdir(parents=True)
            (path / "Default" / "Network Persistent State").write_bytes(b"{}")

    monkeypatch.setattr(shutil, "rmtree", written_into)
    browser.remove_in_use(profile)
    assert not profile.exists()
