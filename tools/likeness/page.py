"""Sheets of handwritten numbers in many styles, photographed, with the truth about every digit on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tools.likeness.camera import Camera, Floats, Picture, as_share, develop, lay_ink, paper
from tools.likeness.fonts import font_file

BackText: Final = "The quick brown fox jumps over the lazy dog 0123456789. "


Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the picture."""


@dataclass(frozen=True)
class Digits:
    """Handwritten digits with their labels."""

    images: npt.NDArray[np.uint8]
    """uint8 [N, 28, 28], white on black."""
    labels: npt.NDArray[np.int64]
    """int64 [N]."""

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, rng: np.random.Generator) -> Digits:
        """Return `count` of them, each at most once if there are enough."""
        chosen = rng.choice(len(self), size=count, replace=count > len(self))
        return Digits(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, kw_only=True)
class PageStyle:
    """What a sheet looks like and how it is photographed. Lengths are shares of the picture's width."""

    width: int = 1600
    height: int = 2000
    rows: int = 10
    columns: int = 10
    """Digits in a row."""
    digit: float = 0.045
    """Side of the 28×28 square of a digit; the digit itself fills 20/28 of it."""
    size_spread: float = 0.12
    """Digits differ in size by up to this share, each way."""
    row_slope: float = 0.04
    """Steepest slope of a row; each row has its own, beside the page's."""
    number_length: tuple[int, int] = (1, 4)
    """Fewest and most digits of a number."""
    touching: float = 0.0
    """Share of the neighbours within a number that touch each other."""
    ruled: bool = False
    squared: bool = False
    show_through: float = 0.0
    """How strongly the print on the back of the sheet shows through, against ink of 1."""
    specks: int = 0
    punch_holes: bool = False
    table: bool = False
    """Whether the table shows around the sheet."""
    perspective: float = 0.0
    """How far the corners move."""
    ink: tuple[float, float] = (0.05, 0.35)
    """Reflectance of the ink, from black to pale."""
    inverted: bool = False
    """Chalk on a blackboard."""
    camera: Camera = field(default_factory=Camera)


STYLES: Final[dict[str, PageStyle]] = {
    "scan": PageStyle(row_slope=0.0, camera=Camera(shadow=0.0, blur=(0.3, 0.6), noise=1.5, jpeg_quality=92)),
    "photo": PageStyle(perspective=0.015),
    "slanted": PageStyle(row_slope=0.12, rows=8, columns=10),
    "ruled": PageStyle(ruled=True, row_slope=0.015, perspective=0.01),
    "squared": PageStyle(squared=True, row_slope=0.015, perspective=0.01),
    "show-through": PageStyle(show_through=0.3),
    "specks-holes": PageStyle(specks=120, punch_holes=True),
    "table": PageStyle(table=True, perspective=0.03, punch_holes=True),
    "touching": PageStyle(touching=0.35, row_slope=0.02),
    "pale": PageStyle(ink=(0.45, 0.6), camera=Camera(shadow=0.6)),
    "dark-shadow": PageStyle(camera=Camera(shadow=0.95, noise=5)),
    "small": PageStyle(digit=0.03, width=1200, height=1500),
    "blackboard": PageStyle(inverted=True),
    "everything": PageStyle(ruled=True, show_through=0.2, specks=60, punch_holes=True, table=True, perspective=0.02,
                            touching=0.1, row_slope=0.03),
}  # fmt: skip
"""The pages that reading is measured on, by what makes them hard: 100 digits each, but for `slanted`, which has 80."""


def quarter(style: PageStyle) -> PageStyle:
    """Return a quarter of a page in a style: 24 digits, for tests that have to be quick."""
    return replace(style, width=900, height=700, rows=4, columns=6, digit=0.075)


@dataclass(frozen=True)
class Truth:
    """One digit on a page."""

    digit: int
    box: Box
    line: int
    number: int


@dataclass(frozen=True)
class Page:
    """A photographed page and what is on it, in reading order."""

    picture: Picture
    """uint8 [h, w, 3]."""
    truths: list[Truth]


