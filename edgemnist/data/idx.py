"""The IDX file format of MNIST and its relatives: a big-endian header, then the values, gzipped or not.

Header: two zero bytes, one for the type, one for the number of dimensions, then each dimension as uint32
(Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits).
"""

from __future__ import annotations

import io
import math
import struct
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import DataError

if TYPE_CHECKING:
    from edgemnist.arrays import Images

GZIP_MAGIC = b"\x1f\x8b"

_MAGIC_BYTES = 4
_UNSIGNED_BYTE = 0x08
_TYPES = {
    _UNSIGNED_BYTE: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}
_CONTENTS = {1: "labels", 3: "images"}
# RFC 1951: the densest DEFLATE code is 2 bits for 258 bytes, so no file unpacks to more than this many times its size.
_MAX_EXPANSION = 1032
_AGAIN = "Get the file anew; the four files of a set belong together, gzipped or not."


def encode_idx(values: npt.NDArray[np.uint8]) -> bytes:
    """Return an array as the contents of an IDX file, not gzipped."""
    header = struct.pack(f">HBB{values.ndim}I", 0, _UNSIGNED_BYTE, values.ndim, *values.shape)
    return header + values.tobytes()


def decode_images(data: bytes, name: str) -> Images:
    """Return the images, uint8 [N, 28, 28] and read-only, of a file's contents.

    `name` stands in the messages. Raises DataError where the contents are anything but such images.
    """
    images = decode_idx(data, name, rank=3)
    if images.shape[1:] != (IMAGE_SIDE, IMAGE_SIDE):
        height, width = images.shape[1:]
        raise DataError(
            f"{name} holds images of {height}×{width} pixels where {IMAGE_SIDE}×{IMAGE_SIDE} are needed",
            hint="Images of any size are taken from a folder of class-named folders of PNG or JPEG files.",
        )
    return images


def decode_labels(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return the label values, uint8 [N] and read-only, of a file's contents.

    `name` stands in the messages. Raises DataError where the contents are anything but labels.
    """
    return decode_idx(data, name, rank=1)


def decode_idx(data: bytes, name: str, rank: int) -> npt.NDArray[np.uint8]:
    """Return the values, uint8 with `rank` dimensions and read-only, of an IDX file's contents.

    Whether they are gzipped is seen from the contents. No more is allocated than the file can hold.
    Raises DataError, naming the file, where the contents are empty, truncated, too long, damaged, of another type or
    of another number of dimensions.
    """
    if not data:
        raise DataError(f"{name} is empty", hint=_AGAIN)
    if data.startswith(GZIP_MAGIC):
        shape, body = _decode_gzip(data, name, rank)
    else:
        shape, body = _decode_stream(io.BytesIO(data), name, rank, capacity=len(data))
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _decode_gzip(data: bytes, name: str, rank: int) -> tuple[tuple[int, ...], bytes]:
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _decode_stream(stream, name, rank, capacity=len(data) * _MAX_EXPANSION)
    except EOFError as error:
        raise DataError(f"{name} is truncated: its gzip data ends early", hint=_AGAIN) from error
    except (OSError, zlib.error, struct.error) as error:
        raise DataError(f"{name} is damaged gzip data: {error}", hint=_AGAIN) from error


def _decode_stream(
    stream: IO[bytes] | io.BufferedIOBase, name: str, rank: int, *, capacity: int
) -> tuple[tuple[int, ...], bytes]:
    shape = _read_shape(stream, name, rank)
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{name} holds no {_CONTENTS.get(rank, 'values')}", hint=_AGAIN)
    if size > capacity:
        raise DataError(f"{name} is truncated or damaged: its header promises {size:,} bytes", hint=_AGAIN)
    body = stream.read(size + 1)
    if len(body) < size:
        raise DataError(f"{name} is truncated: {len(body):,} of {size:,} bytes are there", hint=_AGAIN)
    if len(body) > size:
        raise DataError(f"{name} is damaged: it is longer than its header says", hint=_AGAIN)
    return shape, body


def _read_shape(stream: IO[bytes] | io.BufferedIOBase, name: str, rank: int) -> tuple[int, ...]:
    magic = stream.read(_MAGIC_BYTES)
    if len(magic) < _MAGIC_BYTES or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        unzipped = ", and not gzipped either" if name.endswith(".gz") else ""
        raise DataError(
            f"{name} is not an IDX file{unzipped}: it starts with {magic.hex(' ') or 'nothing'}", hint=_AGAIN
        )
    if magic[2] != _UNSIGNED_BYTE:
        raise DataError(f"{name} holds {_TYPES[magic[2]]} values where bytes are needed", hint=_AGAIN)
    if magic[3] != rank:
        found = _CONTENTS.get(magic[3], f"values in {magic[3]} dimensions")
        raise DataError(
            f"{name} holds {found} where {_CONTENTS.get(rank, f'{rank} dimensions')} should be",
            hint="Perhaps two files were swapped or renamed.",
        )
    dimensions = stream.read(4 * rank)
    if len(dimensions) < 4 * rank:
        raise DataError(f"{name} is truncated within its header", hint=_AGAIN)
    return struct.unpack(f">{rank}I", dimensions)
