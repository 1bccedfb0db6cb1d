"""The loop: take a frame, read it, tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

import numpy as np

from edgemnist.errors import ImageError
from edgemnist.progress import SILENT, Reporter
from edgemnist.read.page import FINDER, read_page
from edgemnist.read.results import ReadResult
from edgemnist.runtimes.interface import Classifier
from edgemnist.watch.config import WatchConfig
from edgemnist.watch.frame import Frame
from edgemnist.watch.results import WatchNumber, WatchReading, WatchTimes
from edgemnist.watch.sources import open_source
from edgemnist.watch.steady import Steadier


def watch(
    source: str,
    classifier: Classifier,
    config: WatchConfig,
    *,
    emit: Callable[[WatchReading], None],
    stop: Event,
    reporter: Reporter = SILENT,
) -> None:
    """Read a source until it ends or `stop` is set, and call `emit` for each frame that was read.

    Raises SourceError or ImageError where the source cannot be read, and MissingDependencyError where OpenCV or
    picamera2 is missing.
    """
    FINDER.load()
    # Here, since it imports OpenCV.
    from edgemnist.watch.change import ChangeDetector

    frames = open_source(source, config)
    steadier = Steadier(config.steady if frames.connected else 1)
    detector = ChangeDetector()
    to_settle = dropped = skipped = seen = 0
    for frame in frames.frames(stop, reporter):
        seen += 1
        dropped += frame.dropped
        if isinstance(frame.picture, np.ndarray) and not config.every:
            if detector.changed(frame.picture):
                # So many are read after a change until all that vote have seen it.
                to_settle = 2 * config.steady - 1
            if to_settle == 0:
                skipped += 1
                continue
            to_settle -= 1
        taken_up = time.time()
        try:
            result = read_page(frame.picture, classifier, config.read)
        except ImageError as error:
            reporter.notice(f"{frame.source} cannot be read: {error.message}.")
            continue
        emit(_reading(frame, result, steadier.add(result.numbers), taken_up=taken_up, dropped=dropped, skipped=skipped))
        dropped = skipped = 0
    if frames.connected and seen < config.steady and not stop.is_set():
        reporter.notice(
            f"{source} ended after {seen} of the {config.steady} frames that have to agree on a number: see --steady."
        )


def _reading(
    frame: Frame, result: ReadResult, numbers: list[WatchNumber], *, taken_up: float, dropped: int, skipped: int
) -> WatchReading:
    times = result.milliseconds
    return WatchReading(
        timestamp=datetime.fromtimestamp(frame.arrived, UTC).isoformat(timespec="milliseconds"),
        source=frame.source,
        frame=frame.index,
        position=frame.position,
        numbers=numbers,
        confidence=min((number.confidence for number in numbers), default=None),
        dropped=dropped,
        skipped=skipped,
        milliseconds=WatchTimes(
            wait=round((taken_up - frame.arrived) * 1e3, 3),
            find=round(times.find, 3),
            normalize=round(times.normalize, 3),
            classify=round(times.classify, 3),
            arrange=round(times.arrange, 3),
            total=round((time.time() - frame.arrived) * 1e3, 3),
        ),
    )
