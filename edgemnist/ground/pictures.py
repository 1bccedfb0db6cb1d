"""Picture files, decoded: every format and mode that users have, and nothing that could harm."""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from PIL import Image, ImageOps, UnidentifiedImageError

from edgemnist.errors import ImageError

MAX_PIXELS: Final = 2**26
"""67 megapixels: more than a phone's camera gives, and 200 MB as RGB, which a Raspberry Pi of 1 GB can still hold."""

MAX_SIDE: Final = 2**16 - 1
"""As in a JPEG. Pillow keeps a pointer to each row and pads it: a column of 33 megapixels would take 832 MB."""
TILE_WIDTH, TILE_HEIGHT = 322, 323
"""Tags of a TIFF."""

WEBP_HEADER: Final = 30
"""Bytes in which a WebP says its size."""

MAX_BYTES: Final = 256 << 20
"""Of a picture that comes through a pipe."""

FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What is read; Pillow's other decoders are not needed, and each is one more to attack."""

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""Of picture files in a directory, in lower case."""

_SAVE_AS: Final = "Save it as PNG or JPEG."

STANDARD_INPUT: Final = Path("-")
"""What stands for the picture on standard input."""


def picture_name(path: Path) -> str:
    """Return what messages and results call a picture."""
    return "standard input" if path == STANDARD_INPUT else str(path)


def open_image(path: Path) -> Image.Image:
    """Read a picture file, or standard input for `-`, and turn it upright where its EXIF data asks for that.

    A JPEG's grey levels are read without its colours. Raises ImageError, naming the file, where it is missing, cannot
    be opened, is empty, truncated, animated, has more than `MAX_PIXELS`, or is no picture of a known format.
    """
    with picture_file(path) as file:
        return decode_image(file, picture_name(path))


@contextmanager
def picture_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a picture file, or standard input for `-`, so that it can be read more than once.

    Raises ImageError, naming the file, where it is missing or cannot be opened or read.
    """
    if path == STANDARD_INPUT:
        yield io.BytesIO(read_stream(sys.stdin.buffer, picture_name(path)))
        return
    try:
        with path.open("rb") as file:
            yield file if file.seekable() else io.BytesIO(read_stream(file, str(path)))
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a directory, not a picture") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def read_stream(file: IO[bytes], name: str) -> bytes:
    """Return all bytes of a pipe. Raises ImageError for more than `MAX_BYTES`."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} has more than {MAX_BYTES:,} bytes, which is the limit")
    return data


def decode_image(file: IO[bytes], name: str, *, colours: bool = False, side: int = 0) -> Image.Image:
    """Read a picture from an open file, and turn it upright. `name` is what messages call it.

    A JPEG may be read smaller, which is faster, but with no side below `side`, where that is not 0.

    A JPEG stores grey levels apart from its colours, which take two thirds of the time and
    three quarters of the memory, and are left out unless `colours` is true. Raises ImageError as `open_image` does.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and of odd metadata; the first are refused here, the second do no harm.
            warnings.simplefilter("ignore")
            return _decode(file, name, colours=colours, side=side)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not a picture: it is damaged, has no pixels, or is not one of {', '.join(FORMATS)}",
            hint=_SAVE_AS,
        ) from None
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to
        raise ImageError(
            f"{name} is a damaged picture: {str(error).rstrip('.')}", hint="Get or save the picture again."
        ) from error


def _decode(file: IO[bytes], name: str, *, colours: bool, side: int) -> Image.Image:
    file.seek(0)
    if not file.read(1):
        raise ImageError(f"{name} is empty", hint="Get or save the picture again.")
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    if declared_pixels(image) > MAX_PIXELS:
        raise _too_large(name)
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"{name} is longer than {MAX_SIDE:,} pixels, which is the limit", hint="Crop it.")
    # To count the frames, Pillow would walk through all. An MPO is one picture: phones put a preview behind a JPEG.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ImageError(f"{name} is animated or has several pages", hint="Save one of them as PNG.")
    if side or not colours:
        image.draft("RGB" if colours else "L", (side, side) if side else image.size)
    image.load()
    # In place, since a copy would double the memory that a photograph takes.
    ImageOps.exif_transpose(image, in_place=True)
    return image


def declared_pixels(image: Image.Image) -> int:
    """Return how many pixels a decoder makes room for: those of a picture, or of a TIFF's tile where that has more."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    tile = int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_HEIGHT, 0))
    return max(image.width * image.height, tile)


def webp_pixels(file: IO[bytes]) -> int:
    """Return the width of a WebP times its height, or 0 for another file; afterwards the file is at its start.

    Pillow makes room for all pixels of a WebP when it opens one, so they have to be known before. The three headers are
    those of RFC 9649 (extended, lossless) and RFC 6386 (lossy).
    """
    head = file.read(WEBP_HEADER)
    file.seek(0)
    if len(head) < WEBP_HEADER or head[:4] + head[8:12] != b"RIFFWEBP":
        return 0
    if head[12:16] == b"VP8X":
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    if head[12:16] == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        return (1 + (sides & 0x3FFF)) * (1 + (sides >> 14 & 0x3FFF))
    return (int.from_bytes(head[26:28], "little") & 0x3FFF) * (int.from_bytes(head[28:30], "little") & 0x3FFF)


def _too_large(name: str) -> ImageError:
    return ImageError(
        f"{name} has more than {MAX_PIXELS:,} pixels, which is the limit", hint="Scale it down, or crop it."
    )
