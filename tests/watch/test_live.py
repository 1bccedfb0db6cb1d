"""Live sources: cameras that are faster than the reader, hang, go away and come back."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from edgemnist.errors import SourceError
from edgemnist.images.grey import Grey
from edgemnist.progress import SILENT
from edgemnist.runtimes.interface import Classifier
from edgemnist.watch.capture import open_source
from edgemnist.watch.sources import LiveSource, WatchConfig
from tests.watch.conftest import Show
from tests.watch.streaming import Camera
from tests.watch.watcher import Watcher


class Fast:
    """A camera of 200 frames a second, whose frames say when they were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self) -> Grey:
        """Wait for a frame."""
        time.sleep(0.005)
        self.taken += 1
        return np.full((4, 4), self.taken % 256, dtype=np.uint8)

    def close(self) -> None:
        """Do nothing."""


def test_frames_that_come_too_fast_are_dropped_and_counted_and_the_latest_is_read() -> None:
    camera = Fast()
    stop = Event()
    indices, dropped, lags = [], 0, []
    for frame in LiveSource("Fast", lambda: camera, give_up_s=5).frames(stop, SILENT):
        lags.append(camera.taken - 1 - frame.index)
        indices.append(frame.index)
        dropped += frame.dropped
        time.sleep(0.05)
        if len(indices) == 20:
            stop.set()
    assert indices == sorted(set(indices))
    assert indices[-1] + 1 == len(indices) + dropped
    assert dropped > 3 * len(indices)
    assert max(lags) <= 2


@pytest.mark.slow
def test_a_driver_that_hangs_is_given_up() -> None:
    class Hanging(Fast):
        def read(self) -> Grey:
            time.sleep(20)
            return super().read()

    started = time.monotonic()
    with pytest.raises(SourceError, match="Hanging has given no picture for 1 s"):
        list(LiveSource("Hanging", Hanging, give_up_s=1).frames(Event(), SILENT))
    assert time.monotonic() - started < 15


