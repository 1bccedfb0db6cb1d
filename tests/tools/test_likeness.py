"""What makes the files that ship with `read`: weights, record and threshold."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edgemnist.digits.read.likeness import RECORD_FILE, WEIGHTS_FILE, read_record, shipped_network
from edgemnist.pipeline.data.dataset import Dataset, Split, identified
from edgemnist.pipeline.data.sources import embedded_dataset

pytest.importorskip("tensorflow")
pytest.importorskip("cv2")
from tools.likeness import make as module
from tools.likeness import network as network_module
from tools.likeness.fonts import HELD_OUT_FONTS, HERSHEY, font_file
from tools.likeness.make import make
from tools.likeness.pictures import LikenessConfig
from tools.likeness.records import LikenessRecord

pytestmark = pytest.mark.all
TINY = LikenessConfig(seed=3, epochs=3, jobs=1, pages=2, drawings=4, copies=1, fonts=("simplex", "DejaVuSans"))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The 5,000 images of MNIST that every machine has, in no order of their classes."""
    whole = embedded_dataset()
    order = np.random.default_rng(0).permutation(len(whole.train))
    train = Split(whole.train.images[order], whole.train.labels[order])
    return identified(train, whole.test, list(whole.labels), source="a test")


@pytest.fixture(autouse=True)
def fonts_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters to refuse in OpenCV's own fonts, so that no package of Debian's is needed, and fewer pictures."""
    monkeypatch.setattr(module, "COUNT", 80)
    monkeypatch.setattr(module, "LETTER_COPIES", 2)
    monkeypatch.setattr(module, "HELD_OUT_FONTS", ("plain", "triplex"))


def test_the_threshold_of_the_network_that_ships(dataset: Dataset, tmp_path: Path) -> None:
    make(dataset, LikenessConfig(), tmp_path, keep_network=True)
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]
    written = json.loads((tmp_path / "calibration.json").read_text())
    assert written["likeness_sha256"] == hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest()
    assert written["right_of_answered"] >= 0.995
    assert min(written["letters_refused"], written["scribbles_refused"]) >= 0.9
    assert 0.01 <= written["min_confidence"] < 0.5


def test_what_is_written_is_recorded(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny network, averaged over few steps, with a threshold that asks for nothing."""
    monkeypatch.setattr(network_module, "AVERAGE", 0.5)
    for share in ("ANSWERED", "RIGHT", "REFUSED"):
        monkeypatch.setattr(module, share, 0.0)
    made, calibration = make(dataset, TINY, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"calibration.json", "likeness.json", "likeness.tflite"}
    weights, record = tmp_path / "likeness.tflite", tmp_path / "likeness.json"
    network = shipped_network(weights, record)
    likeness = network.digit_likeness(dataset.test.images)
    assert likeness.shape == (len(dataset.test), 10)
    # It has learned a little: chance is one in ten.
    assert (likeness.argmax(axis=1) == dataset.test.labels).mean() > 0.5
    recorded = read_record(record, LikenessRecord)
    assert recorded == made
    assert recorded.sha256 == calibration.likeness_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert recorded.data == dataset.identity
    assert recorded.held_out == len(dataset.train) // 6
    assert recorded.recipe.seed == TINY.seed
    assert {"python", "tensorflow", "opencv", "edgemnist"} <= set(recorded.versions)
    # Parity: int8 sees the same class as the Keras model that was trained.
    assert recorded.parity.same_class >= 0.97 * recorded.parity.images > 0
    assert recorded.parity.largest_difference < 0.3
    assert recorded.fonts == {"DejaVuSans": hashlib.sha256(font_file("DejaVuSans").read_bytes()).hexdigest()}


def test_the_record_that_ships_is_of_the_recipe_in_the_code() -> None:
    record = read_record(RECORD_FILE, LikenessRecord)
    config = LikenessConfig()
    for name in record.recipe.__struct_fields__:
        assert getattr(record.recipe, name) == getattr(config, name)
    assert set(record.fonts) == set(config.fonts) - set(HERSHEY)
    assert not set(record.fonts) & set(HELD_OUT_FONTS)
