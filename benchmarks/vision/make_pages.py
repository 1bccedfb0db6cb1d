"""Make the pages that the tests read: python -m benchmarks.vision.make_pages. The same ones every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.forms import STYLES as FORMS
from benchmarks.vision.synthetic.forms import compose_form
from tools.likeness.page import STYLES, Page, compose_page, quarter

PAGES: Final = Path(__file__).parents[2] / "tests" / "read" / "pages"
NAMES: Final = ("photo", "slanted", "ruled", "table", "everything")
SEED: Final = 42
FORM: Final = replace(
    FORMS["form"], kinds=("comb", "table"), circles=0, filled=0.8, width=1000, height=780, perspective=0.03
)
"""The form of the book."""
FORM_SEED: Final = 45


def main() -> None:
    """Write the pages, as JPEG, and what stands on them."""
    PAGES.mkdir(exist_ok=True)
    truth = {}
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(SEED + number)
        style = quarter(STYLES[name])
        page = compose_page(evaluation_digits().sample(24, rng), rng, style)
        Image.fromarray(page.picture).save(PAGES / f"{name}.jpg", quality=80)
        truth[f"{name}.jpg"] = _lines(page)
    rng = np.random.default_rng(FORM_SEED)
    form = compose_form(evaluation_digits().sample(60, rng), rng, FORM)
    Image.fromarray(form.picture).save(PAGES / "form.jpg", quality=80)
    (PAGES / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def _lines(page: Page) -> list[list[str]]:
    numbers: dict[tuple[int, int], str] = {}
    for one in page.truths:
        numbers[one.line, one.number] = numbers.get((one.line, one.number), "") + str(one.digit)
    lines: dict[int, list[str]] = {}
    for (line, _), text in numbers.items():
        lines.setdefault(line, []).append(text)
    return list(lines.values())


if __name__ == "__main__":
    main()
