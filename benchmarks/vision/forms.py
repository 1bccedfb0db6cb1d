"""How many digits and cells of photographed forms are right: python -m benchmarks.vision.forms [FORMS PER STYLE]."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.scoring import Score, score
from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.forms import STYLES, Form, TrueTable, compose_form
from edgemnist.digits.read.layout import overlap
from edgemnist.digits.read.page import read_page
from edgemnist.digits.results import ReadResult, ReadTable

SEED: Final = 5000
DIGITS: Final = 400
"""Handwritten digits that a form may take."""
SMALL: Final = 480
"""Longer side, in pixels, of the same forms from farther away."""
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
    # As it is, and small.
    totals = [(Score(), Cells()), (Score(), Cells())]
    styles: dict[str, object] = {}
    for number, (name, style) in enumerate(STYLES.items()):
        counts = [(Score(), Cells()), (Score(), Cells())]
        for form_number in range(forms):
            rng = np.random.default_rng(SEED * (number + 1) + form_number)
            form = compose_form(digits.sample(DIGITS, rng), rng, style)
            for index, one in enumerate((form, _small(form))):
                result = read_page(one.picture, classifier)
                found, cells = counts[index]
                counts[index] = found + score(result.digits, one.truths), cells + compare(result, one.tables)
        styles[name] = _both(counts, forms)
        totals = [(total[0] + one[0], total[1] + one[1]) for total, one in zip(totals, counts, strict=True)]
    save("forms", {"forms": forms * len(STYLES), **_both(totals, forms * len(STYLES)), "styles": styles})


def _both(counts: list[tuple[Score, Cells]], forms: int) -> dict[str, object]:
    whole, small = (figures(found, cells, forms) for found, cells in counts)
    return {**whole, f"at_{SMALL}_pixels": small}


def _small(form: Form) -> Form:
    """Return a form as a small photograph has it."""
    height, width = form.picture.shape[:2]
    scale = SMALL / max(height, width)
    size = round(width * scale), round(height * scale)

    def scaled(one: Any) -> Any:  # noqa: ANN401 - a digit or a table, with a box either way
        return replace(one, box=tuple(value * scale for value in one.box))

    return replace(
        form,
        picture=np.asarray(cv2.resize(form.picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8),
        truths=[scaled(truth) for truth in form.truths],
        tables=[scaled(table) for table in form.tables],
    )


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
