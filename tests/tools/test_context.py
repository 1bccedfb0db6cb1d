"""What makes the network that judges by context: pages, what reading sees on them, weights and their record."""

from pathlib import Path

import numpy as np
import pytest

from edgemnist.digits.read.context import NAMES
from edgemnist.digits.read.likeness import read_record
from edgemnist.pipeline.data.sources import embedded_dataset

pytest.importorskip("tensorflow")
pytest.importorskip("cv2")
pytest.importorskip("matplotlib")
from tools.context import make, pages, sheet
from tools.context.make import ContextRecord, Seen
from tools.context.pages import BLOCKS, compose
from tools.context.sheet import Area, Sheet
from tools.likeness.camera import Picture
from tools.likeness.page import Digits, Truth


@pytest.fixture(autouse=True)
def fonts_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts of OpenCV and matplotlib alone."""
    monkeypatch.setattr(sheet, "WRITTEN", ())
    monkeypatch.setattr(sheet, "PRINT", ("DejaVuSans", "DejaVuSerif"))


@pytest.fixture(scope="module")
def digits() -> Digits:
    train = embedded_dataset().train
    return Digits(train.images, train.labels.astype(np.int64))


def test_a_page_follows_from_its_seed(digits: Digits) -> None:
    first, again = (compose(digits, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.picture, again.picture)
    assert first.truths == again.truths


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (60, 40), (700, 500)], ids=str)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_digits_are_noted_where_they_stand_and_nowhere_else(
    block: pages.Block, size: tuple[float, float], digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the area: each digit is ink in its box as soon as it is noted, and nothing outside the boxes is one."""
    note = Sheet.note

    def noted(sheet: Sheet, digit: int, ink: Picture, x: float, y: float, depth: float | None = None) -> None:
        known = len(sheet.truths)
        note(sheet, digit, ink, x, y, depth)
        for truth in sheet.truths[known:]:
            # A ring may cover it later on.
            assert sheet.ink[place_of(truth)][ink == ink.max()].min() > 0.1

    bare, full = (Sheet(800, 600, digits, np.random.default_rng(7)) for _ in range(2))
    monkeypatch.setattr(Sheet, "note", noted)
    block(full, Area(50, 50, *size))
    monkeypatch.setattr(Sheet, "note", lambda *_: None)
    block(bare, Area(50, 50, *size))
    added = full.ink - bare.ink
    for truth in full.truths:
        added[place_of(truth)] = 0
    assert np.array_equal(added, np.zeros_like(added))


def place_of(truth: Truth) -> tuple[slice, slice]:
    x, y, width, height = (int(side) for side in truth.box)
    return slice(y, y + height), slice(x, x + width)


def test_what_is_read_right_on_a_page_is_a_digit_and_letters_are_none(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BLOCKS", {BLOCK["_numbers"]: 0.5, BLOCK["_printed_prose"]: 0.5})
    seen = make._Job(digits, 0, 3).run()
    assert len(seen.features) == len(seen.are_digits) == len(seen.weights)
    sure = seen.features[:, NAMES.index("confidence")] > 250
    assert seen.are_digits[sure].mean() > 2 * seen.are_digits[~sure].mean() > 0


BLOCK = {block.__name__: block for block in BLOCKS}


def test_what_is_written_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "FACES", ())
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (2_000, len(NAMES)), dtype=np.uint8)
    seen = Seen(features, features[:, 0] > 128, np.ones(2_000, np.float32))
    made = make.finish(make.train(seen, 20), seen, seen, embedded_dataset(), tmp_path, pages=0, epochs=20)
    assert {path.name for path in tmp_path.iterdir()} == {"context.json", "context.tflite"}
    assert read_record(tmp_path / "context.json", ContextRecord) == made
    assert made.bytes == (tmp_path / "context.tflite").stat().st_size
    assert made.parity >= 0.9
    assert made.right.digits_kept >= 0.9
    assert made.right.others_kept <= 0.7
