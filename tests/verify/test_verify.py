"""Good artifacts pass, and each kind of wrong one is caught: real files, real runtimes, all evaluation images."""

import sys
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.pipeline.bench.run import BenchConfig, choose_models
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.verify.parity import BROKEN, FIXED, count_kind
from edgemnist.pipeline.verify.run import verify
from edgemnist.pipeline.verify.statistics import expected_calibration_error, mcnemar_p
from tests.conftest import ANOTHER_SEED, REPOSITORY
from tests.notices import Notices
from tests.verify import damage
from tests.verify.damage import damage_artifact, edit_manifest, replace_artifact


def verify_one(exports: Path, name: str) -> ArtifactParity:
    result = verify(Exports.open(exports), [name])
    assert [parity.name for parity in result.artifacts] == [name]
    assert result.passed == result.artifacts[0].passed == (not result.artifacts[0].reasons)
    assert msgspec.json.decode(result.to_json(), type=VerifyResult) == result
    return result.artifacts[0]


def test_every_artifact_passes_its_gate(made_exports: Path) -> None:
    result = verify(Exports.open(made_exports))
    manifest = read_manifest(made_exports)
    assert {parity.name: parity.reasons for parity in result.artifacts} == {
        model.name: [] for model in Exports.open(made_exports).select()
    }
    assert {parity.name for parity in result.artifacts} >= {spec.name for spec in ExportConfig.of().specs}
    assert result.passed
    assert manifest.golden is not None
    assert result.images == manifest.golden.images
    assert result.model_sha256 == manifest.golden.model_sha256
    recorded = {artifact.name: artifact.sha256 for artifact in manifest.artifacts}
    assert {parity.name.partition("@")[0]: parity.sha256 for parity in result.artifacts} == recorded


def test_the_numbers_are_those_of_the_runtimes_own_answers(made_exports: Path) -> None:
    pack = read_golden(made_exports, read_manifest(made_exports))
    answers = load(made_exports / "tflite-int8.tflite").predict_proba(pack.images)
    parity = verify_one(made_exports, "tflite-int8")
    assert parity.runtime == "litert"
    assert parity.accuracy == pytest.approx(float(np.mean(answers.argmax(axis=1) == pack.labels)), abs=0.003)
    assert parity.flips == pytest.approx(
        np.count_nonzero(answers.argmax(axis=1) != pack.probabilities.argmax(axis=1)), abs=2
    )
    assert parity.max_abs_diff == pytest.approx(float(np.abs(answers - pack.probabilities).max()), abs=2 / 256)
    assert parity.accuracy is not None
    assert parity.accuracy_drop_points == pytest.approx(100 * (pack.accuracy() - parity.accuracy))
    assert parity.agreement == pytest.approx(1 - parity.flips / len(pack.labels))
    # The list is made from single answers, this from a batch: a tie may fall the other way.
    flipped = set(np.flatnonzero(answers.argmax(axis=1) != pack.probabilities.argmax(axis=1)).tolist())
    assert len(flipped ^ {flip.index for flip in parity.flipped}) <= 2
    lost = count_kind(parity.flipped, BROKEN) - count_kind(parity.flipped, FIXED)
    assert parity.accuracy_drop_points == pytest.approx(100 * lost / len(pack.labels))
    assert parity.accuracy_interval is not None
    assert parity.accuracy_interval.low < parity.accuracy < parity.accuracy_interval.high
    assert parity.ece == pytest.approx(expected_calibration_error(answers, pack.labels), abs=1e-5)
    assert parity.reference_ece == pytest.approx(expected_calibration_error(pack.probabilities, pack.labels))
    assert parity.mcnemar_p == mcnemar_p(count_kind(parity.flipped, BROKEN), count_kind(parity.flipped, FIXED))


