"""A sheet to write and draw on: by hand, with one pen, in fonts, and with the truth about the digits.

Fonts of `WRITTEN` and `PRINT` have to be there: ask `tools.likeness.fonts.require` for them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.likeness import strokes
from tools.likeness.camera import Picture, as_share
from tools.likeness.drawings import hard_digits
from tools.likeness.fonts import FONTS, HERSHEY, WRITTEN, font_file
from tools.likeness.hands import styled_digits
from tools.likeness.page import Digits, Truth
from tools.strips.draw import cropped, drawn_sign, looped_zero, put

PRINT: Final = tuple(font for font in FONTS if font not in {*WRITTEN, *HERSHEY})
PENS: Final = ("simplex", "complex", "script", "script-complex")
"""OpenCV's fonts that look written once they are bent."""
ROUND: Final = "0001125"
"""Digits that numbers have more of where people write them."""
PENCIL: Final = 0.25
"""Share of sheets that are written with one."""
JOINED: Final = 0.25
"""Share of sheets, and there of digits, that are zeros written without lifting the pen."""
COVERED: Final = 0.25
"""A digit of which others would cover more than this share is left out."""
FAINT: Final = 40
"""Ink of which there is less belongs to no digit, of 255."""
BASELINE: Final = 1.4
"""Where the baseline lies on a character's canvas, in sizes of the font."""
INDENT: Final = 0.5
"""Where a character starts on its canvas, in sizes of the font."""

T = TypeVar("T")


@dataclass(frozen=True)
class Area:
    """A rectangle of the page, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height

    def place(self, width: float, height: float, rng: np.random.Generator) -> tuple[float, float]:
        """Return a corner at which something this large stands in the area, if it fits."""
        left, top = rng.uniform(0, max(0, self.width - width)), rng.uniform(0, max(0, self.height - height))
        return self.x + left, self.y + top

    def split(self, share: float, *, stacked: bool) -> tuple[Area, Area]:
        """Return the two parts above and below each other, or side by side."""
        if stacked:
            cut = share * self.height
            upper = replace(self, height=cut - 12)
            return upper, replace(self, y=self.y + cut + 12, height=self.height - cut - 12)
        cut = share * self.width
        return replace(self, width=cut - 14), replace(self, x=self.x + cut + 14, width=self.width - cut - 14)


@dataclass(frozen=True)
class Face:
    """A font in a size, and how it is written."""

    font: str
    size: float
    hand: bool
    """Whether each character is bent, as a hand would write it."""
    pen: int
    """Width of the strokes of one of OpenCV's fonts."""
    bold: int
    """Pixels by which a hand's strokes are wider."""

    def width(self, text: str) -> float:
        """Return how far a text reaches."""
        if self.font in HERSHEY:
            return float(cv2.getTextSize(text, HERSHEY[self.font], self.size / 30, self.pen)[0][0])
        return _letters(self.font, round(self.size)).getlength(text)

    def draw(self, character: str, rng: np.random.Generator) -> Picture:
        """Return a character's ink, uint8 [h, w], with its origin at `INDENT` and `BASELINE`."""
        size = round(2.2 * self.size), round(self.width(character) + 1.2 * self.size)
        x, y = round(INDENT * self.size), round(BASELINE * self.size)
        if self.font in HERSHEY:
            ink: Picture = np.zeros(size, dtype=np.uint8)
            cv2.putText(ink, character, (x, y), HERSHEY[self.font], self.size / 30, 255, self.pen, cv2.LINE_AA)
        else:
            image = Image.new("L", size[::-1], 0)
            letters = _letters(self.font, round(self.size))
            ImageDraw.Draw(image).text((x, y), character, fill=255, font=letters, anchor="ls")
            ink = np.asarray(image)
        if self.hand:
            ink = 255 - strokes.bend(255 - ink, rng)
            ink = np.asarray(cv2.dilate(ink, np.ones((max(1, self.bold),) * 2, np.uint8)), dtype=np.uint8)
        return ink


