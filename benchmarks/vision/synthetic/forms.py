"""Photographed forms: frames, combs, grids and tables, with print and handwriting, and the truth about each cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.likeness.camera import Camera, Floats, Picture, as_share, develop, lay_ink, paper
from tools.likeness.fonts import font_file
from tools.likeness.page import Box, Digits, PageStyle, Truth, glyph, project, stamp, view

Kind = Literal["comb", "grid", "table", "frame"]

WORDS: Final = "Name Date Amount Total Sudoku Points Street Number Signature Remarks Class Grade"
PRINT: Final = "DejaVuSans-Bold"
COLOURS: Final = {
    "black": (0.1, 0.1, 0.1),
    "pencil": (0.42, 0.42, 0.42),
    "blue": (0.15, 0.25, 0.7),
    "red": (0.75, 0.15, 0.15),
    "grey": (0.6, 0.6, 0.6),
}
"""Reflectance of red, green and blue light."""


@dataclass(frozen=True, kw_only=True)
class FormStyle:
    """What is on a form, and how it is photographed."""

    kinds: tuple[Kind, ...]
    """From top to bottom."""
    line: str = "black"
    """Colour of the lines."""
    hand: tuple[str, ...] = ("blue",)
    """Colours of the handwriting: each cell has one of them."""
    printed: float = 0.0
    """Share of the filled cells of a grid whose digit is in bold print."""
    filled: float = 0.75
    """Share of the cells that are not empty."""
    thickness: tuple[int, int] = (2, 3)
    """Of lines, in pixels."""
    broken: float = 0.0
    """Share of the upright lines that have a gap."""
    offset: float = 0.1
    """How far digits stand from the middle of their cells, as a share of the cell: far ones touch the lines."""
    circles: int = 0
    """Digits beside the tables with a circle around each."""
    words: bool = True
    perspective: float = 0.015
    width: int = 1200
    height: int = 1500
    camera: Camera = field(default_factory=Camera)


@dataclass(frozen=True)
class TrueTable:
    """One table as it was drawn."""

    texts: list[list[str]]
    """Row by row, empty where nothing stands."""
    box: Box

    @property
    def is_comb(self) -> bool:
        """Whether all cells are one number."""
        return len(self.texts) == 1 and len(self.texts[0]) > 1


@dataclass(frozen=True)
class Form:
    """A photographed form and what is on it."""

    picture: Picture
    """uint8 [h, w, 3]."""
    truths: list[Truth]
    """Every digit, printed ones too."""
    tables: list[TrueTable]


STYLES: Final[dict[str, FormStyle]] = {
    "combs": FormStyle(kinds=("comb",) * 6, words=False),
    "combs-broken": FormStyle(kinds=("comb",) * 6, broken=0.6, hand=("pencil", "black"), offset=0.2),
    "sudoku": FormStyle(kinds=("grid",), printed=0.5, thickness=(1, 4), hand=("red", "blue", "pencil")),
    "sudoku-grey": FormStyle(kinds=("grid",), line="grey", printed=0.9, thickness=(1, 3), perspective=0.03),
    "marks": FormStyle(kinds=("table",), hand=("pencil",), line="grey", filled=0.9),
    "list": FormStyle(kinds=("table", "comb"), thickness=(1, 2), hand=("blue", "red"), offset=0.2),
    "form": FormStyle(kinds=("comb", "comb", "table", "frame"), circles=3, hand=("blue", "black")),
    "thick": FormStyle(kinds=("comb", "comb", "table"), thickness=(5, 9), perspective=0.02),
}


class _Sheet:
    """Ink by colour, and what it means."""

    def __init__(self, style: FormStyle, digits: Digits, rng: np.random.Generator) -> None:
        self.style, self.rng = style, rng
        self._digits = digits
        self._next = 0
        self.inks: dict[str, Floats] = {}
        self.placed: list[Truth] = []
        self.tables: list[tuple[list[list[str]], Box]] = []

    def ink(self, colour: str) -> Floats:
        """Return the layer of a colour."""
        return self.inks.setdefault(colour, np.zeros((self.style.height, self.style.width), dtype=np.float32))

    def hand(self, x: float, y: float, side: float, line: int) -> int:
        """Write a digit with its middle at x, y, and return which."""
        index = self._next % len(self._digits)
        self._next += 1
        drawn = glyph(self._digits.images[index], side * self.rng.uniform(0.9, 1.1))
        digit = int(self._digits.labels[index])
        self._put(str(self.rng.choice(self.style.hand)), drawn, (x, y), Truth(digit, (0, 0, 0, 0), line, line))
        return digit

    def printed(self, x: float, y: float, height: float, line: int) -> int:
        """Print a digit with its middle at x, y, and return which."""
        digit = int(self.rng.integers(1, 10))
        self._put("black", _letters(str(digit), height), (x, y), Truth(digit, (0, 0, 0, 0), line, line))
        return digit

    def _put(self, colour: str, drawn: Floats, middle: tuple[float, float], truth: Truth) -> None:
        left, top = (round(at - length / 2) for at, length in zip(middle, drawn.shape[::-1], strict=True))
        stamp(self.ink(colour), drawn, left, top)
        self.placed.append(replace(truth, box=(left, top, drawn.shape[1], drawn.shape[0])))

    def lines(self, box: Box, rows: int, columns: int, *, thick_every: int = 0) -> None:
        """Rule a table."""
        left, top, width, height = box
        canvas = np.zeros((self.style.height, self.style.width), dtype=np.uint8)
        thin, thick = self.style.thickness
        usual = int(self.rng.integers(thin, thick + 1)) if not thick_every else thin

        def weight(index: int) -> int:
            return thick if thick_every and index % thick_every == 0 else usual

        for row in range(rows + 1):
            y = round(top + height * row / rows)
            cv2.line(canvas, (round(left), y), (round(left + width), y), 255, weight(row))
        for column in range(columns + 1):
            x = round(left + width * column / columns)
            cv2.line(canvas, (x, round(top)), (x, round(top + height)), 255, weight(column))
            if self.rng.random() < self.style.broken:
                gap = self.rng.uniform(0.1, 0.25) * height / rows
                middle = top + height * self.rng.uniform(0.4, 0.6)
                cv2.rectangle(canvas, (x - 6, round(middle - gap / 2)), (x + 6, round(middle + gap / 2)), 0, -1)
        np.maximum(self.ink(self.style.line), as_share(canvas), out=self.ink(self.style.line))

    def cells(self, box: Box, rows: int, columns: int, side: float, *, printed: float, longest: int = 1) -> None:
        """Fill the cells of a table."""
        left, top, width, height = box
        cell_width, cell_height = width / columns, height / rows
        texts = [["" for _ in range(columns)] for _ in range(rows)]
        for row in range(rows):
            for column in range(columns):
                if self.rng.random() > self.style.filled:
                    continue
                away = self.rng.uniform(-1, 1, 2) * self.style.offset
                x = left + (column + 0.5 + (0 if longest > 1 else away[0])) * cell_width
                y = top + (row + 0.5 + away[1]) * cell_height
                line = 1000 * len(self.tables) + row
                if self.rng.random() < printed:
                    texts[row][column] = str(self.printed(x, y, 0.6 * side, line))
                    continue
                count = int(self.rng.integers(1, longest + 1))
                for position in range(count):
                    at = x + (position - (count - 1) / 2) * 0.82 * side
                    texts[row][column] += str(self.hand(at, y, side, line))
        self.tables.append((texts, box))

    def word(self, text: str, x: float, y: float, height: float) -> None:
        """Print a word, which holds no digit."""
        stamp(self.ink("black"), _letters(text, height), round(x), round(y))


def compose_form(digits: Digits, rng: np.random.Generator, style: FormStyle) -> Form:
    """Draw, fill and photograph a form; its handwritten digits are `digits` in turn."""
    sheet = _Sheet(style, digits, rng)
    y = 0.06 * style.height
    for kind in style.kinds:
        if style.words:
            sheet.word(str(rng.choice(WORDS.split())), 0.1 * style.width, y, 0.018 * style.width)
            y += 0.04 * style.height
        y += _draw(sheet, kind, y) + 0.035 * style.height
    for number in range(style.circles):
        x, side = (0.2 + 0.2 * number) * style.width, 0.05 * style.width
        sheet.hand(x, y + side, side, -1 - number)
        canvas = np.zeros((style.height, style.width), dtype=np.uint8)
        axes = round(0.75 * side), round(0.65 * side)
        cv2.ellipse(canvas, (round(x), round(y + side)), axes, float(rng.uniform(-20, 20)), 0, 360, 255, 3, cv2.LINE_AA)
        np.maximum(sheet.ink("red"), as_share(canvas), out=sheet.ink("red"))
    scene = paper(style.height, style.width, rng)
    for colour, ink in sheet.inks.items():
        scene = lay_ink(scene, ink, np.array(COLOURS[colour], dtype=np.float32))
    matrix = view(style.width, style.height, rng, PageStyle(perspective=style.perspective))
    light = float(scene.mean())
    warped = cv2.warpPerspective(scene, matrix, (style.width, style.height), flags=cv2.INTER_LINEAR,
                                 borderMode=cv2.BORDER_CONSTANT, borderValue=(light, light, light))  # fmt: skip
    truths = [replace(truth, box=project(truth.box, matrix)) for truth in sheet.placed]
    tables = [TrueTable(texts, project(box, matrix)) for texts, box in sheet.tables]
    return Form(develop(np.asarray(warped, dtype=np.float32), rng, style.camera), truths, tables)


def _draw(sheet: _Sheet, kind: Kind, top: float) -> float:
    """Draw one table, and return how high it is."""
    rng, style = sheet.rng, sheet.style
    width = style.width
    left = rng.uniform(0.08, 0.14) * width
    match kind:
        case "comb":
            side, columns = rng.uniform(0.05, 0.07) * width, int(rng.integers(5, 12))
            box = left, top, columns * side, side * rng.uniform(1, 1.4)
            sheet.lines(box, 1, columns)
            sheet.cells(box, 1, columns, 0.85 * side, printed=0)
        case "grid":
            side = rng.uniform(0.7, 0.8) * width
            box = left, top, side, side
            sheet.lines(box, 9, 9, thick_every=3)
            sheet.cells(box, 9, 9, 0.8 * side / 9, printed=style.printed)
        case "table":
            rows, columns = int(rng.integers(5, 9)), int(rng.integers(2, 5))
            cell = 0.055 * width
            box = left, top, columns * cell * 2.8, rows * cell
            sheet.lines(box, rows, columns)
            sheet.cells(box, rows, columns, 0.85 * cell, printed=0, longest=3)
        case "frame":
            box = left, top, 0.35 * width, 0.09 * width
            sheet.lines(box, 1, 1)
            sheet.cells(box, 1, 1, 0.06 * width, printed=0, longest=4)
    return box[3]


def _letters(text: str, height: float) -> Floats:
    """Return bold print as ink, cropped to its box."""
    font = ImageFont.truetype(font_file(PRINT), round(height * 1.37))
    left, top, right, bottom = (round(side) for side in font.getbbox(text))
    image = Image.new("L", (right - left + 2, bottom - top + 2), 0)
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return as_share(np.asarray(image))
