"""Inputs as pictures to look at: sheets of tiles below headings, and rows of text."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Images

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    from edgemnist.ground.arrays import Labels

GROUND: Final = (32, 36, 44)
TEXT: Final = (240, 242, 245)
DETAIL: Final = (158, 168, 184)

TILE: Final = 84
"""Longer side of an image: small ones are shown larger by a whole number, and large ones smaller."""
COLUMNS: Final = 10
GAP: Final = 20
ROW: Final = TILE + GAP
MARGIN: Final = TILE // 3
HEADING: Final = 52
HEADING_SIZE: Final = 20
DETAIL_SIZE: Final = 14
EACH: Final = 20
"""Images of each class on a sheet of classes."""
MOST_CLASSES: Final = 100
"""Of a sheet of classes."""
FEW: Final = 32
"""Numbers up to which each of a row has a scale of its own, as different sensors have; more are one signal."""
WIDTH: Final = 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP
_LONGEST_HEADING: Final = 40
"""Letters of a class name in a heading."""


def _short(label: str, index: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return a class name as it fits into a heading, without the accents that Pillow's font lacks.

    In place of other letters that would be boxes, the number of the class tells which one it is.
    """
    letters = unicodedata.normalize("NFKD", label.replace("ß", "ss"))
    words = " ".join("".join(one for one in letters if not unicodedata.combining(one)).split())
    known = "".join(one for one in words if bytes(font.getmask(one)) != bytes(font.getmask("\uffff")))
    words = words if known == words else f"class {index}: {known.strip()}".rstrip(" :")
    return words if len(words) <= _LONGEST_HEADING else f"{words[: _LONGEST_HEADING - 1]}…"


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as the contents of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _shown(image: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image as large as fits a tile; what is transparent is white."""
    from PIL import Image

    picture = Image.fromarray(image)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    scale = TILE / max(picture.size)
    if scale >= 1:
        return picture.resize((picture.width * int(scale), picture.height * int(scale)), Image.Resampling.NEAREST)
    return picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BILINEAR)


def as_pictures(inputs: npt.NDArray[Any], among: npt.NDArray[Any] | None = None) -> Images:
    """Return pictures of inputs [N, …], uint8: pictures as they are, rows of numbers as curves, others as grey levels.

    A curve has its numbers from left to right, from the least of `among` (by default all inputs) to the greatest: each
    has its own up to `FEW` numbers, and more have them in common.
    """
    from PIL import Image, ImageDraw

    if inputs.dtype == np.uint8 and inputs.ndim > 2:  # noqa: PLR2004 - [N, H, W]
        return inputs
    each = 0 if inputs.ndim == 2 and inputs.shape[1] <= FEW else None  # noqa: PLR2004 - [N, M]
    least, greatest = (end(inputs if among is None else among, axis=each).astype(float) for end in (np.min, np.max))
    shares = np.clip((inputs - least) / np.where(greatest > least, greatest - least, 1), 0, 1)
    if inputs.ndim > 2:  # noqa: PLR2004 - [N, T, F]
        levels: Images = np.rint(255 * shares).astype(np.uint8).reshape(*inputs.shape[:2], -1)
        return levels
    pictures = np.empty((len(inputs), TILE, TILE), np.uint8)
    # Drawn larger, so that lines are smooth.
    size, fine = TILE * 3, 3
    across = np.linspace(3 * fine, size - 3 * fine, inputs.shape[1]) if inputs.shape[1] > 1 else np.array([size / 2])
    for picture, row in zip(pictures, shares, strict=True):
        curve = Image.new("L", (size, size))
        draw = ImageDraw.Draw(curve)
        points = list(zip(across.tolist(), ((size - 6 * fine) * (1 - row) + 3 * fine).tolist(), strict=True))
        draw.line(points, fill=255, width=fine + 1)
        if len(points) <= FEW:
            for x, y in points:
                draw.ellipse((x - 2 * fine, y - 2 * fine, x + 2 * fine, y + 2 * fine), fill=255)
        picture[:] = np.asarray(curve.reduce(fine))
    return pictures


def class_sheet_png(inputs: npt.NDArray[Any], truth: Labels | None, labels: Sequence[str]) -> bytes:
    """Return a PNG with `EACH` inputs of each class, its label and how many it has.

    `inputs` are pictures or numbers, [N, …], `truth` int64 [N], indices into `labels`, or None. The inputs are spread
    evenly over the split, in its order, so the same split gives the same bytes.
    """
    from PIL import Image, ImageDraw, ImageFont

    if truth is None:
        truth, labels = np.zeros(len(inputs), np.int64), ["all"]
    parts = [np.flatnonzero(truth == index) for index in range(min(len(labels), MOST_CLASSES))]
    chosen = [np.unique(one[np.linspace(0, len(one) - 1, EACH).astype(np.int64)] if one.size else one) for one in parts]
    pictures = iter(as_pictures(inputs[np.concatenate(chosen)], inputs))
    legend = f"The first {MOST_CLASSES:,} of {len(labels):,} classes." if len(labels) > MOST_CLASSES else ""
    top = MARGIN + (GAP if legend else 0)
    heights = [HEADING + math.ceil(len(some) / COLUMNS) * ROW for some in chosen]
    sheet = Image.new("RGB", (WIDTH, top + sum(heights) + MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(HEADING_SIZE), ImageFont.load_default(DETAIL_SIZE)
    draw.text((MARGIN, MARGIN), legend, fill=DETAIL, font=small, anchor="ls")
    rows = zip(labels, parts, chosen, heights, strict=False)
    for index, (label, all_of_it, some, height) in enumerate(rows):
        name = _short(label, index, large)
        draw.text((MARGIN, top + HEADING_SIZE), name, fill=TEXT, font=large, anchor="ls")
        beside = MARGIN + large.getlength(name) + GAP
        draw.text((beside, top + HEADING_SIZE), f"{len(all_of_it):,}", fill=DETAIL, font=small, anchor="ls")
        for place in range(len(some)):
            row, column = divmod(place, COLUMNS)
            left, upper = MARGIN + column * (TILE + GAP), top + HEADING + row * ROW
            shown = _shown(next(pictures))
            sheet.paste(shown, (left + (TILE - shown.width) // 2, upper + (TILE - shown.height) // 2))
        top += height
    return encoded(sheet)


_INK: Final = 96
"""Pixels from here on are drawn in a terminal."""
_SPACE: Final = 3
"""Blank columns between images in a terminal."""
_HALVES: Final = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def terminal_rows(images: Images, *, width: int = 80) -> list[str]:
    """Return rows of text that show images, uint8 [N, H, W], side by side, without their blank margins.

    A character is one pixel wide and two high. Shown are as many images as fit into `width` characters.
    """
    drawn: list[npt.NDArray[np.bool_]] = []
    for image in images:
        ink = image >= _INK
        columns = np.flatnonzero(ink.any(axis=0))
        trimmed = ink[:, columns[0] : columns[-1] + 1] if columns.size else ink[:, :1]
        drawn.append(np.pad(trimmed, ((0, 0), (0, _SPACE))))
        if sum(part.shape[1] for part in drawn) - _SPACE > width:
            drawn.pop()
            break
    if not drawn:
        return []
    strip = np.concatenate(drawn, axis=1)
    strip = np.pad(strip, ((0, len(strip) % 2), (0, 0)))
    pairs = zip(strip[::2].tolist(), strip[1::2].tolist(), strict=True)
    rows = ["".join(_HALVES[up, low] for up, low in zip(*pair, strict=True)).rstrip() for pair in pairs]
    inked = [index for index, row in enumerate(rows) if row]
    return rows[inked[0] : inked[-1] + 1] if inked else []