class Sheet:
    """Ink on a sheet, and the digits that have been written."""

    def __init__(self, width: int, height: int, digits: Digits, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ink = np.zeros((height, width), dtype=np.float32)
        self.truths: list[Truth] = []
        self._taken = np.zeros((height, width), dtype=np.bool_)
        self._digits = digits
        self._round = float(rng.choice([0, 0.4, 0.7], p=[0.5, 0.25, 0.25]))
        # A pencil is paler than print.
        self._pen, self._depth = int(rng.integers(4)), rng.uniform(*((0.2, 0.6) if rng.random() < PENCIL else (0.6, 1)))
        self._joined = JOINED if rng.random() < JOINED else 0

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.rng.integers(len(options)))]

    def hand(self, size: float) -> Face:
        """Return a face that looks written."""
        return self._face((*WRITTEN, *PENS), size, hand=True)

    def print(self, size: float) -> Face:
        """Return a face that looks printed."""
        return self._face(PRINT, size)

    def _face(self, fonts: Sequence[str], size: float, *, hand: bool = False) -> Face:
        size, rng = max(6, size), self.rng
        pen = max(1, round(size * rng.uniform(0.04, 0.1)))
        return Face(self.pick(fonts), size, hand=hand, pen=pen, bold=int(rng.integers(3)))

    def draw(self, ink: Picture, x: float, y: float, depth: float | None = None) -> None:
        """Draw ink at a corner, as dark as the sheet's pen or to another depth."""
        put(self.ink, as_share(ink) * np.float32(depth or self._depth), x, y)

    def note(self, digit: int, ink: Picture, x: float, y: float, depth: float | None = None) -> None:
        """Draw a digit and note it, if it stands wholly on the sheet and on no other digit."""
        height, width = ink.shape
        left, top = round(x), round(y)
        under = self._taken[max(0, top) : top + height, max(0, left) : left + width]
        if min(left, top) >= 0 and under.shape == ink.shape and under.mean() < COVERED:
            self.draw(ink, left, top, depth)
            self.truths.append(Truth(digit, (left, top, width, height), line=0, number=0))
            under[:] = True

    def line(self, start: tuple[float, float], stop: tuple[float, float], pen: int, depth: float) -> None:
        """Draw a straight line between two points, down or to the right."""
        edge = pen + 2
        size = int(stop[1] - start[1]), int(stop[0] - start[0])
        ink = np.zeros((size[0] + 2 * edge, size[1] + 2 * edge), dtype=np.uint8)
        cv2.line(ink, (edge, edge), (edge + size[1], edge + size[0]), 255, pen, cv2.LINE_AA)
        self.draw(ink, start[0] - edge, start[1] - edge, depth)

    def digit(self, x: float, y: float, height: float) -> float:
        """Write some digit by hand, all digits of a sheet with the same pen, and return where it ends."""
        rng = self.rng
        digit = int(self.pick(ROUND) if rng.random() < self._round else rng.integers(10))
        image = self._digits.images[rng.choice(np.flatnonzero(self._digits.labels == digit))]
        large = np.asarray(cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        match self._pen:
            case 0:
                ink = large
            case 1:
                ink = next(hard_digits(image[None], rng))
            case 2:
                ink = 255 - strokes.bend(255 - large, rng)
            case _:
                ink = next(styled_digits([digit], rng))
        ink = scaled(cropped(ink), height * rng.uniform(0.85, 1.12))
        self.note(digit, ink, x, y + rng.normal(0, 0.05) * height)
        return float(x + ink.shape[1])

    def number(
        self,
        place: tuple[float, float],
        height: float,
        right: float,
        *,
        most: int,
        gap: tuple[float, float] = (0.12, 0),
        signs: float = 0,
    ) -> float:
        """Write one to `most` digits as far as `right`, and return where they end.

        `gap` is the mean and the standard deviation of what is between them, in heights, and `signs` how likely there
        is one before a digit.
        """
        rng = self.rng
        x, y = place
        for _ in range(int(rng.integers(1, most + 1))):
            if x > right - height:
                break
            if rng.random() < signs:
                # No other sign stands before a number.
                x = self.sign(".,/-:+×÷=()%" if x > place[0] else "-", x, y, height) + 0.15 * height
            if x > place[0] and rng.random() < self._joined:
                x = self._zero(x - (gap[0] + 0.1) * height, y, height) + gap[0] * height
            else:
                x = self.digit(x, y, height) + rng.normal(*gap) * height
        return max(x, place[0])

    def _zero(self, x: float, y: float, height: float) -> float:
        """Write a zero that touches what is before it and after it, and return where it ends."""
        glyph = looped_zero(self.rng, closed=False)
        ink = scaled(glyph.ink, height * glyph.height)
        self.note(0, ink, x, y + glyph.top * height)
        return float(x + ink.shape[1] - 0.1 * height)

    def sign(self, signs: str, x: float, y: float, height: float) -> float:
        """Write one of the signs beside digits of this height, and return where it ends."""
        glyph = drawn_sign(self.pick(signs), self.rng)
        ink = scaled(glyph.ink, height * glyph.height)
        self.draw(ink, x, y + glyph.top * height)
        return float(x + ink.shape[1])

    def text(
        self, text: str, face: Face, place: tuple[float, float], right: float, depth: float | None = None
    ) -> float:
        """Write on a baseline as far as `right`, and return where it ends."""
        x, y = place
        for character in text:
            advance = face.width(character)
            if x + advance > right:
                break
            ink = face.draw(character, self.rng)
            left, top, width, height = cv2.boundingRect((ink > FAINT).astype(np.uint8))
            if width:
                box = ink[top : top + height, left : left + width]
                corner = x + left - INDENT * face.size, y + top - BASELINE * face.size
                if character.isdigit():
                    self.note(int(character), box, *corner, depth)
                else:
                    self.draw(box, *corner, depth)
            x += advance
        return x

    def ring(self, middle: tuple[float, float], axes: tuple[float, float], turn: float, pen: int) -> None:
        """Draw an ellipse, filled if its pen is negative."""
        reach = round(1.4 * max(axes)) + 2
        ink = np.zeros((2 * reach, 2 * reach), dtype=np.uint8)
        cv2.ellipse(ink, (reach, reach), (int(axes[0]), int(axes[1])), turn, 0, 360, 255, pen, cv2.LINE_AA)
        self.draw(ink, middle[0] - reach, middle[1] - reach)


def scaled(ink: Picture, height: float) -> Picture:
    """Return ink this high."""
    scale = max(4, height) / ink.shape[0]
    size = max(2, round(scale * ink.shape[1])), max(2, round(scale * ink.shape[0]))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(ink, size, interpolation=way), dtype=np.uint8)


@lru_cache(maxsize=256)
def _letters(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(font), size)
