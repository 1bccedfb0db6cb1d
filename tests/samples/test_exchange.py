"""Samples that travel: to a desk, labelled there, and back, once or twice, without a label lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgemnist.errors import StorageError
from edgemnist.samples import UNIFORM, decode_sent, encode_sent
from edgemnist.samples.store import SampleStore
from tests.samples.making import sample_of


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
        desk.merge(decode_sent(encode_sent(board.sent()), "board"))
        first, second = (one.id for one in desk.samples() if one.answer in {"0", "1"})
        desk.label(first, "7", "ann", settles=True)
        desk.label(second, "8", "ann")
        desk.label(second, None, "ann")
        # Somebody labels on the board meanwhile, and a sample goes.
        board.label(2, "5", "bob")
        back = decode_sent(encode_sent([one for one in desk.sent() if one.labels]), "desk")
        assert board.merge(back) == 3
        found = {one.answer: one for one in board.samples()}
        assert len(found) == 4
        assert found["0"].label == "7"
        assert [one.label for one in found["1"].labels] == ["5"]
        # A line that was cut before the answer came: all of it again changes nothing.
        before = board.sent()
        assert board.merge(back) == 0
        assert board.sent() == before


def test_on_its_way_a_sample_has_the_labels_that_it_has_in_the_store(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "board", create=True) as board:
        board.add(sample_of(0))
        for label, writer in (("3", "bob"), ("4", "eve"), ("5", "ann"), ("7", "bob"), (None, "eve")):
            board.label(1, label, writer)
        (stored,) = board.samples()
        (sent,) = decode_sent(encode_sent(board.sent()), "board")
        assert [(one.label, one.writer) for one in sent.sample().labels] == [("5", "ann"), ("7", "bob")]
        assert sent.sample().labels == stored.labels


def test_a_label_of_a_sample_that_is_gone_brings_it_back(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "board", create=True) as board:
        board.add(sample_of(1))
        sent = board.sent()
        board.label(1, "4", "ann")
        labelled = board.sent()
        # Another one takes its place.
        with SampleStore.open(tmp_path / "later", create=True) as later:
            later.merge(sent[:0])
            assert later.merge(labelled) == 1
            (found,) = later.samples()
    assert (found.label, found.answer, found.image.tobytes()) == ("4", "1", sample_of(1).image.tobytes())


@pytest.mark.parametrize("data", ["", "[1]", '[{"id": 1}]', "{}"])
def test_what_is_no_document_is_told(data: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="The samples of pi cannot be read"):
        decode_sent(data, "pi")
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(1))
        document = json.loads(encode_sent(store.sent()))
    for wrong in ({"image": "AAAA"}, {"reason": "whim"}, {"confidence": 2.0}, {"extra": 1}):
        with pytest.raises(StorageError, match="The samples of pi cannot be read"):
            decode_sent(json.dumps([{**document[0], **wrong}]), "pi")