def compose_page(digits: Digits, rng: np.random.Generator, style: PageStyle) -> Page:
    """Write `style.rows` rows of digits, taken from `digits` in turn, and photograph the sheet."""
    width, height = style.width, style.height
    ink, placed = _write(digits, rng, style)
    sheet = paper(height, width, rng)
    if style.ruled or style.squared:
        sheet = ruled(sheet, rng, style)
    if style.show_through:
        sheet = lay_ink(sheet, _back_of_sheet(height, width, rng) * style.show_through, 0.1)
    sheet = lay_ink(sheet, ink, rng.uniform(*style.ink))
    if style.specks:
        sheet = lay_ink(sheet, _specks(height, width, style.specks, rng), 0.15)
    if style.punch_holes:
        sheet = lay_ink(sheet, _holes(height, width), 0.06)
    if style.inverted:
        sheet = np.float32(1.02) - np.float32(0.9) * sheet
    matrix = view(width, height, rng, style)
    scene = sheet
    if style.table or style.perspective:
        wood = np.array([0.32, 0.22, 0.15], dtype=np.float32) * rng.uniform(0.6, 1.6)
        warped = cv2.warpPerspective(sheet, matrix, (width, height), flags=cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_CONSTANT, borderValue=wood.tolist())  # fmt: skip
        scene = np.asarray(warped, dtype=np.float32)
    truths = [Truth(digit, project(box, matrix), line, number) for digit, box, line, number in placed]
    return Page(develop(scene, rng, style.camera), truths)


Placed = tuple[int, Box, int, int]


def _write(digits: Digits, rng: np.random.Generator, style: PageStyle) -> tuple[Floats, list[Placed]]:
    width, height = style.width, style.height
    ink = np.zeros((height, width), dtype=np.float32)
    placed: list[Placed] = []
    side = style.digit * width
    left, right = 0.1 * width, 0.95 * width
    page_slope = rng.uniform(-style.row_slope, style.row_slope)
    number = 0
    for row in range(style.rows):
        slope = page_slope + rng.uniform(-0.2, 0.2) * style.row_slope
        middle = height * (0.1 + 0.8 * (row + 0.5) / style.rows)
        lengths = _number_lengths(style.columns, rng, style.number_length)
        # What is left of the row is shared among the gaps between the numbers.
        spare = (right - left) - style.columns * side * 0.92
        pitch = spare / max(1, len(lengths))
        x = left + rng.uniform(0, 0.5) * pitch
        for length in lengths:
            for position in range(length):
                index = len(placed) % len(digits)
                image, label = digits.images[index], int(digits.labels[index])
                drawn = glyph(image, side * rng.uniform(1 - style.size_spread, 1 + style.size_spread))
                touches = position > 0 and rng.random() < style.touching
                gap = 0 if touches else (rng.uniform(0.06, 0.2) * side if position else 0)
                top = round(middle + slope * (x - width / 2) - drawn.shape[0] / 2 + rng.uniform(-0.05, 0.05) * side)
                corner = round(x + gap)
                if touches:
                    corner -= _slack(ink, drawn, corner, top)
                stamp(ink, drawn, corner, top)
                placed.append((label, (corner, top, drawn.shape[1], drawn.shape[0]), row, number))
                x = corner + drawn.shape[1]
            number += 1
            x += max(0.45 * side, pitch * rng.uniform(0.8, 1.0))
    return ink, placed


def _number_lengths(total: int, rng: np.random.Generator, bounds: tuple[int, int]) -> list[int]:
    lengths: list[int] = []
    while sum(lengths) < total:
        lengths.append(min(int(rng.integers(bounds[0], bounds[1] + 1)), total - sum(lengths)))
    return lengths


