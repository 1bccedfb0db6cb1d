"""The third voter: which of two runtimes that disagree is the odd one out.

LiteRT and ONNX Runtime execute int8 files of the same model, and the integer reference computes LiteRT's file with
NumPy. Where LiteRT and the reference differ on one file, a runtime is wrong; where ONNX Runtime differs from both, it
is the other file, with activation ranges of its own, or ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgemnist.arrays import Labels, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.golden import Golden
from edgemnist.manifest import sha256
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import IntegerCheck, Vote, Voter
from edgemnist.runtimes import RUNTIMES, load
from edgemnist.verify.answers import BATCH_SIZE

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


def integer_answers(path: Path, golden: Golden, reporter: Reporter = SILENT) -> Probabilities | None:
    """Return what the integer reference answers to every image, float32 [N, C].

    None for a file of another format, and, with a notice, for one that it cannot compute, such as a convolution.
    """
    if path.suffix in RUNTIMES["compiled"].suffixes:
        twin = _twin(path)
        if twin is None:
            reporter.notice(f"{path} was made with a TFLite file that is not beside it, so there is no third voter.")
            return None
        path = twin
    if path.suffix not in RUNTIMES["litert"].suffixes:
        return None
    try:
        classifier = load(path, runtime=INTEGER)
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so there is no third voter.")
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
    """Return who stands alone on how many images, or None for fewer than three voters."""
    if len(ballots) < _VOTERS:
        return None
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
