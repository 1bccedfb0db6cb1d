"""How many numbers with signs come out exactly: python -m benchmarks.vision.signs [NUMBERS]."""

from __future__ import annotations

import sys
from typing import Final

import cv2
import numpy as np

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.read.page import read_page
from tools.likeness.camera import Camera, Picture, develop, lay_ink, paper
from tools.likeness.page import Digits, glyph, stamp

SEED: Final = 900
SIDE: Final = 72
"""Side of a digit's square, in pixels."""
FORMS: Final = ("d.dd", "dd.d", "d,dd", "dd/dd/dddd", "dd:dd", "-d", "-dd", "ddd", "dd-dd", "ddd.d")


def main() -> None:
    """Measure, print and save."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    classifier, digits = load_reference(), evaluation_digits()
    figures: dict[str, object] = {}
    for name, total in (("drawn", count), ("photographed", count // 2)):
        exact = wrong = 0
        for number in range(total):
            rng = np.random.default_rng(SEED + number)
            picture, text = compose_number(digits, FORMS[number % len(FORMS)], rng, photographed=name != "drawn")
            found = [one.text for one in read_page(picture, classifier).numbers]
            exact += found == [text]
            wrong += found != [text] and "?" not in "".join(found)
        figures[name] = {"numbers": total, "exact": exact, "wrong_without_a_mark": wrong}
    save("signs", figures)


def compose_number(digits: Digits, form: str, rng: np.random.Generator, *, photographed: bool) -> tuple[Picture, str]:
    """Return a picture of a number, uint8 [h, w, 3], and its text; each d of the form is a digit."""
    ink = np.zeros((3 * SIDE, SIDE * (len(form) + 2)), dtype=np.float32)
    pen, x, top, text = int(rng.integers(4, 8)), SIDE, SIDE, ""
    high = SIDE * 20 // 28
    for sign in form:
        if sign == "d":
            one = digits.sample(1, rng)
            drawn = glyph(one.images[0], SIDE)
            stamp(ink, drawn, x, top + round(high - drawn.shape[0]) // 2)
            text += str(one.labels[0])
            x += drawn.shape[1] + int(rng.integers(6, 14))
            continue
        text += sign
        canvas = np.zeros(ink.shape, dtype=np.uint8)
        foot = top + high
        match sign:
            case ".":
                cv2.circle(canvas, (x + 4, foot - 3), max(3, pen // 2 + 1), 255, -1, cv2.LINE_AA)
            case ",":
                cv2.line(canvas, (x + 6, foot - 4), (x + 1, foot + 11), 255, pen, cv2.LINE_AA)
            case ":":
                for y in (top + high // 4, foot - high // 4):
                    cv2.circle(canvas, (x + 4, y), pen // 2 + 1, 255, -1, cv2.LINE_AA)
            case "/":
                cv2.line(canvas, (x + 24, top - 4), (x, foot + 4), 255, pen, cv2.LINE_AA)
            case _:
                cv2.line(canvas, (x, top + high // 2), (x + 24, top + high // 2 - 2), 255, pen, cv2.LINE_AA)
        np.maximum(ink, canvas.astype(np.float32) / 255, out=ink)
        x += (10 if sign in ".,:" else 26) + int(rng.integers(6, 14))
    sheet = paper(*ink.shape, rng) if photographed else np.ones((*ink.shape, 3), dtype=np.float32)
    sheet = lay_ink(sheet, ink, 0.1 if photographed else 0.0)
    return develop(sheet, rng, Camera()) if photographed else (sheet * 255).astype(np.uint8), text


if __name__ == "__main__":
    main()
