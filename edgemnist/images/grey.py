"""From any colour mode to grey levels, on the ground that the ink stands on."""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.errors import ImageError

Grey: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]: 0 black, 255 white."""
ScalarT = TypeVar("ScalarT", np.uint8, np.float64)

_MID_GREY: Final = 128


def to_grey(image: Image.Image, max_side: int) -> Grey:
    """Return a picture's grey levels, uint8 [h, w], scaled down so that neither side is longer than `max_side`.

    Transparent parts show the ground that contrasts with the ink. Raises ImageError where the picture has no pixels, or
    colours that cannot be read as grey.
    """
    if 0 in image.size:
        raise ImageError("The picture has no pixels")
    return _composite(_shrink(_without_colour(image), max_side))


def border(pixels: npt.NDArray[ScalarT]) -> npt.NDArray[ScalarT]:
    """Return the outermost pixels of an array [h, w], as one row."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _without_colour(image: Image.Image) -> Image.Image:
    """Return the picture in mode L or, where it has transparency, LA."""
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, dtype=np.float64)))
    if image.mode == "LAB":
        return image.getchannel("L")
    try:
        # By way of RGBA, since a palette or a transparent colour leads to LA no other way.
        return image.convert("RGBA").convert("LA") if image.has_transparency_data else image.convert("L")
    except ValueError as error:
        raise ImageError(
            f"The picture's colour mode {image.mode} cannot be read as grey", hint="Save it as PNG or JPEG."
        ) from error


def _stretch(values: npt.NDArray[np.float64]) -> Grey:
    """Map the range of values to 0 to 255: such pictures do not say what white is."""
    finite = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    return np.rint((finite - low) * (255 / (high - low or 1))).astype(np.uint8)


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    scale = max_side / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    # The mean of the pixels under each new one: nothing thin falls between them.
    return image.resize((width, height), Image.Resampling.BOX)


def _composite(image: Image.Image) -> Grey:
    """Lay transparent parts on a ground: one that contrasts with the ink where the border is transparent, too."""
    if image.mode == "L":
        return np.asarray(image)
    light, alpha = (np.asarray(channel, dtype=np.float64) for channel in image.split())
    ground: float
    if (edge := border(alpha)).mean() >= _MID_GREY:
        # The picture brings a ground of its own, which fills its holes and rounded corners.
        ground = float(np.average(border(light), weights=edge))
    else:
        ink = float(np.average(light, weights=alpha)) if alpha.any() else 255
        ground = 0 if ink >= _MID_GREY else 255
    return np.rint(ground + (light - ground) * alpha / 255).astype(np.uint8)
