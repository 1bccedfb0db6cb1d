"""From the answers of one model to everything that is said about it."""

from __future__ import annotations

import numpy as np

from edgemnist.arrays import Probabilities
from edgemnist.exports.directory import Exports
from edgemnist.exports.golden import Golden
from edgemnist.exports.manifest import Artifact
from edgemnist.results.verify import ArtifactParity
from edgemnist.runtimes.interface import Classifier
from edgemnist.verify.gate import Gate, missed
from edgemnist.verify.gatefile import held_limits
from edgemnist.verify.parity import Answers, compare, list_flips, no_answers
from edgemnist.verify.statistics import expected_calibration_error, mcnemar_p, wilson_interval
from edgemnist.verify.vote import check_integer, missed_replay, replay


def mismatches(exports: Exports, artifact: Artifact, classifier: Classifier, golden: Golden) -> list[str]:
    """Return a sentence for each way in which an artifact is not of the golden pack's model, or of the present one.

    `classifier` has been loaded without labels from elsewhere, so that it has those of its own file.
    """
    reasons: list[str] = []
    if artifact.model_sha256 != golden.model_sha256:
        reasons.append(
            f"it was made from another model ({artifact.model_sha256[:12]}…) "
            f"than the golden pack ({golden.model_sha256[:12]}…)"
        )
    elif reason := exports.outdated_reason(artifact):
        reasons.append(reason)
    if len(classifier.classes_) != (expected := golden.probabilities.shape[1]):
        reasons.append(f"it knows {len(classifier.classes_)} classes where the Keras model has {expected}")
    if difference := _difference(exports.manifest.labels, golden.class_labels):
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


def assess(
    golden: Golden,
    answers: Answers | None,
    *,
    name: str,
    format: str,  # noqa: A002 - named as in the result
    quantization: str,
    runtime: str,
    sha256: str,
    gate: Gate,
    mistakes: list[str] | None = None,
    integer: Probabilities | None = None,
    exported: Probabilities | None = None,
    output_scale: float | None = None,
) -> ArtifactParity:
    """Hold an artifact's answers against the reference in `golden`; None for one whose classes are others.

    What cannot be compared misses no further gate: the mistake says it all.

    `mistakes` are reasons to fail that were found before, `integer` what the integer reference answers, float32 [N, C].
    `exported` is what the artifact answered on the exporting machine, float32 [N, C], where that is known, and
    `output_scale` the step of a quantized output.
    """
    comparable = answers is not None
    answers = answers or no_answers(*golden.probabilities.shape)
    parity = compare(golden.probabilities, golden.labels, answers.single, answers.batched)
    check = None if integer is None else check_integer(answers.single, integer)
    reasons = [*(mistakes or []), *(missed(gate, parity, check) if comparable else [])]
    replayed = None
    if exported is not None and exported.shape == answers.single.shape:
        replayed = replay(answers.single, exported, output_scale)
        reasons += missed_replay(gate, replayed)
    reference_right = golden.probabilities.argmax(axis=1) == golden.labels
    finite = np.all(np.isfinite(answers.single), axis=1)
    right = finite & (answers.single.argmax(axis=1) == golden.labels)
    return ArtifactParity(
        name=name,
        format=format,
        quantization=quantization,
        runtime=runtime,
        accuracy=parity.accuracy,
        accuracy_drop_points=parity.accuracy_drop_points,
        flips=parity.flips,
        agreement=parity.agreement,
        max_abs_diff=parity.max_abs_diff,
        mean_abs_diff=parity.mean_abs_diff,
        max_batch_diff=parity.max_batch_diff,
        batch_flips=parity.batch_flips,
        ties=parity.ties,
        passed=not reasons,
        reasons=reasons,
        sha256=sha256,
        flipped=list_flips(golden.probabilities, answers.single, golden.labels, golden.class_labels),
        accuracy_interval=wilson_interval(parity.correct, parity.images),
        mcnemar_p=mcnemar_p(int(np.sum(reference_right & ~right)), int(np.sum(right & ~reference_right))),
        ece=expected_calibration_error(answers.single, golden.labels),
        reference_ece=expected_calibration_error(golden.probabilities, golden.labels),
        integer=check,
        replay=replayed,
        gate=held_limits(gate, quantization, parity.images),
    )
