"""Synthetic strips: digits, signs and letters in a row, on rules, in wheels and displays, and where each one stands."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edgemnist.digits.read.strips import BLANK, CLASSES, COLUMN, HEIGHT, WIDTH, local_ink
from edgemnist.ground.arrays import Images
from tools.likeness import strokes
from tools.likeness.camera import Floats, Picture, as_share
from tools.likeness.drawings import hard_digits
from tools.likeness.fonts import HERSHEY, WRITTEN, font_file
from tools.likeness.hands import styled_digits
from tools.likeness.page import Digits
from tools.strips import drawings

OVER: Final = 2
"""Strips are drawn so many times as large."""
CANVAS: Final = (OVER * HEIGHT, OVER * WIDTH)
FONTS: Final = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSans-Oblique", "DejaVuSerif"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmb10", "simplex", "duplex", "complex"),
)
LOOKALIKES: Final = "OoIlDQzZsSBbqg"
"""Letters that somebody may read as a digit: they are letters only in a word, beside others."""
LETTERS: Final = "".join(sorted(set(string.ascii_letters) - set(LOOKALIKES))) + "&@#?*<>{}[]~^|$€"
"""What is no digit, by itself."""
SIGNS: Final = ".,/-:.,/-:+×÷=()%"
"""Those that change what a number is come twice as often."""
EM: Final = 60
"""Height of a font's digits, in pixels, when they are drawn once and for all."""
SEGMENTS: Final = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
SEGMENT_ENDS: Final = ((0, 1), (1, 3), (3, 5), (4, 5), (2, 4), (0, 2), (2, 3))
"""Corners that each segment, a to g, joins: row by row from the upper left one."""
SCRIBBLES: Final[tuple[strokes.Scribble, ...]] = ("zigzag", "loops", "knot", "tick", "cross")
KINDS: Final = {
    "hand": (0.46, 0.36),
    "print": (0.12, 0.11),
    "wheel": (0.12, 0.1),
    "segments": (0.12, 0.1),
    "letters": (0.12, 0.07),
    "words": (0.0, 0.1),
    "nothing": (0.06, 0.03),
    "drawing": (0.0, 0.13),
}
"""What is drawn, and how often at first and at last."""
BY_HAND: Final = ("hand", "letters", "words")
WRITTEN_LETTERS: Final = 0.6
"""What is written by hand, and the share of it whose letters are of a font that looks written."""
SIGNED: Final = ((0.4, 0.35, 0.25), (0.25, 0.3, 0.45))
"""How often a row has no sign, few or many, at first and at last."""
AMOUNTS: Final = 0.12
"""Share of rows by hand that are amounts, at last: their zeros are written without lifting the pen."""
ZEROS: Final = 0.55
"""Share of their digits that are such zeros."""
UNEVEN: Final = 0.2
LOWER: Final = (0.45, 1)
"""Share of rows by hand, at last, of which the round digits are lower than the others, and how high they are then."""
TILT: Final = 0.05
"""Standard deviation of the slope of rows."""
SLENDER: Final = 0.15
"""Share of digits that are a one, beside many signs, at last."""
COARSE: Final = 0.35
"""Share of strips that are smaller in the picture than they are read, at last."""
FEWEST: Final = 7.5
"""Pixels that a digit is high there at least."""
TURNED: Final = {"hand": 0.04, "print": 0.08, "wheel": 0.2, "segments": 0.15}
"""How often each is shown light on dark, and is to be read as nothing."""
IGNORED: Final = -1
"""Label of a column beside a middle."""


@dataclass(frozen=True)
class Glyph:
    """Ink of something, uint8 [h, w], and its height and top against those of a digit."""

    ink: Picture
    label: int
    height: float = 1.0
    top: float = 0.0
    middle: float = 0.5
    """Its middle as a share of its width: a stroke may lead on to the next one."""


Font = dict[str, Glyph]
"""Glyphs by character."""


@dataclass(frozen=True)
class Strips:
    """What the network learns from."""

    images: Images
    """uint8 [N, HEIGHT, WIDTH]: ink."""
    labels: npt.NDArray[np.int8]
    """int8 [N, WIDTH / COLUMN]: the class whose middle lies in a column, `BLANK`, or `IGNORED`."""


