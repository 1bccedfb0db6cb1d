"""From any colour mode to grey levels, on the ground that the ink stands on.

They are made smaller and larger in integers, by the rules of the engine in C: the same bytes from both.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.errors import ImageError

Grey: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]: 0 black, 255 white."""

SMALL: Final = 24
"""Ink of at most so many pixels a side, its soft edge included, is enlarged before anything is cut off or measured."""

_SHARE_BITS = 22
"""Of a pixel's share in a mean."""
_QUARTER_BITS: Final = 14
_QUARTERS: Final = ((257, -1736, 7206, 12583, -2425, 499, 0), (30, -501, 1977, 15936, -1393, 335, 0))
"""Shares of three pixels before, of a pixel itself and of three behind it in the first two of the four new ones that it
becomes: Lanczos' kernel of three lobes, 3/8 and 1/8 of a pixel before its middle."""


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height where the longer one becomes `side`: rounded, halves up, and at least 1."""
    longest = max(size)
    width, height = (max(1, (2 * length * side + longest) // (2 * longest)) for length in size)
    return width, height


def rescale(pixels: Grey, side: int) -> Grey:
    """Return a picture whose longer side is `side`: means of the pixels under each new one, or between them a cubic."""
    height, width = pixels.shape
    size = scaled_size((width, height), side)
    if side < max(width, height):
        return _box(_box(pixels, size[1]).T, size[0]).T
    # Pillow's numbers are those of the rule in `scale.h` for up to 100 new pixels, which no one asks more of.
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def quadruple(pixels: Grey) -> Grey:
    """Return a picture four times as large, with zeros around it: few pixels tell most about what lies between them."""
    return _four_rows(_four_rows(pixels.T).T)


def _four_rows(pixels: Grey) -> Grey:
    """Return four rows for each."""
    height, width = pixels.shape
    padded = np.pad(pixels, ((3, 3), (0, 0))).astype(np.int32)
    sums = np.empty((height, 4, width), dtype=np.int32)
    for row, shares in enumerate((*_QUARTERS, *(quarter[::-1] for quarter in _QUARTERS[::-1]))):
        sums[:, row] = sum(share * padded[at : at + height] for at, share in enumerate(shares))
    sums += 1 << (_QUARTER_BITS - 1)
    return np.asarray(np.clip(sums >> _QUARTER_BITS, 0, 255).astype(np.uint8).reshape(4 * height, width))


def _box(pixels: Grey, count: int) -> Grey:
    """Return `count` rows instead of more: each pixel counts for the one that has its middle."""
    borders = (2 * np.arange(count + 1) * len(pixels) + count) // (2 * count)
    # 16 bits hold the sum of 257 rows, and add up twice as fast.
    dtype = np.uint16 if len(pixels) <= 256 * count else np.uint32
    sums = np.add.reduceat(pixels, borders[:-1], axis=0, dtype=dtype).astype(np.uint32)
    counts = np.diff(borders)[:, None]
    shares = (((2 << _SHARE_BITS) + counts) // (2 * counts)).astype(np.uint32)
    return np.asarray((sums * shares + np.uint32(1 << (_SHARE_BITS - 1)) >> _SHARE_BITS).astype(np.uint8))


_MID_GREY: Final = 128
STRIP_PIXELS: Final = 2**19
"""Of a large picture, so many are converted at a time: whatever the colours are made of on the way takes a few MB."""


def to_grey(image: Image.Image, max_side: int, *, whole: bool = False) -> Grey:
    """Return a picture's grey levels, uint8 [h, w], scaled down so that neither side is longer than `max_side`.

    With `whole`, each new pixel stands for a square of old ones, as in the engine in C, and the longer side stays
    below twice `max_side`. Transparent parts show the ground that contrasts with the ink. Beside the picture
    itself, a large one takes a byte a pixel, and two where it has transparency.

    Raises ImageError where the picture has no pixels, or colours that cannot be read as grey.
    """
    if 0 in image.size:
        raise ImageError("The picture has no pixels")
    convert = _range(image) if image.mode in ("I", "F") else _without_colour
    scale = max_side / max(image.size)
    if scale >= 1:
        return _composite(convert(image))
    # The mean of the pixels under each new one: nothing thin falls between them.
    if whole:
        # The longer side stays below twice `max_side`, and no less than that.
        factor = max(1, max(image.size) // max_side)
        bands = [band.reduce(factor) for band in _by_strips(image, convert)]
    else:
        width, height = (max(1, round(side * scale)) for side in image.size)
        bands = [band.resize((width, height), Image.Resampling.BOX) for band in _by_strips(image, convert)]
    return _composite(bands[0] if len(bands) == 1 else Image.merge("La", bands).convert("LA"))


def border(pixels: Grey) -> Grey:
    """Return the outermost pixels of an array, uint8 [h, w], as one row."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> list[Image.Image]:
    """Return the light of a picture and, where it has transparency, its opacity, both in mode L.

    The light is weighed by the opacity then, so that what is invisible does not count in a mean.
    """
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return [image if image.mode == "L" else image.convert("L")]
    bands: list[Image.Image] = []
    for top, strip in _strips(image):
        grey = convert(strip)
        parts = [grey] if grey.mode == "L" else [grey.convert("La").getchannel(band) for band in ("L", "a")]
        bands = bands or [Image.new("L", image.size) for _ in parts]
        for band, part in zip(bands, parts, strict=True):
            band.paste(part, (0, top))
    return bands


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Give parts of a picture, of its full width, and the row at which each begins."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _without_colour(image: Image.Image) -> Image.Image:
    """Return the picture in mode L or, where it has transparency, LA."""
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "LAB":
        return image.getchannel("L")
    try:
        # By way of RGBA, since a palette or a transparent colour leads to LA no other way.
        return image.convert("RGBA").convert("LA") if image.has_transparency_data else image.convert("L")
    except ValueError as error:
        raise ImageError(
            f"The picture's colour mode {image.mode} cannot be read as grey", hint="Save it as PNG or JPEG."
        ) from error


def _range(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return what maps the range of a picture's values to 0 to 255: such pictures do not say what white is."""
    ranges = [(float(values.min()), float(values.max())) for values in map(_finite, (s for _, s in _strips(image)))]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)

    def stretch(part: Image.Image) -> Image.Image:
        values = _finite(part)
        values -= low
        values *= 255 / (high - low or 1)
        return Image.fromarray(np.rint(values, out=values).astype(np.uint8))

    return stretch


def _finite(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)


def _composite(image: Image.Image) -> Grey:
    """Lay transparent parts on a ground: one that contrasts with the ink where the border is transparent, too."""
    if image.mode == "L":
        return np.asarray(image)
    light, alpha = (np.asarray(channel) for channel in image.split())
    ground: float
    if (edge := border(alpha)).mean() >= _MID_GREY:
        # The picture brings a ground of its own, which fills its holes and rounded corners.
        ground = float(np.average(border(light), weights=edge))
    else:
        ink = float(np.average(light, weights=alpha)) if alpha.any() else 255
        ground = 0.0 if ink >= _MID_GREY else 255.0
    result = np.empty_like(light)
    height, width = light.shape
    rows = max(1, STRIP_PIXELS // width)
    for strip in (slice(top, top + rows) for top in range(0, height, rows)):
        result[strip] = np.rint(ground + (light[strip] - ground) * alpha[strip] / 255)
    return result
