"""Runtimes that execute the same file, compared: what they differ by, how they round, and who is the odd one out.

Only answers to one file are compared. Another file, such as ONNX beside TFLite, has activation ranges of its own, so
that a runtime that differs there has computed nothing wrong. With three runtimes the odd one out can be named; the
integer reference, which computes full-int8 TFLite files with NumPy, is always among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Labels, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.exports.golden import Golden
from edgemnist.exports.models import Model
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.verify import IntegerCheck, ModelRounding, Replay, RoundingRule, Vote, Voter
from edgemnist.runtimes import RUNTIMES
from edgemnist.runtimes.integer import RESCALINGS, SOFTMAXES, IntegerClassifier, Rounding
from edgemnist.storage import sha256
from edgemnist.verify.gate import Gate, Share, exceeded
from edgemnist.verify.parity import BATCH_SIZE, tie

INTEGER = "integer"
_VOTERS = 3
"""Two that disagree need a third."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Ballot:
    """The labels that one voter gives."""

    artifact: str
    runtime: str
    labels: Labels
    """int64 [N]."""


def integer_answers(model: Model, golden: Golden, reporter: Reporter = SILENT) -> Probabilities | None:
    """Return what the integer reference answers to every image, float32 [N, C].

    None for a file of another format, and, with a notice, for one that it cannot compute, such as dilated windows.
    """
    path = tflite_of(model)
    if path is None:
        reporter.notice(
            f"{model.path} was made with a TFLite file that is not beside it, so the integer reference does not "
            "check it."
        )
        return None
    model = replace(model, path=path)
    if model.path.suffix not in RUNTIMES["litert"].suffixes:
        return None
    try:
        classifier = replace(model, runtime=INTEGER).load()
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so the integer reference does not check it.")
        return None
    return np.concatenate([classifier.predict_proba(batch) for batch in golden.batches(BATCH_SIZE)])


def tflite_of(model: Model) -> Path | None:
    """Return the file that the integer reference reads: of a C file or a page its twin beside it, None without one."""
    from edgemnist.native.amalgamation import Description, describe
    from edgemnist.native.webassembly import About, describe_page

    path = model.path
    if path.suffix in RUNTIMES["compiled"].suffixes:
        described: Description | About | None = describe(path.read_bytes())
    elif path.suffix in RUNTIMES["browser"].suffixes:
        described = describe_page(path.read_bytes())
    else:
        return path
    twins = path.parent.glob("*.tflite") if described is not None else ()
    return next((one for one in twins if described and sha256(one.read_bytes()) == described.tflite_sha256), None)


def check_integer(answers: Probabilities, reference: Probabilities) -> IntegerCheck:
    """Compare a runtime's answers with those of the integer reference to the same file, both float32 [N, C]."""
    distance = np.abs(answers - reference)
    return IntegerCheck(
        differing=int(np.count_nonzero(distance)),
        max_abs_diff=float(distance.max()),
        flips=int(np.count_nonzero(answers.argmax(axis=1) != reference.argmax(axis=1))),
    )


RULES = tuple(Rounding(rescaling, softmax) for rescaling in RESCALINGS for softmax in SOFTMAXES)
"""The reference's own first."""
STEP = 1 / 256
"""Of the int8 softmax, which kernels compute in float32, too."""


def find_rounding(
    model: Model, answers: Probabilities, golden: Golden, reporter: Reporter = SILENT
) -> ModelRounding | None:
    """Return how `answers`, float32 [N, C], of a model to every image differ from the reference under each rule.

    The rule that fits best comes first; of equals the one nearest to the reference. None, with a notice, for a file
    that the integer reference cannot compute.
    """
    twin = tflite_of(model)
    if twin is None or twin.suffix not in RUNTIMES[INTEGER].suffixes:
        reporter.notice(f"{model.path} is not a TFLite file, so --rounding says nothing about it.")
        return None
    try:
        rules = [_check(_load(twin, model, rule), rule, answers, golden) for rule in RULES]
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so --rounding says nothing about it.")
        return None
    return ModelRounding(name=model.name, rules=sorted(rules, key=lambda rule: rule.differing))


def explaining_rescaling(
    model: Model, answers: Probabilities, golden: Golden, reporter: Reporter = SILENT
) -> str | None:
    """Return how a runtime rounds, see `RoundingRule`, if the reference gives its answers, float32 [N, C], like that.

    They may be a step of the softmax apart. None if no rule explains them.
    """
    found = find_rounding(model, answers, golden, reporter)
    best = None if found is None else min(found.rules, key=lambda rule: rule.max_abs_diff)
    return best.rescaling if best is not None and best.max_abs_diff <= STEP else None


def _load(path: Path, model: Model, rule: Rounding) -> IntegerClassifier:
    return IntegerClassifier.load(path, input_range=model.recorded_range, rounding=rule)


def _check(classifier: IntegerClassifier, rule: Rounding, answers: Probabilities, golden: Golden) -> RoundingRule:
    found = np.concatenate([classifier.predict_proba(batch) for batch in golden.batches(BATCH_SIZE)])
    differing = found != answers
    return RoundingRule(
        rescaling=rule.rescaling,
        softmax=rule.softmax,
        differing=int(np.count_nonzero(differing)),
        images=int(np.count_nonzero(differing.any(axis=1))),
        flips=int(np.count_nonzero(found.argmax(axis=1) != answers.argmax(axis=1))),
        max_abs_diff=float(np.abs(found - answers).max(initial=0)),
    )


