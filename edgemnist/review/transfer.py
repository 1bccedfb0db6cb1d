"""Export of labelled samples to a data set, and import from one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.agent.durable import write_synced
from edgemnist.arrays import Images
from edgemnist.data.dataset import stratified_split
from edgemnist.data.idx import encode_idx
from edgemnist.data.sources import SUFFIXES, read_directory
from edgemnist.errors import DataError, StorageError, UsageError
from edgemnist.formatting import count
from edgemnist.progress import SILENT, Reporter
from edgemnist.samples import IMPORTED, NOT_A_DIGIT, Label, Sample, now
from edgemnist.samples.store import SampleStore
from edgemnist.storage import is_plain, new_directory

TEMPORARY_PREFIX: Final = ".tmp-review-"
TEST_SHARE: Final = 0.2
SPLIT_SEED: Final = 0
"""The seed that data sets of folders are split with."""


def export_labelled(samples: Sequence[Sample], out: Path, *, idx: bool) -> int:
    """Write the samples that have a label to a new directory, and return how many there are.

    They become class-named folders of PNG files or, with `idx`, four IDX files, in which a fifth of each class is for
    evaluation, without samples that are not a digit. The directory appears when it is complete.

    Raises UsageError if there is nothing to write or `out` exists, and StorageError if it cannot be made.
    """
    labelled = [one for one in samples if one.label is not None and not (idx and one.label == NOT_A_DIGIT)]
    if not labelled:
        what = "No sample is labelled as a digit yet" if idx else "No sample has a label yet"
        raise UsageError(what, hint="Label some with: edgemnist review")
    if out.exists():
        raise UsageError(f"{out} exists", hint="Name a directory that does not.")
    try:
        with new_directory(out, TEMPORARY_PREFIX) as place:
            (_write_idx if idx else _write_folders)(labelled, place)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror}", hint="Name another directory.") from error
    return len(labelled)


def import_labelled(store: SampleStore, directory: Path, writer: str, reporter: Reporter = SILENT) -> int:
    """Add the images of a data set with their labels, and return the number of labels.

    An image that is already there gets only the label; of one that the data set has several times, the first label
    counts. An import that was killed half-way is completed by running it again.

    Raises DataError if there is no data set, and ImageError for a picture that cannot be read; nothing is added then.
    """
    images, labels = _read(directory, reporter)
    known = {one.image.tobytes(): one for one in store.samples()}
    first: dict[bytes, tuple[Images, str]] = {}
    for image, name in zip(images, labels, strict=True):
        first.setdefault(image.tobytes(), (image, name))
    if differ := sum(first[image.tobytes()][1] != name for image, name in zip(images, labels, strict=True)):
        reporter.notice(
            f"{directory} has {count(differ, 'image')} a second time with another label; the first label counts."
        )
    added = 0
    for pixels, (image, name) in first.items():
        same = known.get(pixels)
        if same is None:
            store.add(_imported(image, Label(name, writer, now(), settles=False), directory))
        elif all((one.label, one.writer) != (name, writer) for one in same.labels):
            store.label(same.id, name, writer)
        else:
            continue
        added += 1
    return added


def _read(directory: Path, reporter: Reporter) -> tuple[Sequence[Images], Sequence[str]]:
    """Return images, each uint8 [28, 28], and the names of their classes."""
    folders = sorted(path for path in directory.glob("[!.]*") if path.is_dir()) if directory.is_dir() else []
    if not folders or "train" in {path.name for path in folders}:
        dataset = read_directory(directory, reporter)
        splits = (dataset.train, dataset.test)
        labels = [dataset.labels[int(label)] for split in splits for label in split.labels]
        return [image for split in splits for image in split.images], labels
    # One picture of a class is enough here: nothing has to be kept for evaluation.
    from edgemnist.images import read_digit

    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"The folders of {directory} hold no PNG or JPEG files", hint="Name a folder after each class.")
    return [read_digit(path).image for path in files], [path.parent.name for path in files]


def _imported(image: Images, label: Label, directory: Path) -> Sample:
    return Sample(
        id=0,
        image=image,
        at=label.at,
        source=directory.resolve().name,
        artifact="",
        answer=None,
        confidence=0.0,
        reason=IMPORTED,
        labels=(label,),
    )


def _write_folders(samples: Sequence[Sample], place: Path) -> None:
    from PIL import Image

    # A store that somebody edited, or that came from elsewhere, must not reach beyond the new directory.
    if odd := sorted({str(one.label) for one in samples if not is_plain(str(one.label))}):
        raise UsageError(
            f"No folder can be named after the label {odd[0]!r}", hint="Change that label with: edgemnist review"
        )
    for one in samples:
        folder = place / str(one.label)
        folder.mkdir(exist_ok=True)
        stream = io.BytesIO()
        Image.fromarray(one.image).save(stream, "PNG")
        write_synced(folder / f"{one.id:06d}.png", stream.getvalue())


def _write_idx(samples: Sequence[Sample], place: Path) -> None:
    names = [str(one.label) for one in samples]
    if not all(name.isascii() and name.isdecimal() and int(name) <= np.iinfo(np.uint8).max for name in names):
        raise UsageError(
            "IDX labels are numbers from 0 to 255, and some of these labels are not", hint="Leave out --idx."
        )
    images, labels = np.stack([one.image for one in samples]), np.array([int(name) for name in names], np.uint8)
    for split, chosen in zip(("train", "t10k"), stratified_split(labels, TEST_SHARE, SPLIT_SEED), strict=True):
        write_synced(place / f"{split}-images-idx3-ubyte", encode_idx(images[chosen]))
        write_synced(place / f"{split}-labels-idx1-ubyte", encode_idx(labels[chosen]))
