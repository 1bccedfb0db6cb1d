"""What is around a reading decides with it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.digits.read import assemble
from edgemnist.digits.read.assemble import (
    ALIKE,
    AMONG_SURE,
    HIGHER,
    LEAST_SPEAKING,
    PATTERN,
    TEXT,
    Assembled,
    answered,
    are_doubtful,
    in_print,
    is_pattern,
    is_word,
    specks,
)
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.piece import Piece, Pieces, Sheet
from edgemnist.digits.read.recognize import Reading
from edgemnist.digits.read.strips import Mark
from edgemnist.digits.task import DIGITS, Box

THRESHOLD = 0.2
AMONG = AMONG_SURE * THRESHOLD


def row(confidences: Sequence[float], *, height: int = 40, width: int = 30, label: int = 1) -> list[Reading]:
    """Return readings side by side, all of the same size."""
    ink = np.full((height, width), 200, dtype=np.uint8)
    boxes = [(100 + 50 * index, 100, width, height) for index in range(len(confidences))]
    return [Reading(Piece(box, ink), label, confidence) for box, confidence in zip(boxes, confidences, strict=True)]


def boxed(box: Box, confidence: float = 0.99) -> Reading:
    (one,) = row([confidence], label=7)
    return replace(one, piece=replace(one.piece, box=box))


@pytest.mark.parametrize(
    ("readings", "counting"),
    [
        (row([0.99, 0.95, 0.9, AMONG]), [0, 1, 2, 3]),
        (row([0.99, 0.95, 0.9, AMONG * 0.9]), [0, 1, 2]),
        # Two are too few to speak, and three are among more doubtful ones.
        (row([0.99, 0.95, AMONG]), [0, 1]),
        (row([0.99, 0.9, 0.9, *4 * [AMONG]]), [0, 1, 2]),
        # Specks do not count against the digits around, and what is of another height is none of them.
        ([*row([0.99, 0.95, 0.9, AMONG]), *row(20 * [0.0], height=15)], [0, 1, 2, 3]),
        ([*row([0.99, 0.95, 0.9]), *row([AMONG], height=int(40 * ALIKE[0]) - 1)], [0, 1, 2]),
    ],
)
def test_among_sure_digits_a_doubtful_one_counts(readings: list[Reading], counting: list[int]) -> None:
    assert np.flatnonzero(answered(readings, THRESHOLD)).tolist() == counting


@pytest.mark.parametrize(
    ("readings", "counts", "word"),
    [
        (row([0.9, 0.0, 0.1, 0.5]), [1, 0, 0, 1], True),
        (row([0.9, 0.9, 0.1, 0.5]), [1, 1, 0, 0], False),
        (row([0.9, 0.1]), [1, 0], False),
        # A single letter makes a word of what letters look like only, and of little more.
        (row([0.99, 0.0]), [1, 0], True),
        (row([0.99, 0.0], label=7), [1, 0], False),
        (row([0.99, 0.99, 0.0]), [1, 1, 0], False),
    ],
)
def test_most_of_a_word_are_no_digits(readings: list[Reading], counts: list[int], *, word: bool) -> None:
    assert is_word(readings, np.array(counts, dtype=bool)) == word


def counted(*readings: Reading) -> int:
    page = Assembled(readings, Sheet([Pieces([], [], 0)], []), DIGITS, ReadConfig(min_confidence=THRESHOLD), (1, 1))
    return sum(digit.digit is not None for digit in page.digits)


@pytest.mark.parametrize(
    ("confidence", "seen", "refused"),
    [(0.8, "", None), (0.79, "", "foreign"), (0.79, "+", "foreign"), (0.79, "3", None)],
)
@pytest.mark.parametrize("labels", [DIGITS, tuple("abcdefghij")])
def test_a_doubtful_digit_counts_where_strips_see_one(
    confidence: float, seen: str, refused: str | None, labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [Mark(seen, 0.1, 155)] * bool(seen)
    monkeypatch.setattr(assemble, "signs_of", lambda numbers, _: [marks for _ in numbers])
    readings = [boxed((100, 100, 30, 40), 0.95), boxed((140, 100, 30, 40), confidence)]
    sheet = Sheet([Pieces([], [], 0)], [], np.zeros((200, 200), np.uint8))
    digits = Assembled(readings, sheet, labels, ReadConfig(), (1, 1)).digits
    assert [one.refused for one in digits] == [None, refused if labels == DIGITS else None]


@given(st.lists(st.sampled_from([0.0, 0.01, 0.03, 0.06, 0.1, 0.3, 0.7, 0.9, 0.97]), min_size=1, max_size=24))
def test_a_lower_threshold_never_refuses_more_and_each_refusal_has_its_rule(confidences: list[float]) -> None:
    readings = [one for line in range(0, len(confidences), 6) for one in apart(line, confidences[line : line + 6])]
    before: set[Box] = set()
    for least in (0.9, 0.2, 0.08, 0.02, 0.005):
        config = ReadConfig(min_confidence=least)
        page = Assembled(readings, Sheet([Pieces([], [], 0)], []), DIGITS, config, (1, 1))
        answered_now = {digit.box for digit in page.digits if digit.refused is None}
        assert answered_now == {digit.box for digit in page.digits if digit.digit is not None}
        assert before <= answered_now
        before = answered_now


def apart(line: int, confidences: Sequence[float]) -> list[Reading]:
    """Return readings too far apart to be a word."""
    return [boxed((100 + 200 * at, 100 + 200 * line, 30, 40), sure) for at, sure in enumerate(confidences)]


def test_lines_without_a_sure_digit_count_only_if_little_there_is_no_digit() -> None:
    number, doubtful = apart(0, [0.99, 0.9, 0.98]), apart(1, [0.5])
    assert counted(*number, *doubtful) == 4
    assert counted(*number, *doubtful, *apart(2, [0.01])) == 4
    assert counted(*number, *doubtful, *apart(2, [0.01, 0.01])) == 3
    # A one speaks for its line only if it is surer than a shape.
    for sure, expected in ((0.9, 3), (0.97, 4)):
        one = replace(boxed((900, 300, 8, 40), sure), label=1)
        assert counted(*number, one, *apart(2, [0.01, 0.01])) == expected


def test_circles_and_strokes_are_no_digits_amid_what_is_none_or_on_lines_alone() -> None:
    # A number of both, or with another digit, is one. Of strokes in a table, some may end at a line.
    for labels, hanging, others, expected in (
        *(([0], 0, 0, 1), ([1, 1], 0, 1, 2), ([1, 1], 0, 2, 0), ([1, 0], 0, 8, 2), ([1, 7], 0, 8, 2)),
        *(([1, 1, 1], 1, 0, 3), ([1, 1], 1, 0, 0), ([0, 0], 2, 0, 2), ([1, 7], 2, 0, 2)),
    ):
        number = [replace(one, label=label) for one, label in zip(row(len(labels) * [0.99]), labels, strict=True)]
        number[:hanging] = [replace(one, piece=replace(one.piece, hangs=True)) for one in number[:hanging]]
        assert counted(*number, *apart(1, others * [0.0])) == expected


def printed(letters: int) -> list[Reading]:
    """Return letters in rows of 40, a third of them tall."""
    return [boxed((30 * (at % 40), 60 * (at // 40), 20, 40 if at % 3 else 28), 0.0) for at in range(letters)]


SMALL = [(1_190 + 14 * (at % 40), 60 * (at // 40), 12, 20) for at in range(TEXT)]


@pytest.mark.parametrize(
    ("letters", "digits", "others", "refused"),
    [
        # As high as tall letters are. A form has as many digits as letters.
        (printed(TEXT), [(1_400, 60, 20, 28), (1_500, 60, 20, 40)], [], [0]),
        (printed(TEXT - 1), [(1_400, 60, 20, 28), (1_500, 60, 20, 40)], [], []),
        ([*printed(TEXT), *row(50 * [0.9])], [(1_400, 60, 20, 28), (1_500, 60, 20, 40)], [], []),
        # As in "call": the first of two that count is beside a letter, and the other beside the first.
        (printed(TEXT), [(1_195, 0, 6, 40), (1_206, 0, 6, 40)], [], [0, 1]),
        (printed(TEXT), [(1_250, 0, 20, 40), (1_195, 130, 6, 40)], [], []),
        # Small letters that nobody can read make print as well, and specks do not.
        (printed(12), [(1_176, 0, 8, 40), (1_100, 300, 20, 40)], SMALL, [0]),
        (printed(12), [(1_176, 0, 8, 40), (1_100, 300, 20, 40)], [(left, top, 6, 10) for left, top, _, _ in SMALL], []),
    ],
)
def test_amid_print_what_is_low_or_beside_a_letter_is_one(
    letters: list[Reading], digits: list[Box], others: list[Box], refused: list[int]
) -> None:
    readings = [*letters, *map(boxed, digits)]
    counts = np.array([one.confidence >= THRESHOLD for one in readings])
    assert np.flatnonzero(in_print(readings, counts, others)[-len(digits) :]).tolist() == refused


def test_the_same_shape_a_dozen_times_and_nothing_else_is_a_pattern() -> None:
    assert is_pattern(row(PATTERN * [0.9]))
    assert not is_pattern(row((PATTERN - 1) * [0.9]))
    assert not is_pattern([*row(PATTERN // 2 * [0.9]), *row(PATTERN // 2 * [0.9], label=0)])
    written = [one for height in (36, 40, 44) for one in row(PATTERN * [0.9], height=height, label=7)]
    assert not is_pattern(written)
    assert is_pattern([replace(one, label=1) for one in written])
    assert is_pattern(3 * written)
    circles = [one for height in (30, 40, 70, 90) for one in row(4 * [0.9], height=height, label=0)]
    assert is_pattern(circles)
    assert not is_pattern([*circles, replace(circles[0], label=8)])


def test_many_that_look_a_little_like_digits_are_none_unless_some_surely_are() -> None:
    doubtful, speaking = PATTERN * [0.5], round(LEAST_SPEAKING * PATTERN)
    assert are_doubtful(row(doubtful))
    assert not are_doubtful(row(doubtful[1:]))
    for surely, label, expected in ((speaking, 7, False), (speaking - 1, 7, True), (speaking, 1, True)):
        assert are_doubtful(row([*surely * [0.9], *doubtful[surely:]], label=label)) == expected


def test_what_is_written_into_many_doubtful_letters_is_judged_apart_from_them() -> None:
    letters = [one for line in range(0, 16, 4) for one in apart(line, 4 * [0.5])]
    assert counted(*letters) == 0
    for height, expected in ((40 * HIGHER, 0), (40 * HIGHER + 1, 2)):
        assert counted(*letters, *(boxed((at, 150, 40, round(height)), 0.99) for at in (100, 160))) == expected


def test_circles_of_two_sizes_are_one_pattern() -> None:
    sides = [
        *np.linspace(32, 40, 18).round().astype(int).tolist(),
        *np.linspace(68, 84, 8).round().astype(int).tolist(),
    ]
    circles = [
        replace(boxed((100 + 200 * (at % 5), 100 + 200 * (at // 5), side, side), 0.99), label=0)
        for at, side in enumerate(sides)
    ]
    assert counted(*circles) == 0


def test_specks_in_a_table_are_small_and_no_digits() -> None:
    digits, speck, counts = row([0.9, 0.9, 0.9]), row([0.01], height=10, width=10), np.array([True, True, True, False])
    assert specks([*digits, *speck], counts).tolist() == [False, False, False, True]
    assert specks([*digits, *row([0.01])], counts).tolist() == 4 * [False]
    assert not specks([*digits[:1], *speck], counts[2:]).any()
