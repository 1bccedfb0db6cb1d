"""Every changed label is listed, with what became of it, and drawn."""

from pathlib import Path

import numpy as np
import pytest

from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.pipeline.verify.parity import BROKEN, CHANGED, FIXED, KINDS, count_kind, list_flips
from edgemnist.pipeline.verify.run import verify
from tests.verify import damage
from tests.verify.damage import damage_artifact


def one_hot(*classes: int, confidence: float = 0.8) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.full((len(classes), 3), (1 - confidence) / 2, np.float32)
    rows[np.arange(len(classes)), classes] = confidence
    return rows


def test_a_flip_is_fixed_broken_or_changed() -> None:
    labels = np.array([0, 0, 0, 0])
    found = list_flips(one_hot(0, 0, 1, 1), one_hot(0, 1, 0, 2), labels, ["zero", "one", "2"])
    assert [(flip.index, flip.kind) for flip in found] == [(1, BROKEN), (2, FIXED), (3, CHANGED)]
    assert [(flip.label, flip.reference, flip.artifact) for flip in found] == [
        ("zero", "zero", "one"),
        ("zero", "one", "zero"),
        ("zero", "one", 2),
    ]
    assert found[0].reference_margin == pytest.approx(0.7)
    assert [count_kind([*found, found[0]], kind) for kind in KINDS] == [2, 1, 1]


def test_an_answer_that_is_no_number_is_a_flip_to_nothing() -> None:
    answers = one_hot(0)
    answers[0, 1] = np.nan
    (flip,) = list_flips(one_hot(0), answers, np.array([0]), "abc")
    assert (flip.artifact, flip.kind, flip.artifact_margin) == (None, BROKEN, 0.0)


def test_the_flips_of_a_real_artifact_are_all_there_and_explain_its_drop(made_exports: Path) -> None:
    pack = read_golden(made_exports, read_manifest(made_exports))
    for parity in verify(Exports.open(made_exports), ["tflite-int8", "tflite-int4", "onnx-float32"]).artifacts:
        answers = load(made_exports / f"{parity.name}.{parity.format}").predict_proba(pack.images)
        # The list is made from single answers, this from a batch: a tie may fall the other way.
        expected = set(np.flatnonzero(answers.argmax(axis=1) != pack.probabilities.argmax(axis=1)).tolist())
        assert len(expected ^ {flip.index for flip in parity.flipped}) <= 2
        assert len(parity.flipped) == parity.flips
        lost = count_kind(parity.flipped, BROKEN) - count_kind(parity.flipped, FIXED)
        assert parity.accuracy_drop_points == pytest.approx(100 * lost / len(pack.labels))
        assert parity.accuracy_interval is not None
        assert parity.accuracy is not None
        assert parity.accuracy_interval.low < parity.accuracy < parity.accuracy_interval.high


def test_a_broken_artifact_is_significantly_worse_and_confidences_that_mean_nothing_show(exports: Path) -> None:
    (good,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
    whole = (exports / "tflite-int8.tflite").read_bytes()
    damage_artifact(exports, "tflite-int8", damage.clip_hidden_activations)
    (unsure,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
    damage_artifact(exports, "tflite-int8", lambda _: damage.swap_tflite_outputs(whole))
    (bad,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
    assert good.mcnemar_p is not None
    assert bad.mcnemar_p is not None
    assert good.mcnemar_p > 0.01
    assert bad.mcnemar_p < 1e-6
    assert good.ece == pytest.approx(good.reference_ece, abs=0.02)
    assert unsure.accuracy == pytest.approx(good.accuracy, abs=0.02)
    assert (unsure.ece or 0) > 2 * (good.ece or 0)
