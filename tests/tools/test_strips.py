"""What makes the network of strips that ships with `read`."""

from pathlib import Path

import numpy as np
import pytest

from edgemnist.digits.read.likeness import read_record
from edgemnist.pipeline.data.dataset import Split, identified
from edgemnist.pipeline.data.sources import embedded_dataset

pytest.importorskip("tensorflow")
pytest.importorskip("cv2")
from tools.strips import draw, network
from tools.strips import make as module
from tools.strips.make import StripRecord, make

pytestmark = pytest.mark.all


def test_what_is_written_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ROUNDS", ((6, 3e-3, 1.0, False), (8, 3e-3, 0.0, True))),
        ("STOCK", 700),
        ("SHOWN", 20),
        ("JUDGED", 40),
    ):
        monkeypatch.setattr(module, name, value)
    # Fonts of matplotlib alone, which every machine has.
    for place in (draw, module):
        monkeypatch.setattr(place, "WRITTEN", ("DejaVuSans",))
    monkeypatch.setattr(network, "BATCH", 16)
    monkeypatch.setattr(network, "AVERAGE", 0.5)
    whole = embedded_dataset()
    order = np.random.default_rng(0).permutation(len(whole.train))
    train = Split(whole.train.images[order], whole.train.labels[order])
    dataset = identified(train, whole.test, list(whole.labels), source="a test")
    made = make(dataset, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"strips.json", "strips.tflite"}
    recorded = read_record(tmp_path / "strips.json", StripRecord)
    assert recorded == made
    assert recorded.bytes == (tmp_path / "strips.tflite").stat().st_size
    assert recorded.parity >= 0.9
