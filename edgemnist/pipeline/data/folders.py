"""Folders of pictures, one a class, in `train/` and `test/` or in one piece, become a data set."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edgemnist.errors import DataError, ImageError, UsageError
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.prepare import TO_GREY, has_colours, is_grey
from edgemnist.model.task import TASKS, Task, default_task, task_named
from edgemnist.pipeline.data.dataset import (
    MOST_BYTES,
    MOST_CLASSES,
    SPLIT_SEED,
    TEST_SHARE,
    Dataset,
    Split,
    identified,
    kept_to_evaluate,
    natural_key,
    random_order,
    stratified_split,
)

if TYPE_CHECKING:
    from PIL import Image


SUFFIXES: Final = (".png", ".jpg", ".jpeg")
MOST_NAMED: Final = 20
"""Most pictures that cannot be read and are named; the others are counted."""
COMMON: Final = 0.9
"""Share of pictures from which on their size is that of all."""
LONGEST_SIDE: Final = 96
"""Longest side, in pixels, that a size is given where nobody says one."""

_LAYOUT = "Name a folder after each class, with PNG or JPEG files in it; train/ and test/ around them are optional."
_LANDSCAPE: Final = range(5, 9)
"""Values of EXIF's orientation, whose tag is 0x0112, for which width and height change places."""

INVERTED: Final = "Dark on light was turned into light on dark"

ClassFiles = Mapping[str, Sequence[Path]]


class Folders(NamedTuple):
    """The pictures of a directory, and the class of each; nothing of them has been read."""

    directory: Path
    names: tuple[str, ...]
    """Of the classes: numbers in their order, and before words."""
    paths: tuple[Path, ...]
    labels: Labels
    """int64 [N]"""
    first: int
    """This many are for training; those behind them lie in `test/`."""


def find_folders(directory: Path, reporter: Reporter, *, fewest: int = 2) -> Folders | None:
    """Return the pictures of a folder of class-named folders, or None if it has no folders.

    Raises DataError if the folders do not make a data set, or have fewer classes than `fewest`.
    """
    folders = {path.name: path for path in _visible(directory) if path.is_dir()}
    if not folders:
        return None
    if "test" in folders and "train" not in folders:
        raise DataError(f"{directory} has test/, but no train/", hint=_LAYOUT)
    if "train" in folders and (others := sorted(folders.keys() - {"train", "test"})):
        reporter.notice(f"Folders of {directory} beside train/ and test/ were ignored: {', '.join(others)}")
    train_files = _class_files(folders.get("train", directory), reporter, fewest)
    test_files = _class_files(folders["test"], reporter, fewest) if "test" in folders else {}
    if unknown := [name for name in test_files if name not in train_files]:
        raise DataError(f"{folders['test']} has classes that train/ lacks: {', '.join(unknown)}", hint=_LAYOUT)
    files = [*train_files.items(), *test_files.items()]
    paths = tuple(path for _, members in files for path in members)
    numbers = {name: number for number, name in enumerate(train_files)}
    labels = np.array([numbers[name] for name, members in files for _ in members], dtype=np.int64)
    return Folders(directory, tuple(numbers), paths, labels, sum(map(len, train_files.values())))


def read_folders(
    folders: Folders,
    reporter: Reporter = SILENT,
    *,
    task: Task | None = None,
    shape: tuple[int, ...] | None = None,
    preparer: str | None = None,
    skip_broken: bool = False,
) -> Dataset:
    """Return the data set of pictures as a task prepares them: uint8 [N, H, W] or [N, H, W, C].

    Without a task it is chosen, with inputs of this `shape` and this preparer if they are given, and told. Without
    `test/`, a fifth of each class is kept for evaluation, the same one every time. The splits are in random order, the
    same one every time. Pictures that cannot be read are named; with `skip_broken` they are left out. What pictures
    lose is told.

    Raises DataError if pictures cannot be read, or if they take more than `MOST_BYTES`, and UsageError for a shape that
    is none of pictures.
    """
    directory, names, paths = folders.directory, folders.names, folders.paths
    headers = Headers.of(paths)
    task = task or _choose_task(folders, headers, reporter, shape=shape, preparer=preparer)
    if (size := len(paths) * task.input.size) > MOST_BYTES:
        raise DataError(
            f"The {count(len(paths), 'picture')} in {directory} would take {size:,} bytes at "
            f"{'×'.join(map(str, task.input.shape))}, and {MOST_BYTES:,} is the limit",
            hint="Use fewer of them, or a smaller size, with --input.",
        )
    images, labels, first = read_pictures(folders, task, reporter, are_grey=headers.are_grey, skip_broken=skip_broken)
    train, test = Split(images[:first], labels[:first]), Split(images[first:], labels[first:])
    if lost := set(range(len(names))).difference(train.labels.tolist()):
        raise DataError(f"{directory} has no picture of class {names[min(lost)]} that can be read", hint=_LAYOUT)
    if folders.first < len(folders.paths):
        if not len(test):
            raise DataError(f"{directory / 'test'} has no picture that can be read", hint=_LAYOUT)
        train, test = (split.take(random_order(len(split), SPLIT_SEED)) for split in (train, test))
    else:
        halves = stratified_split(np.array(names)[train.labels], TEST_SHARE, SPLIT_SEED)
        train, test = (train.take(indices) for indices in halves)
        reporter.notice(kept_to_evaluate(directory, len(test), len(images)))
    return identified(train, test, names, source=f"pictures in {directory.resolve().name}/", task=task)


