"""Signs count: a point, a comma, a slash, a colon or a minus is part of a number, or the number is marked."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.vision.signs import FORMS, compose_number
from edgemnist.digits.read import assemble, context, sliding
from edgemnist.digits.read.likeness import ReadConfig, read_record
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.piece import Piece, Pieces, Sheet
from edgemnist.digits.read.recognize import Reading
from edgemnist.digits.read.strips import BLANK, COLUMN, HEIGHT, RECORD_FILE, WEIGHTS_FILE, WIDTH, Mark, read_strips
from edgemnist.digits.task import DIGITS
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.interface import Classifier
from tools.likeness.page import Digits
from tools.strips import draw
from tools.strips.draw import IGNORED, Writer
from tools.strips.make import StripRecord


def test_numbers_keep_their_signs_and_are_digits_alone_without_them(digits: Digits, classifier: Classifier) -> None:
    exact = unmarked = 0
    for seed in range(3 * len(FORMS)):
        form = FORMS[seed % len(FORMS)]
        picture, text = compose_number(digits, form, np.random.default_rng(seed), photographed=seed % 2 == 1)
        result = read_page(picture, classifier)
        found = [number.text for number in result.numbers]
        exact += found == [text]
        # What is not read is marked, but for a digit that is taken for another one.
        unmarked += found != [text] and "?" not in "".join(found) and "".join(found).translate(DASH) != form
        plain = read_page(picture, classifier, ReadConfig(signs=False)).numbers
        assert set("".join(number.text for number in plain)) <= set("0123456789?")
    assert exact >= 24
    assert unmarked <= 2


def test_a_minus_does_not_tell_how_high_digits_are(classifier: Classifier) -> None:
    sheet = np.full((216, 288), 255, dtype=np.uint8)
    sheet[88:100, 68:102] = sheet[70:124, 132:138] = 0
    assert [number.text for number in read_page(sheet, classifier).numbers] == ["-1"]


def pieces(*readings: tuple[int, int, float]) -> list[Reading]:
    """Return readings: left edge, digit, confidence each."""
    ink = np.full((40, 20), 255, dtype=np.uint8)
    return [Reading(Piece((x, 50, 20, 40), ink), label, confidence) for x, label, confidence in readings]


@pytest.mark.parametrize(
    ("marks", "numbers"),
    [
        ([Mark("/", 0.95, 140), Mark("1", 0.7, 170)], ["3/15"]),
        # Of two signs in a row, only the clearer one counts.
        ([Mark("/", 0.95, 140), Mark("/", 0.85, 170)], ["3/15"]),
        ([Mark("/", 0.95, 140), Mark("1", 0.7, 170), Mark(".", 0.7, 157)], ["3/15"]),
        ([Mark("/", 0.9, 140), Mark("1", 0.7, 170), Mark(":", 0.95, 155)], ["31:15"]),
        # But a point may follow a minus.
        ([Mark("-", 0.95, 140), Mark(".", 0.9, 155), Mark("1", 0.7, 170)], ["3-.15"]),
        # A strip reaches to the left, beyond the digits of another number.
        ([Mark("1", 0.7, 140), Mark("1", 0.7, 170), Mark(",", 0.95, 185)], ["311,5", "7"]),
    ],
)
def test_a_sign_is_where_it_stands(marks: list[Mark], numbers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "signs_of", lambda some, _: [marks for _ in some])
    monkeypatch.setattr(assemble, "judge", lambda seen: ([None] * len(seen), [1.0] * len(seen)))
    others = [(250, 7, 0.99)] * (len(numbers) - 1)
    readings = pieces((100, 3, 0.99), (130, 1, 0.99), (160, 1, 0.99), (190, 5, 0.99), *others)
    sheet = Sheet([Pieces([], [], 0)], [], np.zeros((200, 300), np.uint8))
    page = assemble.Assembled(readings, sheet, DIGITS, ReadConfig(), (1, 1))
    assert [number.text for number in page.numbers] == numbers


@pytest.mark.parametrize(
    ("marks", "digits"),
    [
        ([Mark("9", 1, 110), Mark("6", 0.95, 140)], [(6, 0.95)]),
        # Two that say the same need not be as sure, and the strip alone has to be.
        ([Mark("9", 1, 110), Mark("5", 0.6, 140)], [(5, 0.8)]),
        ([Mark("9", 1, 110), Mark("6", 0.94, 140)], [(5, 0.5)]),
        # What touches is as many as are seen, without its signs.
        ([Mark("9", 1, 110), Mark("2", 1, 131), Mark(",", 1, 140), Mark("6", 1, 147)], [(2, 1), (6, 1)]),
        # A letter is left alone, and all where the strip sees another digit than is sure.
        ([Mark("9", 1, 110), Mark("other", 0.6, 140), Mark("6", 1, 145)], [(5, 0.5)]),
        ([Mark("8", 1, 110), Mark("6", 0.95, 140)], [(5, 0.5)]),
    ],
)
def test_beside_a_digit_that_both_see_strips_tell_what_is_doubtful(
    marks: list[Mark], digits: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = pieces((100, 9, 0.99), (130, 5, 0.5), (160, 1, 0.99))
    monkeypatch.setattr(sliding, "signs_of", lambda some, _: [[*marks, Mark("1", 0.6, 170)] for _ in some])
    seen = sliding.with_seen(np.zeros((200, 300), np.uint8), readings, DIGITS, 0.6)
    found = sorted((one.piece.box, one.label, round(one.confidence, 9)) for one in seen)
    assert [(label, confidence) for _, label, confidence in found] == [(9, 0.99), *digits, (1, 0.99)]


@pytest.mark.parametrize(
    ("marks", "digits"),
    [
        # What is as high as a digit, and may be one, stays beside what is seen.
        ([Mark("9", 1, 110), Mark("6", 0.95, 140)], "953"),
        ([Mark("9", 1, 110), Mark("6", 0.95, 170)], "953"),
        # So does what may be a slash, and is not surely one.
        ([Mark("9", 1, 110), Mark("/", 0.7, 140), Mark("6", 0.95, 170)], "953"),
        ([Mark("9", 1, 110), Mark("/", 0.9, 140), Mark("6", 0.95, 170)], "96"),
        # Halves of a digit are near what is seen between them.
        ([Mark("9", 1, 110), Mark("6", 0.95, 155)], "96"),
        # Beyond the edge of the page there is no digit.
        ([Mark("9", 1, 110), Mark("6", 0.95, 140), Mark("7", 0.95, 186), Mark("2", 0.95, 187.9)], "9672"),
    ],
)
def test_nothing_as_high_as_a_digit_is_lost(marks: list[Mark], digits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = pieces((100, 9, 0.99), (130, 5, 0.5), (160, 3, 0.3))
    monkeypatch.setattr(sliding, "signs_of", lambda some, _: [marks for _ in some])
    seen = sliding.with_seen(np.zeros((200, 180), np.uint8), readings, DIGITS, 0.6)
    assert "".join(DIGITS[one.label] for one in sorted(seen, key=lambda one: one.piece.box)) == digits
    for reading in seen:
        x, _, w, h = reading.piece.box
        assert x + w <= 180
        assert reading.piece.ink.shape == (h, w)


@pytest.mark.parametrize(("seen", "label"), [("1", 6), ("7", 5)])
def test_a_sure_one_that_strips_see_speaks_for_them(seen: str, label: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "signs_of", lambda some, _: [[Mark(seen, 1, 110), Mark("6", 0.95, 140)] for _ in some])
    read = sliding.with_seen(np.zeros((200, 300), np.uint8), pieces((100, 1, 0.99), (130, 5, 0.5)), DIGITS, 0.6)
    assert sorted((one.piece.box, one.label) for one in read)[1][1] == label


@pytest.mark.parametrize(("others", "label"), [(4, 6), (5, 5)])
def test_alone_a_doubtful_digit_is_what_strips_see(others: int, label: int, monkeypatch: pytest.MonkeyPatch) -> None:
    row = [(250 + 150 * number, 5, 0.5) for number in range(others)]
    monkeypatch.setattr(sliding, "signs_of", lambda some, _: [[Mark("6", 0.95, boxes[0][0] + 10)] for boxes in some])
    read = sliding.with_seen(np.zeros((200, 999), np.uint8), pieces((100, 9, 0.99), *row), DIGITS, 0.6)
    assert sorted(one.label for one in read) == [*[label] * others, 9]


def test_a_low_stroke_where_strips_see_nothing_is_part_of_a_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, other, part = pieces((100, 9, 0.99), (160, 8, 0.99), (130, 1, 0.99))
    low = replace(part, piece=replace(part.piece, box=(130, 65, 8, 20)))
    for marks, left in (
        ([Mark("9", 1, 110)], [whole, other]),
        ([Mark("9", 1, 110), Mark("1", 0.6, 134)], [whole, low, other]),
    ):
        monkeypatch.setattr(sliding, "signs_of", lambda some, _, marks=marks: [marks for _ in some])
        assert sliding.with_seen(np.zeros((200, 300), np.uint8), [whole, other, low], DIGITS, 0.6) == left


DASH = str.maketrans("0123456789", 10 * "d")


def test_ticks_are_no_ones_and_what_is_surely_foreign_is_no_digit(digits: Digits, classifier: Classifier) -> None:
    sheet = np.full((420, 720), 235.0)
    sheet[100:150, np.arange(720) % 56 < 4] = 60
    sheet[260:344, 200:536] -= 0.8 * np.hstack([*digits.images[:4]]).repeat(3, 0).repeat(3, 1)
    found = read_page(sheet.astype(np.uint8), classifier).digits
    assert [digit.digit for digit in found if digit.box[1] > 200] == digits.labels[:4].tolist()
    assert sum(digit.digit is None for digit in found) >= 9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "signs_of", lambda some, _: [[Mark("+", 1, x + 24) for x, *_ in one] for one in some])
        patch.setattr(assemble, "judge", lambda seen: ([None] * len(seen), [1.0] * len(seen)))
        assert "strips" in {digit.refused for digit in read_page(sheet.astype(np.uint8), classifier).digits}


def test_a_strip_is_read_from_end_to_end_and_one_of_any_size_at_all(digits: Digits) -> None:
    (marks,) = read_strips([np.hstack([np.pad(image, 2) for image in digits.images[:40]])], [20.0])
    read = [mark for mark in marks if mark.text.isdigit() and mark.probability > 0.5]
    right = sum(
        any(mark.text == str(label) and abs(mark.x - 32 * at - 16) < 8 for mark in read)
        for at, label in enumerate(digits.labels[:40])
    )
    assert right >= 36
    for shape in ((1, 1), (1, 20_000), (20_000, 1), (32, 128)):
        assert read_strips([np.zeros(shape, dtype=np.uint8)], [20.0]) == [[]]


@pytest.mark.parametrize("runtime", ["native", "litert"])
def test_all_runtimes_see_the_same_in_a_strip(runtime: str, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    if RUNTIMES[runtime].missing():
        pytest.skip(f"{runtime} is not installed")
    # A font of matplotlib, which every machine has.
    monkeypatch.setattr(draw, "WRITTEN", ("DejaVuSans-Oblique",))
    strips = Writer(digits, np.random.default_rng(0), stock=60).strips(40)
    assert (strips.images.shape, strips.labels.shape) == ((40, HEIGHT, WIDTH), (40, WIDTH // COLUMN))
    assert {IGNORED, BLANK, *range(10)} <= set(strips.labels.ravel().tolist())
    expected, found = (
        load(WEIGHTS_FILE, runtime=name, spec=InputSpec.of_range((HEIGHT, WIDTH)), numbers=True).answer(strips.images)
        for name in ("integer", runtime)
    )
    if runtime == "native":
        np.testing.assert_array_equal(found, expected)
    else:
        assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).mean() >= 0.99


def test_the_record_is_of_the_network_that_ships() -> None:
    record, data = read_record(RECORD_FILE, StripRecord), WEIGHTS_FILE.read_bytes()
    assert (record.file, record.bytes) == (WEIGHTS_FILE.name, len(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert record.parity >= 0.98
