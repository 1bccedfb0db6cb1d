"""Pages of handwritten numbers are read as a person reads them."""

import functools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import Mock

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from benchmarks.vision import strips
from benchmarks.vision.scoring import Score, score
from edgemnist.digits.read import sliding
from edgemnist.digits.read.assemble import AMONG_SURE
from edgemnist.digits.read.find import MAX_PIECES, find_sheet
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.recognize import MAX_TRIED
from edgemnist.digits.read.strips import KEPT_SIGNS
from edgemnist.digits.results import ReadNumber
from edgemnist.ground.arrays import Images
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import unnamed_task
from tools.likeness.fonts import font_file
from tools.likeness.page import STYLES, Digits, Page, PageStyle, compose_page, glyph, quarter

Write = Callable[..., Page]


def digits_of(number: ReadNumber) -> str:
    return "".join(character for character in number.text if character not in KEPT_SIGNS)


@pytest.fixture(scope="module")
def write(digits: Digits) -> Write:
    """Return a page of a style: `write(style, seed)`, 0 by default. Read only."""

    @functools.cache
    def compose(style: PageStyle, seed: int = 0) -> Page:
        rng = np.random.default_rng(seed)
        return compose_page(digits.sample(style.rows * style.columns, rng), rng, style)

    return compose


@pytest.mark.parametrize("name", list(STYLES))
def test_digits_are_found_in_reading_order_whatever_the_paper_and_the_light(
    name: str, write: Write, classifier: Classifier
) -> None:
    style = quarter(STYLES[name])
    total = Score()
    for seed in (1, 2):
        page = write(style, seed)
        total += score(read_page(page.picture, classifier).digits, page.truths)
    assert total.in_order
    assert total.share >= (0.8 if name in {"touching", "everything"} else 0.85)
    assert total.false <= 2


def test_numbers_consist_of_the_digits_and_enclose_their_boxes(write: Write, classifier: Classifier) -> None:
    page = write(quarter(STYLES["photo"]))
    result = read_page(page.picture, classifier, ReadConfig(min_confidence=0.9))
    text = "".join(digits_of(number) for number in result.numbers)
    assert text == "".join("?" if digit.digit is None else str(digit.digit) for digit in result.digits)
    position = 0
    for number in result.numbers:
        members = result.digits[position : position + len(digits_of(number))]
        position += len(members)
        x, y, w, h = number.box
        assert {member.line for member in members} == {number.line}
        assert number.confidence == min(member.confidence for member in members)
        assert all(x <= m.box[0] and m.box[0] + m.box[2] <= x + w for m in members)
        assert all(y <= m.box[1] and m.box[1] + m.box[3] <= y + h for m in members)


@pytest.mark.parametrize("bright", [True, False])
def test_a_window_is_opened(digits: Digits, classifier: Classifier, *, bright: bool) -> None:
    sheet = np.full((700, 900), 225, dtype=np.uint8)
    window = sheet[260:380, 200:660]
    window[:] = 100
    for number in range(5):
        digit = cv2.resize(digits.images[number], (84, 84), interpolation=cv2.INTER_CUBIC)
        patch = window[18:102, 20 + 88 * number : 104 + 88 * number]
        patch[:] = patch + digit // 2 if bright else patch - digit // 3
    sheet = np.asarray(cv2.GaussianBlur(sheet, (0, 0), 1.0), dtype=np.uint8)
    read = read_page(sheet, classifier).digits
    found = [digit.digit for digit in read]
    assert all(digit.runner_up not in {None, digit.digit} for digit in read if digit.digit is not None)
    letters = Mock(wraps=classifier, labels=tuple("abcdefghij"), task=unnamed_task())
    assert {digit.digit for digit in read_page(sheet, letters).digits} <= {None, *letters.labels}
    # The slender one is refused where it is bright: strips are less sure of a pen than of print and segments.
    assert found[1:] == digits.labels[1:5].tolist()
    assert found[0] in {int(digits.labels[0]), None if bright else int(digits.labels[0])}