def video_of(frames: int, path: Path) -> Path:
    """Write a video that is larger than what a pipe holds."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (320, 240))
    for _ in range(frames):
        writer.write(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8))
    writer.release()
    assert path.stat().st_size > 1 << 20
    return path


@pytest.mark.slow
def test_a_pipe_that_nobody_writes_into_is_given_up_and_one_that_a_video_is_written_into_is_read(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = video_of(40, tmp_path / "video.avi")
    with pytest.raises(SourceError, match=r"Nothing was written to the pipe .*pipe for 1 s"):
        list(open_source(str(tmp_path / "pipe"), WatchConfig(give_up_s=1)).frames(Event(), SILENT))
    late = threading.Timer(1, lambda: (tmp_path / "pipe").write_bytes(path.read_bytes()))
    late.start()
    assert len(list(open_source(str(tmp_path / "pipe"), WatchConfig(give_up_s=60)).frames(Event(), SILENT))) == 40
    late.join()


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.slow
def test_a_pipe_whose_writer_stalls_in_the_middle_is_given_up(tmp_path: Path, *, stopped: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = video_of(40, tmp_path / "video.avi")
    stalling, stop = threading.Event(), Event()

    def write() -> None:
        with (tmp_path / "pipe").open("wb", 0) as pipe:
            pipe.write(path.read_bytes()[: path.stat().st_size // 2])
            stalling.wait()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    started, frames = time.monotonic(), 0
    told = threading.Timer(2, stop.set) if stopped else None
    if told is not None:
        told.start()
    try:
        # A video that is stopped has no fault.
        with nullcontext() if stopped else pytest.raises(SourceError, match="Nothing was written to the pipe"):
            source = open_source(str(tmp_path / "pipe"), WatchConfig(give_up_s=600 if stopped else 1))
            for _ in source.frames(stop, SILENT):
                frames += 1
        assert time.monotonic() - started < 15
        assert 15 <= frames <= 25
    finally:
        stalling.set()
        writer.join()


@pytest.mark.slow
def test_a_stream_that_goes_away_is_told_of_and_opened_again(classifier: Classifier, show: Show) -> None:
    camera = Camera()
    config = WatchConfig(give_up_s=30, stall_s=2)
    camera.frame = show("314")
    with camera, Watcher(camera.url, classifier, config) as watcher:
        watcher.wait(lambda: watcher.texts() == ["314"])
        camera.__exit__(None, None, None)
        watcher.wait(lambda: any("gives no picture; trying again" in told for told in watcher.notices.told))
        camera.frame = show("2718")
        camera.__enter__()
        watcher.wait(lambda: watcher.texts() == ["314", "2718"])
        assert f"{camera.url} is back." in watcher.notices.told


@pytest.mark.slow
def test_a_stream_that_hangs_is_opened_again(classifier: Classifier, show: Show) -> None:
    with Camera() as camera:
        camera.frame = show("55")
        with Watcher(camera.url, classifier, WatchConfig(stall_s=1, give_up_s=30)) as watcher:
            watcher.wait(lambda: watcher.texts() == ["55"])
            camera.hanging = True
            connections = camera.connections
            time.sleep(0.5)
            camera.frame = show("66")
            watcher.wait(lambda: camera.connections > connections)
            camera.hanging = False
            watcher.wait(lambda: watcher.texts() == ["55", "66"])


def test_a_stream_that_changes_its_size_is_read_on(classifier: Classifier, show: Show) -> None:
    with Camera() as camera:
        camera.frame = show("40")
        with Watcher(camera.url, classifier, WatchConfig()) as watcher:
            watcher.wait(lambda: watcher.texts() == ["40"])
            camera.frame = np.ascontiguousarray(show("17")[100:400, :400])
            watcher.wait(lambda: watcher.texts() == ["40", "17"])


def test_a_picture_that_does_not_change_is_read_until_it_is_certain_and_then_skipped(
    classifier: Classifier, show: Show
) -> None:
    with Camera() as camera:
        camera.frame = show("23")
        with Watcher(camera.url, classifier, WatchConfig(steady=2)) as watcher:
            watcher.wait(lambda: watcher.texts() == ["23"])
            time.sleep(1)
            assert len(watcher.readings) == 3
            camera.frame = show("24")
            watcher.wait(lambda: watcher.texts() == ["23", "24"])
            assert any(reading.skipped > 5 for reading in watcher.readings)


@pytest.mark.slow
def test_a_source_that_stays_away_is_given_up_with_its_name_and_without_its_password() -> None:
    with Camera() as camera:
        url = f"http://me:secret@127.0.0.1:{camera.port}/"
    source = open_source(url, WatchConfig(give_up_s=1))
    with pytest.raises(SourceError, match=f"^http://127.0.0.1:{camera.port}/ has given no picture for 1 s$"):
        list(source.frames(Event(), SILENT))


STAND_IN = """
import numpy as np
import pathlib, time

class Picamera2:
    def create_video_configuration(self, main):
        return main

    def configure(self, configuration):
        assert configuration == {"size": (640, 480), "format": "YUV420"}

    def start(self):
        self.running = True

    def capture_array(self, name):
        assert self.running and name == "main"
        time.sleep(0.01)
        padded = np.full((720, 704), 128, dtype=np.uint8)
        padded[:480, :640] = np.load(pathlib.Path(__file__).with_name("frame.npy"))
        return padded

    def stop(self):
        self.running = False

    def close(self):
        assert not self.running
        pathlib.Path(__file__).with_name("closed").touch()
"""


def test_the_camera_module_is_asked_for_grey_levels_and_let_go_of(
    classifier: Classifier, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a stand-in with the interface of picamera2, which exists on Raspberry Pi OS only."""
    (tmp_path / "picamera2.py").write_text(STAND_IN)
    np.save(tmp_path / "frame.npy", show("908")[..., 0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with Watcher("picamera", classifier, WatchConfig()) as watcher:
        watcher.wait(lambda: watcher.texts() == ["908"])
    assert (tmp_path / "closed").exists()
    monkeypatch.delitem(sys.modules, "picamera2")
