"""From what the user typed to a source of frames; cameras, streams and video files are read by OpenCV."""

from __future__ import annotations

import importlib.util
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import cv2
import numpy as np

from edgemnist.errors import MissingDependencyError, SourceError
from edgemnist.images.decode import MAX_PIXELS, SUFFIXES
from edgemnist.images.grey import Grey
from edgemnist.progress import Reporter
from edgemnist.watch.sources import (
    CREDENTIALS,
    LOOK_S,
    PICAMERA,
    URL,
    DirectorySource,
    Frame,
    LiveSource,
    PictureSource,
    Source,
    WatchConfig,
)

# What the backends write on stderr is said here, in a sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

COMPLETE: Final = 0.95
"""A video that ends before this share of the frames that its header promises is damaged."""
PIPE_BYTES: Final = 1 << 16
"""As many as a pipe of Linux holds."""


class CaptureGrabber:
    """An open `cv2.VideoCapture`."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def read(self) -> Grey | None:
        """Return the next frame, or None at the end."""
        return read_grey(self._capture)

    def close(self) -> None:
        """Release the device or the connection."""
        self._capture.release()


def open_camera(index: int) -> CaptureGrabber | None:
    """Open a camera by its number, or return None where that is impossible."""
    capture = cv2.VideoCapture(index)
    # A queue in the driver would make every frame late.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return CaptureGrabber(capture) if capture.isOpened() else None


def open_stream(url: str, stall_s: float) -> CaptureGrabber | None:
    """Open an RTSP or HTTP stream or a device file, or return None; silence of `stall_s` seconds ends it."""
    timeout = round(stall_s * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    return CaptureGrabber(capture) if capture.isOpened() else None


class VideoSource(Source):
    """A video file: every frame of it, from the first to the last."""

    connected = True

    def __init__(self, path: Path, *, give_up_s: float) -> None:
        self._path = path
        self._give_up_s = give_up_s

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give every frame. Raises SourceError if the file is not a video, or a pipe into which nobody writes."""
        with _with_an_end(self._path, stop, self._give_up_s) as (name, given_up):
            # FFmpeg alone: the other backends guess that a file name is a pattern of numbered pictures.
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        index = 0
        try:
            promised = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
            while not stop.is_set():
                picture = read_grey(capture)
                if picture is None:
                    break
                yield Frame(
                    picture=picture,
                    arrived=time.time(),
                    source=str(self._path),
                    index=index,
                    position=round(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, 3),
                )
                index += 1
        finally:
            capture.release()
        if stop.is_set():
            return
        if given_up.is_set():
            raise SourceError(
                f"Nothing was written to the pipe {self._path} for {self._give_up_s:g} s",
                hint="Start the program that writes a video into it.",
            )
        if index == 0:
            raise SourceError(
                f"{self._path} is not a video that can be read: it is damaged, or in an unknown format",
                hint="Pictures are read with: edgemnist read",
            )
        if index < COMPLETE * promised:
            reporter.notice(f"{self._path} ended after {index} of {promised:.0f} frames: it is damaged or cut short.")


@contextmanager
def _with_an_end(path: Path, stop: Event, give_up_s: float) -> Iterator[tuple[str, Event]]:
    """Give what to open for a file, and whether it was given up: whoever reads a named pipe waits without an end.

    It is read here instead, and handed on until nothing is written into it for `give_up_s` seconds, or `stop` is set.
    """
    given_up = Event()
    if not path.is_fifo():
        yield str(path), given_up
        return
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    end, target = os.pipe()
    Thread(target=_hand_on, args=(source, target, stop, given_up, give_up_s), daemon=True).start()
    try:
        yield f"/dev/fd/{end}", given_up
    finally:
        os.close(end)


def _hand_on(source: int, target: int, stop: Event, given_up: Event, give_up_s: float) -> None:
    # Whoever reads may be gone.
    with open(source, "rb", 0) as pipe, open(target, "wb", 0) as handed_on, suppress(BrokenPipeError):
        deadline = time.monotonic() + give_up_s
        while not stop.is_set():
            if select.select([pipe], [], [], LOOK_S)[0]:
                if not (data := pipe.read(PIPE_BYTES)):
                    return
                handed_on.write(data)
                # To wait for the reader is not the writer's fault.
                deadline = time.monotonic() + give_up_s
            elif time.monotonic() >= deadline:
                given_up.set()
                return


def read_grey(capture: cv2.VideoCapture) -> Grey | None:
    """Return the grey levels of the next frame, uint8 [h, w], or None if it is missing or cannot be decoded."""
    try:
        received, picture = capture.read()
    except cv2.error:
        # Some backends raise where a frame is broken, instead of saying so.
        return None
    if not received or picture is None or not 0 < picture.shape[0] * picture.shape[1] <= MAX_PIXELS:
        return None
    return np.asarray(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)  # noqa: PLR2004 - axes


SIZE: Final = (640, 480)
"""Width and height of the frames: digits of a fortieth of the width are large enough to be read."""


class PicameraGrabber:
    """An open camera module."""

    def __init__(self) -> None:
        # Not typed, and only there on a Raspberry Pi.
        from picamera2 import Picamera2  # type: ignore[import-not-found]  # comes with Raspberry Pi OS, from no index

        self._camera: Any = Picamera2()
        # The first plane of YUV420 is the grey levels themselves: nothing has to be converted.
        self._camera.configure(self._camera.create_video_configuration(main={"size": SIZE, "format": "YUV420"}))
        self._camera.start()

    def read(self) -> Grey:
        """Return the latest frame; waits for it."""
        width, height = SIZE
        # Rows are padded to what the hardware likes.
        return np.ascontiguousarray(self._camera.capture_array("main")[:height, :width])

    def close(self) -> None:
        """Stop the camera, and let others use it."""
        self._camera.stop()
        self._camera.close()


def _open_picamera() -> PicameraGrabber | None:
    """Open the camera module, or return None if it is missing or another program has it."""
    try:
        return PicameraGrabber()
    except (IndexError, RuntimeError):
        # picamera2 finds no camera; libcamera cannot acquire it.
        return None


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
        return LiveSource("The camera module", _open_picamera, give_up_s=config.give_up_s)
    path = Path(source)
    if path.is_dir():
        return DirectorySource(path, poll_s=config.poll_s, give_up_s=config.give_up_s, once=config.once)
    if config.once:
        raise SourceError(f"--once needs a directory, and {source} is not one")
    # A GIF may be a film.
    if path.suffix.lower() in SUFFIXES - {".gif"} and path.is_file():
        return PictureSource(path)
    if source.isdecimal():
        return LiveSource(f"Camera {source}", partial(open_camera, int(source)), give_up_s=config.give_up_s)
    if URL.match(source) or path.is_char_device():
        # What is printed and logged is read by others: a password in the URL is not.
        name = CREDENTIALS.sub("", source)
        return LiveSource(name, partial(open_stream, source, config.stall_s), give_up_s=config.give_up_s)
    if not path.exists():
        raise SourceError(
            f"{source} does not exist",
            hint="Give a camera's number, picamera, an RTSP or HTTP URL, a video file or a directory.",
        )
    return VideoSource(path, give_up_s=config.give_up_s)
