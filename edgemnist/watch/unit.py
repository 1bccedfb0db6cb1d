"""The systemd unit of a source that is watched."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

from edgemnist.systemd import Service, python_for, service_unit, shown
from edgemnist.watch.sources import PICAMERA, URL


def watch_unit(source: str, options: Sequence[str], *, exports: Path, model: Path | None = None) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user.

    `exports` is where the artifacts are, and `model` the model file that answers, where one was named.
    """
    is_camera = source.isdecimal() or source == PICAMERA or source.startswith("/dev/")
    # libcamera speaks to the sensor, the image processor and the memory that they share.
    modules = ("char-video4linux", "char-media", "char-dma_heap") if source == PICAMERA else ("char-video4linux",)
    path = Path(source)
    words = [str(path.absolute()) if path.exists() else source, *options, "--exports", str(exports.absolute())]
    words += [] if model is None else ["--artifact", str(model.absolute())]
    return service_unit(
        Service(
            name="edgemnist-watch",
            description=f"edgemnist watch {'a stream' if URL.match(source) else source}",
            command=[str(python_for(exports)), "-m", "edgemnist", "watch", *words],
            reads=shown(exports, *([path] if path.exists() else []), *([] if model is None else [model])),
            user=getpass.getuser(),
            network=bool(URL.match(source)),
            devices=modules if is_camera else (),
            groups=("video",) if is_camera else (),
        )
    )
