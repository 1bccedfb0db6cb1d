"""From the answers of one artifact to everything that is said about it."""

from __future__ import annotations

import numpy as np

from edgemnist.arrays import Probabilities
from edgemnist.golden import Golden
from edgemnist.results import ArtifactParity
from edgemnist.runtimes import RUNTIMES
from edgemnist.verify.answers import Answers
from edgemnist.verify.flips import list_flips
from edgemnist.verify.gate import Gate, missed
from edgemnist.verify.gatefile import held_limits
from edgemnist.verify.parity import compare
from edgemnist.verify.replay import missed_replay, replay
from edgemnist.verify.statistics import expected_calibration_error, mcnemar_p, wilson_interval
from edgemnist.verify.vote import check_integer


def judge(
    golden: Golden,
    answers: Answers,
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
    """Hold an artifact's answers against the reference in `golden`.

    `mistakes` are reasons to fail that were found before, `integer` what the integer reference answers, float32 [N, C].
    `exported` is what the artifact answered on the exporting machine, float32 [N, C], where that is known, and
    `output_scale` the step of a quantized output.
    """
    parity = compare(golden.probabilities, golden.labels, answers.single, answers.batched)
    check = None if integer is None else check_integer(answers.single, integer)
    reasons = [*(mistakes or []), *missed(gate, parity, check)]
    if integer is not None and check is not None and check.differing and RUNTIMES[runtime].exact:
        reasons.append(
            f"{check.differing:,} of {integer.size:,} probabilities differ from the integer reference, "
            f"and {runtime} promises every bit of it"
        )
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