class Headers(NamedTuple):
    """What the headers of pictures say, without their pixels."""

    sizes: Counter[tuple[int, int]]
    """Heights and widths, upright, of those whose header can be read."""
    are_grey: bool
    """Whether none can have colours."""

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Headers:
        """Read them. Raises DataError where no file is a picture."""
        found = [header for header in map(_header, paths) if header is not None]
        if not found:
            try:
                _decoded(paths[0], colours=True)
            except ImageError as error:
                none = f"None of the {count(len(paths), 'picture')} can be read, the first because"
                raise DataError(f"{none} {error.message}", hint=error.hint) from error
            raise DataError(f"None of the {count(len(paths), 'picture')} is PNG or JPEG", hint=_LAYOUT)
        return cls(Counter(size for size, _ in found), all(is_grey(mode) for _, mode in found))

    def common_size(self) -> tuple[tuple[int, int], str]:
        """Return the height and width to bring pictures to, and why: the size of most, or the middle of each side.

        No side is longer than `LONGEST_SIDE`.
        """
        ((height, width), most), known = self.sizes.most_common(1)[0], self.sizes.total()
        why = "all have this size" if most == known else f"{most:,} of {known:,} have this size"
        if most < COMMON * known:
            height, width = (int(np.median(lengths)) for lengths in zip(*self.sizes.elements(), strict=True))
            why = f"their {len(self.sizes):,} sizes differ, and these are the middle width and height"
        longest = max(height, width)
        if longest > LONGEST_SIDE:
            why = (
                f"{why.replace('this size', f'{width}×{height}')}, made smaller so that no side exceeds {LONGEST_SIDE}"
            )
            height, width = (max(1, round(side * LONGEST_SIDE / longest)) for side in (height, width))
        return (height, width), why


def _header(path: Path) -> tuple[tuple[int, int], str] | None:
    """Return the height and width of a picture that stands upright, and its mode; None where that cannot be read."""
    from PIL import Image

    # What is wrong with a picture is said when it is read.
    with (
        contextlib.suppress(Exception),
        warnings.catch_warnings(action="ignore"),
        Image.open(path, formats=("PNG", "JPEG")) as image,
    ):
        # Pillow would decode a whole PNG to look for the tag.
        turned = image.format == "JPEG" and image.getexif().get(0x0112) in _LANDSCAPE
        return (image.size if turned else (image.height, image.width)), image.mode
    return None


def _choose_task(
    folders: Folders, headers: Headers, reporter: Reporter, *, shape: tuple[int, ...] | None, preparer: str | None
) -> Task:
    """Return what pictures are taken for, and tell why, and what else they might be."""
    why = "as --input asks"
    if shape is None:
        size, why = headers.common_size()
        shape = size if headers.are_grey or not any(map(_has_colours, folders.paths)) else (*size, 3)
    usual = default_task()
    names = TASKS[usual.name].labels or ()
    is_usual = preparer is None and shape == usual.input.shape and set(headers.sizes) == {shape}
    if is_usual and set(folders.names) <= set(names):
        reporter.notice(
            f"The pictures in {folders.directory} are taken for {usual.name}: all are {usual.input.words()} without "
            f"colours, and their classes are called {names[0]} to {names[-1]}. If they show anything else, add "
            "--prepare resize."
        )
        return usual
    if not (spec := InputSpec(shape=shape)).is_picture:
        raise UsageError(f"--input asks for {spec.words()}, and {folders.directory} holds pictures")
    reporter.notice(
        f"The pictures in {folders.directory} are taken for {spec.words()}: {why}. If they are {usual.name}, add "
        f"--prepare {usual.preparer}."
    )
    return task_named("pictures", spec, preparer)


