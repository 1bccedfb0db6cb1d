"""The file of counts: small, mergeable, and told from what is none."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import StorageError, UsageError
from edgemnist.field.drift import MOST_BYTES, VERSION, Record, decode_record, merge, read_place, read_record
from edgemnist.field.drift.evidence import alarmed, total
from edgemnist.field.drift.ink import BINS, FEATURES, bins_of, ink_of
from edgemnist.field.drift.monitor import Tally
from edgemnist.ground.arrays import Images
from edgemnist.model.answers import HEALTH_FILE
from tests.drift.making import add, after_a_week, answering, bolder, images
from tests.messages import Told


@pytest.fixture(scope="module")
def record() -> Record:
    return after_a_week().record


def test_it_comes_back_as_it_was_in_less_than_10_kb(record: Record) -> None:
    data = record.encode()
    assert len(data) < 10_000
    assert msgspec.structs.replace(decode_record(data, "x"), checksum="") == record
    assert record.first_complete
    assert record.first.images == 500
    assert record.recent.images == 600


EDITED: list[dict[str, Any]] = [
    {"version": VERSION + 1, "new": 1},
    {"application": "another"},
    {"golden_errors": 0},
    {"labels": ["0"]},
    {"first": {}},
    {"evidence": {"stroke width, lower": ["much"]}},
    {"stranger": 1},
]
CONTRADICTORY: list[dict[str, Any]] = [
    {"images": 601},
    {"refused": 601},
    {"doubtful": 10_000},
    {"confidence": 700.0},
    {"ink": [[600]]},
    {"ink": [[0] * 24] * 6},
    {"classes": [1]},
]


def test_a_file_that_was_cut_or_edited_or_contradicts_itself_is_told(record: Record, told: Told) -> None:
    whole = record.encode()
    replaced = msgspec.structs.replace
    for data in (
        *(whole[:cut] for cut in (0, 1, 100, -1)),
        *(json.dumps({**json.loads(whole), **edit}).encode() for edit in EDITED),
        # With a checksum that is right.
        *(replaced(record, first=replaced(record.first, **wrong)).encode() for wrong in CONTRADICTORY),
    ):
        with told():
            decode_record(data, "x")


def test_a_directory_stands_for_the_file_in_it(tmp_path: Path, record: Record) -> None:
    (tmp_path / HEALTH_FILE).write_bytes(record.encode())
    assert read_place(tmp_path) == read_record(tmp_path / HEALTH_FILE)
    with pytest.raises(UsageError, match="nowhere does not exist"):
        read_place(tmp_path / "nowhere")
    (tmp_path / "large").write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(StorageError, match="too large"):
        read_record(tmp_path / "large")


def test_counts_of_a_fleet_add_up(record: Record) -> None:
    other = after_a_week(800).record
    both = merge([("a", record), ("b", other)])
    assert both.first.images == 1_000
    assert both.recent.images == record.recent.images + other.recent.images
    assert np.array_equal(np.array(both.first.ink), np.add(record.first.ink, other.first.ink))
    assert both.first_complete
    assert both.golden == record.golden
    assert total(both.evidence) == pytest.approx(np.logaddexp(total(record.evidence), total(other.evidence)))
    assert merge([("a", record)]) == record


def test_one_board_in_ten_is_heard(record: Record) -> None:
    tally = after_a_week()
    add(tally, bolder(images()[600:]))
    assert alarmed(merge([("bad", tally.record), *((str(n), record) for n in range(9))]).evidence)
    assert not alarmed(merge([(str(n), record) for n in range(10)]).evidence)


def fleet() -> list[tuple[str, Record]]:
    """Boards of which one has drifted a little, one is new, one has no golden pack, and one is of another version."""
    drifted, new = after_a_week(), Tally(answering())
    add(drifted, bolder(images()[600:640]), confidence=0.7)
    add(new, images()[:3], confidence=0.83)
    quiet = after_a_week(520).record
    small = msgspec.structs.replace(quiet, golden=None, golden_errors=0)
    earlier = msgspec.structs.replace(quiet, evidence={name: row[:1] for name, row in quiet.evidence.items()})
    return [("drifted", drifted.record), ("new", new.record), ("a small", small), ("earlier", earlier), ("z", quiet)]


def test_the_counts_of_a_fleet_do_not_depend_on_the_order_of_its_boards() -> None:
    (first, *others) = {merge(list(order)).encode() for order in permutations(fleet())}
    assert not others
    golden = decode_record(first, "x")
    assert (golden.golden, golden.golden_errors) == (answering().golden, answering().golden_errors)
    # No board hides what another one has seen.
    assert total(golden.evidence) >= total(dict(fleet())["drifted"].evidence)
    assert golden.first_complete


def test_counts_of_different_models_are_not_added(record: Record) -> None:
    other = msgspec.structs.replace(record, sha256="f" * 64, release="3-1f2e3d4c5b6a")
    with pytest.raises(
        UsageError, match=r"kitchen has counts of a different model from door: .*release 3-1f2e3d4c5b6a"
    ):
        merge([("kitchen", record), ("door", other)])


NAMES = [one.name for one in FEATURES]


def bar(width: int, lean: float = 0.0, right: int = 0, down: int = 0, level: int = 255) -> Images:
    """Return an upright stroke of 18 pixels that leans to the right, uint8 [28, 28]."""
    image = np.zeros((28, 28), np.uint8)
    for row in range(5, 23):
        left = round(14 - width / 2 + right + lean * (14 - row))
        image[row + down, left : left + width] = level
    return image


def feature(name: str, image: Images) -> float:
    return float(ink_of(image[None])[0, NAMES.index(name)])


def test_each_feature_tells_what_its_name_says_and_in_its_unit() -> None:
    assert feature("stroke width", bar(2)) == pytest.approx(2.0)
    assert feature("stroke width", bar(4)) > feature("stroke width", bar(3)) > 2
    assert feature("slant", bar(3)) == pytest.approx(0, abs=0.01)
    assert feature("slant", bar(3, lean=0.3)) == pytest.approx(0.3, abs=0.02)
    assert feature("slant", bar(3, lean=-0.3)) == pytest.approx(-0.3, abs=0.02)
    for name, moved in (("position, x", {"right": 2}), ("position, y", {"down": 2})):
        assert feature(name, bar(3, **moved)) - feature(name, bar(3)) == pytest.approx(2.0)
    assert feature("size", bar(3)[::2].repeat(2, axis=0)) == pytest.approx(feature("size", bar(3)), rel=0.1)
    assert feature("size", bar(3)) > feature("size", bar(3) * (np.arange(28) < 14)[:, None])
    assert feature("contrast", bar(3)) == pytest.approx(255)
    assert feature("contrast", np.maximum(bar(3, level=200), 40)) == pytest.approx(160)


def test_no_picture_is_too_odd_to_be_counted() -> None:
    odd = np.stack([np.zeros((28, 28)), np.full((28, 28), 255), np.eye(28) * 255, np.full((28, 28), 90)])
    found = ink_of(odd.astype(np.uint8))
    assert np.isfinite(found).all()
    bins = bins_of(found)
    assert bins.shape == (4, len(FEATURES))
    assert bins.min() >= 0
    assert bins.max() <= BINS - 1
    assert (bins[[0, 3]] == 0).all()
