"""Make the pages that the tests read: python -m benchmarks.vision.make_pages. The same ones every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.vision import strips
from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.forms import STYLES as FORMS
from benchmarks.vision.synthetic.forms import compose_form
from tools.likeness.page import STYLES, Digits, Page, compose_page, quarter

PAGES: Final = Path(__file__).parents[2] / "tests" / "read" / "pages"
NAMES: Final = ("photo", "slanted", "ruled", "table", "everything")
SEED: Final = 42
FORM: Final = replace(
    FORMS["form"], kinds=("comb", "table"), circles=0, filled=0.8, width=1000, height=780, perspective=0.03
)
"""The form of the book."""
FORM_SEED: Final = 45
SHEET_SEED: Final = 45
SUMS: Final = (("28", "+", "47"), ("60", "-", "13"), ("9", "+", "82"), ("74", "-", "5"), ("36", "+", "36"))
ANSWERS: Final = ("75", "47", "91", "69", "71")
"""The worksheet of the book; the last answer is wrong."""


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
    for name, draw in (("worksheet", worksheet), ("tally", strips.column)):
        rng, sheet = np.random.default_rng(SHEET_SEED), Image.new("L", strips.SIZE, 235)
        fields = draw(ImageDraw.Draw(sheet), rng, evaluation_digits())
        Image.fromarray(strips.photographed(sheet, rng)).save(PAGES / f"{name}.jpg", quality=80)
        truth[f"{name}.jpg"] = [[text] for _, text in fields]
    (PAGES / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def worksheet(draw: ImageDraw.ImageDraw, rng: np.random.Generator, digits: Digits) -> list[strips.Field]:
    """Draw printed sums, each with a line for its answer, and answers by hand."""
    font, fields = ImageFont.load_default(40), []
    for row, (task, answer) in enumerate(zip(SUMS, ANSWERS, strict=True)):
        y = 120 + 108 * row
        for place, text in zip((160, 230, 320, 400), (*task, "="), strict=True):
            draw.text((place, y + 40), text, fill=40, font=font, anchor="mm")
        draw.line((450, y + 76, 640, y + 76), fill=60, width=4)
        for index, digit in enumerate(answer):
            image = digits.images[rng.choice(np.flatnonzero(digits.labels == int(digit)))]
            mask = Image.fromarray(image).resize((84, 84), Image.Resampling.BICUBIC)
            draw.bitmap((480 + 50 * index, y - 4), mask, fill=70)
        fields.append(((140, y, 500, 80), task[0] + task[2] + answer))
    return fields


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
