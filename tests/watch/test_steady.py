"""What several frames agree on."""

from __future__ import annotations

from edgemnist.results.pictures import Box, ReadCell, ReadNumber, ReadTable
from edgemnist.watch.run import Steadier, TableSteadier

PLACE: Box = (100, 50, 60, 30)


def number(text: str, confidence: float = 0.9, box: Box = PLACE, line: int = 0) -> ReadNumber:
    return ReadNumber(text=text, confidence=confidence, line=line, box=box)


def told(steadier: Steadier, *texts: str) -> list[list[str]]:
    """Show a number that is read as each text in turn, and return what is certain after each; `-` shows none."""
    return [[one.text for one in steadier.add([] if text == "-" else [number(text)])] for text in texts]


def test_a_number_counts_when_enough_frames_agree_on_it() -> None:
    assert told(Steadier(3), "12", "12", "12", "12") == [[], [], ["12"], ["12"]]


def test_a_frame_that_errs_or_misses_changes_nothing() -> None:
    assert told(Steadier(2), "12", "12", "17", "12", "12", "-", "12") == [[]] + 6 * [["12"]]


def test_a_new_number_replaces_the_old_one_without_a_mixture() -> None:
    assert told(Steadier(2), "12", "12", "13", "13") == [[], ["12"], ["12"], ["13"]]


def test_a_number_that_is_gone_is_forgotten() -> None:
    assert told(Steadier(2), "12", "12", "12", "-", "-", "-")[-3:] == [["12"], [], []]


def test_one_frame_is_enough_where_it_is_told_so() -> None:
    assert told(Steadier(1), "12", "-", "13") == [["12"], [], ["13"]]


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
        ReadCell(
            row=0,
            column=column,
            rows=1,
            columns=1,
            box=(left + 50 * column, 0, 50, 50),
            text=text,
            confidence=0.8 if text else None,
        )
        for column, text in enumerate(row)
    ]
    return ReadTable(rows=1, columns=len(row), corners=4 * [(0, 0)], cells=cells)


def rows(tables: list[ReadTable]) -> list[list[str]]:
    return [[cell.text for cell in table.cells] for table in tables]


def test_a_table_counts_when_enough_frames_show_it_and_so_does_each_cell() -> None:
    steadier = TableSteadier(2)
    assert rows(steadier.add([table("3", "")])) == []
    assert rows(steadier.add([table("3", "7")])) == [["3", "?"]]
    assert rows(steadier.add([table("5", "7")])) == [["3", "7"]]
    assert rows(steadier.add([])) == []


def test_tables_of_another_size_or_place_are_others() -> None:
    steadier = TableSteadier(2)
    steadier.add([table("3", "4")])
    assert rows(steadier.add([table("3", "4", "5")])) == []
    assert rows(steadier.add([table("3", "4", left=300)])) == []
