"""Drawings for the likeness network: digits made hard, letters, scribbles, blots, pairs and pieces, as ink."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np

from edgemnist.ground.arrays import Images
from tools.likeness import strokes
from tools.likeness.camera import Picture
from tools.likeness.fonts import CURLED_L, FONTS, SERIFED_I

LETTERS_LIKE_DIGITS: Final = "BDSZbgqsz"
"""Letters that some hands write as others write a digit, and that most can be told from it: by a corner, or a stem."""
LETTERS: Final = "".join(sorted(set(string.ascii_letters + "&@#%$?+=*<>{}~^") - set("OoIl") - set(LETTERS_LIKE_DIGITS)))
"""All others, without those that anybody would read as a zero or a one."""
COPIES: Final = 24
"""How often each character of each font is drawn."""
LEAN: Final = 0.4
"""A character that would keep less than this share of its ink is not made leaner: it would lose its thin strokes."""


def hard_digits(digits: Images, rng: np.random.Generator) -> Iterator[Picture]:
    """Return handwritten digits, bent, and every other one thinned to pen lines first."""
    for number, digit in enumerate(digits):
        if number % 2:
            large = 255 - cv2.resize(digit, (112, 112), interpolation=cv2.INTER_CUBIC)
        else:
            large = strokes.draw_thin(digit, rng)
        yield 255 - strokes.bend(np.asarray(large, dtype=np.uint8), rng)


def font_glyphs(
    characters: str, rng: np.random.Generator, copies: int = COPIES, fonts: Sequence[str] = FONTS
) -> Iterator[Picture]:
    """Return each character in turn, `copies` times in every font that has it: slanted, bent, lean and bold."""
    for character in characters:
        for font in fonts:
            for _ in range(copies):
                ink = 255 - strokes.draw_letter(character, font, rng)
                if ink.any():
                    yield _weighted(ink, rng)


def _weighted(ink: Picture, rng: np.random.Generator) -> Picture:
    """Return a character with its strokes as they are, leaner, or bolder: a font has one weight, hands have many."""
    reach = int(rng.integers(2, 6))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    lean = cv2.erode(ink, brush)
    match int(rng.integers(3)):
        case 0:
            return ink
        case 1 if np.count_nonzero(lean) > LEAN * np.count_nonzero(ink):
            return np.asarray(lean, dtype=np.uint8)
        case _:
            return np.asarray(cv2.dilate(ink, brush), dtype=np.uint8)


def letters_like_digits(fonts: Sequence[str], rng: np.random.Generator, copies: int = COPIES) -> Iterator[Picture]:
    """Return letters that are like digits and can be told from them, in the fonts in which they can."""
    yield from font_glyphs(LETTERS_LIKE_DIGITS, rng, copies, fonts)
    yield from font_glyphs("I", rng, copies, [font for font in fonts if font in SERIFED_I])
    yield from font_glyphs("l", rng, copies, [font for font in fonts if font in CURLED_L])


def not_digits(digits: Images, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    """Return `count` each of scribbles and marks, blots, pairs of digits and pieces of digits."""
    kinds: tuple[strokes.Scribble, ...] = ("zigzag", "tick", "knot", "cross")
    for index in range(count):
        yield 255 - strokes.scribble(kinds[index % 4], rng)
        yield _blot(rng)
        yield _pair(digits[rng.integers(len(digits), size=2)], rng)
        yield _piece(digits[rng.integers(len(digits))], rng)


def _pair(two: Images, rng: np.random.Generator) -> Picture:
    """Return two digits that touch, as one."""
    canvas = np.zeros((40, 60), dtype=np.uint8)
    left, right = (_cropped(image) for image in two)
    top = 10 + rng.integers(-3, 4, 2)
    overlap = int(rng.integers(-1, 4))
    for glyph, x, y in ((left, 2, top[0]), (right, 2 + left.shape[1] - overlap, top[1])):
        patch = canvas[y : y + glyph.shape[0], x : x + glyph.shape[1]]
        np.maximum(patch, glyph, out=patch)
    return np.asarray(cv2.resize(canvas, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))


def _piece(image: Images, rng: np.random.Generator) -> Picture:
    """Return what is left of a digit after a cut somewhere in its middle."""
    glyph = _cropped(image)
    if rng.random() < 0.75:
        cut = max(2, int(glyph.shape[1] * rng.uniform(0.35, 0.65)))
        part = glyph[:, :cut] if rng.random() < 0.5 else glyph[:, cut:]
    else:
        cut = max(2, int(glyph.shape[0] * rng.uniform(0.35, 0.65)))
        part = glyph[:cut] if rng.random() < 0.5 else glyph[cut:]
    return np.asarray(cv2.resize(np.pad(part, 1), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))


def _cropped(image: Images) -> Images:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _blot(rng: np.random.Generator) -> Picture:
    """Return a blot, a bar or an arc."""
    canvas = np.zeros((140, 140), dtype=np.uint8)
    axes = tuple(int(side) for side in rng.integers(8, 60, 2))
    angle = rng.uniform(0, 180)
    match int(rng.integers(4)):
        case 0:
            cv2.ellipse(canvas, (70, 70), axes, angle, 0, 360, 255, -1)
        case 1:
            noise = cv2.GaussianBlur(rng.uniform(0, 1, (140, 140)).astype(np.float32), (0, 0), rng.uniform(4, 14))
            canvas[noise > np.percentile(noise, rng.uniform(70, 92))] = 255
        case 2:
            # Lying down, since an upright bar is a one.
            end = rng.uniform(-0.6, 0.6)
            delta = np.array([np.cos(end), np.sin(end)]) * 60
            start, stop = ((70 - delta).astype(int).tolist(), (70 + delta).astype(int).tolist())
            cv2.line(canvas, start, stop, 255, int(rng.integers(3, 30)))
        case _:
            cv2.rectangle(canvas, (20, 30), (int(rng.integers(40, 130)), int(rng.integers(50, 120))), 255,
                          int(rng.choice([-1, 4, 8, 16])))  # fmt: skip
    return canvas
