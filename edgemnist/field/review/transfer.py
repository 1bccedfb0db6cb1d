"""Export of labelled samples to a data set, and import from one."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.board.agent.durable import write_synced
from edgemnist.errors import DataError, ImageError, StorageError, UsageError
from edgemnist.field.samples import IMPORTED, Label, Sample, kind_of, label_named, now
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.storage import is_plain, new_directory
from edgemnist.model.task import Task, default_input, task_named, unnamed_task
from edgemnist.pipeline.data.sources import read_dataset, read_labelled

TEMPORARY_PREFIX: Final = ".tmp-review-"


def export_labelled(samples: Sequence[Sample], out: Path) -> int:
    """Write the samples that have a label to a new directory, and return how many there are.

    A person has to have given it: whoever trains on the directory would learn what only clients say.

    Pictures become class-named folders of PNG files, and numbers two arrays, x.npy and y.npy. The directory appears
    when it is complete.

    Raises UsageError if there is nothing to write or `out` exists, and StorageError if it cannot be made.
    """
    labelled = [sample for sample in samples if sample.confirmed and sample.label is not None]
    if not labelled:
        raise UsageError("No sample has a label yet", hint="Label some with: edgemnist review")
    if out.exists():
        raise UsageError(f"{out} exists", hint="Name a directory that does not.")
    try:
        with new_directory(out, TEMPORARY_PREFIX) as place:
            if labelled[0].spec.is_picture:
                _write_folders(labelled, place)
            else:
                _write_arrays(labelled, place)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror}", hint="Name another directory.") from error
    return len(labelled)


def import_labelled(
    store: SampleStore, directory: Path, writer: str, reporter: Reporter = SILENT, *, skip_broken: bool = False
) -> int:
    """Add the images of a data set with their labels, and return the number of labels.

    An image that is already there gets only the label; of one that the data set has several times, the first label
    counts. An import that was killed half-way is completed by running it again.

    Raises DataError if there is no data set, or it has pictures that cannot be read, unless these are skipped; nothing
    is added then.
    """
    images, labels = read_labelled(directory, _task_of(store.spec), reporter, skip_broken=skip_broken)
    known = {sample.pixels: sample for sample in store.samples()}
    found = [(image.tobytes(), str(label_named(name))) for image, name in zip(images, labels, strict=True)]
    first: dict[bytes, str] = {}
    for pixels, name in found:
        first.setdefault(pixels, name)
    if differ := sum(first[pixels] != name for pixels, name in found):
        reporter.notice(
            f"{directory} has {count(differ, 'input')} a second time with another label; the first label counts."
        )
    added = 0
    for pixels, name in first.items():
        same, label = known.get(pixels), Label(name, writer, now(), settles=False)
        if same is None:
            store.add(
                Sample(
                    pixels=pixels,
                    **kind_of(store.spec),
                    at=label.at,
                    source=directory.resolve().name,
                    artifact="",
                    answer=None,
                    confidence=0.0,
                    reason=IMPORTED,
                    rows=(label,),
                )
            )
        elif all((one.label, one.writer) != (label.label, writer) for one in same.labels):
            store.label(same.id, name, writer)
        else:
            continue
        added += 1
    return added


def input_of(directory: Path, *, skip_broken: bool = False) -> InputSpec:
    """Return what the images of a data set are, for a store that is made for them."""
    # A single picture of a class is no data set, and enough to import.
    with contextlib.suppress(DataError, ImageError):
        return read_dataset(directory, skip_broken=skip_broken).task.input
    return default_input()


def _task_of(spec: InputSpec) -> Task:
    if spec.takes_the_same(default_input()):
        return unnamed_task()
    return task_named("pictures" if spec.is_picture else "numbers", spec)


def _write_arrays(samples: Sequence[Sample], place: Path) -> None:
    arrays = {"x": np.stack([one.image for one in samples]), "y": np.array([one.label for one in samples], np.str_)}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        write_synced(place / f"{name}.npy", stream.getvalue())


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
