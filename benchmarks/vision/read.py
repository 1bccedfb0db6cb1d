"""How many digits of whole pages are found and right: python -m benchmarks.vision.read [PAGES PER STYLE]."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.scoring import Score, score
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.read.page import read_page
from tools.likeness.page import STYLES, compose_page

SEED: Final = 1000


def main() -> None:
    """Measure, print and save."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    classifier = load_reference()
    digits = evaluation_digits()
    total = Score()
    styles: dict[str, object] = {}
    for number, (name, style) in enumerate(STYLES.items()):
        found = Score()
        for page_number in range(pages):
            rng = np.random.default_rng(SEED * (number + 1) + page_number)
            page = compose_page(digits.sample(style.rows * style.columns, rng), rng, style)
            found += score(read_page(page.picture, classifier).digits, page.truths)
        styles[name] = _figures(found, pages)
        total += found
    save("read", {"pages": pages * len(STYLES), **_figures(total, pages * len(STYLES)), "styles": styles})


def _figures(found: Score, pages: int) -> dict[str, object]:
    missed = found.truths - found.right - found.wrong - found.refused
    return {
        "digits": found.truths,
        "right": round(found.share, 4),
        "wrong": found.wrong,
        "refused": found.refused,
        "missed": missed,
        "false_per_page": round(found.false / pages, 3),
        "in_order": found.in_order,
    }


if __name__ == "__main__":
    main()
