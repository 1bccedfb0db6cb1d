"""Digits as hands other than MNIST's write them: with flags and feet, bars and hooks, open or closed, in few pixels.

Each form is a few strokes through points of the unit square, x to the right and y down. The points wander, the square
is stretched, and pens are thin or thick, so that no two digits are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from tools.likeness import strokes
from tools.likeness.camera import Picture

CANVAS: Final = 280
WANDER: Final = 0.03
"""How far points wander, as a standard deviation in shares of the digit's height."""
HEIGHT: Final = (120, 180)
"""Pixels of the canvas."""
ASPECT: Final = (0.4, 0.85)
"""Aspect of the square: its width against its height."""
PEN: Final = (0.04, 0.17)
"""Width of the pen, against the height."""
SMALL: Final = (8, 22)
"""Pixels that a small digit is high."""

Points = Sequence[tuple[float, float]]
Draw = Callable[[np.random.Generator], list[tuple[Points, bool]]]
"""Gives the strokes of a form, and whether each is round."""


def styled_digits(digits: Sequence[int] | npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[Picture]:
    """Return each of the digits in one of its forms, as ink, uint8 [280, 280]."""
    for digit in digits:
        forms = FORMS[int(digit)]
        yield 255 - strokes.bend(255 - _drawn(forms[int(rng.integers(len(forms)))](rng), rng), rng)


def in_few_pixels(ink: Picture, rng: np.random.Generator) -> Picture:
    """Return ink as a camera far away sees it: `SMALL` pixels high, blurred."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    glyph = np.pad(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2)
    scale = rng.uniform(*SMALL) / len(rows)
    blurred = cv2.GaussianBlur(glyph, (0, 0), max(0.01, rng.uniform(0, 0.7) / scale))
    size = max(2, round(glyph.shape[1] * scale)), max(2, round(glyph.shape[0] * scale))
    small = cv2.resize(blurred, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.normalize(small, None, 0, 255, cv2.NORM_MINMAX), dtype=np.uint8)  # type: ignore[call-overload]


def _drawn(form: Sequence[tuple[Points, bool]], rng: np.random.Generator) -> Picture:
    height = rng.uniform(*HEIGHT)
    width = height * rng.uniform(*ASPECT)
    pen = max(2, round(height * rng.uniform(*PEN)))
    canvas = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    for points, is_round in form:
        at = np.array(points) + rng.normal(0, WANDER, (len(points), 2))
        line = _rounded(at) if is_round else at
        pixels = line * (width, height) + (CANVAS - width, CANVAS - height) @ np.eye(2) / 2
        cv2.polylines(canvas, [np.rint(pixels * 8).astype(np.int32)], isClosed=False, color=255, thickness=pen,
                      lineType=cv2.LINE_AA, shift=3)  # fmt: skip
    return canvas


def _rounded(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a smooth line through points, with their ends (Catmull and Rom, 1974)."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, stop, after = (p[index : len(p) - 3 + index, None] for index in range(4))
    t = np.linspace(0, 1, 12, endpoint=False)[None, :, None]
    curve = (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    ) / 2
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def _ring(
    middle: tuple[float, float], radii: tuple[float, float], start: float = -0.1, turn: float = 1.05
) -> list[tuple[float, float]]:
    """Return points around an ellipse, against the clock from `start`; both in whole turns, 0 at the right."""
    angles = -2 * np.pi * np.linspace(start, start + turn, 9)
    return [
        (float(middle[0] + radii[0] * np.cos(angle)), float(middle[1] + radii[1] * np.sin(angle))) for angle in angles
    ]


def _zero(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    return [(_ring((0.5, 0.5), (0.48, 0.5), rng.uniform(0.1, 0.35), rng.uniform(0.95, 1.12)), True)]


def _one_with_flag(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a stem with a flag that may hang far down, and with a foot in one of three."""
    stem, reach = rng.uniform(0.45, 0.9), rng.uniform(0.2, 0.9)
    # What reaches far and hardly falls is the top of a seven.
    flag = stem - reach, rng.uniform(max(0.12, 0.4 * reach), 0.55)
    form: list[tuple[Points, bool]] = [([flag, (stem, 0), (stem - rng.uniform(-0.05, 0.2), 1)], False)]
    return form + (_foot(stem, rng) if rng.random() < 1 / 3 else [])


def _one_with_foot(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a stem with a foot, and at its top a small flag, a knot, or nothing."""
    stem = rng.uniform(0.35, 0.6)
    top: list[tuple[Points, bool]] = [
        ([(stem - rng.uniform(0.1, 0.35), rng.uniform(0.08, 0.25)), (stem, 0), (stem, 1)], False),
        ([*_ring((stem, 0.08), (0.1, 0.08), 0.0, 1.0), (stem, 0.2), (stem, 1)], True),
        ([(stem, 0), (stem, 1)], False),
    ]
    return [top[rng.integers(3)], *_foot(stem, rng)]


def _one_with_arm(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a stem to which the flag comes from the side."""
    stem, at = rng.uniform(0.5, 0.8), rng.uniform(0.12, 0.4)
    return [
        ([(stem - rng.uniform(0.35, 0.7), at + rng.uniform(-0.02, 0.1)), (stem, at)], False),
        ([(stem, 0), (stem, 1)], False),
    ]


def _foot(stem: float, rng: np.random.Generator) -> list[tuple[Points, bool]]:
    left = stem - rng.choice([0.0, 0.15, 0.35])
    return [([(left, 1), (stem + rng.uniform(0.2, 0.5), 1 - rng.uniform(0, 0.06))], False)]


def _two(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a two with a straight foot, or with a loop at its lower left."""
    bow = [(0.08, rng.uniform(0.15, 0.3)), (0.45, 0), (0.9, 0.25), (0.6, 0.6)]
    if rng.random() < 1 / 2:
        return [([*bow, (0.02, 0.97)], True), ([(0.02, 0.97), (rng.uniform(0.8, 1.1), 0.97)], False)]
    return [([*bow, (0.2, 0.95), (0.0, 0.85), (0.25, 0.78), (0.6, 0.97), (1.05, 0.9)], True)]


def _three(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a three: round, with a flat top, or with curls."""
    lower = [(0.92, rng.uniform(0.65, 0.78)), (0.5, 1), (0.0, rng.uniform(0.82, 0.95))]
    middle = rng.uniform(0.35, 0.5), rng.uniform(0.38, 0.5)
    match int(rng.integers(3)):
        case 0:
            return [
                ([(0.08, 0.02), (0.9, 0), middle], False),
                ([middle, (middle[0] + 0.2, middle[1] + 0.02), *lower], True),
            ]
        case 1:
            return [([(0.05, 0.15), (0.45, 0), (0.85, 0.2), middle, *lower], True)]
        case _:
            return [
                ([(0.2, 0.22), (0.05, 0.12), (0.4, 0.04), (0.9, 0.06), middle, (0.7, 0.6), (0.65, 0.8), (0.3, 1)], True)
            ]


def _four(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a four: closed, open with corners, or open and round."""
    bar, stem = rng.uniform(0.5, 0.72), rng.uniform(0.6, 0.85)
    match int(rng.integers(3)):
        case 0:
            return [([(stem, 1), (stem, 0), (0.02, bar), (1.02, bar)], False)]
        case 1:
            corner = 0.05, bar
            return [
                ([(rng.uniform(0.05, 0.4), 0), corner, (1, bar)], False),
                ([(stem, rng.uniform(0.0, 0.45)), (stem - 0.05, 1)], False),
            ]
        case _:
            return [
                ([(0.08, 0), (0.06, 0.35), (0.25, 0.55), (0.6, 0.5), (stem, 0.4)], True),
                ([(stem, 0), (stem, 1)], False),
            ]


def _five(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a five whose bar may lie apart, or rise."""
    top = 0.25, rng.uniform(0, 0.1)
    bow = [(0.2, 0.42), (0.6, 0.4), (0.95, 0.68), (0.55, 1), (0.0, 0.9)]
    start = 0.25 + rng.uniform(-0.05, 0.15), rng.uniform(-0.06, 0.04)
    return [([top, bow[0]], False), (bow, True), ([start, (rng.uniform(0.8, 1.1), rng.uniform(-0.08, 0.04))], False)]


def _six(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    loop = _ring((0.5, 0.72), (0.45, 0.28), 0.5, 1.0)
    return [([(rng.uniform(0.5, 0.9), rng.uniform(0, 0.08)), (0.2, 0.4), *loop], True)]


def _seven(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a seven, most with a bar through the stem, some with a serif; its top lies level, other than a flag."""
    right, foot = rng.uniform(0.85, 1.0), rng.uniform(0.15, 0.6)
    top: list[tuple[float, float]] = [(0.02, rng.uniform(-0.02, 0.08)), (right, rng.uniform(-0.02, 0.04))]
    if rng.random() < 1 / 4:
        top.insert(0, (0.02, rng.uniform(0.15, 0.25)))
    form: list[tuple[Points, bool]] = [([*top, (foot, 1)], False)]
    if rng.random() < 2 / 3:
        at, half = (right + foot) / 2, rng.uniform(0.15, 0.4)
        form.append(([(at - half, rng.uniform(0.45, 0.6)), (at + half, rng.uniform(0.42, 0.55))], False))
    return form


def _eight(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return an eight of two rings, or of one line that crosses itself."""
    waist = rng.uniform(0.4, 0.5)
    if rng.random() < 1 / 2:
        return [
            (_ring((0.5, waist / 2), (0.36, waist / 2), 0.2), True),
            (_ring((0.5, (1 + waist) / 2), (0.46, (1 - waist) / 2), 0.2), True),
        ]
    line = [(0.85, 0.15), (0.45, 0), (0.12, 0.22), (0.5, waist), (0.9, 0.78), (0.5, 1), (0.08, 0.78), (0.5, waist)]
    return [([*line, (0.88, rng.uniform(0.05, 0.22))], True)]


def _nine(rng: np.random.Generator) -> list[tuple[Points, bool]]:
    """Return a nine: a ring, and a tail that is straight, bent, or hooked to the left."""
    size = rng.uniform(0.24, 0.33)
    ring = _ring((0.48, size), (0.42, size), rng.uniform(0.0, 0.12), rng.uniform(0.95, 1.05))
    x = rng.uniform(0.82, 0.95)
    tails: list[list[tuple[float, float]]] = [
        [(x, 0.05), (x, 0.5), (rng.uniform(0.6, 0.95), 1)],
        [(x, 0.05), (x, 0.6), (0.55, 0.97), (0.2, 1)],
        [(x, 0.05), (x, 0.65), (0.7, 0.95), (0.35, 1), (0.05, rng.uniform(0.82, 0.92))],
    ]
    return [(ring, True), (tails[rng.integers(3)], True)]


FORMS: Final[Sequence[Sequence[Draw]]] = (
    (_zero,),
    (_one_with_flag, _one_with_flag, _one_with_foot, _one_with_arm),
    (_two,),
    (_three,),
    (_four,),
    (_five,),
    (_six,),
    (_seven,),
    (_eight,),
    (_nine,),
)
"""The forms of each digit; the ones differ most from MNIST's."""
