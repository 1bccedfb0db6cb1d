"""What the first layer looks for: the weights of each hidden unit as a picture."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE

if TYPE_CHECKING:
    from edgemnist.train.model import Weights

MOST: Final = 256
"""Units drawn: of more, those with the largest weights."""
COLUMNS: Final = 32
SCALE: Final = 2
GAP: Final = 2
GROUND: Final = (24, 24, 24)
SHADES: Final = 31
"""Of red, and as many of blue: as many as an eye tells apart, and a palette makes the file a fifth as large."""
PERCENTILE: Final = 99.5
"""Of a unit's weights, in absolute value, at which its colours end."""


def filters_png(weights: Weights) -> bytes:
    """Return a PNG with a tile for each hidden unit of the first layer, the one with the largest weights first.

    Red pixels speak for the unit, blue ones against it; each tile has a scale of its own.
    """
    from PIL import Image

    kernel = weights[0]
    norms = np.linalg.norm(kernel, axis=0)
    units = np.argsort(-norms, kind="stable")[:MOST]
    columns = min(COLUMNS, len(units))
    side, rows = IMAGE_SIDE + GAP, math.ceil(len(units) / columns)
    sheet = np.full((rows * side + GAP, columns * side + GAP), 2 * SHADES + 1, np.uint8)
    for place, unit in enumerate(units):
        row, column = divmod(place, columns)
        top, left = GAP + row * side, GAP + column * side
        sheet[top : top + IMAGE_SIDE, left : left + IMAGE_SIDE] = _shades(kernel[:, unit])
    picture = Image.fromarray(sheet)
    picture.putpalette(_palette())
    stream = io.BytesIO()
    # Enlarged without new colours, which the palette does not have.
    picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST).save(
        stream, format="PNG", optimize=True
    )
    return stream.getvalue()


def _shades(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return uint8 [28, 28]: places in the palette, 0 for the most negative weight."""
    end = max(float(np.percentile(np.abs(weights), PERCENTILE)), 1e-12)
    strength = np.clip(weights.reshape(IMAGE_SIDE, IMAGE_SIDE) / end, -1, 1)
    return np.asarray(np.rint(SHADES * (strength + 1)), np.uint8)


def _palette() -> list[int]:
    """Return red, green and blue of each shade, blue over white to red, and of the ground."""
    strength = np.arange(-SHADES, SHADES + 1) / SHADES
    red, blue = 1 - np.maximum(-strength, 0), 1 - np.maximum(strength, 0)
    shades = np.rint(255 * np.stack([red, np.minimum(red, blue), blue], axis=-1)).astype(int)
    return [*shades.ravel().tolist(), *GROUND]