@pytest.mark.parametrize(
    ("kind", "least"), [(strips.display, 0.7), (strips.wheels, 0.7), (strips.column, 0.8), (strips.nothing, 0)]
)
def test_displays_wheels_and_what_touches_lines_are_read_and_dials_and_empty_frames_are_not(
    kind: Callable[..., list[strips.Field]], least: float, digits: Digits, classifier: Classifier
) -> None:
    total = Counter[str]()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        page = Image.new("L", strips.SIZE, 220)
        fields = kind(ImageDraw.Draw(page), rng, digits)
        total += strips.counted(read_page(strips.photographed(page, rng), classifier).digits, fields)
    # Two of the displays are hardly darker than what is around them, so that they are no windows.
    assert total["right"] >= least * total["digits"]
    assert total["false"] <= 1


def test_pale_print_beside_a_window_is_read_as_well_as_the_window(classifier: Classifier) -> None:
    sheet = Image.new("L", strips.SIZE, 220)
    draw = ImageDraw.Draw(sheet)
    # The case is as dark as the window, and reaches the edge of the picture.
    draw.rectangle((0, 0, *strips.SIZE), outline=20, width=40)
    draw.rectangle((160, 100, 560, 240), fill=30)
    draw.text((360, 170), "3207", fill=230, font=ImageFont.load_default(96), anchor="mm")
    draw.text((300, 60), "kWh", fill=100, font=ImageFont.load_default(28))
    draw.text((160, 500), "8475512", fill=150, font=ImageFont.load_default(44))
    page = strips.photographed(sheet, np.random.default_rng(1))
    assert {"3207", "8475512"} <= {number.text for number in read_page(page, classifier).numbers}


@pytest.mark.parametrize(("text", "found"), [("4352", ["4352"]), ("SCHOOL OF BIOLOGY", [])])
def test_low_print_and_words_on_a_band_are_left_alone(text: str, found: list[str], classifier: Classifier) -> None:
    frame = Image.new("L", (640, 480), 200)
    draw = ImageDraw.Draw(frame)
    draw.rectangle((120, 180, 520, 270), fill=30)
    draw.text((320, 225), "04725", fill=235, font=ImageFont.load_default(76), anchor="mm")
    draw.text((130, 150), "WATER METER  2019  EN 14154", fill=40, font=ImageFont.load_default(14))
    draw.text((130, 285), "m3  Qn 2,5  No 4711 8233", fill=40, font=ImageFont.load_default(14))
    draw.rectangle((0, 380, 640, 416), fill=60)
    draw.text((320, 398), text, fill=235, font=ImageFont.load_default(27), anchor="mm")
    assert [one.text for one in read_page(frame, classifier).numbers if one.text.strip("?")] == ["04725", *found]


def test_heavy_digits_alone_on_a_page_are_no_windows(classifier: Classifier) -> None:
    sheet = Image.new("L", strips.SIZE, 220)
    font = ImageFont.truetype(font_file("DejaVuSans-Bold"), 100)
    for place, digit in enumerate("8269"):
        ImageDraw.Draw(sheet).text((120 + 87 * place, 200), digit, fill=30, font=font, stroke_width=6)
    page = strips.photographed(sheet, np.random.default_rng(1))
    assert [number.text for number in read_page(page, classifier).numbers] == ["8269"]


