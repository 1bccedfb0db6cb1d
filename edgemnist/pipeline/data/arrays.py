"""Arrays and tables become a data set: NumPy's `.npz` and `.npy`, and `.csv` with a column of labels.

Everything that a file holds is checked, and its room is known, before an array is made; objects are never unpickled.
"""

import contextlib
import csv
import itertools
import math
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import DataError, reason_of
from edgemnist.ground.arrays import DARK, WHITE, Labels, as_pixels
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import MOST_NUMBERS, InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.task import Task
from edgemnist.pipeline.data.dataset import (
    MOST_BYTES,
    MOST_CLASSES,
    SPLIT_SEED,
    TEST_SHARE,
    Dataset,
    Inputs,
    Split,
    identified,
    kept_to_evaluate,
    natural_key,
    random_order,
    stratified_split,
)

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


FEWEST_COUNTED: Final = 10
"""Rows from which on whole numbers without a gap, each once, are no chance."""


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
                hint=f"Every line has as many, with {DELIMITERS[delimiter]} between; quote a field that has some.",
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
    _tell_counting(values, columns, path, reporter)
    inputs = in_float32(values, lambda row, column: f"{path}, line {lines[row]:,}, column {columns[column]}", reporter)
    if not labelled:
        return Table(inputs, None, (), tuple(columns))
    return Table(inputs, *in_order(list(names), np.frombuffer(labels, dtype=np.int64), str(path)), tuple(columns))


def _tell_counting(values: npt.NDArray[np.float64], columns: Sequence[str], path: Path, reporter: Reporter) -> None:
    """Tell which columns are whole numbers without a gap, each once: where rows lie by class, such a one tells it."""
    counts = (np.diff(np.sort(values, axis=0), axis=0) == 1).all(axis=0) & (len(values) >= FEWEST_COUNTED)
    if names := ", ".join(itertools.compress(columns, counts)):
        reporter.notice(f"What counts the rows of {path} is taken as a number, and may tell the class: {names}.")


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
            "what they have in common if their last figures matter."
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
        raise DataError(
            f"{where} has no label{f', but {name!r}' if name else ''}", hint="Label every row, or remove it."
        )
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
    name, cell = next((columns[index], cell) for index, cell in enumerate(row) if index != at and _number(cell) is None)
    held = "no value" if cell.strip().lower() in GAPS else f"{cell[:20]!r}, not a number,"
    raise DataError(f"{where} has {held} in column {name}", hint=_TABLE)


def _number(field: str) -> float | None:
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


SUFFIXES: Final = (".npz", ".npy", ".csv", ".tsv")
MOST_RANK: Final = 4
"""Of one input."""
MOST_LABEL: Final = 1 << 53
"""Whole numbers up to here are the same in float64."""
_ROLES: Final = ("x_train", "y_train", "x_test", "y_test")
_KEYS: Final = "Name its arrays x_train, y_train, x_test and y_test, or x and y."
_AGAIN: Final = "Save the file again, with numpy.savez or numpy.save."
_CHANNELS: Final = (1, 3, 4)
"""Of a picture: grey, colour, and colour with opacity."""

Open: TypeAlias = Callable[[], IO[bytes]]


class Part(NamedTuple):
    """Inputs and their classes."""

    inputs: Inputs
    labels: Labels | None
    """int64 [N], indices into `names`; None where the file has none."""
    names: tuple[str, ...]
    """Of the classes that occur, numbers in their order and before words."""


class Contents(NamedTuple):
    """What a file holds, before anything is kept for evaluation."""

    train: Part
    test: Part | None = None
    columns: tuple[str, ...] = ()
    """Names of the numbers of a row, where a table has them."""


