"""Live sources: cameras that are faster than the reader, hang, go away and come back."""

import sys
import threading
from collections.abc import Generator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.watch.run import open_source
from edgemnist.digits.watch.sources import LiveSource, WatchConfig
from edgemnist.errors import SourceError
from edgemnist.ground.progress import SILENT
from edgemnist.model.runtimes.interface import Classifier
from tests.patience import PATIENCE_S, comes_true
from tests.watch.conftest import Show
from tests.watch.streaming import Camera
from tests.watch.watcher import Watcher


class Fast:
    """A camera whose frames say when they were taken, five for each look at one."""

    def __init__(self) -> None:
        self.taken, self.asked = 0, 5
        self._left = threading.Semaphore(self.asked)

    def go_on(self) -> None:
        """Take five more."""
        self.asked += 5
        self._left.release(5)

    def frames(self) -> Generator[Grey]:
        while True:
            self._left.acquire()
            self.taken += 1
            yield np.full((4, 4), self.taken % 256, dtype=np.uint8)


def test_frames_that_come_too_fast_are_dropped_and_counted_and_the_latest_is_read() -> None:
    camera = Fast()
    stop = Event()
    indices, dropped, lags = [], 0, []
    for frame in LiveSource("Fast", WatchConfig(give_up_s=PATIENCE_S), camera.frames).frames(stop, SILENT):
        lags.append(camera.taken - 1 - frame.index)
        indices.append(frame.index)
        dropped += frame.dropped
        if len(indices) == 20:
            stop.set()
        camera.go_on()
        assert stop.is_set() or comes_true(lambda: camera.taken == camera.asked)
    assert indices == sorted(set(indices))
    assert indices[-1] + 1 == len(indices) + dropped
    assert dropped > 3 * len(indices)
    assert max(lags) <= 2


@pytest.mark.all
def test_a_stream_that_goes_away_or_hangs_is_told_of_and_opened_again(classifier: Classifier, show: Show) -> None:
    camera = Camera()
    camera.frame = show("314")
    config = WatchConfig(give_up_s=PATIENCE_S, stall_s=1)
    with camera, Watcher(camera.url, classifier, config) as watcher:
        watcher.wait(lambda: watcher.texts() == ["314"])
        camera.__exit__(None, None, None)
        watcher.wait(lambda: any("gives no picture; trying again" in told for told in watcher.notices.messages))
        camera.frame = show("2718")
        camera.__enter__()
        watcher.wait(lambda: watcher.texts() == ["314", "2718"])
        assert f"{camera.url} is back." in watcher.notices.messages
        camera.hanging, connections = True, camera.connections
        watcher.wait(lambda: camera.connections > connections)
        camera.frame, camera.hanging = show("66"), False
        watcher.wait(lambda: watcher.texts() == ["314", "2718", "66"])


def test_a_picture_that_does_not_change_is_read_until_certain_then_skipped(classifier: Classifier, show: Show) -> None:
    with Camera() as camera:
        camera.frame = show("23")
        with Watcher(camera.url, classifier, WatchConfig(steady=2)) as watcher:
            watcher.wait(lambda: watcher.texts() == ["23"])
            watcher.wait(lambda: len(watcher.readings) == 3)
            shown = camera.shown
            watcher.wait(lambda: camera.shown > shown + 30)
            assert len(watcher.readings) == 3
            camera.frame = show("24")
            watcher.wait(lambda: watcher.texts() == ["23", "24"])
            assert any(reading.skipped > 5 for reading in watcher.readings)


@pytest.mark.all
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
