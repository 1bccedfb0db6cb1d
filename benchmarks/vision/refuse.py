"""How many digits are answered, and how many letters and scribbles refused: python -m benchmarks.vision.refuse.

Letters, all 52 of them, come from fonts, and scribbles are of a kind, that the likeness network was not trained on.
Pages are full of print, in these fonts and others, and have no digit.
"""

from __future__ import annotations

import re
import string
import textwrap
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.images import normalize_digit
from edgemnist.digits.images.grey import Grey
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, verdicts_of
from edgemnist.digits.read.page import read_page
from tools.likeness.fonts import font_file
from tools.likeness.strokes import draw_letter, print_text, scribble

FONTS: Final = ("STIXGeneral", "cmr10", "cmss10", "script", "script-complex")
COPIES: Final = 6
SCRIBBLES: Final = 300
NAMED_BELOW: Final = 0.9
"""Letters of which fewer than this share are refused are named, with the share."""
PRINTED: Final = ("STIXGeneral", "cmr10", "cmss10")
WORDS: Final = "Amount Box Figure Kelvin Mount Note Paid Price Quay Saturn Total Voltage Width Zug"
PAGE_FONTS: Final = (
    *PRINTED,
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneralItalic",
    "cmtt10",
)
PAGE_SIZES: Final = (18, 24, 34, 48)
"""Pixels an em."""
PAGE: Final = (1240, 1754)
"""A4 at 150 dots per inch."""
MARGIN: Final = 90
TEXT: Final = Path(__file__).parents[2] / "LICENSE"
SEED: Final = 7


def print_page(font: str, size: int, tilt: float = 2.5) -> Image.Image:
    """Print a page of English, without a digit, and photograph it, a little askew and soft."""
    text = re.sub(r"\s+", " ", re.sub(r"\S*[0-9]\S*", "", TEXT.read_text("utf-8")))
    letters = ImageFont.truetype(font_file(font), size)
    page = Image.new("L", PAGE, 235)
    draw = ImageDraw.Draw(page)
    sample = text[:200]
    across = int((PAGE[0] - 2 * MARGIN) * len(sample) / letters.getlength(sample))
    for line, top in zip(textwrap.wrap(text, across), range(MARGIN, PAGE[1] - MARGIN, int(1.4 * size)), strict=False):
        draw.text((MARGIN, top), line, font=letters, fill=45)
    return page.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=235).filter(ImageFilter.GaussianBlur(0.8))


def main() -> None:
    """Measure, print and save."""
    rng = np.random.default_rng(SEED)
    classifier = load_reference()
    digits = evaluation_digits()
    verdicts = verdicts_of(classifier, digits.images)
    answered = verdicts.confidences >= DEFAULT_MIN_CONFIDENCE
    right = verdicts.classes == digits.labels

    def refused(pictures: list[Grey]) -> npt.NDArray[np.bool_]:
        images = np.stack([normalize_digit(Image.fromarray(picture)).image for picture in pictures])
        return verdicts_of(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE

    letters = {
        letter: refused([draw_letter(letter, font, rng) for font in FONTS for _ in range(COPIES)])
        for letter in string.ascii_letters
    }
    scribbles = refused([scribble("loops", rng) for _ in range(SCRIBBLES)])
    in_words = sum(
        found.digit is not None
        for font in PRINTED
        for word in WORDS.split()
        for found in read_page(print_text(word, font), classifier).digits
    )
    pages = [print_page(font, size) for font in PAGE_FONTS for size in PAGE_SIZES]
    on_pages = sum(found.digit is not None for page in pages for found in read_page(page, classifier).digits)
    save(
        "refuse",
        {
            "min_confidence": DEFAULT_MIN_CONFIDENCE,
            "digits": len(digits),
            "answered": float(answered.mean()),
            "right_of_answered": float(right[answered].mean()),
            "letters": sum(map(len, letters.values())),
            "letters_refused": float(np.concatenate(list(letters.values())).mean()),
            "letters_refused_least": {
                letter: round(float(share.mean()), 2) for letter, share in letters.items() if share.mean() < NAMED_BELOW
            },
            "letters_in_words": len(PRINTED) * len(WORDS.replace(" ", "")),
            "digits_read_in_words": in_words,
            "pages_of_print": len(pages),
            "digits_read_on_pages_of_print": on_pages,
            "scribbles": len(scribbles),
            "scribbles_refused": float(scribbles.mean()),
        },
    )


if __name__ == "__main__":
    main()
