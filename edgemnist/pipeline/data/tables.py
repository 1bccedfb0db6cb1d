"""Tables in text become numbers and classes: `.csv` as spreadsheets, databases and pandas write it (RFC 4180)."""

import contextlib
import csv
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.errors import DataError
from edgemnist.ground.arrays import Labels
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import MOST_NUMBERS
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.pipeline.data.dataset import MOST_BYTES, MOST_CLASSES, natural_key

MOST_ROWS: Final = 10_000_000
MOST_TEXT: Final = 256 << 20
"""Bytes of a table."""
MOST_LINE: Final = 1 << 24
"""Characters of a line."""
MOST_NAME: Final = 255
"""Characters of a class's name."""
EXACT: Final = 1 << 24
"""Whole numbers up to here are the same in float32."""
LABELS: Final = ("label", "class", "target", "y")
"""Names of the column of labels, whichever comes first here."""
DELIMITERS: Final = {"\t": "tabs", ";": "semicolons", ",": "commas"}
GAPS: Final = frozenset({"", "?", "na", "n/a", "nan", "null"})
"""What stands for a value that is missing, in lower case."""
_FEWEST_NUMBERED: Final = 3
"""Columns up to which `0, 1, 2` or `1, 2, y` is a row, and not a header."""

_TABLE: Final = (
    "All columns but that of the labels hold numbers with a decimal point; fill gaps or remove their rows, and call "
    "the column of the labels label."
)


class Table(NamedTuple):
    """Rows of numbers, and the class of each."""

    numbers: npt.NDArray[np.float32]
    """float32 [N, M]"""
    labels: Labels | None
    """int64 [N], indices into `names`; None where it has none, or nobody asks."""
    names: tuple[str, ...]
    columns: tuple[str, ...]
    """Names of the M columns, `1` and so on where the table has none."""


def read_table(path: Path, reporter: Reporter = SILENT, *, width: int | None = None, labelled: bool = True) -> Table:
    """Return the numbers and classes in a `.csv`, and tell how it was read.

    Commas, semicolons or tabs stand between the fields. The labels are in the first column that is called one of
    `LABELS`, else in the last; a table of `width` columns has none. Unless it is `labelled`, they are not read. A first
    line without numbers is a header, and so is 0, 1, 2 and so on.

    Raises DataError, naming the line, for gaps, text among numbers, what is not finite, lines of different lengths,
    broken quotes, labels that are no classes, and whatever is too large.
    """
    if (size := path.stat().st_size) > MOST_TEXT:
        raise DataError(f"{path} has {size:,} bytes, and {MOST_TEXT:,} is the limit", hint="Save it as .npz.")
    delimiter = _delimiter(path)
    # Into arrays, since lists of Python's numbers would take ten times the room of the text.
    numbers, labels, lines = array("d"), array("q"), array("q")
    names: dict[str, int] = {}
    columns: list[str] = []
    at, is_headed = 0, False
    for line, row in _rows(path, delimiter):
        if not columns:
            columns, at, is_headed = _columns(row, path, has_labels=len(row) != width)
            labelled = labelled and at < len(columns)
            if is_headed:
                continue
        where = f"{path}, line {line:,},"
        if len(row) != len(columns):
            raise DataError(
                f"{where} has {count(len(row), 'column')}, and {len(columns):,} were before",
                hint="Every line has as many; a field with a delimiter in it stands in quotes.",
            )
        numbers.extend(_numbers(row, at, columns, where))
        if labelled:
            labels.append(_class_of(row[at].strip(), names, where))
        lines.append(line)
        if len(lines) > MOST_ROWS or len(numbers) * numbers.itemsize > MOST_BYTES:
            raise DataError(
                f"{where} is beyond the limits of {MOST_ROWS:,} rows and {MOST_BYTES:,} bytes of numbers",
                hint="Use part of it.",
            )
    if not lines:
        raise DataError(f"{path} has a header, and no rows", hint=_TABLE)
    label = "".join(columns[at : at + 1])
    del columns[at : at + 1]
    there = f"the labels are in column {label}{', the last' * (at == len(columns))}" if label else "it has no labels"
    header = "a header" if is_headed else "no header"
    reporter.notice(f"{path} was read with {DELIMITERS[delimiter]} between the columns and {header}; {there}.")
    values = np.frombuffer(numbers, dtype=np.float64).reshape(len(lines), len(columns))
    inputs = in_float32(values, lambda row, column: f"{path}, line {lines[row]:,}, column {columns[column]}", reporter)
    if not labelled:
        return Table(inputs, None, (), tuple(columns))
    return Table(inputs, *in_order(list(names), np.frombuffer(labels, dtype=np.int64), str(path)), tuple(columns))


def in_float32(
    values: npt.NDArray[Any], place: Callable[..., str], reporter: Reporter = SILENT
) -> npt.NDArray[np.float32]:
    """Return numbers as float32. `place` says where they stand, by their indices.

    Raises DataError for the first that is not finite, in float32 either. Whole numbers that are rounded are told.
    """
    with np.errstate(over="ignore"):
        # -0.0 is 0.0, so that equal rows have equal bytes.
        numbers = values.astype(np.float32) + np.float32(0)
    if not (is_finite := np.isfinite(numbers)).all():
        index = tuple(map(int, np.unravel_index(int(is_finite.argmin()), values.shape)))
        raise DataError(
            f"{place(*index)} is {values[index]:g}, and numbers within float32 are needed",
            hint="Fill gaps or remove their rows; divide what is too large.",
        )
    if numbers.size and max(-float(numbers.min()), float(numbers.max())) > EXACT:
        largest = tuple(map(int, np.unravel_index(int(np.abs(numbers).argmax()), values.shape)))
        reporter.notice(
            f"{place(*largest)} is {values[largest]:,.0f}: beyond {EXACT:,}, float32 rounds whole numbers. Subtract "
            "what they have in common if their last digits matter."
        )
    return numbers


