"""What a browser leaves behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from edgemnist.native.browser import remove_in_use


def test_a_directory_that_is_still_written_into_is_removed(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()

    def write() -> None:
        until = time.monotonic() + 0.3
        number = 0
        while time.monotonic() < until and profile.exists():
            number += 1
            try:
                (profile / f"state-{number}").write_bytes(b"")
            except FileNotFoundError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    remove_in_use(profile)
    writer.join()
    assert not profile.exists()
