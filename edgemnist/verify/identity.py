"""Whether an artifact claims to be what it is compared with: made from the same model, with the same classes."""

from __future__ import annotations

from edgemnist.golden import Golden
from edgemnist.manifest import Artifact, Manifest
from edgemnist.runtimes.interface import Classifier


def mistaken(manifest: Manifest, artifact: Artifact, classifier: Classifier, golden: Golden) -> list[str]:
    """Return a sentence for each way in which the artifact is not of the golden pack's model.

    `classifier` has been loaded without labels from elsewhere, so that it has those of its own file.
    """
    reasons: list[str] = []
    if artifact.model_sha256 != golden.model_sha256:
        reasons.append(
            f"it was made from another model ({artifact.model_sha256[:12]}…) "
            f"than the golden pack ({golden.model_sha256[:12]}…)"
        )
    if len(classifier.classes_) != (expected := golden.probabilities.shape[1]):
        reasons.append(f"it knows {len(classifier.classes_)} classes where the Keras model has {expected}")
    if difference := _difference(manifest.labels, golden.class_labels):
        reasons.append(f"the manifest's labels are not the golden pack's: {difference}")
    # A file without labels of its own leaves the classifier with numbers, which claim nothing.
    numbers = [str(index) for index in classifier.classes_]
    if list(classifier.labels) != numbers and (difference := _difference(classifier.labels, golden.class_labels)):
        reasons.append(f"the labels in its file are not the golden pack's: {difference}")
    return reasons


def _difference(found: list[str] | tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} instead of {len(expected)}"
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one != other:
            return f"class {index} is {one!r} instead of {other!r}"
    return ""
