"""The golden pack: evaluation images, their labels, and the Keras model's probabilities for them.

With it, `verify` needs neither TensorFlow nor the data set, and so runs on the board.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ArtifactError
from edgemnist.manifest import read_recorded
from edgemnist.results import DataIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.arrays import Images, Labels, Probabilities
    from edgemnist.manifest import Manifest


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenPack:
    """What the Keras model answers, to hold every artifact against."""

    images: Images
    """uint8 [N, 28, 28]."""
    labels: Labels
    """int64 [N], the true classes."""
    probabilities: Probabilities
    """float32 [N, C], of the Keras model."""
    class_labels: tuple[str, ...]
    """Name of each class."""
    data: DataIdentity
    model_sha256: str
    """Of the Keras model file."""

    def accuracy(self) -> float:
        """Return the Keras model's accuracy, 0 to 1."""
        return float(np.mean(self.probabilities.argmax(axis=1) == self.labels))

    def encode(self) -> bytes:
        """Return the contents of the file: the same pack gives the same bytes."""
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            images=self.images,
            labels=self.labels,
            probabilities=self.probabilities,
            class_labels=np.array(self.class_labels, dtype=np.str_),
            data=np.frombuffer(msgspec.json.encode(self.data), dtype=np.uint8),
            model_sha256=np.array(self.model_sha256, dtype=np.str_),
        )
        return stream.getvalue()


_AGAIN = "Write it anew with: edgemnist export"


def decode_golden(data: bytes) -> GoldenPack:
    """Read the contents of a golden pack. Raises ArtifactError where they are none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            pack = GoldenPack(
                images=arrays["images"],
                labels=arrays["labels"].astype(np.int64),
                probabilities=arrays["probabilities"],
                class_labels=tuple(str(label) for label in arrays["class_labels"]),
                data=msgspec.json.decode(arrays["data"].tobytes(), type=DataIdentity),
                model_sha256=str(arrays["model_sha256"]),
            )
            reason = _inconsistency(pack)
    except Exception as error:
        # NumPy and zipfile raise a dozen kinds, depending on which byte is wrong.
        raise ArtifactError(f"The golden pack is damaged: {error}", hint=_AGAIN) from error
    if reason:
        raise ArtifactError(f"The golden pack is damaged: {reason}", hint=_AGAIN)
    return pack


def _inconsistency(pack: GoldenPack) -> str:
    """Return what is wrong with the arrays, or nothing."""
    count, classes = len(pack.labels), len(pack.class_labels)
    if pack.images.dtype != np.uint8 or pack.images.shape != (count, IMAGE_SIDE, IMAGE_SIDE):
        return f"its images are {pack.images.dtype} {list(pack.images.shape)} for {count} labels"
    if pack.probabilities.dtype != np.float32 or pack.probabilities.shape != (count, classes):
        found = f"{pack.probabilities.dtype} {list(pack.probabilities.shape)}"
        return f"its probabilities are {found} for {count} images and {classes} classes"
    if count and not 0 <= pack.labels.min() <= pack.labels.max() < classes:
        return "it has labels without a class"
    return ""


def read_golden(directory: Path, manifest: Manifest) -> GoldenPack:
    """Return the golden pack of an export directory, hash checked. Raises ArtifactError where there is none."""
    if manifest.golden is None:
        raise ArtifactError(f"{directory} has no golden pack", hint="Write one with: edgemnist export")
    return decode_golden(read_recorded(directory, manifest.golden))
