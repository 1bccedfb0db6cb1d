"""`read --collect` and `watch --collect`: the crops that the model was given, once for each thing that was shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.run import read_file
from edgemnist.digits.watch import run as module
from edgemnist.digits.watch.run import watch
from edgemnist.digits.watch.sources import Frame, WatchConfig
from edgemnist.field.drift import read_record
from edgemnist.field.samples import Sample
from edgemnist.field.samples.collector import CollectConfig
from edgemnist.field.samples.store import SampleStore
from edgemnist.model.answers import HEALTH_FILE, Answer
from edgemnist.model.exports import Exports
from edgemnist.model.runtimes.interface import Classifier
from tests.conftest import REPOSITORY, run_edgemnist

PAGE = REPOSITORY / "tests" / "read" / "pages" / "form.jpg"


def stored(directory: Path) -> list[Sample]:
    with SampleStore.open(directory) as store:
        return store.samples()


def test_a_page_leaves_its_digits_and_never_itself(tmp_path: Path) -> None:
    exports = Exports.open("reference")
    plain = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer")
    config = CollectConfig(directory=tmp_path)
    result = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer", observing=[config])
    assert result.digits == plain.digits
    kept = stored(tmp_path)
    # The even draw has room for all of a page.
    assert len(kept) == len(result.digits) > 20
    assert sorted(str(one.answer) for one in kept) == sorted(str(one.digit) for one in result.digits)
    assert {one.source for one in kept} == {str(PAGE)}
    sure = [one for one in kept if one.confidence > 0.95]
    answers = exports.load("tflite-int8@integer").predict_proba(np.stack([one.image for one in sure])).argmax(axis=1)
    assert [str(answer) for answer in answers] == [one.answer for one in sure]


class Frames:
    """A camera that shows one page, then another."""

    connected = True

    def frames(self, *_: object) -> Iterator[Frame]:
        """Give six frames."""
        page = np.asarray(Image.open(PAGE).convert("L"))
        for number in range(6):
            shown = page if number < 3 else np.roll(page, 40, axis=0)
            yield Frame(picture=shown, arrived=0.0, source="camera", index=number)


@pytest.mark.parametrize(("every", "times"), [(False, 2), (True, 6)])
def test_what_a_camera_shows_is_taken_once_it_has_settled(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, *, every: bool, times: int
) -> None:
    monkeypatch.setattr(module, "open_source", lambda *_: Frames())
    published: list[Sequence[Answer]] = []
    config = WatchConfig(steady=2, every=every)
    watch("0", classifier, config, emit=lambda _: None, stop=Event(), publish=published.append)
    assert len(published) == times
    assert min(map(len, published)) > 20


def test_watch_counts_and_keeps(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "form.jpg").write_bytes(PAGE.read_bytes())
    words = ("--exports", "reference", "--artifact", "tflite-int8@integer")
    done = run_edgemnist("watch", "pages", "--once", "--collect", "samples", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "samples" / HEALTH_FILE)
    assert record.lately.images == len(stored(tmp_path / "samples")) > 20
    unit = run_edgemnist(
        "watch", "0", "--systemd", "--collect", "/srv/samples", "--health", "/srv/h/x.json", cwd=tmp_path
    )
    assert "--collect /srv/samples --health /srv/h/x.json" in unit.stdout
    assert "ReadWritePaths=/srv/samples /srv/h" in unit.stdout or "ReadWritePaths=/srv/h" in unit.stdout
