"""What several frames agree on."""

import pytest

from edgemnist.digits.watch.run import Steadier, TableSteadier
from edgemnist.ground.results.pictures import Box, ReadCell, ReadNumber, ReadTable

PLACE: Box = (100, 50, 60, 30)


def number(text: str, confidence: float = 0.9, box: Box = PLACE, line: int = 0) -> ReadNumber:
    return ReadNumber(text=text, confidence=confidence, line=line, box=box)


@pytest.mark.parametrize(
    ("agreeing", "seen", "certain"),
    [
        (3, "12 12 12 12", [[], [], ["12"], ["12"]]),
        # A frame that errs or misses changes nothing, and a new number replaces the old one without a mixture.
        (2, "12 12 17 12 12 - 12", [[]] + 6 * [["12"]]),
        (2, "12 12 13 13", [[], ["12"], ["12"], ["13"]]),
        # What is gone is forgotten.
        (2, "12 12 12 - - -", [[], ["12"], ["12"], ["12"], [], []]),
        (1, "12 - 13", [["12"], [], ["13"]]),
    ],
)
def test_a_number_counts_when_enough_frames_agree_on_it(agreeing: int, seen: str, certain: list[list[str]]) -> None:
    """`-` is a frame that shows none."""
    steadier = Steadier(agreeing)
    frames = [[] if text == "-" else [number(text)] for text in seen.split()]
    assert [[one.text for one in steadier.add(frame)] for frame in frames] == certain


def test_numbers_are_followed_as_they_move_and_are_not_taken_for_one_another() -> None:
    steadier = Steadier(2)
    for shift in range(0, 100, 10):
        left, right = number("1", box=(shift, 0, 40, 30)), number("2", box=(shift + 60, 0, 40, 30))
        steady = steadier.add([left, right])
    assert [one.text for one in steady] == ["1", "2"]
    assert [one.box for one in steady] == [left.box, right.box]


def test_confidence_is_the_mean_of_the_frames_that_agree() -> None:
    steadier = Steadier(2)
    steadier.add([number("5", 0.7)])
    steadier.add([number("6", 0.1)])
    (steady,) = steadier.add([number("5", 0.9)])
    assert steady.confidence == 0.8


def table(*row: str, left: int = 0) -> ReadTable:
    """Return a table with one row."""
    cells = [
        ReadCell(row=0, column=at, rows=1, columns=1, box=(left + 50 * at, 0, 50, 50), text=text, confidence=0.8)
        for at, text in enumerate(row)
    ]
    return ReadTable(rows=1, columns=len(row), corners=4 * [(0, 0)], cells=cells)


def test_a_table_counts_when_enough_frames_show_it_in_its_place_and_so_does_each_cell() -> None:
    steadier = TableSteadier(2)
    for shown, steady in (
        ([table("3", "")], []),
        ([table("3", "7")], [["3", "?"]]),
        ([table("5", "7")], [["3", "7"]]),
        ([table("5", "7", "5")], []),
        ([table("5", "7", left=300)], []),
        ([], []),
    ):
        assert [[cell.text for cell in one.cells] for one in steadier.add(shown)] == steady
