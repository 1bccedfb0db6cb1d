"""The systemd unit of a source that is watched."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import edgemnist
from edgemnist.systemd import Service, service_unit
from edgemnist.watch.sources import PICAMERA, URL


def watch_unit(source: str, options: Sequence[str]) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user."""
    is_camera = source.isdecimal() or source == PICAMERA or source.startswith("/dev/")
    # libcamera speaks to the sensor, the image processor and the memory that they share.
    modules = ("char-video4linux", "char-media", "char-dma_heap") if source == PICAMERA else ("char-video4linux",)
    path = Path(source)
    shown = [
        Path(sys.prefix).absolute(),
        Path(edgemnist.__file__).parents[1],
        *([path.absolute()] if path.exists() else []),
    ]
    return service_unit(
        Service(
            name="edgemnist-watch",
            description=f"edgemnist watch {'a stream' if URL.match(source) else source}",
            command=[
                *(sys.executable, "-m", "edgemnist", "watch"),
                *(str(path.absolute()) if path.exists() else source, *options),
            ],
            reads=[PurePosixPath(one) for one in shown],
            user=getpass.getuser(),
            network=bool(URL.match(source)),
            devices=modules if is_camera else (),
            groups=("video",) if is_camera else (),
        )
    )
