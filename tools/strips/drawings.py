"""Drawings that are no digits, though their strokes are as long: dials, scales, grids, staves, arrows, screens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from tools.likeness.camera import Floats, Picture


def draw(ink: Floats, height: float, rng: np.random.Generator) -> None:
    """Draw one over a strip, float32 [h, w], whose digits would be this high."""
    canvas = np.zeros(ink.shape, dtype=np.uint8)
    DRAWINGS[rng.integers(len(DRAWINGS))](canvas, height, rng)
    depth = rng.uniform(0.5, 1)
    np.maximum(ink, canvas * np.float32(depth / 255), out=ink)


def _stroke(canvas: Picture, ends: tuple[float, float, float, float], pen: int) -> None:
    x0, y0, x1, y1 = (round(8 * value) for value in ends)
    cv2.line(canvas, (x0, y0), (x1, y1), 255, pen, cv2.LINE_AA, 3)


def _dial(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Ticks around a middle, some longer, with or without their circle and a hand."""
    radius, ticks, pen = rng.uniform(0.8, 6) * height, int(rng.choice([8, 12, 20, 24, 40, 60, 100])), _pen(rng)
    # Some point of the circle lies in the strip.
    turn = rng.uniform(0, 2 * np.pi)
    x = rng.uniform(0, 1) * canvas.shape[1] - radius * np.cos(turn)
    y = rng.uniform(0, 1) * canvas.shape[0] - radius * np.sin(turn)
    long, every = rng.uniform(0.2, 1.3) * height, int(rng.choice([1, 2, 5, 10]))
    for tick in range(ticks):
        angle = 2 * np.pi * (tick + 0.3) / ticks
        to = np.cos(angle), np.sin(angle)
        inner = radius - long * (1 if tick % every == 0 else rng.uniform(0.45, 0.55))
        _stroke(canvas, (x + inner * to[0], y + inner * to[1], x + radius * to[0], y + radius * to[1]), pen)
    if rng.random() < 0.4:
        cv2.circle(canvas, (round(x), round(y)), max(1, round(radius)), 255, pen, cv2.LINE_AA)
    if rng.random() < 0.4:
        turn = rng.uniform(0, 2 * np.pi)
        _stroke(canvas, (x, y, x + radius * np.cos(turn), y + radius * np.sin(turn)), pen + 2)


