"""Preparers of pictures of any kind: what a model is given for one of another size or colour mode than it reads.

They change nothing in place, and say what was lost on the way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ImageError, UsageError
from edgemnist.model.task import Fitted

if TYPE_CHECKING:
    from PIL import Image

    from edgemnist.ground.inputs import InputSpec

ON_WHITE: Final = "Transparent parts were put on white"
OF_16_BITS: Final = "Levels of 16 bits were brought to 8"
FROM_CMYK: Final = "CMYK was turned into RGB"
TO_GREY: Final = "Colours were turned into grey levels"
STRETCHED: Final = "Proportions were changed by more than a quarter"

TINT: Final = 16
"""Difference of a pixel's channels up to which it is grey; what JPEG makes of grey is within it."""
MOST_STRETCHED: Final = 1.25
"""By which one side may grow more than the other, untold: `train` varies the height and the width by a fifth each."""
_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY_MODES: Final = frozenset({"1", "L", "LA", "La", "I", "F"})
_ORIENTATION: Final = 0x0112
"""Tag of EXIF: 1 is upright."""


def resize(picture: Image.Image, spec: InputSpec) -> Fitted:
    """Return the whole picture, stretched to the input's size.

    Raises UsageError where the model reads no pictures, and ImageError for pixels that cannot be read.
    """
    upright, (wide, high) = _upright(picture), _size(spec)
    fitted = _prepared(upright, spec, (0, 0, *upright.size), (wide, high))
    across, down = wide * upright.height, high * upright.width
    if max(across, down) <= MOST_STRETCHED * min(across, down):
        return fitted
    return replace(fitted, told=(*fitted.told, STRETCHED))


def crop(picture: Image.Image, spec: InputSpec) -> Fitted:
    """Return as much of the middle as has the input's proportions, to a pixel. Raises what `resize` does."""
    upright = _upright(picture)
    (width, height), target = upright.size, _size(spec)
    scale = min(width / target[0], height / target[1])
    shown = max(1, round(target[0] * scale)), max(1, round(target[1] * scale))
    box = ((width - shown[0]) // 2, (height - shown[1]) // 2, *shown)
    return _prepared(upright, spec, box, target)


def letterbox(picture: Image.Image, spec: InputSpec) -> Fitted:
    """Return the whole picture in its proportions, in the middle of black. Raises what `resize` does."""
    upright = _upright(picture)
    wide, high = _size(spec)
    scale = max(upright.width / wide, upright.height / high)
    size = max(1, round(upright.width / scale)), max(1, round(upright.height / scale))
    return _prepared(upright, spec, (0, 0, *upright.size), size)


def as_it_is(picture: Image.Image, spec: InputSpec) -> Fitted:
    """Return the picture as it is. Raises ImageError where it has another size, and what `resize` does."""
    upright = _upright(picture)
    if upright.size != (size := _size(spec)):
        raise ImageError(
            f"The picture has {upright.width}×{upright.height} pixels, and the model reads {size[0]}×{size[1]}",
            hint="Scale it, or have it prepared by resize, crop or letterbox.",
        )
    return resize(upright, spec)


def is_coloured(pixels: npt.NDArray[np.uint8]) -> bool:
    """Return whether pixels, uint8 [..., 3], have more than a `TINT` anywhere."""
    darkest, brightest = pixels.min(axis=-1), pixels.max(axis=-1)
    return bool((brightest - darkest > TINT).any())


def is_grey(mode: str) -> bool:
    """Return whether a picture of this mode cannot have colours."""
    return mode.split(";", maxsplit=1)[0] in _GREY_MODES


def has_colours(picture: Image.Image) -> bool:
    """Return whether a picture has more than a `TINT` anywhere that is seen."""
    return not is_grey(picture.mode) and is_coloured(np.asarray(_in_colour(picture, with_opacity=False)[0]))


def _size(spec: InputSpec) -> tuple[int, int]:
    """Return the width and height of the pictures that a model reads. Raises UsageError where it reads none."""
    if not spec.is_picture:
        raise UsageError(f"The model reads {spec.words()}, and this is a picture")
    return spec.shape[1], spec.shape[0]


def _upright(picture: Image.Image) -> Image.Image:
    from PIL import ImageOps

    if 0 in picture.size:
        raise ImageError("The picture has no pixels")
    # A copy is made of every other picture, too, however large.
    return ImageOps.exif_transpose(picture) if picture.getexif().get(_ORIENTATION, 1) != 1 else picture


def _prepared(picture: Image.Image, spec: InputSpec, box: tuple[int, int, int, int], size: tuple[int, int]) -> Fitted:
    """Return the part of a picture that a box shows, scaled to a size and centred in black where that is smaller."""
    from PIL import Image

    converted, told = _in_colour(picture, with_opacity=spec.channels == 4)  # noqa: PLR2004 - RGBA
    left, top, *shown = box
    if (*size, *box) != (*picture.size, 0, 0, *picture.size):
        corners = (left, top, left + shown[0], top + shown[1])
        converted = converted.resize(size, Image.Resampling.BILINEAR, box=corners)
    if spec.channels == 1 and converted.mode == "RGB" and is_coloured(np.asarray(converted)):
        told = (*told, TO_GREY)
    converted = converted.convert(_MODES[spec.channels])
    if size != (whole := _size(spec)):
        ground = Image.new(converted.mode, whole)
        ground.paste(converted, ((whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2))
        converted = ground
    return Fitted(np.array(converted), box, told=told)


def _in_colour(picture: Image.Image, *, with_opacity: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a picture in L, RGB or RGBA, and what was lost. Raises ImageError where it does not say what white is."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)), (OF_16_BITS,)
    if picture.mode in ("I", "F"):
        raise ImageError(
            "The picture has numbers of 32 bits, which do not say what white is",
            hint="Save it as PNG or JPEG, with 8 or 16 bits a channel.",
        )
    if not picture.has_transparency_data:
        return picture.convert(_plain(picture)), (FROM_CMYK,) if picture.mode == "CMYK" else ()
    clear = picture.convert("RGBA")
    if with_opacity:
        return clear, ()
    if clear.getchannel("A").getextrema() == (255, 255):
        return clear.convert(_plain(picture)), ()
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, clear).convert(_plain(picture)), (ON_WHITE,)


def _plain(picture: Image.Image) -> str:
    return "L" if is_grey(picture.mode) else "RGB"