def _has_colours(path: Path) -> bool:
    with contextlib.suppress(ImageError):
        return has_colours(_decoded(path, colours=True, side=LONGEST_SIDE))
    return False


def _decoded(path: Path, *, colours: bool, side: int = 0) -> Image.Image:
    # Here, since Pillow takes a while to import, and other files do without.
    from edgemnist.ground.pictures import decode_image, picture_file, picture_name

    with picture_file(path) as file:
        return decode_image(file, picture_name(path), colours=colours, side=side)


def _prepared(path: Path, task: Task, *, is_grey: bool) -> tuple[Images, list[str]]:
    """Return a picture as a task prepares it, and what it lost. Raises ImageError, naming the file."""
    picture = _decoded(path, colours=task.input.channels > 1)
    try:
        fitted = task.prepare(picture)
    except ImageError as error:
        raise ImageError(f"{path} cannot be used: {error.message}", hint=error.hint) from error
    told = [what for what in fitted.told if what != TO_GREY] + [INVERTED] * fitted.inverted
    # The grey levels of a JPEG are read without its colours.
    if task.input.channels == 1 and not is_grey and _has_colours(path):
        told.append(f"{TO_GREY}, and what differs in colour alone looks the same,")
    return fitted.image, told


def _class_files(root: Path, reporter: Reporter, fewest: int) -> ClassFiles:
    """Return the pictures of each class, by its name: classes in natural order, so that 10 comes after 9."""
    folders = sorted((path for path in _visible(root) if path.is_dir()), key=lambda path: natural_key(path.name))
    if len(folders) < fewest:
        found = f"a single class, {folders[0].name}" if folders else "no class folders"
        raise DataError(f"{root} holds {found}", hint=_LAYOUT)
    if len(folders) > MOST_CLASSES:
        raise DataError(f"{root} holds {len(folders):,} classes, and {MOST_CLASSES:,} is the limit", hint=_LAYOUT)
    if hidden := [folder.name for folder in folders if not folder.name.isprintable()]:
        raise DataError(
            f"{root} has a class with characters in its name that cannot be seen: {hidden[0]!a}",
            hint="Rename its folder.",
        )
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


def read_pictures(
    folders: Folders, task: Task, reporter: Reporter = SILENT, *, are_grey: bool = False, skip_broken: bool = False
) -> tuple[Images, Labels, int]:
    """Return pictures, uint8 [N, …], and their classes, int64 [N], in the order of the files, and how many train.

    Those that cannot be read are named, and what the others lose is told. `are_grey` says that none has colours.
    Raises DataError where some cannot be read, unless they are to be skipped.
    """
    directory, paths = folders.directory, folders.paths
    images = np.zeros((len(paths), *task.input.shape), dtype=np.uint8)
    is_read = np.zeros(len(paths), dtype=bool)
    told: Counter[str] = Counter()
    broken: list[str] = []
    with reporter.task(f"Reading {directory}", total=len(paths)) as reading:
        for index, path in enumerate(paths):
            try:
                images[index], notes = _prepared(path, task, is_grey=are_grey)
            except ImageError as error:
                broken.append(error.message)
            else:
                is_read[index] = True
                told.update(notes)
            reading.update(index + 1)
    for why in broken[:MOST_NAMED]:
        reporter.notice(f"{why}.")
    if len(broken) > MOST_NAMED:
        reporter.notice(f"{count(len(broken) - MOST_NAMED, 'more picture')} cannot be read.")
    these = f"{len(broken):,} of the {count(len(paths), 'picture')} in {directory}"
    if broken and not skip_broken:
        raise DataError(
            f"{these} cannot be read", hint="Replace or remove them, or go on without them with --skip-broken."
        )
    if broken:
        reporter.notice(f"Skipped {these}.")
    pictures = count(int(is_read.sum()), "picture")
    for what, number in sorted(told.items()):
        reporter.notice(f"{what} in {number:,} of the {pictures} in {directory}.")
    return images[is_read], folders.labels[is_read], int(is_read[: folders.first].sum())


def _visible(directory: Path) -> Iterator[Path]:
    return (path for path in directory.iterdir() if not path.name.startswith((".", "__MACOSX")))