def in_order(names: Sequence[str], codes: npt.NDArray[np.int64], where: str) -> tuple[Labels, tuple[str, ...]]:
    """Return the classes of rows, int64 [N], and their names, numbers in their order and before words.

    `codes`, int64 [N], are indices into `names`. Raises DataError where the names are numbers, and not whole ones.
    """
    values = [value for value in map(_number, names) if value is not None]
    if len(values) == len(names) and (odd := next((value for value in values if not value.is_integer()), None)):
        raise DataError(
            f"{where} has labels such as {odd:g}, which are no classes", hint="Name classes in words or whole numbers."
        )
    order = sorted(range(len(names)), key=lambda index: natural_key(names[index]))
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[order] = np.arange(len(names))
    return ranks[codes], tuple(names[index] for index in order)


def check_name(name: str, where: str) -> None:
    """Raise DataError for a class without a name, or whose name is too long or cannot be shown."""
    if name.lower() in GAPS:
        raise DataError(f"{where} has no label, but {name!r}", hint="Label every row, or remove it.")
    if len(name) > MOST_NAME or not name.isprintable():
        raise DataError(
            f"{where} has the label {name[:20]!a}, with {count(len(name), 'character')}",
            hint=f"Name classes in up to {MOST_NAME} characters that can be seen.",
        )


def check_classes(number: int, where: str) -> None:
    """Raise DataError for more classes than a classifier has."""
    if number > MOST_CLASSES:
        raise DataError(
            f"{where} has more than {MOST_CLASSES:,} classes, which is the limit",
            hint="A column of other numbers than classes is no label.",
        )


def _class_of(name: str, names: dict[str, int], where: str) -> int:
    """Return the number of a class, and give it one where it is new."""
    if name not in names:
        check_name(name, where)
        check_classes(len(names) + 1, where)
    return names.setdefault(name, len(names))


def _delimiter(path: Path) -> str:
    """Return what divides the first row, of which quotes may hold anything."""
    problem = DataError(
        f"{path} has no two columns in line 1, with commas, semicolons or tabs between them", hint=_TABLE
    )
    for delimiter in DELIMITERS:
        try:
            if len(next(_rows(path, delimiter), (0, []))[1]) > 1:
                return delimiter
        except DataError as error:
            problem = error
    raise problem


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), ""), start=1):
        if len(line) == MOST_LINE:
            raise DataError(f"{path}, line {number:,}, is longer than {MOST_LINE:,} characters", hint=_TABLE)
        if not line.isascii() and any("\ud800" <= character <= "\udfff" for character in line):
            raise DataError(f"{path}, line {number:,}, is not UTF-8", hint="Save it as CSV in UTF-8.")
        yield line


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, and the line in which each ends."""
    # What is not UTF-8 is kept until its line is known.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(_lines(file, path), delimiter=delimiter, strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num:,}, cannot be read: {error}", hint=_TABLE) from error


def _columns(row: Sequence[str], path: Path, *, has_labels: bool) -> tuple[list[str], int, bool]:
    """Return the names of the columns, which one has the labels, and whether the first row is a header.

    Without labels it is the one behind the last.
    """
    if len(row) > MOST_NUMBERS:
        raise DataError(f"{path} has {len(row):,} columns, and {MOST_NUMBERS:,} is the limit", hint="Use part of them.")
    names = [field.strip() for field in row]
    lowered = [name.lower() for name in names]
    last = at = len(row) - has_labels
    if has_labels:
        at = next((lowered.index(label) for label in LABELS if label in lowered), last)
    others = names[:at] + names[at + 1 :]
    counted = [[*map(str, range(first, first + len(row)))] for first in (0, 1)]
    is_counted = len(row) > _FEWEST_NUMBERED and (
        names in counted or (has_labels and lowered[at] in LABELS and others in [numbers[:-1] for numbers in counted])
    )
    if not is_counted and (any(_number(name) is not None for name in others) or GAPS.intersection(lowered) - {""}):
        return [str(number) for number in range(1, len(row) + 1)], last, False
    if "" in names:
        raise DataError(
            f"{path} has no name for column {names.index('') + 1} in its header",
            hint="Remove the column if it only counts the rows, as pandas' index does: to_csv(..., index=False).",
        )
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise DataError(f"{path} has two columns called {twice}", hint="Rename or remove one of them.")
    return names, at, True


def _numbers(row: Sequence[str], at: int, columns: Sequence[str], where: str) -> list[float]:
    others = [*row[:at], *row[at + 1 :]]
    with contextlib.suppress(ValueError):
        # Python reads 1_000, which is no number in a table.
        if "_" not in "".join(others):
            return list(map(float, others))
    name, field = next(
        (columns[index], field) for index, field in enumerate(row) if index != at and _number(field) is None
    )
    held = "no value" if field.strip().lower() in GAPS else f"{field[:20]!r}, not a number,"
    raise DataError(f"{where} has {held} in column {name}", hint=_TABLE)


def _number(field: str) -> float | None:
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None
