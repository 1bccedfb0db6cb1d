"""What is around a reading decides with it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from edgemnist.digits.read import context
from edgemnist.digits.read.assemble import AMONG_SURE, Assembled, without_specks
from edgemnist.digits.read.context import GROUPS, NAMES, RECORD_FILE, WEIGHTS_FILE, judge, look_around
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, ReadConfig, read_record
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.piece import Piece, Pieces, Sheet
from edgemnist.digits.read.recognize import Reading
from edgemnist.digits.read.strips import Mark
from edgemnist.digits.results import ReadDigit
from edgemnist.digits.task import DIGITS, Box
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.interface import Classifier
from tools.context.make import ContextRecord
from tools.likeness.fonts import font_file
from tools.likeness.page import Digits

EMPTY = Sheet([Pieces([], [], 0)], [], np.zeros((400, 900), np.uint8))


def boxed(box: Box, confidence: float = 0.99, label: int = 7, *, opened: bool = False) -> Reading:
    ink = np.full((box[3], box[2]), 200, dtype=np.uint8)
    return Reading(Piece(box, ink, opened=opened), label, confidence, confidence)


def row(confidences: Sequence[float], *, label: int = 7, top: int = 100) -> list[Reading]:
    """Return readings side by side, all of the same size."""
    return [boxed((100 + 40 * at, top, 30, 40), sure, label) for at, sure in enumerate(confidences)]


def marked(monkeypatch: pytest.MonkeyPatch, **texts: float) -> None:
    """Let strips see the same at each reading."""
    monkeypatch.setattr(
        context,
        "signs_of",
        lambda some, _: [
            [Mark(text, sure, x + w / 2) for x, _, w, _ in boxes for text, sure in texts.items()] for boxes in some
        ],
    )


def test_what_is_seen_of_a_reading_is_told_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    marked(monkeypatch, **{"7": 0.8, "other": 0.2})
    readings = [*row([1.0, 0.5, 0.01]), boxed((700, 300, 30, 60), 0.01)]
    around = look_around(readings, EMPTY, DIGITS, 0.6)
    # What is surely no digit, and stands by itself, is not asked for.
    assert around.numbers == [[0, 1, 2]]
    seen = {name: around.features[:, NAMES.index(name)].tolist() for name in NAMES}
    assert seen["confidence"] == [255, 128, 3, 3]
    assert seen["same"] == seen["digit"] == [204, 204, 204, 0]
    assert seen["letter"] == [51, 51, 51, 0]
    assert seen["mean"][:2] == [round(255 * share) for share in (0.255, 0.505)]
    assert seen["length"] == [96, 96, 0, 0]
    assert seen["letters near"][:2] == [128, 128]
    assert seen["same shape"][:2] == [191, 191]
    assert seen["letters"] == [128] * 4


def test_nothing_is_around_nothing() -> None:
    around = look_around([], EMPTY, DIGITS)
    assert (around.numbers, around.features.shape) == ([], (0, len(NAMES)))
    assert judge(around.features) == ([], [])


def shown(readings: Sequence[Reading], least: float = DEFAULT_MIN_CONFIDENCE) -> list[ReadDigit]:
    page = Assembled(readings, EMPTY, DIGITS, ReadConfig(min_confidence=least), (1, 1))
    return sorted(page.digits, key=lambda digit: digit.box)


def test_among_sure_digits_a_doubtful_one_counts_and_among_letters_a_sure_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked(monkeypatch, **{"7": 0.9})
    among = AMONG_SURE * DEFAULT_MIN_CONFIDENCE
    for doubtful, counts in ((among, True), (among * 0.9, False)):
        digits = shown([*row([0.99, 0.95, 0.99, doubtful]), *row(6 * [0.99], top=200)])
        assert [digit.digit is not None for digit in digits if digit.box[1] == 100] == [True, True, True, counts]
        assert [digit.refused for digit in digits if digit.digit is None] == [] if counts else ["confidence"]
    marked(monkeypatch, other=0.9)
    digits = shown([one for top in (100, 200, 300) for one in row([0.0, 0.01, 0.9, 0.0, 0.01], top=top)])
    assert {digit.digit for digit in digits} == {None}
    assert {digit.refused for digit in digits if digit.confidence == 0.9} <= {*GROUPS}


@given(st.lists(st.sampled_from([0.0, 0.01, 0.03, 0.06, 0.1, 0.3, 0.7, 0.9, 0.97]), min_size=1, max_size=24))
def test_a_lower_threshold_never_refuses_more_and_each_refusal_has_its_reason(confidences: list[float]) -> None:
    readings = [one for at in range(0, len(confidences), 6) for one in row(confidences[at : at + 6], top=20 * at)]
    before: set[Box] = set()
    for least in (0.9, 0.2, 0.08, 0.02, 0.005):
        digits = shown(readings, least)
        answered = {digit.box for digit in digits if digit.refused is None}
        assert answered == {digit.box for digit in digits if digit.digit is not None}
        assert before <= answered
        before = answered


def test_a_classifier_of_other_things_and_what_strips_have_shown_are_taken_at_their_word() -> None:
    letters = row(8 * [0.3])
    circles = [*row([0.9], label=0), *row(3 * [0.01], top=300)]
    page = Assembled(circles, EMPTY, tuple("abcdefghij"), ReadConfig(), (1, 1))
    assert [digit.digit for digit in page.digits if digit.box[1] == 100] == ["a"]
    config = ReadConfig()
    page = Assembled(letters, EMPTY, tuple("abcdefghij"), config, (1, 1))
    assert {digit.digit for digit in page.digits} == {"h"}
    opened = [replace(one, piece=replace(one.piece, opened=True)) for one in letters]
    assert {digit.digit for digit in Assembled(opened, EMPTY, DIGITS, config, (1, 1)).digits} == {7}


def written(sheet: np.ndarray, digits: Digits, left: int, top: int, count: int, times: int = 2) -> None:
    """Write the first digits side by side, each in a square of 28 pixels times `times`."""
    for at in range(count):
        large = cv2.resize(digits.images[at], None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        side = len(large)
        patch = sheet[top : top + side, left + at * side : left + (at + 1) * side]
        np.minimum(patch, 240 - (large * 0.8).astype(np.uint8), out=patch)


@pytest.mark.parametrize("font", ["DejaVuSerif", "STIXGeneral"])
def test_a_number_amid_print_is_read_and_the_print_is_not(font: str, digits: Digits, classifier: Classifier) -> None:
    image = Image.new("L", (900, 700), 240)
    draw = ImageDraw.Draw(image)
    for line in range(12):
        text = "all of the rest is only printed, and no digit"
        draw.text((40, 30 + 50 * line + 60 * (line > 5)), text, fill=40, font=ImageFont.truetype(font_file(font), 34))
    sheet = np.array(image)
    written(sheet, replace(digits, images=digits.images[1:]), 300, 322, 6)
    read = [digit for digit in read_page(sheet, classifier).digits if digit.digit is not None]
    assert [digit.digit for digit in read] == digits.labels[1:7].tolist()


def test_circles_all_over_a_page_are_no_zeros_whatever_their_size(classifier: Classifier) -> None:
    sheet = np.full((700, 900), 240, dtype=np.uint8)
    for at in range(40):
        radius = (16, 20, 24)[at % 3]
        cv2.ellipse(sheet, (80 + 80 * (at % 10), 90 + 150 * (at // 10)), (radius * 4 // 5, radius), 0, 0, 360, 50, 3)
    assert {digit.digit for digit in read_page(sheet, classifier).digits} <= {None}


def test_specks_in_a_table_are_small_and_no_digits() -> None:
    def in_table(box: Box, confidence: float) -> Reading:
        one = boxed(box, confidence)
        return replace(one, piece=replace(one.piece, table=0, cell=0))

    digits = [in_table((100 + 40 * at, 100, 30, 40), 0.9) for at in range(3)]
    speck, letter = in_table((300, 100, 10, 10), 0.01), in_table((340, 100, 30, 40), 0.01)
    assert without_specks([*digits, speck, letter]) == [*digits, letter]
    assert without_specks([*digits[:2], speck]) == [*digits[:2], speck]
    assert without_specks([boxed((300, 100, 10, 10), 0.01), *row([0.9, 0.9, 0.9])])[0].confidence == 0.01


@pytest.mark.parametrize("runtime", ["native", "litert"])
def test_all_runtimes_judge_alike(runtime: str) -> None:
    # A machine with Python alone has neither a compiler for the engine nor LiteRT.
    if RUNTIMES[runtime].missing():
        pytest.skip(f"{runtime} is not installed")
    seen = np.random.default_rng(0).integers(0, 256, (500, len(NAMES)), dtype=np.uint8)
    spec = InputSpec.of_range((len(NAMES),))
    expected, found = (
        load(WEIGHTS_FILE, runtime=name, spec=spec, numbers=True).answer(seen) for name in ("integer", runtime)
    )
    if runtime == "native":
        np.testing.assert_array_equal(found, expected)
    else:
        assert ((found > 0) == (expected > 0)).mean() >= 0.99


def test_the_record_is_of_the_network_that_ships() -> None:
    record, data = read_record(RECORD_FILE, ContextRecord), WEIGHTS_FILE.read_bytes()
    assert (record.file, record.bytes) == (WEIGHTS_FILE.name, len(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert len(record.typical) == len(NAMES)
    assert record.parity >= 0.99
    assert record.right.digits_kept >= 0.95
    assert record.right.others_kept <= 0.1
