"""From what the user typed to a source of frames; cameras, streams and video files are read by OpenCV."""

import importlib.util
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final

import cv2
import numpy as np

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.watch.sources import (
    PICAMERA,
    URL,
    DirectorySource,
    Frame,
    LiveSource,
    PictureSource,
    Source,
    WatchConfig,
    redacted,
)
from edgemnist.errors import MissingDependencyError, SourceError
from edgemnist.ground.pictures import MAX_PIXELS, SUFFIXES
from edgemnist.ground.progress import Reporter

# What the backends write on stderr is said here, in a sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

COMPLETE: Final = 0.95
"""A video that ends before this share of the frames that its header promises is damaged."""
SIZE: Final = (640, 480)
"""Width and height of the camera module's frames: digits of a fortieth of the width are large enough to be read."""


def frames_of(capture: cv2.VideoCapture) -> Generator[Grey]:
    """Give the grey levels of each frame, uint8 [h, w], until one is missing or cannot be decoded; let go of it then.

    What cannot be opened has no frame.
    """
    try:
        while True:
            received, picture = capture.read()
            if not received or picture is None or not 0 < picture.shape[0] * picture.shape[1] <= MAX_PIXELS:
                return
            is_grey = picture.ndim == 2  # noqa: PLR2004 - axes
            yield np.asarray(picture if is_grey else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    except cv2.error:
        # Some backends raise where a frame is broken, instead of saying so.
        return
    finally:
        capture.release()


def _camera(index: int) -> Generator[Grey]:
    capture = cv2.VideoCapture(index)
    # A queue in the driver would make every frame late.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return frames_of(capture)


def _stream(url: str, stall_s: float) -> Generator[Grey]:
    """Open an RTSP or HTTP stream, a device file or a pipe; silence of `stall_s` seconds ends it."""
    timeout = round(stall_s * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout]
    return frames_of(cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits))


def _camera_module() -> Generator[Grey]:
    """Give the frames of the camera module; none where it is missing or another program has it."""
    # Not typed, and only there on a Raspberry Pi.
    from picamera2 import Picamera2  # type: ignore[import-not-found]  # comes with Raspberry Pi OS, from no index

    try:
        camera: Any = Picamera2()
        # The first plane of YUV420 is the grey levels themselves: nothing has to be converted.
        camera.configure(camera.create_video_configuration(main={"size": SIZE, "format": "YUV420"}))
        camera.start()
    except (IndexError, RuntimeError):
        # picamera2 finds no camera; libcamera cannot acquire it.
        return
    width, height = SIZE
    try:
        while True:
            # Rows are padded to what the hardware likes.
            yield np.ascontiguousarray(camera.capture_array("main")[:height, :width])
    finally:
        camera.stop()
        camera.close()


class VideoSource(Source):
    """A video file: every frame of it, from the first to the last."""

    connected = True

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give every frame. Raises SourceError if the file is not a video."""
        # FFmpeg alone: the other backends guess that a file name is a pattern of numbered pictures.
        capture = cv2.VideoCapture(self.name, cv2.CAP_FFMPEG)
        promised, count = capture.get(cv2.CAP_PROP_FRAME_COUNT), 0
        with closing(frames_of(capture)) as pictures:
            for picture in pictures:
                yield Frame(
                    picture=picture,
                    arrived=time.time(),
                    source=self.name,
                    index=count,
                    position=round(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, 3),
                )
                count += 1
                if stop.is_set():
                    return
        if count == 0:
            raise SourceError(
                f"{self.name} is not a video that can be read: it is damaged, or in an unknown format",
                hint="Pictures are read with: edgemnist read",
            )
        if count < COMPLETE * promised:
            reporter.notice(f"{self.name} ended after {count} of {promised:.0f} frames: it is damaged or cut short.")


def open_source(source: str, config: WatchConfig) -> Source:
    """Return the source that a camera's number, `picamera`, a URL, a video, a picture or a directory stands for.

    Needs OpenCV for all but pictures and directories. Raises SourceError if it does not exist, and
    MissingDependencyError where picamera2 is asked for and not installed.
    """
    if source == PICAMERA:
        if importlib.util.find_spec("picamera2") is None:
            raise MissingDependencyError(
                "The camera module of a Raspberry Pi",
                ["picamera2"],
                "sudo apt install python3-picamera2   (and make the virtual environment with --system-site-packages)",
            )
        return LiveSource("The camera module", config, _camera_module)
    path, shown = Path(source), redacted(source)
    if path.is_dir():
        return DirectorySource(str(path), config)
    if config.once:
        raise SourceError(f"--once needs a directory, and {shown} is not one")
    # A GIF may be a film.
    if path.suffix.lower() in SUFFIXES - {".gif"} and path.is_file():
        return PictureSource(str(path), config)
    if source.isdecimal():
        return LiveSource(f"Camera {source}", config, partial(_camera, int(source)))
    # Whoever opens a pipe waits until somebody writes into it.
    if URL.match(source) or path.is_char_device() or path.is_fifo():
        return LiveSource(shown, config, partial(_stream, source, config.stall_s))
    if not path.exists():
        raise SourceError(
            f"{shown} does not exist",
            hint="Give a camera's number, picamera, an RTSP or HTTP URL, a video file or a directory.",
        )
    return VideoSource(str(path), config)
