"""`read --collect` and `watch --collect`: the crops that the model was given, once for each thing that was shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.drift import FILE, read_record
from edgemnist.exports import Exports
from edgemnist.read.assemble import SeenDigit
from edgemnist.read.config import ReadConfig
from edgemnist.read.run import read_file
from edgemnist.samples import Sample
from edgemnist.samples.collector import CollectConfig
from edgemnist.samples.store import SampleStore
from edgemnist.watch import run as module
from edgemnist.watch.run import watch
from edgemnist.watch.sources import Frame, WatchConfig
from tests.conftest import REPOSITORY, run_edgemnist

PAGE = REPOSITORY / "tests" / "read" / "pages" / "form.jpg"


def stored(directory: Path) -> list[Sample]:
    with SampleStore.open(directory) as store:
        return store.samples()


def test_a_page_leaves_its_digits_and_never_itself(tmp_path: Path) -> None:
    exports = Exports.open("reference")
    plain = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer")
    config = CollectConfig(directory=tmp_path)
    result = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer", collect=config)
    assert result.digits == plain.digits
    kept = stored(tmp_path)
    # The even draw has room for all of a page.
    assert len(kept) == len(result.digits) > 20
    assert sorted(str(one.answer) for one in kept) == sorted(str(one.digit) for one in result.digits)
    assert {one.source for one in kept} == {str(PAGE)}
    sure = [one for one in kept if one.confidence > 0.95]
    answers = exports.load("tflite-int8@integer").predict_proba(np.stack([one.image for one in sure])).argmax(axis=1)
    assert [str(answer) for answer in answers] == [one.answer for one in sure]


class Takes:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, digits: list[SeenDigit], source: str) -> None:
        """Remember how many digits a frame had."""
        del source
        self.taken.append(len(digits))


class Frames:
    """A camera that shows one page, then another."""

    connected = True

    def frames(self, *_: object) -> Iterator[Frame]:
        """Give 20 frames."""
        page = np.asarray(Image.open(PAGE).convert("L"))
        other = np.roll(page, 40, axis=0)
        for number in range(20):
            yield Frame(picture=page if number < 10 else other, arrived=0.0, source="camera", index=number)


@pytest.mark.parametrize(("every", "times"), [(False, 2), (True, 20)])
def test_what_a_camera_shows_is_taken_once_it_has_settled(
    every: bool,  # noqa: FBT001 - as pytest passes it
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "open_source", lambda *_: Frames())
    monkeypatch.setattr(module, "read_page", _read_quickly)
    keeper: Any = Takes()
    config = WatchConfig(read=ReadConfig(), steady=3, every=every, once=False, give_up_s=1)
    watch("0", None, config, emit=lambda _: None, stop=Event(), keeper=keeper)  # type: ignore[arg-type]  # it is not asked
    assert keeper.taken == [3] * times


def _read_quickly(*_: object, on_digits: Any = None) -> Any:
    from edgemnist.results.pictures import ReadResult, StageTimes

    if on_digits is not None:
        on_digits([SeenDigit(np.zeros((28, 28), np.uint8), "1", 0.9, 0.9)] * 3)
    times = StageTimes(find=0, normalize=0, classify=0, arrange=0)
    return ReadResult(
        width=1, height=1, min_confidence=0.5, digits=[], numbers=[], tables=[], complete=True, milliseconds=times
    )


def test_watch_counts_and_keeps(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "form.jpg").write_bytes(PAGE.read_bytes())
    words = ("--exports", "reference", "--artifact", "tflite-int8@integer")
    done = run_edgemnist("watch", "pages", "--once", "--collect", "samples", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "samples" / FILE)
    assert record.lately.images == len(stored(tmp_path / "samples")) > 20
    unit = run_edgemnist(
        "watch", "0", "--systemd", "--collect", "/srv/samples", "--health", "/srv/h/x.json", cwd=tmp_path
    )
    assert "--collect /srv/samples --health /srv/h/x.json" in unit.stdout
    assert "ReadWritePaths=/srv/samples /srv/h" in unit.stdout or "ReadWritePaths=/srv/h" in unit.stdout
    wrong = run_edgemnist("read", str(PAGE), "--collect-max", "20", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--collect-max needs --collect" in " ".join(wrong.stderr.split())