def _scale(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Ticks beside one another, on a line or not, level or upright."""
    foot, long, pitch = rng.uniform(0.3, 1) * canvas.shape[0], rng.uniform(0.3, 1.4) * height, rng.uniform(5, 40)
    pen, every, lean = _pen(rng), int(rng.choice([1, 2, 5, 10])), rng.normal(0, 0.08)
    for tick in range(int(canvas.shape[1] / pitch) + 1):
        up = long * (1 if tick % every == 0 else 0.55)
        x = (tick + 0.3) * pitch
        _stroke(canvas, (x, foot, x + lean * up, foot - up), pen)
    if rng.random() < 0.5:
        _stroke(canvas, (0, foot, canvas.shape[1], foot + rng.normal(0, 2)), pen)


def _grid(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Lines both ways, or one way alone, in even or uneven steps."""
    pen, turn, uneven = _pen(rng), rng.normal(0, 0.03), rng.choice([0, 0.3])
    for axis in ((0, 1), (0, 1), (0,), (1,))[rng.integers(4)]:
        place, pitch = rng.uniform(0, height), rng.uniform(0.3, 2) * height
        while place < canvas.shape[1]:
            long = canvas.shape[1 - axis]
            ends = (0.0, place, float(long), place + turn * long)
            _stroke(canvas, ends if axis == 0 else (ends[1], ends[0], ends[3], ends[2]), pen)
            place += max(4, pitch * (1 + uneven * rng.normal()))


def _stave(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Five lines, heads of notes and their stems."""
    pitch, top, pen = rng.uniform(0.15, 0.45) * height, rng.uniform(-0.2, 0.5) * canvas.shape[0], _pen(rng)
    for line in range(5):
        _stroke(canvas, (0, top + line * pitch, canvas.shape[1], top + line * pitch), 1 + pen // 3)
    x = rng.uniform(0, height)
    while x < canvas.shape[1]:
        at = (round(x), round(top + rng.uniform(0, 4) * pitch))
        axes = (max(1, round(0.6 * pitch)), max(1, round(0.45 * pitch)))
        cv2.ellipse(canvas, at, axes, -20, 0, 360, 255, -1 if rng.random() < 0.7 else pen, cv2.LINE_AA)
        side = float(rng.choice([-1, 1]))
        _stroke(canvas, (x + side * axes[0], at[1], x + side * axes[0], at[1] - side * 3.3 * pitch), pen)
        if rng.random() < 0.15:
            _stroke(canvas, (x + pitch, top, x + pitch, top + 4 * pitch), pen)
        x += rng.uniform(0.5, 2.5) * height


def _arrows(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 7))):
        long, turn, pen = rng.uniform(0.6, 4) * height, rng.uniform(0, 2 * np.pi), _pen(rng)
        x, y = rng.uniform(0, canvas.shape[1]), rng.uniform(0.2, 0.8) * canvas.shape[0]
        step = np.array([np.cos(turn), np.sin(turn)]) * long / 2
        start, stop = ((round(x + s * step[0]), round(y + s * step[1])) for s in (-1, 1))
        cv2.arrowedLine(canvas, start, stop, 255, pen, cv2.LINE_AA, 0, rng.uniform(0.15, 0.4))


def _screen(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Dots of a halftone screen, of one size or of several."""
    pitch, turn, least = rng.uniform(0.2, 1) * height, rng.uniform(0, 0.8), rng.uniform(0.1, 0.5)
    spread = rng.uniform(0, 0.4)
    cos, sin = np.cos(turn), np.sin(turn)
    count = int(300 / pitch) + 1
    for row in range(-count, count):
        for column in range(-count, count):
            x, y = (column * cos - row * sin) * pitch + 128, (column * sin + row * cos) * pitch + 32
            if -pitch < x < canvas.shape[1] + pitch and -pitch < y < canvas.shape[0] + pitch:
                size = max(1, round(pitch * (least + spread * np.sin(x / 40 + y / 30)) * 0.5))
                cv2.circle(canvas, (round(x), round(y)), size, 255, -1, cv2.LINE_AA)


def _bars(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Bars of many widths, as of a bar code, or stripes; their ends may be seen."""
    x, above, below = 0.0, 0, canvas.shape[0]
    if rng.random() < 0.5:
        above, below = round(rng.uniform(0, 0.3) * below), round(rng.uniform(0.7, 1) * below)
    widest = rng.uniform(0.1, 0.6) * height
    while x < canvas.shape[1]:
        wide = rng.uniform(0.2, 1) * widest
        cv2.rectangle(canvas, (round(x), above), (round(x + wide), below), 255, -1)
        x += wide + rng.uniform(0.3, 1.5) * widest + 2


def _boxes(canvas: Picture, height: float, rng: np.random.Generator) -> None:
    """Empty boxes and discs, screws with their slots, and corners of larger ones."""
    for _ in range(int(rng.integers(1, 6))):
        x, y = round(rng.uniform(0, canvas.shape[1])), round(rng.uniform(0, canvas.shape[0]))
        across, down = (max(4, round(side * height)) for side in rng.uniform(0.4, 4, 2))
        pen = _pen(rng)
        match rng.integers(4):
            case 0:
                cv2.rectangle(canvas, (x, y), (x + across, y + down), 255, pen)
            case 1:
                cv2.rectangle(canvas, (x, y), (x + across, y + down), 255, -1)
            case 2:
                cv2.circle(canvas, (x, y), across // 2, 255, -1 if rng.random() < 0.6 else max(pen, across // 5))
            case _:
                turn = rng.uniform(0, np.pi)
                slot = np.cos(turn) * across / 2, np.sin(turn) * across / 2
                cv2.circle(canvas, (x, y), across // 2, 255, pen, cv2.LINE_AA)
                _stroke(canvas, (x - slot[0], y - slot[1], x + slot[0], y + slot[1]), pen + 1)


def _pen(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 6))


DRAWINGS: Final[tuple[Callable[[Picture, float, np.random.Generator], None], ...]] = (
    _dial, _dial, _scale, _scale, _grid, _grid, _stave, _arrows, _screen, _bars, _boxes,
)  # fmt: skip
