"""Pictures as users have them, turned into what the models take: 28×28 pixels, white digit on black."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ImageError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Pixels: TypeAlias = npt.NDArray[np.uint8]
ScalarT = TypeVar("ScalarT", np.uint8, np.float64)

MAX_PIXELS: Final = 2**26
"""67 megapixels: more than a phone's camera gives, and 200 MB as RGB, which a Raspberry Pi of 1 GB can still hold."""

FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What is read; Pillow's other decoders are not needed, and each is one more to attack."""

_MID_GREY: Final = 128
_SAVE_AS: Final = "Save it as PNG or JPEG."


def open_image(path: Path) -> Image.Image:
    """Read a picture file, and turn it upright where its EXIF data asks for that.

    Raises ImageError, naming the file, where it is missing, empty, truncated, animated, has more than `MAX_PIXELS`, or
    is no picture of a known format.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # Pillow warns of large pictures and of odd metadata; the first are refused here, the second do no harm.
            warnings.simplefilter("ignore")
            return _decode(file, path)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a directory, not a picture") from None
    except PermissionError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not a picture: it is damaged, has no pixels, or is none of {', '.join(FORMATS)}", hint=_SAVE_AS
        ) from None
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to
        raise ImageError(f"{path} is a damaged picture: {error}", hint="Get or save the picture anew.") from error


def to_mnist(image: Image.Image) -> tuple[Pixels, bool]:
    """Return a picture as uint8 [28, 28], white digit on black, and whether it had to be inverted for that.

    The border tells the ground: where it is nearer to the lightest than to the darkest pixel, the picture is dark on
    light. A picture that is not square is padded with its ground. What is white on black and 28×28 passes unchanged.

    Raises ImageError where the picture has no pixels, or colours that cannot be read as grey.
    """
    if 0 in image.size:
        raise ImageError("The picture has no pixels")
    pixels = _composite(_shrink(_grey(image)))
    ground = int(np.median(_border(pixels)))
    square = _pad(pixels, ground)
    inverted = _is_light(ground, pixels)
    return (255 - square if inverted else square), inverted


def _decode(file: IO[bytes], path: Path) -> Image.Image:
    if not file.read(1):
        raise ImageError(f"{path} is empty", hint="Get or save the picture anew.")
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)
    if (frames := _frames(image)) > 1:
        raise ImageError(f"{path} is animated or has several pages: {frames} frames", hint="Save one of them as PNG.")
    image.load()
    # In place, since a copy would double the memory that a photograph takes.
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _frames(image: ImageFile) -> int:
    # MPO is what phones make of a JPEG with a preview or a depth map behind it: one picture all the same.
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _too_large(path: Path) -> ImageError:
    return ImageError(
        f"{path} has more than {MAX_PIXELS:,} pixels, which is the limit", hint="Scale it down, or crop the digit."
    )


def _grey(image: Image.Image) -> Image.Image:
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
        raise ImageError(f"The picture's colour mode {image.mode} cannot be read as grey", hint=_SAVE_AS) from error


def _stretch(values: npt.NDArray[np.float64]) -> Pixels:
    """Map the range of values to 0 to 255: such pictures do not say what white is."""
    finite = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    return np.rint((finite - low) * (255 / (high - low or 1))).astype(np.uint8)


def _shrink(image: Image.Image) -> Image.Image:
    """Scale the longer side to 28 pixels, smaller pictures up."""
    scale = IMAGE_SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _composite(image: Image.Image) -> Pixels:
    """Lay transparent parts on a ground: one that contrasts with the ink where the border is transparent, too."""
    if image.mode == "L":
        return np.asarray(image)
    light, alpha = (np.asarray(channel, dtype=np.float64) for channel in image.split())
    ground: float
    if (edge := _border(alpha)).mean() >= _MID_GREY:
        # The picture brings a ground of its own, which fills its holes and rounded corners.
        ground = float(np.average(_border(light), weights=edge))
    else:
        ink = float(np.average(light, weights=alpha)) if alpha.any() else 255
        ground = 0 if ink >= _MID_GREY else 255
    return np.rint(ground + (light - ground) * alpha / 255).astype(np.uint8)


def _border(pixels: npt.NDArray[ScalarT]) -> npt.NDArray[ScalarT]:
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _is_light(ground: int, pixels: Pixels) -> bool:
    low, high = int(pixels.min()), int(pixels.max())
    # Against the picture's own range, since paper in the shade may be darker than mid-grey.
    return ground >= _MID_GREY if low == high else 2 * ground > low + high


def _pad(pixels: Pixels, ground: int) -> Pixels:
    square = np.full((IMAGE_SIDE, IMAGE_SIDE), ground, dtype=np.uint8)
    height, width = pixels.shape
    top, left = (IMAGE_SIDE - height) // 2, (IMAGE_SIDE - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square
