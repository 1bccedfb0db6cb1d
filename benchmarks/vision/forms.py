"""How many digits and cells of photographed forms are right: python -m benchmarks.vision.forms [FORMS PER STYLE]."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.scoring import Score, score
from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.forms import STYLES, TrueTable, compose_form
from edgemnist.read import read_page
from edgemnist.read.layout import overlap
from edgemnist.results.pictures import ReadResult, ReadTable

SEED: Final = 5000
DIGITS: Final = 400
"""Handwritten digits that a form may take."""
SAME_PLACE: Final = 0.6
"""A table whose box shares less of the union with the true one is another."""


@dataclass(frozen=True)
class Cells:
    """Counts over tables."""

    cells: int = 0
    """Of all tables that were drawn, empty ones included."""
    right: int = 0
    """Whose text is exactly what stands there, in a table of as many rows and columns."""
    tables: int = 0
    found: int = 0
    """With as many rows and columns."""
    combs: int = 0
    exact: int = 0
    """Combs that came out as the one number, with its blanks."""
    surplus: int = 0
    """Tables where none was drawn."""

    def __add__(self, other: Cells) -> Cells:
        """Return the counts of both."""
        return Cells(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def main() -> None:
    """Measure, print and save."""
    forms = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    classifier, digits = load_reference(), evaluation_digits()
    total, totals = Score(), Cells()
    styles: dict[str, object] = {}
    for number, (name, style) in enumerate(STYLES.items()):
        found, cells = Score(), Cells()
        for form_number in range(forms):
            rng = np.random.default_rng(SEED * (number + 1) + form_number)
            form = compose_form(digits.sample(DIGITS, rng), rng, style)
            result = read_page(form.picture, classifier)
            found += score(result.digits, form.truths)
            cells += compare(result, form.tables)
        styles[name] = figures(found, cells, forms)
        total, totals = total + found, totals + cells
    save("forms", {"forms": forms * len(STYLES), **figures(total, totals, forms * len(STYLES)), "styles": styles})


def compare(result: ReadResult, tables: list[TrueTable]) -> Cells:
    """Compare the tables of a form with the true ones."""
    counts = Cells()
    left = list(result.tables)
    for true in tables:
        best = max(left, key=lambda table: overlap(_box(table), true.box), default=None)
        rows, columns = len(true.texts), len(true.texts[0])
        if rows * columns == 1:
            continue
        same = best is not None and overlap(_box(best), true.box) >= SAME_PLACE
        fits = best is not None and same and (best.rows, best.columns) == (rows, columns)
        right = 0
        if best is not None and fits:
            texts = {(cell.row, cell.column): cell.text for cell in best.cells}
            right = sum(
                texts.get((row, column)) == text
                for row, line in enumerate(true.texts)
                for column, text in enumerate(line)
            )
        if best is not None and same:
            left.remove(best)
        number = "".join(text or " " for text in true.texts[0]).strip()
        counts += Cells(
            cells=rows * columns,
            right=right,
            tables=1,
            found=int(fits),
            combs=int(true.is_comb),
            exact=int(true.is_comb and number in {read.text for read in result.numbers}),
        )
    return counts + Cells(surplus=len(left))


def _box(table: ReadTable) -> tuple[float, float, float, float]:
    x, y = zip(*table.corners, strict=True)
    return min(x), min(y), max(x) - min(x), max(y) - min(y)


def figures(found: Score, cells: Cells, forms: int) -> dict[str, object]:
    """Return what is saved of a style, or of all."""
    return {
        "digits": found.truths,
        "right": round(found.share, 4),
        "wrong": found.wrong,
        "refused": found.refused,
        "false_per_form": round(found.false / forms, 3),
        "tables": cells.tables,
        "tables_found": cells.found,
        "tables_surplus": cells.surplus,
        "cells": cells.cells,
        "cells_right": round(cells.right / max(1, cells.cells), 4),
        "combs": cells.combs,
        "combs_exact": cells.exact,
    }


if __name__ == "__main__":
    main()
