"""Labelled samples as data sets, and data sets as labelled samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgemnist.data.sources import read_directory
from edgemnist.errors import UsageError
from edgemnist.review.transfer import export_labelled, import_labelled
from edgemnist.samples import (
    IMPORTED,
    NOT_A_DIGIT,
    Sample,
)
from edgemnist.samples.store import SampleStore
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


@pytest.mark.parametrize("idx", [False, True])
def test_what_is_exported_comes_back_pixel_for_pixel(idx: bool, labelled: Path, tmp_path: Path) -> None:  # noqa: FBT001
    options = ["--idx"] if idx else []
    done = run_edgemnist("review", labelled, "--export", "out", *options, "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["exported"], result["labelled"], result["to_review"]) == (10 if idx else 11, 11, 1)
    if idx:
        assert read_directory(tmp_path / "out").labels == ("0", "1")
    done = run_edgemnist("review", "again", "--import", "out", "--as", "bob", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["imported"] == (10 if idx else 11)
    expected = [one for one in contents(labelled) if not (idx and one[1] == NOT_A_DIGIT)]
    assert contents(tmp_path / "again") == expected
    with SampleStore.open(tmp_path / "again") as store:
        assert {(one.reason, one.source, one.labels[0].writer) for one in store.samples()} == {(IMPORTED, "out", "bob")}


def test_importing_twice_adds_nothing_and_another_name_adds_a_label(labelled: Path, tmp_path: Path) -> None:
    run_edgemnist("review", labelled, "--export", "out", cwd=tmp_path)
    before = contents(labelled)
    for writer, added in (("ann", 0), ("bob", 11), ("bob", 0)):
        done = run_edgemnist("review", labelled, "--import", "out", "--as", writer, "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["imported"] == added
    assert contents(labelled) == before


def test_of_an_image_with_two_labels_the_first_counts_however_often_it_is_imported(
    labelled: Path, tmp_path: Path
) -> None:
    run_edgemnist("review", labelled, "--export", "out", cwd=tmp_path)
    once = next((tmp_path / "out" / "0").iterdir())
    shutil.copy(once, tmp_path / "out" / "1" / "again.png")
    with SampleStore.open(tmp_path / "new", create=True) as store:
        for added in (11, 0):
            notices = Notices()
            assert import_labelled(store, tmp_path / "out", "bob", notices) == added
            assert notices.messages == [
                f"{tmp_path / 'out'} has 1 image a second time with another label; the first label counts."
            ]
    assert contents(tmp_path / "new") == contents(labelled)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere has no samples"),
        (["samples", "--idx"], "--idx needs --export"),
        (["samples", "--export", "samples"], "samples exists"),
        (["samples", "--export", "missing/out"], "cannot be written"),
        (["samples", "--import", "missing"], "missing does not exist"),
        (["samples", "--export", "out", "--port", "1"], "--port does not apply"),
        (["samples", "--as", ""], "--as must be 1 to 64 printable characters"),
        (["samples", "--as", "a\x1b[2J"], "--as must be 1 to 64 printable characters"),
        (["samples", "--host", "0.0.0.0"], "needs a token"),
    ],
)
def test_wrong_usage_is_one_sentence(words: list[str], sentence: str, labelled: Path) -> None:
    done = run_edgemnist("review", *words, cwd=labelled.parent)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_nothing_is_left_of_an_export_that_fails(labelled: Path, tmp_path: Path) -> None:
    with SampleStore.open(labelled) as store:
        store.label(store.add(drawn(9, 0)) or 0, "nine", "ann")
    done = run_edgemnist("review", labelled, "--export", "out", "--idx", cwd=tmp_path)
    assert done.returncode == 2
    assert "IDX labels are numbers" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


@pytest.mark.parametrize("label", ["../../elsewhere", "/tmp/elsewhere", "a\\b", "", ".."])
def test_a_label_that_somebody_edited_leads_nowhere_else(label: str, labelled: Path, tmp_path: Path) -> None:
    with SampleStore.open(labelled) as store:
        store.label(store.add(drawn(9, 0)) or 0, label, "eve")
        samples = store.samples()
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="No folder can be named after the label"):
        export_labelled(samples, place / "out", idx=False)
    assert {path.name for path in tmp_path.rglob("*")} == {"samples", "samples.sqlite", "a", "b"}