def cropped(ink: Picture) -> Picture:
    """Return ink, cut to its box."""
    rows, columns = np.flatnonzero(ink.max(axis=1) > 40), np.flatnonzero(ink.max(axis=0) > 40)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class Writer:
    """Draws strips from a stock of glyphs."""

    def __init__(self, digits: Digits, rng: np.random.Generator, stock: int, *, late: bool = False) -> None:
        self._rng, self._late = rng, late
        chosen = digits.sample(2 * stock, rng)
        plain, hard = chosen.images[:stock], chosen.images[stock:]
        styled = np.arange(stock) % 10
        hands = [*(cv2.resize(image, (84, 84), interpolation=cv2.INTER_CUBIC) for image in plain)]
        hands += [*hard_digits(hard, rng), *styled_digits(styled, rng)]
        labels = [*chosen.labels.tolist(), *styled.tolist()]
        self._hand: dict[tuple[int, int], list[Glyph]] = {}
        for index, (ink, label) in enumerate(zip(hands, labels, strict=True)):
            # A row is written with one pen: thick, thin, or in another hand's forms.
            pen = index // stock + (stock <= index < 2 * stock and (index - stock) % 2)
            self._hand.setdefault((pen, label), []).append(Glyph(_small(cropped(ink)), label))
        self._printed = [_font(name, string.digits + LETTERS + LOOKALIKES + SIGNS) for name in FONTS]
        self._letters = [_font(name, string.digits + LETTERS + LOOKALIKES) for name in WRITTEN]

    def strips(self, count: int) -> Strips:
        """Return this many new strips."""
        images = np.empty((count, HEIGHT, WIDTH), dtype=np.uint8)
        labels = np.empty((count, WIDTH // COLUMN), dtype=np.int8)
        for index in range(count):
            images[index], labels[index] = self._strip()
        return Strips(images, labels)

    def _strip(self) -> tuple[Picture, npt.NDArray[np.int8]]:
        rng = self._rng
        kind = str(rng.choice([*KINDS], p=[shares[self._late] for shares in KINDS.values()]))
        ink = np.zeros(CANVAS, dtype=np.float32)
        labels = np.full(WIDTH // COLUMN, BLANK, dtype=np.int8)
        size = rng.choice(["read", "large", "small"], p=[0.89, 0.08, 0.03])
        least, most = {"read": (13, 29), "large": (32, 60), "small": (5, 8)}[str(size)]
        height = OVER * float(np.exp(rng.uniform(np.log(least), np.log(most))))
        top = (CANVAS[0] - height) / 2 + rng.normal(0, 0.12) * (CANVAS[0] - 0.5 * height)
        if size == "read":
            top = float(np.clip(top, -0.08 * height, CANVAS[0] - 0.92 * height))
        fonts = self._letters if kind in BY_HAND and rng.random() < WRITTEN_LETTERS else self._printed
        font = fonts[rng.integers(len(fonts))]
        start = rng.uniform(0, 1) * CANVAS[1]
        if kind == "nothing":
            if rng.random() < 0.4:
                drawn = 255 - strokes.scribble(SCRIBBLES[rng.integers(len(SCRIBBLES))], rng)
                put(ink, as_share(cv2.resize(drawn, (CANVAS[1], CANVAS[0]))), 0, 0)
        elif kind == "drawing":
            drawings.draw(ink, height, rng)
        else:
            start = self._row(ink, labels, font, kind=kind, height=height, top=top)
        if kind in {"hand", "letters", "words", "nothing", "print"}:
            self._beside(ink, height, top)
            self._lines(ink, height, top, start)
        elif kind != "drawing" and rng.random() < 0.3:
            _frame(ink, height, top, rng)
        if kind == "wheel" and rng.random() < 0.8:
            self._next(ink, font, height, top)
        turned = rng.random() < TURNED.get(kind, 0.0)
        if turned or size != "read":
            labels[:] = BLANK
        return self._seen(ink, height / OVER, turned=turned), labels

    def _row(
        self, ink: Floats, labels: npt.NDArray[np.int8], font: Font, *, kind: str, height: float, top: float
    ) -> float:
        """Write from left to right until the strip is full, note the middles, and return where it starts."""
        rng = self._rng
        x = rng.uniform(-0.5, 1.2) * height
        tightness = 0.1 if kind == "words" else rng.choice([-0.12, 0.05, 0.25, 0.9], p=[0.2, 0.35, 0.3, 0.15])
        pitch = height * rng.uniform(0.75, 1.6) if kind == "wheel" or (kind == "hand" and rng.random() < 0.15) else 0
        pitch = height * rng.uniform(0.6, 0.95) if kind == "segments" else pitch
        signs = rng.choice([0, 0.15, 0.4], p=SIGNED[self._late])
        dividers = pitch and kind != "segments" and rng.random() < 0.8
        slant, weight, depth = rng.normal(0, 0.12), int(rng.integers(4)), rng.uniform(0.6, 1)
        aspect = rng.uniform(0.75, 1.25)
        thick, pen = rng.uniform(0.07, 0.16), int(rng.integers(3))
        most = int(rng.choice([1, 2, 3, 4, 6, 99], p=[0.07, 0.07, 0.1, 0.1, 0.11, 0.55]))
        if most < 99:
            x = rng.uniform(0, 0.7) * CANVAS[1]
        start, written = x, ""
        tilt, uneven = rng.normal(0, TILT), kind == "hand" and self._late and rng.random() < UNEVEN
        amounts, bent = kind == "hand" and self._late and rng.random() < AMOUNTS, rng.random() < 0.5
        linked, tightness = False, rng.uniform(-0.15, 0) if amounts else tightness
        while x < CANVAS[1]:
            if pitch and rng.random() < 0.12:
                x = self._divide(ink, x, pitch, height, top) if dividers else x + pitch
                continue
            if not (most or written):
                return start
            most -= 1 if most else 0
            if kind == "words":
                x += 0.4 * height * (not written and x > start)
                written = written or _legible(rng)
                glyph, written = font[written[0]], written[1:]
                glyph = _bent(glyph, rng) if bent else glyph
            elif amounts and rng.random() < ZEROS:
                glyph = looped_zero(rng, closed=not linked)
            else:
                glyph = self._glyph(kind, font, signs=signs, thick=thick, pen=pen)
            size = height * (rng.uniform(*LOWER) if uneven and glyph.label in {0, 2, 4, 6} else 1)
            drawn = self._shaped(glyph, kind, size, aspect=aspect, slant=slant, weight=weight)
            across = x + (pitch - drawn.shape[1]) / (1 if kind == "segments" else 2) if pitch else x
            down = top + glyph.top * height + (rng.normal(0, 0.06) * height if kind == "hand" else 0)
            down += rng.uniform(0.4, 1) * (height - size) + tilt * (across - CANVAS[1] / 2)
            column = int((across + glyph.middle * drawn.shape[1]) / OVER / COLUMN)
            if _free(labels, column):
                put(ink, as_share(drawn) * np.float32(depth), across, down)
                _note(labels, column, glyph.label)
            gap = (tightness + rng.normal(0, 0.1)) * height
            apart = kind != "words" and rng.random() < 0.08
            linked = glyph.label < 10 and not apart
            if apart:
                gap += rng.uniform(0.4, 1.5) * height
            x = self._divide(ink, x, pitch, height, top) if dividers else x + (pitch or max(4, drawn.shape[1] + gap))
        return start

    def _shaped(self, glyph: Glyph, kind: str, height: float, *, aspect: float, slant: float, weight: int) -> Picture:
        """Return a glyph in its size, as the pen of a row writes it."""
        tall = max(
            2, round(height * glyph.height * (self._rng.uniform(0.85, 1.12) if kind in {"hand", "letters"} else 1))
        )
        wide = max(2, round(glyph.ink.shape[1] / glyph.ink.shape[0] * tall * (aspect if kind != "wheel" else 1)))
        lean = 0 if kind == "wheel" else int(abs(slant) * tall)
        drawn = cv2.resize(glyph.ink, (wide, tall), interpolation=cv2.INTER_AREA)
        if lean:
            matrix = np.array([[1, -slant, lean if slant > 0 else 0], [0, 1, 0]])
            drawn = cv2.warpAffine(drawn, matrix, (wide + lean, tall))
        if glyph.label < 10 and kind == "hand" and weight == 3 and tall > 30:
            drawn = cv2.dilate(drawn, np.ones((2, 3), np.uint8))
        if glyph.label < 10 and kind == "hand" and weight == 0 and tall > 36:
            thin = cv2.erode(drawn, np.ones((2, 2), np.uint8))
            drawn = thin if thin.max() > 200 else drawn
        return np.asarray(drawn, dtype=np.uint8)

    def _glyph(self, kind: str, font: Font, *, signs: float, thick: float, pen: int) -> Glyph:
        rng = self._rng
        digit, sign = int(rng.integers(10)), SIGNS[rng.integers(len(SIGNS))]
        digit = 1 if self._late and signs > 0.2 and rng.random() < SLENDER else digit
        letter = font.get(LETTERS[rng.integers(len(LETTERS))], font["x"])
        is_sign = rng.random() < signs
        match kind:
            case "segments":
                return _segments(digit, thick, rng) if rng.random() > 0.1 else font["."]
            case "letters":
                return _bent(letter, rng) if rng.random() > 0.2 else self._written(digit, pen)
            case "wheel" | "print":
                return font.get(sign, font["."]) if is_sign and kind == "print" else font[str(digit)]
            case _:
                other = drawn_sign(sign, rng) if is_sign else _bent(letter, rng)
                return other if is_sign or (signs and rng.random() < 0.12) else self._written(digit, pen)

    def _written(self, digit: int, pen: int) -> Glyph:
        stock = self._hand[pen, digit]
        return stock[self._rng.integers(len(stock))]

    def _divide(self, ink: Floats, x: float, pitch: float, height: float, top: float) -> float:
        """Draw a divider at the end of a cell, and return where it is."""
        at = round(x + pitch)
        wide = int(self._rng.integers(1, 5)) if self._rng.random() < 0.8 else round(pitch * self._rng.uniform(0.1, 0.3))
        above, below = max(0, round(top - self._rng.uniform(0, 0.5) * height)), round(top + 1.4 * height)
        if self._rng.random() < 0.3:
            above = round(top + self._rng.uniform(0.2, 0.6) * height)
        ink[above:below, max(0, at) : max(0, at + wide)] = max(0.3, self._rng.uniform(0.3, 1))
        return x + pitch

    def _lines(self, ink: Floats, height: float, top: float, start: float) -> None:
        """Draw what is printed on paper: rules at the foot, through the row, between rows; one that leads to it."""
        rng = self._rng
        wide, depth, slope = int(rng.integers(1, 5)), rng.uniform(0.25, 1), rng.normal(0, 0.012)
        places = [top + height * rng.uniform(0.8, 1.15)] if rng.random() < 0.25 else []
        places += [rng.uniform(0, CANVAS[0])] if rng.random() < 0.1 else []
        if rng.random() < 0.25:
            places += [top - height * rng.uniform(-0.1, 0.6), top + height * rng.uniform(0.9, 1.6)]
        for place in places:
            begin, end = (round(place - slope * CANVAS[1] / 2), round(place + slope * CANVAS[1] / 2))
            left, right = (0, CANVAS[1]) if rng.random() < 0.8 else np.sort(rng.integers(0, CANVAS[1], 2)).tolist()
            _line(ink, (left, begin), (right, end), wide, depth)
        if rng.random() < 0.15:
            at = round(top + rng.uniform(0.3, 0.8) * height)
            stop = round(start + rng.normal(0, 0.15) * height) if rng.random() < 0.8 else int(rng.integers(CANVAS[1]))
            begin = 0 if rng.random() < 0.8 else round(stop - rng.uniform(0.5, 2) * height)
            _line(ink, (begin, at + round(rng.normal(0, 2))), (stop, at), wide, depth)
        x, pitch = rng.uniform(0, CANVAS[1]), rng.uniform(0.8, 3) * height
        lines = int(rng.choice([0, 1, 2, 9], p=[0.76, 0.13, 0.06, 0.05]))
        for _ in range(lines):
            lean = rng.normal(0, 1.5)
            ends = [(0, CANVAS[0]), (0, round(top + height)), (round(top), CANVAS[0])][rng.choice(3, p=[0.8, 0.1, 0.1])]
            _line(ink, (round(x), ends[0]), (round(x + lean), ends[1]), wide, depth)
            x = (x + pitch) % CANVAS[1]

    def _beside(self, ink: Floats, height: float, top: float) -> None:
        """Let what stands in the lines above and below reach into the strip."""
        rng = self._rng
        for down in (top - rng.uniform(1.15, 1.6) * height, top + rng.uniform(1.15, 1.6) * height):
            x = rng.uniform(0, 2) * height
            while rng.random() < 0.3 and x < CANVAS[1]:
                digit = int(rng.integers(10))
                glyph = self._written(digit, 0)
                drawn = cv2.resize(glyph.ink, None, fx=height / glyph.ink.shape[0], fy=height / glyph.ink.shape[0])
                put(ink, as_share(drawn) * np.float32(0.9), x, down)
                x += rng.uniform(0.7, 1.5) * height

    def _next(self, ink: Floats, font: Font, height: float, top: float) -> None:
        """Let the digits before and after on the wheels show, and their frames."""
        rng = self._rng
        for side in (-1, 1):
            x = rng.uniform(-0.5, 0.5) * height
            while x < CANVAS[1]:
                if rng.random() < 0.5:
                    glyph = font[str(rng.integers(10))]
                    scale = height / glyph.ink.shape[0]
                    drawn = cv2.resize(glyph.ink, None, fx=scale, fy=scale)
                    put(ink, as_share(drawn) * np.float32(0.8), x, top + side * rng.uniform(1.1, 1.5) * height)
                x += rng.uniform(0.8, 1.6) * height
            if rng.random() < 0.4:
                edge = top + height / 2 + side * rng.uniform(0.6, 1.0) * height
                ink[slice(max(0, round(edge))) if side < 0 else slice(max(0, round(edge)), None)] = rng.uniform(0.4, 1)

    def _seen(self, ink: Floats, height: float, *, turned: bool) -> Picture:
        """Return a strip as a camera sees it: blurred, uneven, faint, with grain, and `local_ink` takes the paper away.

        Where it is turned from dark on light into light on dark, what is between the digits is the ink.
        """
        rng = self._rng
        blur = float(np.exp(rng.uniform(np.log(0.4), np.log(3.2))))
        soft = cv2.GaussianBlur(ink, (0, 0), blur)
        small = np.asarray(cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.float32)
        small /= max(0.2, float(small.max()))
        if rng.random() < 0.12:
            back = cv2.GaussianBlur(np.roll(small, int(rng.integers(10, 90)), 1)[:, ::-1], (0, 0), 1.2)
            np.maximum(small, np.float32(rng.uniform(0.1, 0.35)) * back, out=small)
        small = 1 - small if turned else small
        contrast = float(np.exp(rng.uniform(np.log(0.12), np.log(0.9))))
        shade = np.ones_like(small)
        if rng.random() < 0.5:
            coarse = rng.standard_normal((int(rng.integers(2, 4)), int(rng.integers(2, 9)))).astype(np.float32)
            waves = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
            shade = 1 + np.float32(rng.uniform(0, 0.15)) * waves
        grain = rng.standard_normal(small.shape, dtype=np.float32)
        if rng.random() < 0.4:
            grain = 1.5 * cv2.GaussianBlur(grain, (0, 0), 0.8)
        rough = contrast * rng.choice([0, 0.01, 0.03, 0.06, 0.1, 0.16])
        light = (1 - contrast * small) * shade + grain * np.float32(rough)
        if rng.random() < 0.05:
            x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
            glare = cv2.circle(np.zeros_like(light), (x, y), int(rng.integers(4, 16)), 1.0, -1)
            light += np.float32(rng.uniform(0.1, 0.5)) * cv2.GaussianBlur(glare, (0, 0), 3)
        bright = rng.uniform(max(90, 30 / contrast) / 255, 1.0) if contrast > 0.15 else 1.0
        taken = np.asarray(np.clip(light * bright * 245, 0, 255), dtype=np.uint8)
        taken = _enlarged(taken, height / FEWEST, rng) if self._late and rng.random() < COARSE else taken
        return np.asarray(local_ink(taken[None])[0], dtype=np.uint8)


def _free(labels: npt.NDArray[np.int8], column: int) -> bool:
    """Return whether nothing has its middle in a column, or it lies beyond the strip."""
    return not 0 <= column < len(labels) or labels[column] in {BLANK, IGNORED}


def _note(labels: npt.NDArray[np.int8], column: int, label: int) -> None:
    """Note what has its middle in a column, if that is in the strip, and that those beside it count as neither."""
    if 0 <= column < len(labels):
        near = labels[max(0, column - 1) : column + 2]
        near[near == BLANK] = IGNORED
        labels[column] = label


def _enlarged(picture: Picture, most: float, rng: np.random.Generator) -> Picture:
    """Return a picture as it is where the camera had fewer pixels for it, by a factor of up to `most`."""
    size, scale = picture.shape[::-1], rng.uniform(1, float(np.clip(most, 1, 2.4)))
    few = cv2.resize(picture, (round(size[0] / scale), round(size[1] / scale)), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:
        _, data = cv2.imencode(".jpg", few, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))))
        few = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _frame(ink: Floats, height: float, top: float, rng: np.random.Generator) -> None:
    """Draw the edges of a window or a display around a row, thin, or as all that is outside of them."""
    left, right = round(rng.uniform(-0.3, 0.4) * CANVAS[1]), round(rng.uniform(0.6, 1.3) * CANVAS[1])
    above, below = round(top - rng.uniform(0.1, 0.7) * height), round(top + rng.uniform(1.1, 1.7) * height)
    lean = round(rng.normal(0, 0.03) * CANVAS[1])
    corners = np.array([(left, above), (right, above + lean), (right, below + lean), (left, below)], dtype=np.int32)
    around = np.zeros(ink.shape, dtype=np.uint8)
    if rng.random() < 0.5:
        cv2.polylines(around, [corners], isClosed=True, color=255, thickness=int(rng.integers(1, 7)))
    else:
        cv2.fillPoly(around, [corners], 255)
        around = 255 - around
    np.maximum(ink, as_share(around) * np.float32(rng.uniform(0.3, 1)), out=ink)


def put(ink: Floats, drawn: Floats, x: float, y: float) -> None:
    """Put ink on other ink, in place; anything beyond an edge is cut off."""
    left, top = round(x), round(y)
    cut = drawn[max(0, -top) : max(0, ink.shape[0] - top), max(0, -left) : max(0, ink.shape[1] - left)]
    if cut.size:
        patch = ink[max(0, top) : max(0, top) + cut.shape[0], max(0, left) : max(0, left) + cut.shape[1]]
        np.maximum(patch, cut, out=patch)


def _line(ink: Floats, start: Sequence[int], stop: Sequence[int], wide: int, depth: float) -> None:
    canvas = np.zeros(ink.shape, dtype=np.uint8)
    cv2.line(canvas, tuple(start), tuple(stop), 255, wide, cv2.LINE_AA)
    np.maximum(ink, as_share(canvas) * np.float32(depth), out=ink)


def _small(ink: Picture) -> Picture:
    scale = EM / ink.shape[0]
    size = max(2, round(ink.shape[1] * scale)), EM
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _font(name: str, characters: str) -> Font:
    """Return the glyphs of a font by character."""
    pictures: dict[str, Picture] = {}
    for character in characters:
        if name in HERSHEY:
            if not character.isascii():
                continue
            canvas = np.zeros((200, 200), dtype=np.uint8)
            cv2.putText(canvas, character, (60, 130), HERSHEY[name], 3, 255, 6, cv2.LINE_AA)
        else:
            image = Image.new("L", (200, 200), 0)
            font = ImageFont.truetype(font_file(name), 84)
            ImageDraw.Draw(image).text((60, 130), character, fill=255, font=font, anchor="ls")
            canvas = np.asarray(image)
        if canvas.any():
            pictures[character] = canvas
    rows = np.flatnonzero(pictures["0"].max(axis=1) > 40)
    top, height = rows[0], rows[-1] + 1 - rows[0]
    found = {}
    for character, picture in pictures.items():
        rows = np.flatnonzero(picture.max(axis=1) > 40)
        box = cropped(picture)
        found[character] = Glyph(box, label_of(character), box.shape[0] / height, (rows[0] - top) / height)
    return found


def word(rng: np.random.Generator) -> str:
    """Return one to eight letters, as frequent as in English, vowels and consonants in turn for the most part."""
    kinds = ("aaaeeeeiiioou", "bbccddddffgghhhhjkllllmmmnnnnnnppqrrrrrrssssssttttttttvwwxyyz")
    chosen = [kinds[(at + int(rng.integers(2))) % 2] for at in range(int(rng.integers(1, 9)))]
    letters = "".join(some[rng.integers(len(some))] for some in chosen)
    shape = rng.random()
    return letters.upper() if shape < 0.12 else letters.capitalize() if shape < 0.35 else letters


def _legible(rng: np.random.Generator) -> str:
    """Return a word that nobody reads as a number: less than half of its letters look like a digit."""
    while True:
        letters = word(rng)
        if 2 * sum(letter in LOOKALIKES for letter in letters) < len(letters):
            return letters


def label_of(character: str) -> int:
    """Return the class of a character: its own, or other."""
    return CLASSES.index(character) if character in CLASSES else CLASSES.index("other")


def _bent(glyph: Glyph, rng: np.random.Generator) -> Glyph:
    """Return a printed letter as a hand would write it: its strokes wander, and some are bold."""
    ink = 255 - strokes.bend(255 - np.pad(glyph.ink, 12), rng)
    if rng.random() < 0.3:
        ink = np.asarray(cv2.dilate(ink, np.ones((int(rng.integers(1, 5)),) * 2, np.uint8)), dtype=np.uint8)
    return Glyph(cropped(ink), glyph.label, glyph.height, glyph.top)


def looped_zero(rng: np.random.Generator, *, closed: bool) -> Glyph:
    """Return a zero that a pen leaves for the next digit, often open on the right, with a stroke that leads on."""
    high, wide = EM * rng.uniform(0.55, 1.05), EM * rng.uniform(0.5, 0.95)
    first, turn = rng.uniform(-1.9, -0.3), rng.uniform(6 if closed else 4.4, 6.9)
    angles = first - np.linspace(0, turn, 40)
    loop = np.stack([np.cos(angles) * wide / 2, np.sin(angles) * high / 2], axis=1)
    ahead = loop[-1] + (rng.uniform(0.3, 0.8) * wide, rng.normal(0, 0.12) * high)
    bow = loop[-1] + (ahead - loop[-1]) * (0.5, 0) + (0, rng.uniform(-0.05, 0.25) * high)
    points = np.concatenate([loop, [bow, ahead]] if rng.random() < 0.6 else [loop])
    pixels = points - points.min(axis=0) + 20
    canvas = np.zeros(np.ceil(pixels.max(axis=0) + 20).astype(int)[::-1], dtype=np.uint8)
    cv2.polylines(canvas, [np.rint(pixels * 8).astype(np.int32)], isClosed=False, color=255,
                  thickness=int(rng.integers(3, 8)), lineType=cv2.LINE_AA, shift=3)  # fmt: skip
    ink = cropped(canvas)
    tall = ink.shape[0] / EM
    middle = (loop[:, 0].min() + loop[:, 0].max()) / 2 - points[:, 0].min()
    return Glyph(ink, 0, tall, rng.uniform(0, max(0.05, 1 - tall)), float(middle / np.ptp(points[:, 0])))


def _segments(digit: int, thick: float, rng: np.random.Generator) -> Glyph:
    """Return a digit of a display."""
    wide, high = 60, 108
    pen = max(3, round(thick * high))
    # Segments that are off may still be seen.
    half, gap, ghost = pen / 2, rng.uniform(0, 4), int(rng.random() < 0.15) * int(rng.integers(30, 90))
    canvas = np.zeros((high, wide), dtype=np.uint8)
    corners = np.array([(x, y) for y in (half, high / 2, high - half) for x in (half, wide - half)])
    for name, (start, stop) in zip("abcdefg", SEGMENT_ENDS, strict=True):
        level = 255 if name in SEGMENTS[digit] else ghost
        along = corners[stop] - corners[start]
        along *= (half + gap) / np.abs(along).max()
        ends = (np.rint(corners[start] + along).astype(int), np.rint(corners[stop] - along).astype(int))
        cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), level, pen)
    lean = rng.uniform(0, 0.12) * high
    matrix = np.array([[1, -lean / high, lean], [0, 1, 0]])
    return Glyph(cropped(np.asarray(cv2.warpAffine(canvas, matrix, (wide + round(lean), high)), dtype=np.uint8)), digit)


