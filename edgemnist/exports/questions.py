"""Reasons to doubt the figures of an export directory: a reference that only guesses, or data of another source.

A converted model that agrees with a Keras model that has learned nothing is "as accurate" as that. So every command
that shows a figure says the same about the reference, in the same words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgemnist.errors import ArtifactError

if TYPE_CHECKING:
    from edgemnist.exports.directory import Exports
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