def read_arrays(
    path: Path, reporter: Reporter = SILENT, *, task: Task | None = None, shape: tuple[int, ...] | None = None
) -> Dataset:
    """Return the data set in a `.npz`, a `.npy` that may have its labels beside it, or a `.csv` or `.tsv`.

    Without a test part, a fifth of each class is kept for evaluation, the same one every time, and that is told; of
    inputs without labels, a fifth of all. A task says whether they are pictures, and whether labels matter; without
    one, rows of numbers may be given a shape.

    Raises DataError as `read_contents` does, and where the classes are not those of a classifier.
    """
    is_labelled = task is None or not task.numbers
    spec = None if task is None else task.input
    contents = read_contents(path, reporter, spec=spec, shape=shape, labelled=is_labelled)
    (inputs, labels, names), test = contents.train, contents.test
    source = f"{_words(inputs).split()[0]} in {path.name}"
    if test is not None:
        if is_labelled and (labels is None) != (test.labels is None):
            raise DataError(f"{path} has labels for one of its parts only", hint=_KEYS)
        parts = f"The training part of {path}", f"The test part of {path}"
        return joined(contents.train, test, parts, source=source, task=task)
    _check_several(names, str(path))
    if labels is None:
        order, kept = random_order(len(inputs), SPLIT_SEED), max(1, round(len(inputs) * TEST_SHARE))
        first, second = order[kept:], order[:kept]
    elif (sizes := np.bincount(labels)).min() == 1:
        raise DataError(
            f"Class {names[int(sizes.argmin())]} of {path} has a single row, which cannot serve both to train and "
            "to evaluate",
            hint="Add rows of this class; a column of other numbers than classes is no label.",
        )
    else:
        first, second = stratified_split(labels, TEST_SHARE, SPLIT_SEED)
    if not len(first):
        raise DataError(f"{path} has a single row, which cannot serve both to train and to evaluate")
    reporter.notice(kept_to_evaluate(path, len(second), len(inputs), labelled=labels is not None))
    train, kept_apart = (Split(inputs, labels).take(indices) for indices in (first, second))
    dataset = identified(train, kept_apart, names, source=source, task=task)
    return replace(dataset, columns=contents.columns if inputs.ndim == 2 else ())  # noqa: PLR2004 - [N, M]


MOST_LISTED: Final = 5
"""Classes that a sentence names."""


def joined(train: Part, test: Part, places: tuple[str, str], *, source: str, task: Task | None = None) -> Dataset:
    """Return the data set of two parts, which messages call as `places` has it.

    Raises DataError for a single class, and for a test part with other classes or inputs than the training part.
    """
    _check_several(train.names, places[0])
    if unknown := [name for name in test.names if name not in train.names]:
        others = f" and {len(unknown) - MOST_LISTED} more" if len(unknown) > MOST_LISTED else ""
        raise DataError(
            f"{places[1]} has classes that the training part lacks: {', '.join(unknown[:MOST_LISTED])}{others}",
            hint="The parts come from different sets, or one of them is damaged.",
        )
    if (train.inputs.shape[1:], train.inputs.dtype) != (test.inputs.shape[1:], test.inputs.dtype):
        kinds = f"{_words(train.inputs)}. {places[1]} holds {_words(test.inputs)}"
        raise DataError(f"{places[0]} holds {kinds}", hint="Prepare both in the same way.")
    labels = test.labels
    if labels is not None:
        labels = np.array([train.names.index(name) for name in test.names], dtype=np.int64)[labels]
    return identified(
        Split(train.inputs, train.labels), Split(test.inputs, labels), train.names, source=source, task=task
    )


def _check_several(names: Sequence[str], where: str) -> None:
    if len(names) == 1:
        raise DataError(f"{where} has a single class, {names[0]}", hint="A classifier needs at least two.")


