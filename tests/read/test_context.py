"""What is around a reading decides with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgemnist.read.assemble import Assembled
from edgemnist.read.config import ReadConfig
from edgemnist.read.context import (
    ALIKE,
    AMONG_ALL,
    AMONG_SURE,
    CERTAIN,
    LEAST_SPEAKING,
    PATTERN,
    STRIPES,
    TEXT,
    answered,
    are_doubtful,
    are_stripes,
    in_print,
    is_barcode,
    is_pattern,
    is_word,
    speaks,
    specks,
)
from edgemnist.read.piece import Piece, Pieces, Sheet, Staff
from edgemnist.read.recognize import Reading
from edgemnist.results.pictures import DIGITS, Box

THRESHOLD = 0.2
NOTHING_ELSE = Sheet([Pieces([], [], 0)], [])


def row(confidences: Sequence[float], *, height: int = 40, width: int = 30) -> list[Reading]:
    """Return readings side by side, all of the same size."""
    ink = np.full((height, width), 200, dtype=np.uint8)
    boxes = [(100 + 50 * index, 100, width, height) for index in range(len(confidences))]
    return [Reading(Piece(box, ink), 1, confidence) for box, confidence in zip(boxes, confidences, strict=True)]


def test_among_sure_digits_a_doubtful_one_counts() -> None:
    doubtful = AMONG_SURE * THRESHOLD
    assert answered(row([0.99, 0.95, 0.9, doubtful]), THRESHOLD).all()
    assert answered(row([0.99, 0.95, 0.9, doubtful * 0.9]), THRESHOLD).tolist() == [True, True, True, False]


def test_among_doubtful_ones_it_does_not() -> None:
    doubtful = AMONG_SURE * THRESHOLD
    assert answered(row([0.99, 0.95, doubtful]), THRESHOLD).tolist() == [True, True, False]
    assert answered(row([0.99, 0.9, 0.9, *4 * [doubtful]]), THRESHOLD).tolist() == [*3 * [True], *4 * [False]]


def test_where_nearly_all_count_an_odd_digit_does_if_the_classifier_is_certain() -> None:
    odd = AMONG_ALL * THRESHOLD
    sure = row(7 * [0.95])
    certain, doubtful, odder = (
        replace(one, confidence=confidence, probability=probability)
        for one, confidence, probability in zip(row(3 * [0]), (odd, odd, 0.9 * odd), (CERTAIN, 0.8, 1.0), strict=True)
    )
    assert answered([*sure, certain], THRESHOLD).all()
    assert not answered([*sure, doubtful], THRESHOLD)[-1]
    assert not answered([*sure, odder], THRESHOLD)[-1]
    assert not answered([*sure[:4], *row([0.0]), certain], THRESHOLD)[-1]


def test_specks_do_not_count_against_the_digits_around() -> None:
    low = row(20 * [0.0], height=15)
    assert answered([*row([0.99, 0.95, 0.9, AMONG_SURE * THRESHOLD]), *low], THRESHOLD).sum() == 4


def test_what_is_of_another_height_is_none_of_them() -> None:
    low = row([AMONG_SURE * THRESHOLD], height=int(40 * ALIKE[0]) - 1)
    assert answered([*row([0.99, 0.95, 0.9]), *low], THRESHOLD).tolist() == [True, True, True, False]


def test_most_of_a_word_are_no_digits_and_two_at_least() -> None:
    assert is_word(row([0.9, 0.0, 0.1, 0.5]), np.array([True, False, False, True]))
    assert not is_word(row([0.9, 0.9, 0.1, 0.5]), np.array([True, True, False, False]))
    assert not is_word(row([0.9, 0.1]), np.array([True, False]))


def test_a_single_letter_makes_a_word_of_what_letters_look_like_only() -> None:
    counts = np.array([True, False])
    assert is_word(row([0.99, 0.0]), counts)
    assert not is_word([replace(one, label=7) for one in row([0.99, 0.0])], counts)
    assert not is_word(row([0.99, 0.99, 0.0]), np.array([True, True, False]))


def test_a_bare_stroke_speaks_for_its_line_only_if_it_is_surer_than_a_shape() -> None:
    assert speaks(row([0.9])[0])
    assert not speaks(row([0.7])[0])
    assert not speaks(row([0.9], height=60, width=10)[0])
    assert speaks(row([0.99], height=60, width=10)[0])


def test_a_line_without_a_sure_digit_counts_only_if_little_there_is_no_digit() -> None:
    def below(line: int, confidences: Sequence[float]) -> list[Reading]:
        """Return readings too far apart to be a word."""
        return [
            replace(one, piece=replace(one.piece, box=(100 + 200 * at, 100 + 200 * line, 30, 40)))
            for at, one in enumerate(row(confidences))
        ]

    def counting(*readings: Reading) -> list[float]:
        page = Assembled(readings, NOTHING_ELSE, DIGITS, ReadConfig(min_confidence=THRESHOLD), (1, 1))
        return [digit.confidence for digit in page.digits if digit.digit is not None]

    number, doubtful = below(0, [0.99, 0.9, 0.98]), below(1, [0.5])
    assert counting(*number, *doubtful) == [0.99, 0.9, 0.98, 0.5]
    assert counting(*number, *doubtful, *below(2, [0.01])) == [0.99, 0.9, 0.98, 0.5]
    assert counting(*number, *doubtful, *below(2, [0.01, 0.01])) == [0.99, 0.9, 0.98]


def counted(readings: Sequence[Reading], sheet: Sheet = NOTHING_ELSE) -> int:
    page = Assembled(readings, sheet, DIGITS, ReadConfig(min_confidence=THRESHOLD), (1, 1))
    return sum(digit.digit is not None for digit in page.digits)


def test_a_sure_bar_speaks_for_no_line_of_which_most_is_no_digit() -> None:
    apart = [
        replace(one, piece=replace(one.piece, box=(200 * at, 100, 30, 40))) for at, one in enumerate(row(3 * [0.0]))
    ]
    bar = replace(boxed((600, 100, 8, 40)), confidence=0.98)
    assert counted([bar, *apart]) == 0
    assert counted([bar, *apart[:1]]) == 1
    assert counted([boxed((600, 100, 30, 40)), *apart]) == 1


def test_nothing_on_a_staff_is_a_digit() -> None:
    digits = row([0.99, 0.98, 0.97])
    staff = Staff(left=50, right=400, top=(60, 80), bottom=(200, 220))
    assert counted(digits) == 3
    assert counted(digits, replace(NOTHING_ELSE, staves=[staff])) == 0
    assert counted(digits, replace(NOTHING_ELSE, staves=[replace(staff, right=130)])) == 2


def test_no_digit_among_letters_speaks_for_its_line() -> None:
    def counting(among: Sequence[float]) -> int:
        text = row([0.99, 0.99, 0.99, *among])
        letters = [
            replace(one, piece=replace(one.piece, box=(100 + 50 * at, 400, 30, 40)))
            for at, one in enumerate(row(8 * [0.0]))
        ]
        page = Assembled([*text, *letters], NOTHING_ELSE, DIGITS, ReadConfig(min_confidence=THRESHOLD), (1, 1))
        return sum(digit.digit is not None for digit in page.digits)

    assert counting([0.9]) == 4
    assert counting([0.01]) == 3
    assert counting([0.01, 0.01]) == 0


def printed(letters: int) -> list[Reading]:
    """Return letters in rows of 40, a third of them tall."""
    return [
        replace(one, piece=replace(one.piece, box=(30 * (at % 40), 60 * (at // 40), 20, 40 if at % 3 else 28)))
        for at, one in enumerate(row(letters * [0.0]))
    ]


def boxed(box: Box) -> Reading:
    """Return a sure digit."""
    (one,) = row([0.99])
    return replace(one, piece=replace(one.piece, box=box))


def refused_in_print(letters: Sequence[Reading], digits: Sequence[Reading], others: Sequence[Box] = ()) -> list[bool]:
    counts = np.array([one.confidence >= THRESHOLD for one in (*letters, *digits)])
    return [bool(one) for one in in_print([*letters, *digits], counts, others)[-len(digits) :]]


def test_amid_print_a_digit_is_as_high_as_tall_letters() -> None:
    digits = [boxed((1_400, 60, 20, 28)), boxed((1_500, 60, 20, 40))]
    assert refused_in_print(printed(TEXT), digits) == [True, False]
    assert refused_in_print(printed(TEXT - 1), digits) == [False, False]
    # A form has as many digits as letters.
    assert refused_in_print([*printed(TEXT), *row(50 * [0.9])], digits) == [False, False]


def test_amid_print_what_has_a_letter_beside_it_is_one() -> None:
    """As in "call": the first of two that count is beside a letter, and the other beside the first."""
    word = [boxed((1_195, 0, 6, 40)), boxed((1_206, 0, 6, 40))]
    assert refused_in_print(printed(TEXT), word) == [True, True]
    apart = [boxed((1_250, 0, 20, 40)), boxed((1_195, 130, 6, 40))]
    assert refused_in_print(printed(TEXT), apart) == [False, False]


def test_small_letters_that_nobody_can_read_make_print_as_well() -> None:
    small = [(1_190 + 14 * (at % 40), 60 * (at // 40), 12, 20) for at in range(TEXT)]
    digits = [boxed((1_176, 0, 8, 40)), boxed((1_100, 300, 20, 40))]
    assert refused_in_print(printed(12), digits, small) == [True, False]
    specks = [(left, top, 6, 10) for left, top, _, _ in small]
    assert refused_in_print(printed(12), digits, specks) == [False, False]


def test_the_same_shape_a_dozen_times_and_nothing_else_is_a_pattern() -> None:
    assert is_pattern(row(PATTERN * [0.9]))
    assert not is_pattern(row((PATTERN - 1) * [0.9]))
    assert not is_pattern([replace(one, label=number % 2) for number, one in enumerate(row(PATTERN * [0.9]))])
    written = [one for height in (36, 40, 44) for one in row(PATTERN * [0.9], height=height)]
    assert not is_pattern(written)
    assert is_pattern(3 * written)


def test_one_shape_in_all_sizes_is_a_drawing_though_one_of_them_looks_different() -> None:
    circles = [one for height in (30, 40, 70, 90) for one in row(4 * [0.9], height=height)]
    assert is_pattern(circles)
    assert is_pattern([*circles, replace(circles[0], label=8)])
    assert not is_pattern([*circles, *(replace(one, label=8) for one in circles)])


def test_bars_are_slender_even_and_many() -> None:
    bars = row(6 * [0.9], height=80, width=8)
    assert is_barcode(bars)
    assert not is_barcode(bars[:5])
    assert not is_barcode(row(6 * [0.9]))
    assert not is_barcode([*bars[:5], *row([0.9], height=90, width=8)])
    assert is_barcode([*bars, *row([0.9])])
    assert not is_barcode([*bars, *row([0.9, 0.9])])
    falling = [
        replace(one, piece=replace(one.piece, box=(one.piece.box[0], 100 + 5 * at, 8, 80)))
        for at, one in enumerate(bars)
    ]
    assert is_barcode(falling)


def test_specks_in_a_table_are_small_and_no_digits() -> None:
    digits, speck = row([0.9, 0.9, 0.9]), row([0.01], height=10, width=10)
    counts = np.array([True, True, True, False])
    assert specks([*digits, *speck], counts).tolist() == [False, False, False, True]
    assert specks([*digits, *row([0.01])], counts).tolist() == 4 * [False]
    assert not specks([*digits[:1], *speck], counts[2:]).any()


def test_long_bars_and_hardly_anything_else_are_stripes() -> None:
    stripes = row((STRIPES - 1) * [0.9], height=400, width=20)
    assert not are_stripes(stripes)
    assert are_stripes([*stripes, *row([0.9], height=400, width=20)])
    # Ones of a pen, and a stripe among them.
    assert not are_stripes([*row(STRIPES * [0.9], height=40, width=10), stripes[0]])


def test_many_that_look_a_little_like_digits_are_none_unless_some_surely_are() -> None:
    doubtful = PATTERN * [0.5]
    assert are_doubtful(row(doubtful))
    assert not are_doubtful(row(doubtful[1:]))
    speaking = round(LEAST_SPEAKING * PATTERN)
    assert not are_doubtful(row([*speaking * [0.9], *doubtful[speaking:]]))
    assert are_doubtful(row([*(speaking - 1) * [0.9], *doubtful[speaking - 1 :]]))
    # Strokes do not speak as soon as shapes do.
    assert are_doubtful(row(PATTERN * [0.9], width=10))
