"""The systemd unit that watches a source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from edgemnist.digits.watch.sources import CREDENTIALS, PICAMERA, URL
from edgemnist.errors import UsageError
from edgemnist.ground.systemd import service_unit
from edgemnist.model.answers import command_unit

SOURCE: Final = "source"
"""Name of the secret."""


def watch_unit(
    source: str | Path,
    options: Sequence[str],
    *,
    exports: Path,
    artifact: str | None = None,
    collect: Path | None = None,
    health: Path | None = None,
) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user.

    A `Path` is a file that keeps a URL: systemd reads it later, and perhaps only root may read it now. `exports` is
    where the artifacts are, and `artifact` the model that answers, where one was named. `collect` and `health` are what
    it writes.

    Raises UsageError for a URL with a password, which would have to stand in the unit, where everybody can read it.
    """
    is_stream = isinstance(source, Path) or bool(URL.match(source))
    devices = _devices(source)
    named, reads = _named(source)
    return service_unit(
        command_unit(
            "edgemnist-watch",
            f"edgemnist watch {'a stream' if is_stream else source}",
            ["watch", *named, *options],
            exports=exports,
            artifact=artifact,
            collect=collect,
            health=health,
            reads=reads,
            network=is_stream,
            devices=devices,
            groups=("video",) if devices else (),
            credentials=[(SOURCE, PurePosixPath(source.absolute()))] if isinstance(source, Path) else [],
        )
    )


def _named(source: str | Path) -> tuple[list[str], list[Path]]:
    """Return the words that name the source, and where it is."""
    if isinstance(source, Path):
        return ["--source-file", f"%d/{SOURCE}"], []
    if CREDENTIALS.search(source):
        raise UsageError(
            "A password or token in a URL must not be written into a unit: everybody on the machine can read it",
            hint="Put the URL into a file that only root can read, and name that with --source-file.",
        )
    path = Path(source)
    return ([str(path.absolute())], [path]) if path.exists() else ([source], [])


def _devices(source: str | Path) -> tuple[str, ...]:
    """Return the devices that a camera is: libcamera speaks to the sensor, the image processor and their memory."""
    if source == PICAMERA:
        return "char-video4linux", "char-media", "char-dma_heap"
    is_camera = isinstance(source, str) and (source.isdecimal() or source.startswith("/dev/"))
    return ("char-video4linux",) if is_camera else ()
