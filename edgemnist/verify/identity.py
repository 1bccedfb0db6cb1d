"""Whether an artifact claims to be what it is compared with: made from the same model, with the same classes."""

from __future__ import annotations

from pathlib import Path

from edgemnist.golden import Golden
from edgemnist.manifest import MODEL_FILE, Artifact, Manifest
from edgemnist.runtimes.interface import Classifier


def mistaken(
    manifest: Manifest, artifact: Artifact, classifier: Classifier, golden: Golden, model: str | None = None
) -> list[str]:
    """Return a sentence for each way in which the artifact is not of the golden pack's model, or of the present one.

    `classifier` has been loaded without labels from elsewhere, so that it has those of its own file. `model` is the
    SHA-256 of the Keras model of the directory, None where there is none, see `present_model`.
    """
    reasons: list[str] = []
    if artifact.model_sha256 != golden.model_sha256:
        reasons.append(
            f"it was made from another model ({artifact.model_sha256[:12]}…) "
            f"than the golden pack ({golden.model_sha256[:12]}…)"
        )
    elif reason := outdated(artifact, model):
        reasons.append(reason)
    if len(classifier.classes_) != (expected := golden.probabilities.shape[1]):
        reasons.append(f"it knows {len(classifier.classes_)} classes where the Keras model has {expected}")
    if difference := _difference(manifest.labels, golden.class_labels):
        reasons.append(f"the manifest's labels are not the golden pack's: {difference}")
    # A file without labels of its own leaves the classifier with numbers, which claim nothing.
    numbers = [str(index) for index in classifier.classes_]
    if list(classifier.labels) != numbers and (difference := _difference(classifier.labels, golden.class_labels)):
        reasons.append(f"the labels in its file are not the golden pack's: {difference}")
    return reasons


def outdated(artifact: Artifact, model: str | None) -> str:
    """Return the reason why an artifact is not of the Keras model that is there now, or nothing where it is.

    `model` is that model's SHA-256; None for a directory without one, which says nothing against any artifact.
    """
    if model in (None, artifact.model_sha256):
        return ""
    return f"{MODEL_FILE} has changed since the export: run edgemnist export"


def outdated_notice(exports: Path, artifact: Artifact, model: str | None) -> str:
    """Return the same as a sentence for whoever uses an artifact of an export directory, or nothing."""
    reason = outdated(artifact, model)
    return f"{artifact.name} in {exports} is of an earlier model: {reason}." if reason else ""


def _difference(found: list[str] | tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} instead of {len(expected)}"
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one != other:
            return f"class {index} is {one!r} instead of {other!r}"
    return ""
