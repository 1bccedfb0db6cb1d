"""Watching a source: which frames show something new, what several agree on, and how it ends."""

import contextlib
import importlib.util
import os
import signal
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final

import cv2
import msgspec
import numpy as np

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.read.layout import overlap
from edgemnist.digits.read.page import FINDER, read_page
from edgemnist.digits.results import ReadNumber, ReadResult, WatchNumber, WatchReading, WatchTimes
from edgemnist.digits.task import Box
from edgemnist.digits.watch.meter import Meter
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
from edgemnist.errors import ImageError, MissingDependencyError, SourceError
from edgemnist.ground.pictures import MAX_PIXELS, SUFFIXES
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.answers import Publish
from edgemnist.model.runtimes.interface import Classifier

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


CELLS: Final = (64, 48)
"""Columns and rows of cells that a frame is compared by: their means are free of the sensor's noise."""
LEAST_CHANGE: Final = 4.0
"""Grey levels by which a cell differs where something moved. The mean of the 100 pixels of a cell of a 640×480 frame
varies by less than 1 with the noise of a dim room; a pen's stroke changes it by 10 and more."""


class ChangeDetector:
    """Compares each frame with the latest that was read."""

    def __init__(self) -> None:
        self._seen: Grey | None = None
        self._shape: tuple[int, ...] = ()

    def changed(self, grey: Grey) -> bool:
        """Return whether a frame, uint8 [h, w], differs from the latest that did, and remember it if so."""
        cells = np.asarray(cv2.resize(grey, CELLS, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if self._seen is not None and grey.shape == self._shape:
            difference = cells.astype(np.float32) - self._seen
            # The camera's own exposure makes all cells brighter or darker alike.
            difference -= np.median(difference)
            if np.abs(difference).max() < LEAST_CHANGE:
                return False
        self._seen, self._shape = cells, grey.shape
        return True


SAME_PLACE: Final = 0.3
"""A number is the one of the frame before where their boxes share this much of their union."""


@dataclass
class _Track:
    sightings: deque[ReadNumber | None]
    """The latest frames; None where it was not seen."""
    box: Box = (0, 0, 0, 0)
    line: int = 0
    rank: int = 0
    """Its place in the reading order of the latest frame that showed it."""


class Steadier:
    """Takes the numbers of frames in turn, and tells what is certain by now."""

    def __init__(self, agreeing: int) -> None:
        self._agreeing = agreeing
        self._window = 2 * agreeing - 1
        self._tracks: list[_Track] = []

    def add(self, numbers: Sequence[ReadNumber]) -> list[WatchNumber]:
        """Add what one frame shows, and return the numbers that enough of the latest frames agree on."""
        free = list(self._tracks)
        for rank, number in enumerate(numbers):
            track = max(free, key=lambda one: overlap(one.box, number.box), default=None)
            if track is None or overlap(track.box, number.box) < SAME_PLACE:
                track = _Track(deque(maxlen=self._window))
                self._tracks.append(track)
            else:
                free.remove(track)
            track.sightings.append(number)
            track.box, track.line, track.rank = number.box, number.line, rank
        for track in free:
            track.sightings.append(None)
        self._tracks = [track for track in self._tracks if any(track.sightings)]
        steady = [(track, answer) for track in self._tracks if (answer := self._answer(track)) is not None]
        steady.sort(key=lambda entry: (entry[0].line, entry[0].rank))
        return [
            WatchNumber(text=text, confidence=confidence, line=track.line, box=track.box)
            for track, (text, confidence) in steady
        ]

    def _answer(self, track: _Track) -> tuple[str, float] | None:
        votes: dict[str, list[float]] = defaultdict(list)
        for sighting in track.sightings:
            if sighting is not None:
                votes[sighting.text].append(sighting.confidence)
        text = max(votes, key=lambda one: (len(votes[one]), sum(votes[one])))
        if len(votes[text]) < self._agreeing:
            return None
        return text, sum(votes[text]) / len(votes[text])


def watch(
    source: str,
    classifier: Classifier,
    config: WatchConfig,
    *,
    emit: Callable[[WatchReading], None],
    stop: Event,
    publish: Publish | None = None,
    meter: Meter | None = None,
    reporter: Reporter = SILENT,
) -> None:
    """Read a source until it ends or `stop` is set, and call `emit` for each frame that was read.

    `publish` is given the answers to the digits of a frame once what it shows has settled.

    Raises SourceError or ImageError where the source cannot be read, and MissingDependencyError where OpenCV or
    picamera2 is missing.
    """
    FINDER.load()
    frames = open_source(source, config)
    agreeing = config.steady if frames.connected else 1
    steadier = Steadier(agreeing)
    detector, began = ChangeDetector(), time.time()
    to_settle = dropped = skipped = seen = 0
    for frame in frames.frames(stop, reporter):
        seen += 1
        dropped += frame.dropped
        try:
            picture = frame.picture if meter is None else meter.cut(frame.picture)
            if isinstance(picture, np.ndarray):
                if detector.changed(picture):
                    # So many are read after a change until all that vote have seen it.
                    to_settle = 2 * config.steady - 1
                if to_settle == 0 and not config.every:
                    skipped += 1
                    continue
                to_settle = max(0, to_settle - 1)
            taken_up = time.time()
            settled = config.every or to_settle == 0
            result = read_page(
                picture, classifier, config.read, source=frame.source, publish=publish if settled else None
            )
        except ImageError as error:
            reporter.notice(f"{frame.source} cannot be read: {error.message}.")
            continue
        if meter is not None or frames.connected:
            # Frames agree on numbers alone.
            result = msgspec.structs.replace(result, tables=[])
        numbers = steadier.add(result.numbers)
        shown = _reading(frame, result, numbers, taken_up=taken_up, dropped=dropped, skipped=skipped)
        if meter is not None and (numbers or to_settle == 0):
            taken = frame.taken or (frame.arrived if frame.position is None else began + frame.position)
            shown = meter.seen(shown, result.digits, taken)
        emit(shown)
        dropped = skipped = 0
    if frames.connected and seen < config.steady and not stop.is_set():
        reporter.notice(
            f"{redacted(source)} ended after {seen} of the {config.steady} frames that have to agree on a number: "
            "see --steady."
        )


def _reading(
    frame: Frame, result: ReadResult, numbers: list[WatchNumber], *, taken_up: float, dropped: int, skipped: int
) -> WatchReading:
    wait, total = (1e3 * (moment - frame.arrived) for moment in (taken_up, time.time()))
    times = {"wait": wait, **msgspec.structs.asdict(result.milliseconds), "total": total}
    return WatchReading(
        timestamp=datetime.fromtimestamp(frame.arrived, UTC).isoformat(timespec="milliseconds"),
        source=frame.source,
        frame=frame.index,
        position=frame.position,
        numbers=numbers,
        tables=result.tables,
        confidence=min((number.confidence for number in numbers), default=None),
        dropped=dropped,
        skipped=skipped,
        milliseconds=WatchTimes(**{stage: round(spent, 3) for stage, spent in times.items()}),
    )


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """Give an event that SIGTERM and SIGINT set. A second signal ends the process as it would without this."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask_to_stop(number: int, frame: object) -> None:
        del frame
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask_to_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
