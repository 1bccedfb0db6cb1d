"""Where runtimes disagree, the report names the one that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgemnist.exports.directory import Exports
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.runtimes import load
from edgemnist.verify.gate import GATES, missed
from edgemnist.verify.parity import compare
from edgemnist.verify.run import verify
from edgemnist.verify.vote import Ballot, check_integer, count_votes, integer_answers
from tests.notices import Notices
from tests.verify import damage


def ballots(**labels: list[int]) -> list[Ballot]:
    return [Ballot(artifact="x-int8", runtime=name, labels=np.array(found)) for name, found in labels.items()]


def test_the_odd_one_out_is_who_stands_alone_most_often() -> None:
    vote = count_votes(ballots(a=[1, 2, 3, 4, 5], b=[1, 2, 9, 4, 6], c=[1, 7, 9, 4, 8]))
    assert vote is not None
    assert [(voter.runtime, voter.alone) for voter in vote.voters] == [("a", 1), ("b", 0), ("c", 1)]
    assert (vote.agreed, vote.undecided) == (2, 1)
    assert vote.odd_one_out is None
    vote = count_votes(ballots(a=[1, 2, 3], b=[1, 2, 3], c=[1, 5, 3]))
    assert vote is not None
    assert vote.odd_one_out == "c (x-int8)"


def test_two_voters_cannot_tell_which_of_them_is_wrong() -> None:
    assert count_votes(ballots(a=[1], b=[2])) is None


def test_runtimes_of_two_files_never_vote_on_one_another(made_exports: Path) -> None:
    result = verify(Exports.open(made_exports), ["tflite-int8", "onnx-int8"])
    assert result.vote is None, "LiteRT and the integer reference read one file, ONNX Runtime another"
    check = next(parity.integer for parity in result.artifacts if parity.name == "tflite-int8")
    assert check is not None
    assert check.max_abs_diff <= 1 / 256
    assert check.flips == 0
    other = Ballot(artifact="y-int8", runtime="d", labels=np.array([9, 9]))
    vote = count_votes([other, *ballots(a=[1, 2], b=[1, 2], c=[1, 5]), *ballots(a=[1, 2])])
    assert vote is not None
    assert [(one.artifact, one.runtime) for one in vote.voters] == [("x-int8", name) for name in "abc"]


@pytest.mark.parametrize("wrong", [damage.shift_zero_point_of_logits, damage.clip_hidden_activations])
def test_a_runtime_that_computes_otherwise_misses_the_gate_and_is_outvoted(
    wrong: damage.Damage, made_exports: Path, tmp_path: Path
) -> None:
    """A runtime with wrong arithmetic stands here as the right runtime on a file with wrong parameters."""
    pack = read_golden(made_exports, read_manifest(made_exports))
    model, other = Exports.open(made_exports).model("tflite-int8"), tmp_path / "wrong.tflite"
    other.write_bytes(wrong(model.path.read_bytes()))
    answers, integer = load(other).predict_proba(pack.images), integer_answers(model, pack)
    assert integer is not None
    check = check_integer(answers, integer)
    parity = compare(pack.probabilities, pack.labels, integer, integer)
    assert missed(GATES["int8"], parity) == []
    assert "integer reference" in missed(GATES["int8"], parity, check)[0]
    vote = count_votes(
        [
            Ballot(artifact="tflite-int8", runtime=runtime, labels=found.argmax(axis=1))
            for runtime, found in (("litert", answers), ("integer", integer), ("another", integer))
        ]
    )
    assert vote is not None
    assert vote.odd_one_out == "litert (tflite-int8)"


def test_a_file_that_the_reference_cannot_compute_is_told_and_not_passed_over(made_exports: Path) -> None:
    pack = read_golden(made_exports, read_manifest(made_exports))
    notices = Notices()
    assert integer_answers(Exports.open(made_exports).model("tflite-float32"), pack, notices) is None
    assert "the integer reference does not check it" in notices.messages[0]