def read_contents(
    path: Path,
    reporter: Reporter = SILENT,
    *,
    spec: InputSpec | None = None,
    shape: tuple[int, ...] | None = None,
    labelled: bool = True,
) -> Contents:
    """Return the inputs and classes in a file, and tell what they were taken for.

    Bytes [N, H, W], and numbers with 3 or 4 channels last or first, are pictures, whose fractions are of 0 to 1 or of
    0 to 255; all else is numbers. `spec` says what is wanted where the caller knows, or `shape` how rows [N, M] are
    arranged. A table's labels are in the column called label, class, target or y, or in the last, unless it has just as
    many columns as inputs have numbers. Unless they are `labelled`, labels are not read.

    Raises DataError, naming the array or line, for whatever is missing, damaged, too large, of another type, not
    finite, or does not fit the rest.
    """
    if not path.is_file():
        raise DataError(f"{path} {'is not a file' if path.exists() else 'does not exist'}", hint=_KEYS)
    pictures, shape = (None, shape) if spec is None else (spec.is_picture, spec.shape)
    if (suffix := path.suffix.lower()) not in SUFFIXES:
        raise DataError(f"{path} is none of {', '.join(SUFFIXES)}", hint="Save it as one of them.")
    try:
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = {name.removesuffix(".npy"): partial(archive.open, name) for name in archive.namelist()}
                contents = _read_members(members, path, reporter, pictures, shape, labelled=labelled)
        elif suffix == ".npy":
            beside = [file for file in path.parent.iterdir() if file.suffix == path.suffix and file.is_file()]
            members = {file.stem: partial(open, file, "rb") for file in sorted(beside)}
            contents = _read_members(members, path, reporter, pictures, shape, labelled=labelled)
        else:
            size = None if shape is None else math.prod(shape)
            table = read_table(path, reporter, width=size, labelled=labelled)
            numbers: Inputs = table.numbers
            if (values := _arranged(numbers, shape)) is not numbers:
                whole = bool((values % 1 == 0).all())
                numbers = _inputs(values.astype(np.int64) if whole else values, str(path), reporter, pictures=pictures)
            contents = Contents(Part(numbers, table.labels, table.names), columns=table.columns)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}") from error
    except Exception as error:  # broken bytes lead zip's and NumPy's headers to whatever they raise
        raise DataError(f"{path} is damaged: {str(error) or type(error).__name__}", hint=_AGAIN) from error
    (inputs, *_), test = contents.train, contents.test
    more = "" if test is None else f" to train and {len(test.inputs):,} to test"
    what = _words(inputs).replace("s of", " of" if len(inputs) == 1 else "s of", 1)
    reporter.notice(f"{path} holds {len(inputs):,} {what}{more}.")
    return contents if spec is None else _fitting(contents, spec, path)


