"""Runtimes that execute the same file against each other: what they differ by, and who is the odd one out.

Only answers to one file are compared. Another file, such as ONNX beside TFLite, has activation ranges of its own, so
that a runtime that differs there has computed nothing wrong. With three runtimes the odd one out can be named; the
integer reference, which computes full-int8 TFLite files with NumPy, is always among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgemnist.arrays import Labels, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.exports.golden import Golden
from edgemnist.exports.manifest import sha256
from edgemnist.exports.models import Model
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.verify import IntegerCheck, Replay, Vote, Voter
from edgemnist.runtimes import RUNTIMES
from edgemnist.verify.gate import Gate, exceeded
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

    None for a file of another format, and, with a notice, for one that it cannot compute, such as a convolution.
    """
    if model.path.suffix in RUNTIMES["compiled"].suffixes:
        twin = _twin(model.path)
        if twin is None:
            reporter.notice(
                f"{model.path} was made with a TFLite file that is not beside it, so the integer reference does not "
                "check it."
            )
            return None
        model = replace(model, path=twin)
    if model.path.suffix not in RUNTIMES["litert"].suffixes:
        return None
    try:
        classifier = replace(model, runtime=INTEGER).load()
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so the integer reference does not check it.")
        return None
    return np.concatenate([classifier.predict_proba(batch) for batch in golden.batches(BATCH_SIZE)])


def _twin(path: Path) -> Path | None:
    """Return the TFLite file beside a C file that holds the same network, or None."""
    from edgemnist.native.amalgamation import describe

    described = describe(path.read_bytes())
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
"""Of a probability computed in float32; 7e-6 was the most that was seen between x86 and Arm."""

IDENTICAL = "identical"
ROUNDING = "rounding"
DRIFT = "drift"
FLIPS = "flips"


@dataclass(frozen=True)
class _Noise:
    """What rounding alone can do to one value."""

    step: float
    """One unit in the last place of the output; 0 for a float output."""

    @property
    def most(self) -> float:
        # Half a step above one step: the values are floats again by now.
        return 1.5 * self.step if self.step else FLOAT_NOISE


def replay(here: Probabilities, there: Probabilities, output_scale: float | None) -> Replay:
    """Compare an artifact's answers, float32 [N, C], here with those on the exporting machine, image by image.

    `output_scale` is the step of a quantized output, None for a float one.
    """
    noise = _Noise(output_scale or 0.0)
    distance = np.abs(here - there)
    # An answer that is no number differs from everything.
    distance = np.where(np.isfinite(distance), distance, np.inf)
    labels = there.argmax(axis=1)
    # Equally likely here: which one is named is the order of the classes.
    flips = int(np.count_nonzero((here.argmax(axis=1) != labels) & ~tie(here, labels)))
    largest = float(distance.max(initial=0.0))
    return Replay(
        verdict=_verdict(flips, largest, noise),
        images=len(here),
        flips=flips,
        differing=int(np.count_nonzero(distance)),
        beyond_rounding=int(np.count_nonzero(distance > noise.most)),
        max_abs_diff=largest,
        max_steps=round(largest / noise.step) if noise.step and np.isfinite(largest) else None,
    )


def _verdict(flips: int, largest: float, noise: _Noise) -> str:
    if flips:
        return FLIPS
    if largest == 0.0:
        return IDENTICAL
    return ROUNDING if largest <= noise.most else DRIFT


def missed_replay(gate: Gate, found: Replay) -> list[str]:
    """Return a sentence for each way in which the artifact answers differently than where it was exported.

    The limits are those between a batch of one and a large batch, which has another kernel for its cause, too.
    """
    reasons = []
    if found.flips > (allowed := gate.batch_flips.allowed(found.images)):
        reasons.append(
            f"{found.flips:,} of {found.images:,} labels differ from the exporting machine's, {allowed:,} allowed"
        )
    if found.max_abs_diff > gate.batch_diff:
        words = "a probability differs by {} from the exporting machine's, {} allowed"
        reasons.append(exceeded(words, found.max_abs_diff, gate.batch_diff))
    return reasons