def glyph(image: Picture, side: float) -> Floats:
    """Return a digit as ink, cropped to its box; a square of MNIST is `side` pixels long."""
    scale = side / 28
    large = as_share(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    rows, columns = np.flatnonzero(large.max(axis=1) > 0.5), np.flatnonzero(large.max(axis=0) > 0.5)
    return large[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _slack(ink: Floats, glyph: Floats, left: int, top: int) -> int:
    """Return how far left a glyph has to move until its ink meets the ink already there."""
    body = glyph > 0.5
    for shift in range(glyph.shape[1] // 2):
        patch = ink[top : top + glyph.shape[0], left - shift : left - shift + glyph.shape[1]]
        if (patch[body] > 0.5).sum() > 2:
            return shift
    return 0


def stamp(ink: Floats, glyph: Floats, left: int, top: int) -> None:
    """Put a glyph on the ink of a page, in place; anything beyond the right or lower edge is cut off."""
    patch = ink[top : top + glyph.shape[0], left : left + glyph.shape[1]]
    np.maximum(patch, glyph[: patch.shape[0], : patch.shape[1]], out=patch)


def ruled(sheet: Floats, rng: np.random.Generator, style: PageStyle) -> Floats:
    """Return a sheet with the lines, or the squares, that digits of the style are written on."""
    height, width = sheet.shape[:2]
    pitch = style.digit * width * (0.5 if style.squared else 1.45)
    thickness = max(1, round(width / 900))
    lines = np.zeros((height, width), dtype=np.float32)
    for y in np.arange(rng.uniform(0.3, 1) * pitch, height, pitch):
        lines[round(y) : round(y) + thickness] = 1
    if style.squared:
        for x in np.arange(rng.uniform(0.3, 1) * pitch, width, pitch):
            lines[:, round(x) : round(x) + thickness] = 1
    blue = np.array([0.55, 0.7, 0.9], dtype=np.float32) * rng.uniform(0.75, 1)
    return np.asarray(sheet * (1 - lines[..., None] * (1 - blue)), dtype=np.float32)


def _back_of_sheet(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Return print as it shows through paper: mirrored and soft."""
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    size = width // 45
    font = ImageFont.truetype(font_file("DejaVuSerif"), size)
    for y in range(height // 12, height - height // 12, 2 * size):
        start = int(rng.integers(len(BackText)))
        draw.text((width // 10, y), ((BackText * 4)[start:])[:70], fill=255, font=font)
    mirrored = np.asarray(image, dtype=np.float32)[:, ::-1] / 255
    return np.asarray(cv2.GaussianBlur(mirrored, (0, 0), max(1, width / 1200)), dtype=np.float32)


def _specks(height: int, width: int, count: int, rng: np.random.Generator) -> Floats:
    canvas = np.zeros((height, width), dtype=np.uint8)
    for _ in range(count):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = max(1, round(width * rng.uniform(0.0004, 0.003))), max(1, round(width * rng.uniform(0.0004, 0.003)))
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return as_share(canvas)


def _holes(height: int, width: int) -> Floats:
    canvas = np.zeros((height, width), dtype=np.uint8)
    for y in (0.36, 0.64):
        cv2.circle(canvas, (round(0.05 * width), round(y * height)), round(0.014 * width), 255, -1, cv2.LINE_AA)
    return as_share(canvas)


def view(width: int, height: int, rng: np.random.Generator, style: PageStyle) -> npt.NDArray[np.float64]:
    """Return the homography from the sheet to the picture of it, float64 [3, 3]."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    centre = corners.mean(axis=0)
    seen = centre + (corners - centre) * (0.9 if style.table else 1)
    seen = seen + rng.uniform(-1, 1, (4, 2)) * style.perspective * width
    return np.asarray(cv2.getPerspectiveTransform(corners, seen.astype(np.float32)), dtype=np.float64)


def project(box: Box, matrix: npt.NDArray[np.float64]) -> Box:
    """Return the upright box around the image of a box under a homography."""
    x, y, w, h = box
    corners = np.array([[[x, y]], [[x + w, y]], [[x + w, y + h]], [[x, y + h]]], dtype=np.float64)
    moved = cv2.perspectiveTransform(corners, matrix)[:, 0]
    left, top = moved.min(axis=0)
    right, bottom = moved.max(axis=0)
    return float(left), float(top), float(right - left), float(bottom - top)
