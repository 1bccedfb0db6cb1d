"""The IDX file format of MNIST and its relatives: a big-endian header, then the values, gzipped or not.

Header: two zero bytes, one for the type, one for the number of dimensions, then each dimension as uint32
(Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database).
"""

import io
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.errors import DataError
from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import MOST_NUMBERS
from edgemnist.pipeline.data.arrays import Part, joined, labelled_part
from edgemnist.pipeline.data.dataset import Dataset

GZIP_MAGIC = b"\x1f\x8b"

_MAGIC_BYTES = 4
_UNSIGNED_BYTE = 0x08
_OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_CONTENTS = {1: "labels", 3: "images"}
# RFC 1951: the densest DEFLATE code is 2 bits for 258 bytes, so no file unpacks to more than this many times its size.
_MAX_EXPANSION = 1032
_AGAIN = "Get the file again; the four files of a set belong together, gzipped or not."


def decode_images(data: bytes, name: str) -> Images:
    """Return the images, uint8 [N, H, W] and read-only, of a file's contents.

    `name` stands in the messages. Raises DataError if the contents are anything but such images.
    """
    images = decode_idx(data, name, rank=3)
    if images[0].size > MOST_NUMBERS:
        height, width = images.shape[1:]
        raise DataError(
            f"{name} holds images of {width}×{height} pixels, and {MOST_NUMBERS:,} pixels are the limit",
            hint="Scale them down.",
        )
    return images


def decode_labels(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return the label values, uint8 [N] and read-only, of a file's contents; see `decode_images`."""
    return decode_idx(data, name, rank=1)


def decode_idx(data: bytes, name: str, rank: int) -> npt.NDArray[np.uint8]:
    """Return the values, uint8 with `rank` dimensions and read-only, of an IDX file's contents.

    The contents show whether they are gzipped. No more is allocated than the file can hold.
    Raises DataError, naming the file, if the contents are empty, truncated, too long, damaged, of another type or
    of another number of dimensions.
    """
    import gzip
    import zlib

    if not data:
        raise DataError(f"{name} is empty", hint=_AGAIN)
    packed, body = data.startswith(GZIP_MAGIC), b""
    capacity = len(data) * (_MAX_EXPANSION if packed else 1)
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if packed else io.BytesIO(data)
    try:
        shape = _read_shape(stream, name, rank)
        size = math.prod(shape)
        if size <= capacity:
            body = stream.read(size + 1)
    except EOFError as error:
        raise DataError(f"{name} is truncated: its gzip data ends early", hint=_AGAIN) from error
    except (OSError, zlib.error, struct.error) as error:
        raise DataError(f"{name} is damaged gzip data: {error}", hint=_AGAIN) from error
    if size == 0:
        raise DataError(f"{name} holds no {_CONTENTS.get(rank, 'values')}", hint=_AGAIN)
    if size > capacity:
        raise DataError(f"{name} is truncated or damaged: its header promises {size:,} bytes", hint=_AGAIN)
    if len(body) < size:
        raise DataError(f"{name} is truncated: {len(body):,} of {size:,} bytes are there", hint=_AGAIN)
    if len(body) > size:
        raise DataError(f"{name} is damaged: it is longer than its header says", hint=_AGAIN)
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _read_shape(stream: io.BufferedIOBase, name: str, rank: int) -> tuple[int, ...]:
    magic = stream.read(_MAGIC_BYTES)
    if len(magic) < _MAGIC_BYTES or magic[:2] != b"\0\0" or magic[2] not in {_UNSIGNED_BYTE, *_OTHER_TYPES}:
        packed = ", and not gzipped either" if name.endswith(".gz") else ""
        raise DataError(f"{name} is not an IDX file{packed}: it starts with {magic.hex(' ') or 'nothing'}", hint=_AGAIN)
    if magic[2] != _UNSIGNED_BYTE:
        raise DataError(f"{name} holds {_OTHER_TYPES[magic[2]]} values where bytes are needed", hint=_AGAIN)
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


# `train-images-idx3-ubyte.gz`, `t10k-labels.idx1-ubyte`, `emnist-letters-test-images-idx3-ubyte`, and the like.
_NAME: Final = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-ubyte(\.gz)?", re.IGNORECASE
)
_ROLES: Final = ("train-images", "train-labels", "test-images", "test-labels")


class Content(NamedTuple):
    """A file that has been read."""

    name: str
    """Name for messages."""
    data: bytes


def role_of(name: str) -> str | None:
    """Return what a file holds, such as `train-images`, going by its name; None if the name says nothing."""
    match = _NAME.fullmatch(name)
    if match is None or name.startswith("."):
        return None
    split = "train" if match["split"].lower() == "train" else "test"
    return f"{split}-{match['kind'].lower()}"


def find_idx_files(directory: Path) -> dict[str, Path]:
    """Return the four files of the set in a directory by role, such as `train-images`; empty if there are none.

    Raises DataError if some are missing, or if there is more than one candidate.
    """
    found: dict[str, Path] = {}
    for path in sorted(directory.iterdir()):
        role = role_of(path.name)
        if role is None:
            continue
        if role in found:
            raise DataError(
                f"{directory} holds more than one candidate for the {role}: {found[role].name} and {path.name}",
                hint="Keep the four files of one set in a directory of their own.",
            )
        found[role] = path
    if not found:
        return {}
    if missing := [role for role in _ROLES if role not in found]:
        raise DataError(
            f"{directory} holds IDX files, but none with the {' and '.join(missing)}",
            hint="A set has four files, named like train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
            "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.",
        )
    if len(sets := sorted({_set_name(path) for path in found.values()})) > 1:
        raise DataError(
            f"{directory} holds files of more than one set: {', '.join(name or 'unnamed' for name in sets)}",
            hint="Keep the four files of one set in a directory of their own.",
        )
    return found


def read_idx_directory(directory: Path) -> Dataset | None:
    """Read the four IDX files in a directory, or return None if there are none.

    Raises DataError, naming the file, if they are damaged or do not fit each other.
    """
    files = find_idx_files(directory)
    if not files:
        return None
    return decode_idx_set(
        {role: Content(str(path), _read(path)) for role, path in files.items()},
        # EMNIST is stored column by column (G. Cohen et al. 2017), and its images would lie on their sides.
        transposed=_set_name(files["train-images"]).startswith("emnist"),
        # The name alone: what is made from the data is published, and paths of this machine are nobody's business.
        source=f"IDX files in {directory.resolve().name}/",
    )


def decode_idx_set(contents: Mapping[str, Content], *, source: str, transposed: bool = False) -> Dataset:
    """Return the data set that four files hold, given by role, such as `train-images`.

    The classes are the values among the training labels, in ascending order, whatever they start at. `source` is where
    the files come from, in words.

    Raises DataError, naming the file, if they are damaged or do not fit each other.
    """

    def part(split: str) -> Part:
        images, labels = contents[f"{split}-images"], contents[f"{split}-labels"]
        pixels, values = decode_images(images.data, images.name), decode_labels(labels.data, labels.name)
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1)) if transposed else pixels
        return labelled_part(pixels, values, (images.name, labels.name), all_used=False)

    names = contents["train-images"].name, contents["test-images"].name
    return joined(part("train"), part("test"), names, source=source)


def _set_name(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["set"].rstrip("-_.").lower() if match else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