Stroke = Sequence[tuple[float, float]]
_LEVEL: Final[Stroke] = [(0, 0.5), (1, 0.5)]
_BOW: Final[Stroke] = [(0.2, 0), (0.6, 0.3), (0.6, 0.7), (0.2, 1)]
_CROSS: Final[Sequence[Stroke]] = [[(0, 0), (1, 1)], [(1, 0), (0, 1)]]
_RINGS: Final[Sequence[Stroke]] = [
    [(0.1, 0), (0.35, 0.1), (0.2, 0.3), (0.1, 0)],
    [(0.7, 0.7), (0.9, 0.75), (0.8, 1), (0.7, 0.7)],
]
HAND: Final[dict[str, tuple[Sequence[Stroke], float, float]]] = {
    ".": ([[(0.5, 0.5), (0.52, 0.52)]], 0.10, 0.92),
    ",": ([[(0.6, 0), (0.4, 1)]], 0.25, 0.9),
    "/": ([[(0.8, 0), (0.1, 1)]], 1.15, -0.05),
    "-": ([_LEVEL], 0.08, 0.48),
    ":": ([[(0.5, 0), (0.5, 0.02)], [(0.5, 0.98), (0.5, 1)]], 0.5, 0.3),
    "+": ([_LEVEL, [(0.5, 0), (0.5, 1)]], 0.6, 0.25),
    "×": (_CROSS, 0.5, 0.3),
    "÷": ([_LEVEL, [(0.5, 0), (0.5, 0.03)], [(0.5, 0.97), (0.5, 1)]], 0.6, 0.2),
    "=": ([[(0, 0), (1, 0)], [(0, 1), (1, 1)]], 0.28, 0.4),
    "(": ([[(0.8 - x, y) for x, y in _BOW]], 1.2, -0.1),
    ")": ([_BOW], 1.2, -0.1),
    "%": ([_CROSS[1], *_RINGS], 1, 0),
}
"""Strokes of each sign in the unit square, its height and its top against those of a digit."""