def count_votes(ballots: Sequence[Ballot]) -> Vote | None:
    """Return who stands alone on how many images; None where no artifact has three voters.

    The first artifact that has is voted on, each runtime once.
    """
    voters = {(ballot.artifact, ballot.runtime): ballot for ballot in ballots}
    artifacts = [name for name, _ in voters]
    full = next((name for name in artifacts if artifacts.count(name) >= _VOTERS), None)
    if full is None:
        return None
    ballots = [ballot for ballot in voters.values() if ballot.artifact == full]
    labels = np.stack([ballot.labels for ballot in ballots])
    agreed = np.all(labels == labels[0], axis=0)
    alone = np.array([_alone(labels, voter) for voter in range(len(ballots))])
    counts = alone.sum(axis=1)
    first, second = np.argsort(-counts, kind="stable")[:2]
    odd = ballots[first] if counts[first] > counts[second] else None
    return Vote(
        voters=[
            Voter(artifact=ballot.artifact, runtime=ballot.runtime, alone=int(count))
            for ballot, count in zip(ballots, counts, strict=True)
        ],
        agreed=int(np.count_nonzero(agreed)),
        undecided=int(np.count_nonzero(~agreed & ~alone.any(axis=0))),
        odd_one_out=None if odd is None else f"{odd.runtime} ({odd.artifact})",
    )


def _alone(labels: Labels, voter: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    others = np.delete(labels, voter, axis=0)
    result: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.all(others == others[0], axis=0) & (
        labels[voter] != others[0]
    )
    return result


FLOAT_NOISE = 1e-5
"""Of a probability computed in float32; 7.6e-6 was the most that was seen between x86 and Arm."""
HIDDEN_STEP = 5e-3
"""Of a probability, where one hidden activation went to the next of its 8-bit values.

A runtime that quantizes activations from floats rounds one that lies half-way between two values as its last bit of
float noise says, and that bit is another on another processor. Changing any one activation of 784-512-10 by its step,
on each of MNIST's 10,000 test images, moves a probability by at most 3.1e-3 (`benchmarks/verify/hidden_step.py`);
1.5e-3 was the most that was seen between x86 and Arm.
"""
HIDDEN_STEPS = Share(0.001)
"""Images on which that may happen; 1 of 10,000 was the most that was seen. Wrong arithmetic moves most of them."""

_FLOAT = frozenset({"float32", "float16"})
"""Quantizations without quantized activations."""

IDENTICAL = "identical"
ROUNDING = "rounding"
DRIFT = "drift"
FLIPS = "flips"


def _beyond_rounding(
    distance: npt.NDArray[np.float32], output_scale: float | None, quantization: str
) -> npt.NDArray[np.bool_]:
    """Return which values rounding alone does not explain, bool [N, C], given by how much they differ."""
    if output_scale:
        # Half a step above one step: the values are floats again by now.
        return distance > 1.5 * output_scale
    noisy = distance > FLOAT_NOISE
    if quantization in _FLOAT or np.count_nonzero(noisy.any(axis=1)) > HIDDEN_STEPS.allowed(len(distance)):
        return noisy
    return distance > HIDDEN_STEP


def replay(
    here: Probabilities, there: Probabilities, *, quantization: str, output_scale: float | None = None
) -> Replay:
    """Compare an artifact's answers, float32 [N, C], here with those on the exporting machine, image by image.

    `quantization` is the artifact's, `output_scale` the step of a quantized output, None for a float one.
    """
    distance = np.abs(here - there)
    # An answer that is no number differs from everything.
    distance = np.where(np.isfinite(distance), distance, np.float32(np.inf))
    labels = there.argmax(axis=1)
    # Equally likely here: which one is named is the order of the classes.
    flips = int(np.count_nonzero((here.argmax(axis=1) != labels) & ~tie(here, labels)))
    largest = float(distance.max(initial=0.0))
    beyond = int(np.count_nonzero(_beyond_rounding(distance, output_scale, quantization)))
    return Replay(
        verdict=_verdict(flips, largest, beyond),
        images=len(here),
        flips=flips,
        differing=int(np.count_nonzero(distance)),
        beyond_rounding=beyond,
        max_abs_diff=largest,
        max_steps=round(largest / output_scale) if output_scale and np.isfinite(largest) else None,
    )


def _verdict(flips: int, largest: float, beyond_rounding: int) -> str:
    if flips:
        return FLIPS
    if largest == 0.0:
        return IDENTICAL
    return DRIFT if beyond_rounding else ROUNDING


def missed_replay(gate: Gate, found: Replay) -> list[str]:
    """Return a sentence for each way in which the artifact answers differently than where it was exported.

    The limits are those between a batch of one and a large batch, which has another kernel for its cause, too.
    """
    reasons = []
    if found.flips > (allowed := gate.batch_flips.allowed(found.images)):
        reasons.append(
            f"{found.flips:,} of {found.images:,} labels differ from the exporting machine's, {allowed:,} allowed"
        )
    if not np.isfinite(found.max_abs_diff):
        reasons.append("some probabilities are not numbers, here or on the exporting machine")
    elif found.max_abs_diff > gate.batch_diff:
        words = "a probability differs by {} from the exporting machine's, {} allowed"
        reasons.append(exceeded(words, found.max_abs_diff, gate.batch_diff))
    return reasons
