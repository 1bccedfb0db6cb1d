"""A data set as pictures: one folder a class, named after it, in `train/` and `test/` or in one piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.data.dataset import Dataset, Split, identified, random_order, stratified_split
from edgemnist.errors import DataError
from edgemnist.formatting import count
from edgemnist.progress import Reporter, Task

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
