"""From what the user typed to a source of frames."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from edgemnist.errors import MissingDependencyError, SourceError, UsageError
from edgemnist.images.decode import SUFFIXES
from edgemnist.watch.config import WatchConfig
from edgemnist.watch.directory import DirectorySource
from edgemnist.watch.frame import PictureSource, Source
from edgemnist.watch.live import Grabber, LiveSource

PICAMERA: Final = "picamera"
URL: Final = re.compile(r"(rtsps?|https?|rtmp|udp|tcp|srt)://", re.IGNORECASE)
CREDENTIALS: Final = re.compile(r"(?<=://)[^/]*@")
"""User and password of a URL; the password may have an @ of its own."""


def open_source(source: str, config: WatchConfig) -> Source:
    """Return the source that a camera's number, `picamera`, a URL, a video, a picture or a directory stands for.

    Needs OpenCV for all but pictures and directories. Raises SourceError if it does not exist, and
    MissingDependencyError where picamera2 is asked for and not installed.
    """
    if source == PICAMERA:
        return LiveSource("The camera module", _picamera(), give_up_s=config.give_up_s)
    path = Path(source)
    if path.is_dir():
        return DirectorySource(path, poll_s=config.poll_s, give_up_s=config.give_up_s, once=config.once)
    if config.once:
        raise SourceError(f"--once needs a directory, and {source} is not one")
    # A GIF may be a film.
    if path.suffix.lower() in SUFFIXES - {".gif"} and path.is_file():
        return PictureSource(path)
    from edgemnist.watch import capture

    if source.isdecimal():
        return LiveSource(f"Camera {source}", partial(capture.open_camera, int(source)), give_up_s=config.give_up_s)
    if URL.match(source) or path.is_char_device():
        # What is printed and logged is read by others: a password in the URL is not.
        name = CREDENTIALS.sub("", source)
        return LiveSource(name, partial(capture.open_stream, source, config.stall_s), give_up_s=config.give_up_s)
    if not path.exists():
        raise SourceError(
            f"{source} does not exist",
            hint="Give a camera's number, picamera, an RTSP or HTTP URL, a video file or a directory.",
        )
    return capture.VideoSource(path)


def read_source(file: str | Path) -> str:
    """Return the first line of a file, which keeps a URL secret; a string is the source itself.

    Raises UsageError where the file cannot be read, or is empty.
    """
    if isinstance(file, str):
        return file
    try:
        source = file.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"The source file {file} cannot be read: {reason}") from error
    if not source:
        raise UsageError(f"The source file {file} is empty", hint="Write the URL of the camera into it.")
    return source


def _picamera() -> Callable[[], Grabber | None]:
    if importlib.util.find_spec("picamera2") is None:
        raise MissingDependencyError(
            "The camera module of a Raspberry Pi",
            ["picamera2"],
            "sudo apt install python3-picamera2   (and make the virtual environment with --system-site-packages)",
        )
    from edgemnist.watch.capture import open_picamera

    return open_picamera