def test_what_the_edge_cuts_and_what_touches_lines_is_read_by_a_window(digits: Digits, classifier: Classifier) -> None:
    total = Counter[str]()
    for seed in range(900, 908):
        rng = np.random.default_rng(seed)
        sheet = Image.new("L", strips.SIZE, 220)
        draw = ImageDraw.Draw(sheet)
        fields = strips.column(draw, rng, digits)
        for place in range(3):
            for row in (0, 3):
                at, digit = (620 + 80 * place, 400 + 100 * (row // 3)), str((seed - 900 + place + row) % 10)
                draw.text(at, digit, fill=60, font=ImageFont.load_default(56))
        draw.rectangle((640, 60, 880, 260), fill=30)
        read = read_page(strips.photographed(sheet, rng), classifier).digits
        total += strips.counted([digit for digit in read if digit.box[0] < 600], fields)
    assert total["right"] >= 0.9 * total["digits"]


def test_a_page_with_more_on_its_lines_than_strips_may_look_at_is_not_complete(
    digits: Digits, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = Image.new("L", strips.SIZE, 220)
    strips.column(ImageDraw.Draw(sheet), np.random.default_rng(0), digits)
    whole = read_page(sheet, classifier)
    assert whole.complete
    monkeypatch.setattr(sliding, "MOST", 0)
    none = read_page(sheet, classifier)
    assert not none.complete
    assert len(none.digits) < len(whole.digits)


def test_letters_that_a_line_holds_are_no_digits(digits: Digits, classifier: Classifier) -> None:
    sheet = Image.new("L", (1000, 500), 230)
    for index, image in enumerate(digits.images[:6]):
        digit = Image.fromarray(image).resize((84, 84))
        sheet.paste(40, (120 + 120 * index, 60), digit)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(90)
    for foot, text in ((300, "Total also yields a"), (440, "She is also of all lands")):
        draw.line([(x, foot + 8 * math.sin(x / 40)) for x in range(60, 940, 5)], fill=60, width=6)
        draw.text((90, foot + 4), text, fill=40, font=font, anchor="ls")
    found = read_page(sheet, classifier).digits
    assert [one.digit for one in found if one.box[1] < 200] == digits.labels[:6].tolist()
    assert [one.digit for one in found if one.box[1] >= 200 and one.digit is not None] == []


def under(digits: Digits, *, pen: int, line: int | None) -> Images:
    """Return a sheet with bold print at its top, and below it numbers of a pen on their lines."""
    sheet = Image.new("L", (900, 600), 240)
    draw = ImageDraw.Draw(sheet)
    draw.text((60, 20), "3 + 4   58 - 2", fill=10, font=ImageFont.load_default(70))
    for index, image in enumerate(digits.images[:9]):
        x, y = 60 + 260 * (index % 3), 150 + 140 * (index // 3)
        mask = Image.fromarray(image).resize((84, 84), Image.Resampling.BICUBIC)
        bounds = mask.point(lambda level: 255 * (level > 90)).getbbox() or (0, 0, 84, 84)
        draw.bitmap((x + 60, y), mask, fill=pen)
        if line is not None:
            foot = y + bounds[3] + line
            draw.line((x, foot, x + 200, foot), fill=pen, width=4)
    return np.asarray(sheet)


@pytest.mark.parametrize("line", [-2, 0, 6])
def test_a_digit_is_the_same_on_a_line_and_above_it(line: int, digits: Digits, classifier: Classifier) -> None:
    found = [one for one in read_page(under(digits, pen=60, line=line), classifier).digits if one.box[1] > 120]
    pairs = list(zip((one.digit for one in found), digits.labels[:9].tolist(), strict=True))
    # A 5 in two parts, of which one runs along the line, is no 5 any more.
    assert sum(digit == label for digit, label in pairs) >= len(pairs) - 2
    assert sum(digit not in {label, None} for digit, label in pairs) <= 1
    assert all(one.box[2] < 100 for one in found)


def test_a_pencil_beside_bold_print_is_read(digits: Digits, classifier: Classifier) -> None:
    found = [one for one in read_page(under(digits, pen=165, line=None), classifier).digits if one.box[1] > 120]
    assert [one.digit for one in found] == digits.labels[:9].tolist()


def test_dark_wheels_side_by_side_are_one_window() -> None:
    sheet = np.full((500, 700), 200, dtype=np.uint8)
    for left in range(200, 440, 60):
        sheet[150:250, left : left + 52] = 40
    assert [window[2] > 220 for window in find_sheet(sheet, dark=True).parts[0].windows] == [True]


def test_a_page_out_of_focus_is_told_once_and_not_digit_by_digit(write: Write, classifier: Classifier) -> None:
    page = write(quarter(STYLES["photo"]))
    height = float(np.median([truth.box[3] for truth in page.truths]))
    blurred = [np.asarray(cv2.GaussianBlur(page.picture, (0, 0), share * height), np.uint8) for share in (0.15, 0.04)]
    soft, sharp = (read_page(picture, classifier) for picture in blurred)
    assert (soft.sharp, soft.digits, soft.numbers) == (False, [], [])
    assert sharp.sharp
    assert sum(digit.digit is not None for digit in sharp.digits) >= 0.9 * len(page.truths)


@pytest.mark.parametrize(
    ("share", "aside", "dark"), [(0.25, 0, True), (0.4, 0, True), (0.4, 0.5, True), (0.75, 0, False)]
)
def test_a_sheet_on_a_dark_table_and_a_board_on_a_bright_wall_are_read(
    share: float, aside: float, digits: Digits, classifier: Classifier, *, dark: bool
) -> None:
    style = replace(quarter(STYLES["scan"]), rows=2, columns=4)
    rng = np.random.default_rng(4)
    page = compose_page(digits.sample(8, rng), rng, style)
    sheet = np.asarray(Image.fromarray(page.picture).convert("L"))
    high, wide = sheet.shape
    sides = round(wide / share**0.5), round(high / share**0.5)
    picture = np.clip(rng.normal(30, 6, sides[::-1]), 0, 255).astype(np.uint8)
    # A little askew, as a sheet lies, and seen from the side.
    lying = cv2.getRotationMatrix2D((wide / 2, high / 2), 4, 1)
    lying[:, 2] += [(sides[0] - wide) / 2, (sides[1] - high) / 2]
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], dtype=np.float32)
    seen = cv2.transform(corners[None], lying)[0] + [(aside / 2 * wide, 0), (-aside / 2 * wide, 0), (0, 0), (0, 0)]
    view = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    cv2.warpPerspective(sheet, view, sides, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    result = read_page(picture if dark else 255 - picture, classifier)
    answered = [digit for digit in result.digits if digit.digit is not None]
    assert len(page.truths) - 1 <= len(answered) <= len(page.truths)


@pytest.mark.parametrize(("digit", "label"), [("0", 0), ("2", 0), ("3", 270)])
def test_a_bold_digit_and_a_label_on_a_board_are_no_sheet(digit: str, label: int, classifier: Classifier) -> None:
    board = np.full((500, 340 + label), 20, np.uint8)
    cv2.putText(board, digit, (20, 440), cv2.FONT_HERSHEY_SIMPLEX, 15, (230,), 60)
    cv2.rectangle(board, (380, 100), (360 + label, 300), (230,), cv2.FILLED)
    assert [str(one.digit) for one in read_page(board, classifier).digits if one.digit is not None] == [digit]


@pytest.mark.parametrize("box", [(450, 0, 799, 599), (0, 460, 799, 599), (60, 430, 740, 590)])
def test_a_wall_or_an_empty_card_beside_a_board_is_no_sheet(
    box: tuple[int, int, int, int], classifier: Classifier
) -> None:
    board = np.full((600, 800), 20, np.uint8)
    for row, text in enumerate(("2475", "3265")):
        cv2.putText(board, text, (60, 200 + 150 * row), cv2.FONT_HERSHEY_SIMPLEX, 2, (230,), 5, cv2.LINE_AA)
    cv2.rectangle(board, box[:2], box[2:], (230,), cv2.FILLED)
    assert [number.text for number in read_page(board, classifier).numbers] == ["2475", "3265"]


def test_a_thick_line_does_not_tell_how_high_digits_are(classifier: Classifier) -> None:
    sheet = np.full((600, 900), 250, np.uint8)
    cv2.rectangle(sheet, (60, 120), (660, 144), (20,), cv2.FILLED)
    cv2.putText(sheet, "2583", (60, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (20,), 4, cv2.LINE_AA)
    assert [number.text for number in read_page(sheet, classifier).numbers] == ["2583"]


@pytest.mark.parametrize("crossed", [False, True])
def test_numbers_beside_frames_four_times_as_high_are_read(classifier: Classifier, *, crossed: bool) -> None:
    sheet, rng = np.full((1400, 1000), 235, np.uint8), np.random.default_rng(5)
    texts = [str(number) for number in range(1, 31)]
    for index, text in enumerate(texts):
        x, y = 60 + 310 * (index % 3), 60 + 130 * (index // 3)
        cv2.putText(sheet, text, (x, y + 60), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40,), 2, cv2.LINE_AA)
        for left in (x + 70, x + 180):
            # A little askew, so that they are no table, and that their corners look like sevens.
            tilt = int(rng.integers(-3, 4))
            corners = ((left, y), (left + 90, y + tilt), (left + 90 - tilt, y + 90), (left + tilt, y + 90))
            cv2.polylines(sheet, [np.array(corners)], isClosed=True, color=(60,), thickness=3, lineType=cv2.LINE_AA)
            if crossed and rng.random() < 0.4:
                cv2.line(sheet, (left + 5, y + 5), (left + 85, y + 85), 70, 4, cv2.LINE_AA)
                cv2.line(sheet, (left + 85, y + 5), (left + 5, y + 85), 70, 4, cv2.LINE_AA)
    numbers = {number.text for number in read_page(sheet, classifier).numbers}
    assert numbers.issuperset(texts)
    assert len([text for text in numbers.difference(texts) if "?" not in text]) <= crossed


@pytest.mark.parametrize("height", [60, 90, 160])
@pytest.mark.parametrize("lines", [3, 12])
def test_handwriting_several_times_as_high_as_the_print_is_read(
    digits: Digits, classifier: Classifier, height: int, lines: int
) -> None:
    sheet = Image.new("L", (1000, 1400), 240)
    for line in range(lines):
        text = "how to make good coffee in a small kitchen while the paper"
        ImageDraw.Draw(sheet).text((60, 60 + 60 * line), text, fill=40, font=ImageFont.load_default(26))
    page = np.array(sheet)
    for number in range(3):
        digit = glyph(digits.images[number], height * 28 // 20)
        high, wide = digit.shape
        patch = page[900 : 900 + high, 200 + 2 * height * number :][:, :wide]
        patch[:] = patch - (200 * digit).astype(np.uint8)
    found = [one.digit for one in read_page(page, classifier).digits if one.digit is not None]
    assert found == digits.labels[:3].tolist()


def test_a_page_with_low_digits_is_enlarged(digits: Digits, classifier: Classifier) -> None:
    comb = np.full((240, 800), 240, np.uint8)
    for row in range(3):
        cv2.rectangle(comb, (100, 20 + 50 * row), (100 + 22 * 20, 44 + 50 * row), (150,), 1)
        for cell in range(20):
            digit = glyph(digits.images[20 * row + cell], 17)
            x, y = 107 + 22 * cell, 26 + 50 * row
            patch = comb[y : y + digit.shape[0], x : x + digit.shape[1]]
            patch[:] = patch - (200 * digit).astype(np.uint8)
            cv2.line(comb, (100 + 22 * cell, 20 + 50 * row), (100 + 22 * cell, 44 + 50 * row), (150,), 1)
    found = [one.digit for one in read_page(comb, classifier).digits]
    assert sum(one == int(other) for one, other in zip(found, digits.labels, strict=False)) >= 55


def test_small_zeros_beside_tall_digits_are_read_and_exponents_and_degrees_are_not_on_their_line(
    digits: Digits, classifier: Classifier
) -> None:
    tall = [int(np.flatnonzero(digits.labels == label)[0]) for label in (7, 3, 7)]
    zero = digits.images[np.flatnonzero(digits.labels == 0)[0]]
    for down, expected in ((0.5, [7, 3, 0, 0, 7]), (0.1, [7, 3, 7])):
        page, x = np.full((500, 900), 240, np.uint8), 100
        for place, image in enumerate([*digits.images[tall[:2]], zero, zero, digits.images[tall[2]]]):
            high = 34 if place in {2, 3} else 100
            one = glyph(image, high * 28 // 20)
            y = round(200 + down * 100 - one.shape[0] / 2) if place in {2, 3} else 200
            patch = page[y : y + one.shape[0], x : x + one.shape[1]]
            patch[:] = patch - (200 * one).astype(np.uint8)
            x += one.shape[1] + 20
        assert [one.digit for one in read_page(page, classifier).digits if one.digit is not None] == expected


def test_a_hollow_bullet_before_a_number_is_no_zero_of_it(classifier: Classifier) -> None:
    sheet = np.full((600, 700), 240, np.uint8)
    for row, text in enumerate(("472", "385", "629")):
        cv2.circle(sheet, (90, 108 + 180 * row), 12, (50,), 4, cv2.LINE_AA)
        cv2.putText(sheet, text, (130, 150 + 180 * row), cv2.FONT_HERSHEY_SIMPLEX, 4, (50,), 8, cv2.LINE_AA)
    assert [number.text for number in read_page(sheet, classifier).numbers] == ["472", "385", "629"]


@pytest.mark.parametrize("text", ["SIZE", "PACKAGE"])
def test_a_stencilled_word_is_no_number(text: str, classifier: Classifier) -> None:
    sheet = Image.new("L", (1000, 400), 240)
    font = ImageFont.truetype(font_file("DejaVuSans-Bold"), 160)
    ImageDraw.Draw(sheet).text((60, 60), text, fill=40, font=font)
    ImageDraw.Draw(sheet).rectangle((0, 150, 1000, 155), fill=240)
    assert all(one.digit is None for one in read_page(np.array(sheet), classifier).digits)


@pytest.mark.parametrize(("dark", "pitch"), [(True, 110), (False, 110), (True, 70), (False, 76)])
def test_digits_in_segments_are_read_where_no_window_is(classifier: Classifier, pitch: int, *, dark: bool) -> None:
    page = np.full((600, 900), 170 if dark else 60, np.uint8)
    upper = ((11, 0, 49, 0), (0, 11, 0, 49), (60, 11, 60, 49))
    bars = (*upper, (11, 60, 49, 60), (0, 71, 0, 109), (60, 71, 60, 109), (11, 120, 49, 120))
    for place, digit in enumerate((2, 5, 8, 3)):
        for lit, (left, top, right, bottom) in zip(strips.LIT[digit], bars, strict=True):
            if lit == "1":
                ends = (200 + pitch * place + left, 220 + top), (200 + pitch * place + right, 220 + bottom)
                cv2.line(page, *ends, (30 if dark else 230,), 11)
    page = np.asarray(cv2.GaussianBlur(page, (0, 0), 1.5), dtype=np.uint8)
    assert [one.digit for one in read_page(page, classifier).digits if one.digit is not None] == [2, 5, 8, 3]


def test_a_board_that_is_lit_unevenly_is_no_sheet(write: Write, classifier: Classifier) -> None:
    page = write(STYLES["blackboard"], 140)
    assert score(read_page(page.picture, classifier).digits, page.truths).share >= 0.9


def test_the_threshold_decides_between_an_answer_and_a_question_mark(write: Write, classifier: Classifier) -> None:
    page = write(quarter(STYLES["photo"]))
    daring = read_page(page.picture, classifier, ReadConfig(min_confidence=0))
    careful = read_page(page.picture, classifier, ReadConfig(min_confidence=1))
    assert all(digit.digit is not None for digit in daring.digits)
    assert [digit.box for digit in careful.digits] == [digit.box for digit in daring.digits]
    middle = sorted(digit.confidence for digit in daring.digits)[3]
    some = read_page(page.picture, classifier, ReadConfig(min_confidence=middle))
    for digit in some.digits:
        # Among sure digits, one that is less sure counts as well, down to a share of the threshold.
        if digit.confidence >= middle or digit.confidence < AMONG_SURE * middle:
            assert (digit.digit is None) == (digit.confidence < middle)


def test_a_number_is_the_digits_that_stand_together_and_boxes_are_in_pixels_of_the_picture(
    write: Write, classifier: Classifier
) -> None:
    page = write(quarter(STYLES["scan"]), 5)
    together = Counter(truth.number for truth in page.truths)
    read = read_page(page.picture, classifier).numbers
    assert [len(digits_of(number)) for number in read] == list(together.values())
    picture = Image.fromarray(page.picture)
    large = picture.resize((picture.width * 4, picture.height * 4))
    result = read_page(large, classifier)
    assert (result.width, result.height) == large.size
    shrunk = [
        msgspec.structs.replace(digit, box=tuple(round(side / 4) for side in digit.box)) for digit in result.digits
    ]
    assert score(shrunk, page.truths).share > 0.9


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1, 10_000), (10_000, 1)])
def test_a_page_without_digits_has_none(size: tuple[int, int], level: int, classifier: Classifier) -> None:
    result = read_page(Image.new("L", size, level), classifier)
    assert (result.digits, result.numbers, (result.width, result.height)) == ([], [], size)


def blank_page(name: str, seed: int) -> Page:
    blank = Digits(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64))
    return compose_page(blank, np.random.default_rng(seed), replace(STYLES[name], rows=0, width=800, height=1000))


LIGHTS = {
    3: "its rulings are strong at the edge of the shadow only",
    4: "grain tears some of its rulings",
    5: "it is as dark as a board",
    18: "it is as dark as a board, and its rulings are pale",
    30: "its rulings run into the edge of a shadow",
}


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        *((name, 0) for name in ("photo", "ruled", "squared", "show-through", "dark-shadow", "table", "specks-holes")),
        ("blackboard", 0),
        *(("squared", seed) for seed in LIGHTS),
    ],
)
def test_blank_paper_has_no_digits_whatever_lies_on_it(name: str, seed: int, classifier: Classifier) -> None:
    found = read_page(blank_page(name, seed).picture, classifier).digits
    assert [digit for digit in found if digit.digit is not None] == [], LIGHTS.get(seed)


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    bars=st.lists(st.tuples(*4 * [st.integers(0, 400)], st.integers(0, 255)), max_size=12),
    level=st.integers(0, 255),
    noise=st.integers(0, 30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_is_drawn_is_read_or_left_alone_and_every_box_lies_on_the_page(
    classifier: Classifier,
    *,
    height: int,
    width: int,
    bars: list[tuple[int, int, int, int, int]],
    level: int,
    noise: int,
) -> None:
    pixels = np.full((height, width), level, dtype=np.int64)
    for top, left, tall, wide, shade in bars:
        pixels[top : top + tall, left : left + wide] = shade
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape)
    result = read_page(pixels.clip(0, 255).astype(np.uint8), classifier)
    # A comb's empty cells are blanks in its number.
    assert "".join(digits_of(number) for number in result.numbers).replace(" ", "") == "".join(
        "?" if digit.digit is None else str(digit.digit) for digit in result.digits
    )
    for digit in result.digits:
        x, y, w, h = digit.box
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        assert 0 <= digit.confidence <= 1