def drawn_sign(sign: str, rng: np.random.Generator) -> Glyph:
    """Return a sign as a hand draws it."""
    lines, height, top = HAND[sign]
    high = max(3, EM * height * rng.uniform(0.8, 1.25))
    wide = {".": 6, ":": 6, ",": high * 0.8, "-": 34, "=": 34, "/": high * rng.uniform(0.3, 0.8)}.get(sign, high * 0.8)
    wide *= rng.uniform(0.6, 1.3) if sign in "-=" else 1
    pen = int(rng.integers(3, 10)) + (3 if sign in ".:" else 0)
    canvas = np.zeros((round(high) + 40, round(wide) + 40), dtype=np.uint8)
    for stroke in lines:
        points = np.array(stroke) + rng.normal(0, 0.06 if len(stroke) > 1 else 0, (len(stroke), 2))
        pixels = points * (wide, high) + 20
        if sign in ".:":
            pixels[1:] = pixels[:1] + rng.uniform(0, 3, (len(stroke) - 1, 2))
        cv2.polylines(canvas, [np.rint(pixels * 8).astype(np.int32)], isClosed=False, color=255, thickness=pen,
                      lineType=cv2.LINE_AA, shift=3)  # fmt: skip
    ink = cropped(canvas)
    tall, off = ink.shape[0] / EM, 0.1 if sign == "-" else 0.05
    return Glyph(ink, label_of(sign), tall, top + rng.normal(0, off) - (tall - height) / 2)