def permute_labels(data: bytes) -> bytes:
    import onnx

    model = onnx.load_from_string(data)
    for entry in model.metadata_props:
        if "label" in entry.key:
            entry.value = entry.value.replace("3", "x").replace("5", "3").replace("x", "5")
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        # One byte in fifty: the tests' model is so unsure that fewer do no more than int8 does.
        *((spec.name, partial(damage.flip_bits_in_the_middle, count=8192), "") for spec in ExportConfig.of().specs),
        ("tflite-int8", lambda _: (ANOTHER_SEED / "tflite-int8.tflite").read_bytes(), "labels changed"),
        ("tflite-int8", damage.swap_tflite_outputs, "labels changed"),
        ("tflite-float32", damage.swap_tflite_outputs, "labels changed"),
        ("onnx-float32", damage.swap_onnx_outputs, "labels changed"),
        ("onnx-int8", damage.swap_onnx_outputs, "labels changed"),
        # A wrong scale or zero point.
        ("tflite-int8", damage.scale_tflite_weights, ""),
        ("tflite-int8", damage.clip_hidden_activations, ""),
        ("tflite-int8", damage.shift_zero_point_of_logits, ""),
        ("onnx-int8", damage.scale_onnx_weights, ""),
        ("onnx-float32", damage.forget_a_class, "it knows 9 classes where the Keras model has 10"),
        ("onnx-float32", damage.answer_not_a_number, "images got an answer that is not a finite number"),
        ("onnx-float32", damage.answer_squares, "is off by"),
        ("onnx-float32", damage.mix_with_the_batch, "between a batch of one and a large batch"),
        (
            "onnx-float32",
            permute_labels,
            "the labels in its file are not the golden pack's: class 3 is '5' instead of '3'",
        ),
    ],
)
def test_a_wrong_artifact_is_caught(name: str, wrong: damage.Damage, said: str, exports: Path) -> None:
    damage_artifact(exports, name, wrong)
    parity = verify_one(exports, name)
    assert any(said in reason for reason in parity.reasons)
    if wrong in {damage.answer_squares, damage.mix_with_the_batch, permute_labels}:
        assert parity.flips == 0
    if wrong in {damage.mix_with_the_batch, permute_labels}:
        # Nothing but that is said.
        assert not any("is off by" in reason for reason in parity.reasons)
    if wrong in {damage.swap_tflite_outputs, damage.swap_onnx_outputs}:
        # All of the threes and fives, and nothing else.
        assert 0.70 < (parity.agreement or 0) < 0.85


def test_permuted_labels_in_the_manifest_are_caught(exports: Path) -> None:
    labels = ["0", "1", "2", "5", "4", "3", "6", "7", "8", "9"]
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, labels=labels))
    result = verify(Exports.open(exports))
    said = "the manifest's labels are not the golden pack's: class 3 is '5' instead of '3'"
    assert all(said in parity.reasons for parity in result.artifacts)


def test_an_artifact_of_another_model_is_caught_by_its_record(exports: Path) -> None:
    artifact = read_manifest(exports).artifact("tflite-float32")
    stranger = msgspec.structs.replace(artifact, model_sha256="ab" * 32)
    edit_manifest(exports, lambda manifest: manifest.with_artifacts([stranger]))
    (reason,) = verify_one(exports, "tflite-float32").reasons
    assert reason.startswith("it was made from another model (abababababab…)")


def test_an_artifact_that_no_runtime_takes_is_not_passed_over(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's own word for a package that cannot be found.
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    replace_artifact(exports, "tflite-int8", (exports / "tflite-float32.tflite").read_bytes())
    opened = Exports.open(exports)
    models, unusable = opened.runnable()
    told = {model.artifact for model in models} | {one.name for one in unusable}
    assert told == {one.name for one in opened.artifacts}


def test_a_model_that_its_runtime_dies_of_costs_no_other_its_verdict_or_its_latency(exports: Path) -> None:
    data = bytearray((REPOSITORY / "exports/reference/tflite-int8.tflite").read_bytes())
    data[16], data[1604] = 0, 40
    name = "tflite-float32"
    replace_artifact(exports, name, bytes(data))
    opened, heard = Exports.open(exports), Notices()
    reason = f"{exports}/{name}.tflite is not opened: it makes the runtime litert crash"
    result = verify(opened)
    assert [(one.name, one.status, one.reason) for one in result.unusable] == [(name, "refused", reason)]
    assert not result.passed
    assert len(result.artifacts) > 5
    measured = [one.name for one in choose_models(opened, None, BenchConfig(keras=False), heard)]
    assert name not in measured
    assert {one.name for one in result.artifacts} == set(measured)
    assert f"{name} is left out: {reason}." in heard.messages
    for alone in (lambda: verify(opened, [name]), lambda: choose_models(opened, [name], BenchConfig(), heard)):
        with pytest.raises(ArtifactError, match="it makes the runtime litert crash"):
            alone()
