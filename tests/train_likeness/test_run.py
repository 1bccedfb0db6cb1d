"""The command that makes what ships with `read`: weights, record and threshold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from edgemnist.data.dataset import Dataset, Split, identified
from edgemnist.data.sources import embedded_dataset
from edgemnist.errors import DataError, TrainingError, UsageError
from edgemnist.progress import SILENT, Reporter
from edgemnist.read.likeness import shipped_network
from edgemnist.read.provenance import RECORD_FILE, WEIGHTS_FILE, LikenessRecord, read_record
from tests.conftest import Run

pytest.importorskip("tensorflow")
pytest.importorskip("cv2")
from edgemnist.train_likeness import calibrate, run
from edgemnist.train_likeness import network as network_module
from edgemnist.train_likeness.drawings import HELD_OUT_FONTS, font_glyphs
from edgemnist.train_likeness.pictures import LikenessConfig, Pictures, make_pictures
from edgemnist.train_likeness.run import train_likeness
from edgemnist.train_likeness.synthetic.fonts import HERSHEY, font_file
from edgemnist.train_likeness.synthetic.page import Digits

TINY = LikenessConfig(seed=3, epochs=3, jobs=1, pages=2, drawings=4, copies=1, fonts=("simplex", "DejaVuSans"))


@pytest.fixture(scope="module")
def dataset(cache: Path, shared_directory: Path) -> Dataset:
    """The 5,000 images of MNIST that every machine has, in no order of their classes."""
    with FileLock(shared_directory / "embedded.lock"):
        whole = embedded_dataset(cache, SILENT)
    order = np.random.default_rng(0).permutation(len(whole.train))
    train = Split(whole.train.images[order], whole.train.labels[order])
    return identified(train, whole.test, list(whole.labels), source="a test")


@pytest.fixture
def fonts_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters to refuse in OpenCV's own fonts, so that no package of Debian's is needed, and fewer pictures."""
    monkeypatch.setattr(calibrate, "COUNT", 80)
    monkeypatch.setattr(calibrate, "LETTER_COPIES", 2)
    for module in (run, calibrate):
        monkeypatch.setattr(module, "HELD_OUT_FONTS", ("plain", "triplex"))


@pytest.fixture(scope="module")
def drawn_once() -> Iterator[None]:
    """Let trainings that differ in their epochs share their pictures, which other processes have to make."""
    made: dict[LikenessConfig, Pictures] = {}

    def pictures(digits: Digits, config: LikenessConfig, reporter: Reporter) -> Pictures:
        drawn = replace(config, epochs=TINY.epochs)
        if drawn not in made:
            made[drawn] = make_pictures(digits, drawn, reporter)
        return made[drawn]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "make_pictures", pictures)
        yield


@pytest.mark.usefixtures("fonts_of_every_machine")
def test_the_threshold_of_the_network_that_ships(dataset: Dataset, tmp_path: Path) -> None:
    result = train_likeness(dataset, LikenessConfig(), tmp_path, keep_network=True)
    assert result.files == ["calibration.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]
    written = json.loads((tmp_path / "calibration.json").read_text())
    assert written["likeness_sha256"] == hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest()
    assert written["right_of_answered"] >= 0.995
    assert min(written["letters_refused"], written["scribbles_refused"]) >= 0.9
    assert 0.01 <= written["min_confidence"] < 0.5


@pytest.mark.usefixtures("fonts_of_every_machine", "drawn_once")
def test_a_network_that_has_learned_nothing_is_not_written(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No threshold"):
        train_likeness(dataset, replace(TINY, epochs=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fonts_of_every_machine", "drawn_once")
def test_what_is_written_is_recorded(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny network, averaged over few steps, with a threshold that asks for nothing."""
    monkeypatch.setattr(network_module, "AVERAGE", 0.5)
    monkeypatch.setattr(calibrate, "ANSWERED", 0.0)
    monkeypatch.setattr(calibrate, "RIGHT", 0.0)
    monkeypatch.setattr(calibrate, "REFUSED", 0.0)
    result = train_likeness(dataset, TINY, tmp_path)
    assert result.files == ["calibration.json", "likeness.json", "likeness.tflite"]
    weights, record = tmp_path / "likeness.tflite", tmp_path / "likeness.json"
    network = shipped_network(weights, record)
    likeness = network.digit_likeness(dataset.test.images)
    assert likeness.shape == (len(dataset.test), 10)
    # It has learned a little: chance is one in ten.
    assert (likeness.argmax(axis=1) == dataset.test.labels).mean() > 0.5
    recorded = read_record(record, LikenessRecord)
    assert recorded == result.network
    assert recorded.sha256 == result.calibration.likeness_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert recorded.data == dataset.identity
    assert recorded.held_out == len(dataset.train) // 6
    assert recorded.recipe.seed == TINY.seed
    # Parity: int8 sees the same class as the Keras model that was trained.
    assert recorded.parity.same_class >= 0.97 * recorded.parity.images > 0
    assert recorded.parity.largest_difference < 0.3
    assert recorded.fonts == {"DejaVuSans": hashlib.sha256(font_file("DejaVuSans").read_bytes()).hexdigest()}


def test_a_data_set_of_anything_but_digits_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    other = identified(dataset.train, dataset.test, list("ABCDEFGHIJ"), source="letters")
    with pytest.raises(DataError, match="A, B, C"):
        train_likeness(other, LikenessConfig(), tmp_path)


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="--epochs must be at least 1"):
        LikenessConfig(epochs=0)


def test_a_wrong_option_ends_in_one_sentence(edgemnist: Run) -> None:
    done = edgemnist("train-likeness", "--epochs", "0")
    assert done.returncode == 2
    assert "--epochs must be at least 1 (got 0)" in done.stderr


def test_the_record_that_ships_is_of_the_recipe_in_the_code() -> None:
    record = read_record(RECORD_FILE, LikenessRecord)
    config = LikenessConfig()
    assert (record.recipe.seed, record.recipe.epochs, record.recipe.jobs) == (config.seed, config.epochs, config.jobs)
    assert set(record.fonts) == set(config.fonts) - set(HERSHEY)
    assert not set(record.fonts) & set(HELD_OUT_FONTS)


def test_a_character_that_a_font_has_no_ink_for_is_not_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = list(font_glyphs(" 7", rng, copies=3, fonts=("simplex", "duplex")))
    assert len(drawn) == 6
    assert all(ink.any() for ink in drawn)
