"""The systemd unit of a source that is watched."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from edgemnist.systemd import unit
from edgemnist.watch.sources import PICAMERA, URL


def watch_unit(source: str, options: Sequence[str]) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user, from the present directory."""
    is_camera = source.isdecimal() or source == PICAMERA or source.startswith("/dev/")
    # libcamera speaks to the sensor, the image processor and the memory that they share.
    modules = ("char-video4linux", "char-media", "char-dma_heap") if source == PICAMERA else ("char-video4linux",)
    path = Path(source)
    return unit(
        f"edgemnist watch {'a stream' if URL.match(source) else source}",
        [sys.executable, "-m", "edgemnist", "watch", str(path.absolute()) if path.exists() else source, *options],
        user=getpass.getuser(),
        directory=str(Path.cwd()),
        network=bool(URL.match(source)),
        devices=modules if is_camera else (),
        groups=("video",) if is_camera else (),
    )
