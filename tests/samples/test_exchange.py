"""Samples that travel: to a desk, labelled there, and back, once or twice, without a label lost."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgemnist.field.samples import UNIFORM, Label, Sample, decode_samples
from edgemnist.field.samples.store import SampleStore
from tests.messages import Told
from tests.samples.making import sample_of


def sent(samples: Sequence[Sample]) -> list[Sample]:
    """Return what comes out of the document at the other end."""
    return decode_samples(msgspec.json.encode(samples), "board")


def test_labels_come_back_once_and_what_was_taken_back_stays_so(tmp_path: Path) -> None:
    with (
        SampleStore.open(tmp_path / "board", create=True) as board,
        SampleStore.open(tmp_path / "desk", create=True) as desk,
    ):
        # The desk has other ids.
        desk.add(sample_of(9))
        for digit in range(4):
            board.add(sample_of(digit, reason=UNIFORM))
        board.label(1, "3", "bob")
        desk.merge(sent(board.samples()))
        first, second = (one.id for one in desk.samples() if one.answer in {"0", "1"})
        desk.label(first, "7", "ann", settles=True)
        desk.label(second, "8", "ann")
        desk.label(second, None, "ann")
        # Somebody labels on the board meanwhile, and a sample goes.
        board.label(2, "5", "bob")
        back = sent([sample for sample in desk.samples() if sample.rows])
        assert board.merge(back) == 3
        found = {one.answer: one for one in board.samples()}
        assert len(found) == 4
        assert found["0"].label == "7"
        assert [one.label for one in found["1"].labels] == ["5"]
        # A line that was cut before the answer came: all of it again changes nothing.
        before = board.samples()
        assert board.merge(back) == 0
        assert board.samples() == before


def test_on_its_way_a_sample_has_the_labels_that_it_has_in_the_store(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "board", create=True) as board:
        board.add(sample_of(0))
        for label, writer in (("3", "bob"), ("4", "eve"), ("5", "ann"), ("7", "bob"), (None, "eve")):
            board.label(1, label, writer)
        (stored,) = board.samples()
    assert sent([stored]) == [stored]
    assert [(label.label, label.writer) for label in stored.labels] == [("5", "ann"), ("7", "bob")]


def test_a_label_of_a_sample_that_is_gone_brings_it_back(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as board:
        gone = sample_of(1, labels=(Label("4", "ann", "2026-11-26", settles=False),))
        assert board.merge([gone]) == 1
        assert [msgspec.structs.replace(sample, id=0) for sample in board.samples()] == [gone]


def test_what_is_no_document_is_told(told: Told) -> None:
    (sample,) = json.loads(msgspec.json.encode([sample_of(1)]))
    wrong = ({"image": "AAAA"}, {"reason": "whim"}, {"confidence": 2.0}, {"extra": 1})
    for data in ("", "[1]", '[{"id": 1}]', "{}", *(json.dumps([{**sample, **one}]) for one in wrong)):
        with told():
            decode_samples(data, "pi")


def test_the_boards_side_prints_samples_and_takes_labels_all_or_none(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.add(sample_of(1))
    command = [sys.executable, "-m", "edgemnist.field.samples", str(tmp_path / "samples")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (one,) = json.loads(printed)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["6", "ann", "2026-11-26", False]]}]))
    subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, check=True)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["7", "bob", "2026", False]]}, {}]))
    done = subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        (found,) = store.samples()
    assert [(label.label, label.writer) for label in found.labels] == [("6", "ann")]
    gone = subprocess.run([*command[:-1], str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert gone.returncode == 2
    assert "has no samples" in gone.stderr
