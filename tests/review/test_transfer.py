"""Labelled samples as data sets, and data sets as labelled samples."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.field.review.transfer import export_labelled, import_labelled
from edgemnist.field.samples import (
    IMPORTED,
    NOT_A_DIGIT,
    Label,
    Sample,
)
from edgemnist.field.samples.store import SampleStore
from tests.conftest import run_edgemnist
from tests.notices import Notices
from tests.samples.making import sample_of


def drawn(digit: int, number: int) -> Sample:
    """Return a sample on a black ground, as real ones are."""
    image = np.zeros((28, 28), np.uint8)
    image[6:22, 8:20] = np.random.default_rng([digit, number]).integers(0, 256, (16, 12))
    return sample_of(digit, image=image)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A store with ten samples of two digits, one that is none, and one without a label."""
    directory = tmp_path / "samples"
    with SampleStore.open(directory, create=True) as store:
        for number in range(10):
            store.label(store.add(drawn(number % 2, number)) or 0, str(number % 2), "ann")
        store.label(store.add(drawn(7, 0)) or 0, NOT_A_DIGIT, "ann")
        store.add(drawn(8, 0))
    return directory


def contents(directory: Path) -> list[tuple[bytes, str | None]]:
    with SampleStore.open(directory) as store:
        return sorted((one.image.tobytes(), one.label) for one in store.samples() if one.label)


def export(directory: Path, out: Path) -> int:
    with SampleStore.open(directory) as store:
        return export_labelled(store.samples(), out)


def import_into(directory: Path, data: Path, writer: str, notices: Notices | None = None) -> int:
    with SampleStore.open(directory, create=True) as store:
        return import_labelled(store, data, writer, notices or Notices())


def test_what_is_exported_comes_back_pixel_for_pixel(labelled: Path, tmp_path: Path) -> None:
    done = run_edgemnist("review", labelled, "--export", "out", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["exported"], result["labelled"], result["to_review"]) == (11, 11, 1)
    done = run_edgemnist("review", "again", "--import", "out", "--as", "bob", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["imported"] == 11
    assert contents(tmp_path / "again") == contents(labelled)
    with SampleStore.open(tmp_path / "again") as store:
        assert {(one.reason, one.source, one.labels[0].writer) for one in store.samples()} == {(IMPORTED, "out", "bob")}


def test_what_only_a_client_says_is_not_exported(tmp_path: Path) -> None:
    """Whoever trains on the directory would learn it."""
    given = [Label("1", writer, "2026-11-26", settles=False) for writer in ("client 203.0.113.7", "ann")]
    alone = sample_of(1, id=1, labels=(given[0],))
    confirmed = sample_of(2, id=2, labels=tuple(given))
    assert export_labelled([alone, confirmed], tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out" / "1").iterdir()] == ["000002.png"]
    with pytest.raises(UsageError, match="No sample has a label yet"):
        export_labelled([alone], tmp_path / "none")


def test_importing_twice_adds_nothing_and_another_name_adds_a_label(labelled: Path, tmp_path: Path) -> None:
    export(labelled, tmp_path / "out")
    before = contents(labelled)
    assert [import_into(labelled, tmp_path / "out", writer) for writer in ("ann", "bob", "bob")] == [0, 11, 0]
    assert contents(labelled) == before
    # Of an image with two labels the first counts, however often it is imported.
    once = next((tmp_path / "out" / "0").iterdir())
    shutil.copy(once, tmp_path / "out" / "1" / "again.png")
    notices = Notices()
    assert [import_into(tmp_path / "new", tmp_path / "out", "bob", notices) for _ in range(2)] == [11, 0]
    said = f"{tmp_path / 'out'} has 1 image a second time with another label; the first label counts."
    assert notices.messages == [said] * 2
    assert contents(tmp_path / "new") == before


def test_broken_pictures_are_named_and_left_out_if_that_is_wanted(labelled: Path, tmp_path: Path) -> None:
    export(labelled, tmp_path / "out")
    (tmp_path / "out" / "0" / "cut.png").write_bytes(b"cut")
    done = run_edgemnist("review", "again", "--import", "out", cwd=tmp_path)
    assert (done.returncode, "--skip-broken" in done.stderr, "cut.png" in done.stderr) == (2, True, True)
    done = run_edgemnist("review", "again", "--import", "out", "--skip-broken", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["imported"] == 11
    assert run_edgemnist("review", "again", "--skip-broken", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("label", ["../../elsewhere", "/tmp/elsewhere", "a\\b", "", ".."])
def test_a_label_that_somebody_edited_leads_nowhere_else(label: str, labelled: Path, tmp_path: Path) -> None:
    with SampleStore.open(labelled) as store:
        store.label(store.add(drawn(9, 0)) or 0, label, "eve")
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="No folder can be named after the label"):
        export(labelled, place / "out")
    assert {path.name for path in tmp_path.rglob("*")} == {"samples", "samples.sqlite", "a", "b"}