@pytest.mark.parametrize("shape", [(200, 300), (3, 400), (480, 640, 3), (900, 1200), (1536, 2048)], ids=str)
def test_noise_takes_no_more_work_than_the_fullest_page(
    shape: tuple[int, ...], classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in images for the classifier, which are most of the work: noise as large used to take 25,000."""
    asked = Mock(wraps=classifier.predict_proba)
    monkeypatch.setattr(classifier, "predict_proba", asked)
    result = read_page(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), classifier)
    assert all(0 <= digit.confidence <= 1 for digit in result.digits)
    assert sum(len(call.args[0]) for call in asked.call_args_list) <= MAX_PIECES + MAX_TRIED
    assert asked.call_count <= MAX_TRIED
    # Told where it is not all that could have been tried.
    assert result.complete == (shape[0] < 900)


def test_a_page_full_of_digits_is_read_completely(write: Write, classifier: Classifier) -> None:
    style = replace(STYLES["touching"], rows=30, columns=20)
    assert read_page(write(style).picture, classifier).complete


def test_a_sheet_full_of_small_digits_is_read_completely(digits: Digits, classifier: Classifier) -> None:
    """Digits 18 pixels high on 2,048 by 1,448 pixels."""
    columns, rows = 50, 54
    rng = np.random.default_rng(0)
    images = digits.sample(columns * rows, rng).images
    sheet = np.full((2048, 1448), 250, dtype=np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        place = sheet[40 + 36 * row :, 24 + 28 * column :][:28, :28]
        place -= (0.9 * image).astype(np.uint8)
    result = read_page(sheet, classifier)
    assert result.complete
    assert sum(digit.digit is not None for digit in result.digits) >= 0.95 * len(images)
