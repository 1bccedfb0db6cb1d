"""Make the pages that the tests read: python -m benchmarks.vision.make_pages. The same ones every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.train_likeness.synthetic.page import Page, compose_page
from edgemnist.train_likeness.synthetic.styles import STYLES, quarter

PAGES: Final = Path(__file__).parents[2] / "tests" / "read" / "pages"
NAMES: Final = ("photo", "slanted", "ruled", "table", "everything")
SEED: Final = 42


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