def _arranged(values: npt.NDArray[Any], shape: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Return rows [N, M] as [N, *shape] where that has as many numbers."""
    if shape is None or values.ndim != 2 or len(shape) == 1 or math.prod(shape) != values.shape[1]:  # noqa: PLR2004 - [N, M]
        return values
    return values.reshape(-1, *shape)


def _fitting(contents: Contents, spec: InputSpec, path: Path) -> Contents:
    """Return inputs as `InputSpec.check` does. Raises DataError for those of another kind or shape."""

    def fitted(part: Part) -> Part:
        try:
            return part._replace(inputs=spec.check(part.inputs))
        except ValueError as error:
            raise DataError(f"{path} holds {_words(part.inputs)}, not {spec.words()}: {error}") from error

    return contents._replace(train=fitted(contents.train), test=contents.test and fitted(contents.test))


def _read_members(
    members: Mapping[str, Open],
    path: Path,
    reporter: Reporter,
    pictures: bool | None,  # noqa: FBT001 - None is a third answer
    shape: tuple[int, ...] | None,
    *,
    labelled: bool,
) -> Contents:
    roles = _roles(members, path)
    if not labelled:
        roles = {role: key for role, key in roles.items() if role.startswith("x")}
    if path.suffix.lower() == ".npz":
        if others := sorted(set(members).difference(roles.values())):
            reporter.notice(f"Arrays of {path} were ignored: {', '.join(others)}")
        names = {role: f"{key} in {path}" for role, key in roles.items()}
    else:
        names = {role: str(path.with_name(f"{key}{path.suffix}")) for role, key in roles.items()}
    room = 0
    for role, key in roles.items():
        with members[key]() as file:
            (rows, *axes), _, dtype = _header(file, names[role], labels=role.startswith("y"))
        room += rows * math.prod(axes) * max(dtype.itemsize, 1 if dtype == np.uint8 and axes[1:] else 4)
        if rows > MOST_ROWS or room > MOST_BYTES or math.prod(axes) > MOST_NUMBERS:
            raise DataError(
                f"{names[role]} is too large at {'×'.join(map(str, (rows, *axes)))}: {MOST_ROWS:,} rows, "
                f"{MOST_NUMBERS:,} numbers in each and {MOST_BYTES:,} bytes in all are the limits",
                hint="Use part of it.",
            )
    parts: list[Part] = []
    for side in ("train", "test")[: 1 + ("x_test" in roles)]:
        x, y = f"x_{side}", f"y_{side}"
        values = _arranged(_values(members[roles[x]], names[x]), shape)
        inputs = _inputs(values, names[x], reporter, pictures=pictures)
        if y not in roles:
            parts.append(Part(inputs, None, ()))
            continue
        values = _values(members[roles[y]], names[y], labels=True)
        parts.append(labelled_part(inputs, values, (names[x], names[y]), all_used=not parts))
    return Contents(parts[0], parts[1] if "x_test" in roles else None)


def labelled_part(inputs: Inputs, values: npt.NDArray[Any], names: tuple[str, str], *, all_used: bool) -> Part:
    """Return inputs with their classes, which `values`, [N], say; messages call both by `names`.

    Raises DataError for values that are no classes, or more or fewer than inputs; `all_used` asks for a row of each
    class of a one-hot array.
    """
    labels, classes = _labels(values, names[1], all_used=all_used)
    if len(labels) != len(inputs):
        lengths = f"{count(len(inputs), 'input')}, and {names[1]} {count(len(labels), 'label')}"
        raise DataError(f"{names[0]} has {lengths}", hint="They come from different sets, or one is incomplete.")
    return Part(inputs, labels, classes)


def _roles(keys: Mapping[str, Open], path: Path) -> dict[str, str]:
    """Return which array is which of `_ROLES`."""
    lowered = {key.lower(): key for key in keys}
    found: dict[str, str] = {role: lowered[role] for role in _ROLES if role in lowered}
    x, stem = "x", path.stem.lower()
    if path.suffix.lower() == ".npy" and stem not in _ROLES:
        found, x = {}, stem
    if not found and x in lowered:
        found["x_train"] = lowered[x]
        beside = (f"y{x[1:]}" if x.startswith("x") else "", f"{x}_labels", "labels")
        found.update([("y_train", lowered[key]) for key in beside if key in lowered][:1])
    if set(found) not in ({"x_train"}, {"x_train", "y_train"}, {"x_train", "x_test"}, set(_ROLES)):
        held = ", ".join(sorted(keys)[:10]) or "nothing"
        raise DataError(f"{path} has no complete set of arrays, but {held}", hint=_KEYS)
    return found


def _header(file: IO[bytes], name: str, *, labels: bool = False) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape, whether columns come first, and the type of an array."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise DataError(f"{name} has a header of version {version[0]}, which no numbers need", hint=_AGAIN)
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects, which are never unpickled",
            hint="Give numpy.array a dtype; rows of different lengths make objects, too.",
        )
    if dtype.kind not in ("biufUS" if labels else "biuf"):
        raise DataError(f"{name} holds {dtype}, not numbers{' or names' if labels else ''}", hint=_AGAIN)
    if not labels and not 1 <= len(shape) - 1 <= MOST_RANK:
        raise DataError(f"{name} has the shape {list(shape)}, and [N, …] is needed, in 2 to {MOST_RANK + 1} dimensions")
    if min(shape, default=0) < 1:
        raise DataError(f"{name} is empty, of shape {list(shape)}")
    return shape, by_columns, dtype


def _values(opened: Open, name: str, *, labels: bool = False) -> npt.NDArray[Any]:
    with opened() as file:
        shape, by_columns, dtype = _header(file, name, labels=labels)
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size)
        if len(data) < size or file.read(1):
            held = f"{len(data):,}" if len(data) < size else "more"
            raise DataError(f"{name} promises {size:,} bytes, and {held} are there", hint=_AGAIN)
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if by_columns else "C")


def _inputs(values: npt.NDArray[Any], name: str, reporter: Reporter, *, pictures: bool | None) -> Inputs:
    shape = values.shape[1:]
    is_first = len(shape) == 3 and shape[0] in _CHANNELS and shape[2] not in _CHANNELS  # noqa: PLR2004 - [C, H, W]
    channels = {2: 1, 3: shape[0 if is_first else -1]}.get(len(shape), 0)
    if pictures is None:
        levels = values.dtype.kind in "iu" and values.min() >= 0 and DARK <= values.max() <= WHITE
        pictures = channels in _CHANNELS and (channels > 1 or values.dtype == np.uint8 or bool(levels))
    pictures = pictures and channels in _CHANNELS
    if pictures and is_first:
        values = np.moveaxis(values, 1, -1)
    if len(shape) == 3 and values.shape[-1] == 1:  # noqa: PLR2004 - [H, W, 1]
        values = values[..., 0]

    def place(row: int, *index: int) -> str:
        return f"{name}, row {row:,}, at {list(index)},"

    if not pictures:
        return np.ascontiguousarray(in_float32(values, place, reporter))
    if values.dtype.kind == "f":
        in_float32(values, place)
    try:
        return np.ascontiguousarray(as_pixels(values))
    except ValueError as error:
        raise DataError(f"{name} holds pictures, and {error}", hint="Turn back what was standardized.") from error
    except DataError as error:
        raise DataError(f"{name} holds pictures of unknown white. {error.message}", hint=error.hint) from error


def _labels(values: npt.NDArray[Any], name: str, *, all_used: bool) -> tuple[Labels, tuple[str, ...]]:
    """Return the classes of rows and their names; `all_used` asks for a row of each class of a one-hot array."""
    if values.ndim == 2 and values.shape[1] == 1:  # noqa: PLR2004 - [N, 1], as Keras has it
        values = values[:, 0]
    elif values.ndim == 2 and values.dtype.kind not in "US" and _is_one_hot(values):  # noqa: PLR2004 - [N, C]
        if all_used and not (used := values.any(axis=0)).all():
            raise DataError(f"{name} has no row of class {used.argmin()}", hint="Add some, or leave the class out.")
        values = values.argmax(axis=1)
    if values.ndim != 1:
        raise DataError(f"{name} has the shape {list(values.shape)}, and one class for each row is needed, [N]")
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.dtype.kind == "U":
        values = np.char.strip(values)
    else:
        # Written so that NaN misses.
        is_class = (values >= 0) & (values <= MOST_LABEL) & (values % 1 == 0)
        if not is_class.all():
            row = int(is_class.argmin())
            what = f"{name} is {values[row]} in row {row:,}, and classes are names or whole numbers from 0 on"
            raise DataError(what, hint="Number the classes, or leave out rows without one.")
        values = values.astype(np.int64)
    distinct, codes = np.unique(values, return_inverse=True)
    check_classes(len(distinct), name)
    for value in map(str, distinct):
        check_name(value, name)
    return in_order([str(value) for value in distinct], codes.astype(np.int64), name)


def _is_one_hot(values: npt.NDArray[Any]) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (np.count_nonzero(values, axis=1) == 1).all())


def _words(inputs: Inputs) -> str:
    """Return what rows are: `pictures of 20×32 in colour`, the width first, or `rows of 13 numbers`."""
    is_picture = inputs.dtype == np.uint8
    sides = "×".join(map(str, inputs.shape[2:0:-1] if is_picture else inputs.shape[1:]))
    if is_picture:
        return f"pictures of {sides}" + ("", " in colour", " with opacity")[_CHANNELS.index((*inputs.shape, 1)[3])]
    return f"rows of {sides} number{'s' * (math.prod(inputs.shape[1:]) > 1)}"
