"""Tables of a page as CSV files, which every spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edgemnist.exports.outputs import CSV, check_output
from edgemnist.results.pictures import ReadTable
from edgemnist.storage import is_stream, write_file


def write_csv(path: Path, tables: Sequence[ReadTable]) -> list[Path]:
    """Write one table to `path`, or several to files with a number before the suffix; return the files.

    A pipe or a device takes all of them, with an empty line between two. Raises UsageError where a file is
    there that is no earlier table, and StorageError where one cannot be written.
    """
    if is_stream(path):
        write_file(path, "\n".join(map(to_csv, tables)).encode())
        return [path]
    if len(tables) == 1:
        paths = [path]
    else:
        paths = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(tables) + 1)]
    for file in paths:
        check_output("--csv", file, CSV)
    for file, table in zip(paths, tables, strict=True):
        write_file(file, to_csv(table).encode())
    return paths


def to_csv(table: ReadTable) -> str:
    """Return a table as CSV; what a merged cell says stands in its first place."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows_of(table))
    return stream.getvalue()


def rows_of(table: ReadTable) -> list[list[str]]:
    """Return the texts of a table, row by row; empty where nothing is written, or a merged cell goes on."""
    rows = [["" for _ in range(table.columns)] for _ in range(table.rows)]
    for cell in table.cells:
        rows[cell.row][cell.column] = cell.text
    return rows
