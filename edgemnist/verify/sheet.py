"""Looking at the flips: a PNG with the image of each changed label, both answers and how sure they were."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.results.verify import ArtifactParity, Flip, VerifyResult
from edgemnist.verify.parity import BROKEN, CHANGED, FIXED, KINDS, count_kind

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

MOST: Final = 120
"""Flips drawn of one artifact: a good one has 70 at most, and a wrong one thousands."""

_SCALE: Final = 3
_TILE: Final = IMAGE_SIDE * _SCALE
_COLUMNS: Final = 10
_GAP: Final = 20
_MARGIN: Final = 28
_HEADING: Final = 52
_LEGEND: Final = 20
_LEGEND_TEXT: Final = (
    "reference » artifact,  is: the true label,  margin of the first choice over the second » the artifact's"
)
_CAPTION: Final = 46
"""Height of the two lines below an image."""
_ROW: Final = _TILE + _CAPTION + _GAP
_WIDTH: Final = 2 * _MARGIN + _COLUMNS * (_TILE + _GAP) - _GAP
_HEADING_SIZE: Final = 20
_ANSWER_SIZE: Final = 17
_DETAIL_SIZE: Final = 12
_FRAME: Final = 3

_GROUND: Final = (32, 36, 44)
_LABEL: Final = (240, 242, 245)
_DETAIL: Final = (158, 168, 184)
_COLOURS: Final = {BROKEN: (240, 98, 88), FIXED: (92, 200, 132), CHANGED: (236, 184, 76)}


def flips_png(result: VerifyResult, images: Images) -> bytes:
    """Return a PNG of every flip in a result; `images` are its evaluation images, uint8 [N, 28, 28].

    Of each artifact at most `MOST` are drawn, and its heading says how many there are. The same result gives the same
    bytes.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = [math.ceil(min(len(parity.flipped), MOST) / _COLUMNS) for parity in result.artifacts]
    height = 2 * _MARGIN + _LEGEND + sum(_HEADING + count * _ROW for count in rows)
    sheet = Image.new("RGB", (_WIDTH, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    legend = ImageFont.load_default(_DETAIL_SIZE + 1)
    draw.text((_MARGIN, _MARGIN), _LEGEND_TEXT, fill=_DETAIL, font=legend, anchor="ls")
    top = _MARGIN + _LEGEND
    for parity, count in zip(result.artifacts, rows, strict=True):
        _draw_heading(draw, top, parity)
        top += _HEADING
        for position, flip in enumerate(parity.flipped[:MOST]):
            row, column = divmod(position, _COLUMNS)
            place = _MARGIN + column * (_TILE + _GAP), top + row * _ROW
            _draw_flip(sheet, draw, place, flip, images)
        top += count * _ROW
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _draw_heading(draw: ImageDraw.ImageDraw, top: int, parity: ArtifactParity) -> None:
    from PIL import ImageFont

    font, small = ImageFont.load_default(_HEADING_SIZE), ImageFont.load_default(_DETAIL_SIZE + 2)
    base = top + _HEADING_SIZE
    draw.text((_MARGIN, base), parity.name, fill=_LABEL, font=font, anchor="ls")
    x = _MARGIN + font.getlength(parity.name) + _GAP
    for text, colour in _summary(parity.flipped):
        draw.text((x, base), text, fill=colour, font=small, anchor="ls")
        x += small.getlength(text) + _GAP


def _summary(flips: Sequence[Flip]) -> list[tuple[str, tuple[int, int, int]]]:
    if not flips:
        return [("no label changed", _DETAIL)]
    parts = [(f"{count} {kind}", _COLOURS[kind]) for kind in KINDS if (count := count_kind(flips, kind))]
    if len(flips) > MOST:
        parts.append((f"the first {MOST} of {len(flips):,} are shown", _DETAIL))
    return parts


def _draw_flip(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int], flip: Flip, images: Images
) -> None:
    from PIL import Image, ImageFont

    left, top = place
    tile = Image.fromarray(images[flip.index]).resize((_TILE, _TILE), Image.Resampling.NEAREST)
    sheet.paste(tile, place)
    frame = (left - _FRAME, top - _FRAME, left + _TILE + _FRAME - 1, top + _TILE + _FRAME - 1)
    draw.rectangle(frame, outline=_COLOURS[flip.kind], width=_FRAME)
    middle = left + _TILE // 2
    answer = "none" if flip.artifact is None else str(flip.artifact)
    # Pillow's own font has no arrow, and > would compare the margins.
    lines = [
        (f"{_short(flip.reference)} » {_short(answer)}", _LABEL, _ANSWER_SIZE),
        (f"is {_short(flip.label)}   #{flip.index}", _DETAIL, _DETAIL_SIZE),
        (f"{flip.reference_margin:.2f} » {flip.artifact_margin:.2f}", _DETAIL, _DETAIL_SIZE),
    ]
    base = top + _TILE + _FRAME
    for text, colour, size in lines:
        base += size
        draw.text((middle, base), text, fill=colour, font=ImageFont.load_default(size), anchor="ms")
        base += 2


def _short(label: int | str | None) -> str:
    return str(label) if len(str(label)) <= 6 else f"{str(label)[:5]}…"  # noqa: PLR2004 - two fit under a tile
