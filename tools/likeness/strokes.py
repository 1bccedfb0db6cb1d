"""Drawings: handwriting reduced to thin lines, letters and scribbles."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tools.likeness.camera import Picture
from tools.likeness.fonts import HERSHEY, font_file

CANVAS: Final = 280
"""Side of a drawing, ten times that of an MNIST image."""

WARP: Final = 0.02
"""How far the points of a drawing move, as a standard deviation in shares of its width."""

Scribble = Literal["zigzag", "loops", "knot", "tick", "cross"]


def skeleton(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Thin a shape to lines of one pixel (Zhang and Suen, 1984)."""
    image = np.pad(mask, 1)
    while True:
        before = image.copy()
        for first in (True, False):
            p = [np.roll(image, shift, (0, 1)) for shift in
                 ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))]  # fmt: skip
            # North first, then clockwise.
            neighbours = sum(q.astype(np.int8) for q in p)
            turns = sum((~a & b).astype(np.int8) for a, b in zip(p, [*p[1:], p[0]], strict=True))
            north, east, south, west = p[0], p[2], p[4], p[6]
            if first:
                open_side = ~(north & east & south) & ~(east & south & west)
            else:
                open_side = ~(north & east & west) & ~(north & south & west)
            image = image & ~((neighbours >= 2) & (neighbours <= 6) & (turns == 1) & open_side)
        if np.array_equal(image, before):
            return image[1:-1, 1:-1]


def draw_thin(digit: Picture, rng: np.random.Generator) -> Picture:
    """Redraw a digit as a mouse or a fine pen would: one line of 1 to 4 pixels, black on white, uint8 [280, 280]."""
    scale = 4
    large = cv2.resize(digit, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    lines = skeleton(large > 110)
    image = Image.new("L", (CANVAS * 2, CANVAS * 2), 255)
    draw = ImageDraw.Draw(image)
    width = int(rng.integers(2, 9))
    factor = 2 * CANVAS / (28 * scale)
    for y, x in np.argwhere(lines):
        _dot(draw, x * factor, y * factor, width)
        for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
            if 0 <= y + dy < len(lines) and 0 <= x + dx < len(lines) and lines[y + dy, x + dx]:
                draw.line((x * factor, y * factor, (x + dx) * factor, (y + dy) * factor), fill=0, width=width)
    return np.asarray(image.reduce(2))


def draw_letter(letter: str, font: str, rng: np.random.Generator) -> Picture:
    """Draw a letter in a font of `synthetic.fonts`, slanted and bent a little, black on white, uint8 [280, 280]."""
    canvas = np.full((CANVAS, CANVAS), 255, dtype=np.uint8)
    if font in HERSHEY:
        scale, width = rng.uniform(4, 6), int(rng.integers(3, 26))
        (w, h), _ = cv2.getTextSize(letter, HERSHEY[font], scale, width)
        cv2.putText(canvas, letter, ((CANVAS - w) // 2, (CANVAS + h) // 2), HERSHEY[font], scale, 0, width, cv2.LINE_AA)
    else:
        image = Image.fromarray(canvas)
        ImageDraw.Draw(image).text(
            (CANVAS // 2, CANVAS // 2), letter, fill=0, anchor="mm", font=ImageFont.truetype(font_file(font), 190)
        )
        canvas = np.asarray(image)
    return bend(canvas, rng)


def print_text(text: str, font: str) -> Picture:
    """Print some characters in a font that has a file, black on white, uint8 [240, w]."""
    letters = ImageFont.truetype(font_file(font), 120)
    image = Image.new("L", (int(letters.getlength(text)) + 120, 240), 255)
    ImageDraw.Draw(image).text((60, 40), text, fill=0, font=letters)
    return np.asarray(image)


def scribble(kind: Scribble, rng: np.random.Generator) -> Picture:
    """Draw the marks of a pen being tried out, or ticking something off, black on white, uint8 [280, 280]."""
    if kind in ("tick", "cross"):
        return _mark(kind, rng)
    points = int(rng.integers(8, 26))
    t = np.linspace(0, 1, points)
    match kind:
        case "zigzag":
            x = 50 + 180 * t
            y = 140 + np.where(np.arange(points) % 2 == 0, -1, 1) * rng.uniform(30, 100, points)
        case "loops":
            turns = rng.uniform(2.5, 5)
            x = 60 + 160 * t + 45 * np.cos(2 * np.pi * turns * t)
            y = 140 + rng.uniform(40, 90) * np.sin(2 * np.pi * turns * t) + rng.normal(0, 5, points)
        case "knot":
            x, y = rng.uniform(30, 250, (2, points))
    dense = np.linspace(0, points - 1, points * 12)
    curve = np.stack([np.interp(dense, np.arange(points), axis) for axis in (x, y)], axis=1)
    smooth = cv2.GaussianBlur(curve.astype(np.float32), (1, 0), sigmaX=0.1, sigmaY=rng.uniform(0.5, 5))
    canvas = np.full((CANVAS, CANVAS), 255, dtype=np.uint8)
    cv2.polylines(canvas, [np.rint(smooth).astype(np.int32)], isClosed=False, color=0,
                  thickness=int(rng.integers(3, 18)), lineType=cv2.LINE_AA)  # fmt: skip
    return canvas


def _mark(kind: Literal["tick", "cross"], rng: np.random.Generator) -> Picture:
    """Draw a tick, whose second stroke is the longer one, or a cross."""
    low = rng.uniform(90, 150), rng.uniform(190, 240)
    start = low[0] - rng.uniform(25, 80), low[1] - rng.uniform(20, 110)
    stop = low[0] + rng.uniform(50, 130), low[1] - rng.uniform(90, 200)
    lines = [[start, low, stop]] if kind == "tick" else [[(60, 60), (220, 220)], [(220, 60), (60, 220)]]
    canvas = np.full((CANVAS, CANVAS), 255, dtype=np.uint8)
    width = int(rng.integers(5, 34))
    for line in lines:
        moved = np.array(line) + rng.normal(0, 8 if kind == "tick" else 22, (len(line), 2))
        cv2.polylines(canvas, [np.rint(moved).astype(np.int32)], isClosed=False, color=0, thickness=width,
                      lineType=cv2.LINE_AA)  # fmt: skip
    return canvas


def bend(picture: Picture, rng: np.random.Generator) -> Picture:
    """Slant, stretch, turn and warp a drawing on white, as no two hands write alike."""
    height, width = picture.shape
    centre = np.array([width / 2, height / 2])
    turn, slant = np.deg2rad(rng.uniform(-8, 8)), rng.uniform(-0.15, 0.25)
    stretch = np.diag(rng.uniform(0.8, 1.0, 2))
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [[1, -slant], [0, 1]] @ stretch
    matrix = np.hstack([linear, (centre - linear @ centre)[:, None]])
    turned = cv2.warpAffine(picture, matrix, (width, height), borderValue=255)
    waves = rng.normal(0, WARP * width, (2, 4, 4)).astype(np.float32)
    shift = [cv2.resize(wave, (width, height), interpolation=cv2.INTER_CUBIC) for wave in waves]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    warped = cv2.remap(turned, x + shift[0], y + shift[1], cv2.INTER_LINEAR, borderValue=255)
    return np.asarray(warped, dtype=np.uint8)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, width: int) -> None:
    radius = width / 2
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
