"""The four IDX files of a data set: found by their names, checked against each other, read as one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.data.identity import identified
from edgemnist.data.idx import decode_images, decode_labels
from edgemnist.data.interface import Dataset, Split
from edgemnist.errors import DataError

# `train-images-idx3-ubyte.gz`, `t10k-labels.idx1-ubyte`, `emnist-letters-test-images-idx3-ubyte`, and the like.
_NAME: Final = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-ubyte(\.gz)?", re.IGNORECASE
)
_ROLES: Final = ("train-images", "train-labels", "test-images", "test-labels")


@dataclass(frozen=True)
class Content:
    """A file that has been read."""

    name: str
    """For messages."""
    data: bytes


def role_of(name: str) -> str | None:
    """Return what a file holds by its name, such as `train-images`, or None where the name says nothing."""
    match = _NAME.fullmatch(name)
    if match is None or name.startswith("."):
        return None
    split = "train" if match["split"].lower() == "train" else "test"
    return f"{split}-{match['kind'].lower()}"


def find_idx_files(directory: Path) -> dict[str, Path]:
    """Return the four files of the set in a directory by role, such as `train-images`; empty where there are none.

    Raises DataError where some are missing, or where there is more than one candidate.
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
    """Read the four IDX files in a directory, or return None where there are none.

    Raises DataError, naming the file, where they are damaged or do not fit each other.
    """
    files = find_idx_files(directory)
    if not files:
        return None
    contents = {role: Content(str(path), _read(path)) for role, path in files.items()}
    return decode_idx_set(
        contents,
        # EMNIST is stored column by column (G. Cohen et al. 2017), and its digits would lie on their sides.
        transposed=_set_name(files["train-images"]).startswith("emnist"),
        # The name alone: what is made from the data is published, and paths of this machine are nobody's business.
        source=f"IDX files in {directory.resolve().name}/",
    )


def decode_idx_set(contents: Mapping[str, Content], *, source: str, transposed: bool = False) -> Dataset:
    """Return the data set that four files hold, given by role, such as `train-images`.

    The classes are the values among the training labels, in ascending order, whatever they start at. `source` is where
    the files come from, in words.

    Raises DataError, naming the file, where they are damaged or do not fit each other.
    """
    images = {split: _images(contents[f"{split}-images"], transposed=transposed) for split in ("train", "test")}
    values = {split: _values(contents, split, len(images[split])) for split in ("train", "test")}
    names = np.unique(values["train"])
    if len(names) == 1:
        raise DataError(
            f"{contents['train-labels'].name} has a single class, {names[0]}", hint="A classifier needs two at least."
        )
    labels = {split: _indices(values[split], names, contents[f"{split}-labels"].name) for split in values}
    train, test = (Split(images[split], labels[split]) for split in ("train", "test"))
    return identified(train, test, [str(name) for name in names], source=source)


def _images(content: Content, *, transposed: bool) -> Images:
    images = decode_images(content.data, content.name)
    return np.ascontiguousarray(images.transpose(0, 2, 1)) if transposed else images


def _values(contents: Mapping[str, Content], split: str, images: int) -> npt.NDArray[np.uint8]:
    content = contents[f"{split}-labels"]
    values = decode_labels(content.data, content.name)
    if len(values) != images:
        raise DataError(
            f"{contents[f'{split}-images'].name} holds {images:,} images, and {content.name} {len(values):,} labels",
            hint="The files come from different sets, or one of them is incomplete.",
        )
    return values


def _indices(values: npt.NDArray[np.uint8], names: npt.NDArray[np.uint8], file: str) -> Labels:
    if unknown := sorted(set(np.unique(values).tolist()) - set(names.tolist())):
        raise DataError(
            f"{file} has classes that the training labels lack: {', '.join(map(str, unknown))}",
            hint="The files come from different sets, or one of them is damaged.",
        )
    return np.searchsorted(names, values).astype(np.int64)


def _set_name(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["set"].rstrip("-_.").lower() if match else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
