"""Good artifacts pass, and each kind of wrong one is caught: real files, real runtimes, all evaluation images."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.arrays import Probabilities
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import choose_subjects
from edgemnist.errors import ArtifactError, ManifestError, MissingDependencyError, UnknownNameError
from edgemnist.export.interface import ExportConfig
from edgemnist.exports import Exports
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.formats import FORMATS
from edgemnist.progress import Task
from edgemnist.results.verify import ArtifactParity
from edgemnist.runtimes import load
from edgemnist.runtimes.interface import Classifier
from edgemnist.verify.gate import LimitOverrides
from edgemnist.verify.parity import BATCH_SIZE, ask
from edgemnist.verify.run import verify
from tests.conftest import REPOSITORY
from tests.notices import Notices
from tests.verify import damage
from tests.verify.damage import damage_artifact, edit_manifest, replace_artifact


def verify_one(exports: Path, name: str) -> ArtifactParity:
    result = verify(Exports.open(exports), [name])
    assert [parity.name for parity in result.artifacts] == [name]
    assert result.passed == result.artifacts[0].passed == (not result.artifacts[0].reasons)
    return result.artifacts[0]


TFLITE = FORMATS["tflite"].quantizations


# ------------------------------------------------------------------------------------------------ good ones


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
    assert parity.accuracy_drop_points == pytest.approx(100 * (pack.accuracy() - parity.accuracy))
    assert parity.agreement == pytest.approx(1 - parity.flips / len(pack.labels))


def test_only_what_was_named_is_verified_and_once(made_exports: Path) -> None:
    result = verify(Exports.open(made_exports), ["onnx-int8", "tflite-float16", "onnx-int8"])
    assert [parity.name for parity in result.artifacts] == ["onnx-int8", "tflite-float16"]


def test_the_users_limits_take_the_place_of_the_gates(made_exports: Path) -> None:
    strict = LimitOverrides(max_abs_diff=0.0)
    result = verify(Exports.open(made_exports), ["tflite-int8"], strict)
    assert not result.passed
    assert "0 allowed" in result.artifacts[0].reasons[0]


# ------------------------------------------------------------------------------------------------ wrong ones


@pytest.mark.parametrize("name", ["tflite-int8", "tflite-int4"])
def test_an_artifact_of_another_seed_is_caught(name: str, exports: Path, other_exports: Path) -> None:
    other = read_manifest(other_exports).artifact(name)
    replace_artifact(exports, name, (other_exports / other.file).read_bytes())
    parity = verify_one(exports, name)
    assert not parity.passed
    assert "labels changed" in parity.reasons[0]


@pytest.mark.parametrize("name", [spec.name for spec in ExportConfig.of().specs])
def test_corrupted_weights_are_caught_in_every_format(name: str, exports: Path) -> None:
    damage_artifact(exports, name, damage.flip_bits_in_the_middle)
    assert verify_one(exports, name).reasons != []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("tflite-int8", damage.swap_tflite_outputs),
        ("tflite-float32", damage.swap_tflite_outputs),
        ("onnx-float32", damage.swap_onnx_outputs),
        ("onnx-int8", damage.swap_onnx_outputs),
    ],
)
def test_swapped_outputs_are_caught(name: str, wrong: damage.Damage, exports: Path) -> None:
    damage_artifact(exports, name, wrong)
    parity = verify_one(exports, name)
    assert "labels changed" in parity.reasons[0]
    # All of the threes and fives, and nothing else.
    assert 0.70 < parity.agreement < 0.85


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("tflite-int8", damage.scale_tflite_weights),
        ("tflite-int8", damage.clip_hidden_activations),
        ("tflite-int8", damage.shift_zero_point_of_logits),
        ("onnx-int8", damage.scale_onnx_weights),
    ],
)
def test_a_wrong_scale_or_zero_point_is_caught(name: str, wrong: damage.Damage, exports: Path) -> None:
    damage_artifact(exports, name, wrong)
    assert verify_one(exports, name).reasons != []


def test_permuted_labels_in_the_manifest_are_caught(exports: Path) -> None:
    labels = ["0", "1", "2", "5", "4", "3", "6", "7", "8", "9"]
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, labels=labels))
    result = verify(Exports.open(exports))
    said = "the manifest's labels are not the golden pack's: class 3 is '5' instead of '3'"
    assert all(parity.reasons == [said] for parity in result.artifacts)


def test_permuted_labels_in_an_onnx_file_are_caught(exports: Path) -> None:
    import onnx

    def permute(data: bytes) -> bytes:
        model = onnx.load_from_string(data)
        for entry in model.metadata_props:
            if "label" in entry.key:
                entry.value = entry.value.replace("3", "x").replace("5", "3").replace("x", "5")
        return bytes(model.SerializeToString())

    damage_artifact(exports, "onnx-float32", permute)
    assert verify_one(exports, "onnx-float32").reasons == [
        "the labels in its file are not the golden pack's: class 3 is '5' instead of '3'"
    ]


def test_an_artifact_of_another_model_is_caught_by_its_record(exports: Path) -> None:
    artifact = read_manifest(exports).artifact("tflite-float32")
    stranger = msgspec.structs.replace(artifact, model_sha256="ab" * 32)
    edit_manifest(exports, lambda manifest: manifest.with_artifacts([stranger]))
    (reason,) = verify_one(exports, "tflite-float32").reasons
    assert reason.startswith("it was made from another model (abababababab…)")


def test_one_class_too_few_is_caught(exports: Path) -> None:
    damage_artifact(exports, "onnx-float32", damage.forget_a_class)
    parity = verify_one(exports, "onnx-float32")
    assert parity.reasons[0] == "it knows 9 classes where the Keras model has 10"
    assert parity.accuracy == 0.0


def test_answers_that_are_no_numbers_are_caught_and_leave_a_document_that_can_be_read(exports: Path) -> None:
    damage_artifact(exports, "onnx-float32", damage.answer_not_a_number)
    result = verify(Exports.open(exports), ["onnx-float32"])
    images = result.images
    assert result.artifacts[0].reasons[0] == (
        f"{images:,} of {images:,} images got an answer that is not a finite number"
    )
    assert msgspec.json.decode(result.to_json(), type=type(result)) == result


def test_answers_that_are_no_probabilities_are_caught(exports: Path) -> None:
    damage_artifact(exports, "onnx-float32", damage.answer_squares)
    parity = verify_one(exports, "onnx-float32")
    assert parity.flips == 0
    assert parity.reasons != []


def test_answers_that_depend_on_the_batch_are_caught(exports: Path) -> None:
    damage_artifact(exports, "onnx-float32", damage.mix_with_the_batch)
    parity = verify_one(exports, "onnx-float32")
    assert parity.max_abs_diff < 1e-4
    assert any("between a batch of one and a large batch" in reason for reason in parity.reasons)
    assert not any("is off by" in reason for reason in parity.reasons)


# ------------------------------------------------------------------------------------------------ wrong input


def test_an_unknown_name_gets_the_nearest_one(made_exports: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tflite-int8'"):
        verify(Exports.open(made_exports), ["tflite-int9"])


def test_a_file_that_is_not_the_recorded_one_fails_and_does_not_stop_the_others(exports: Path) -> None:
    path = exports / "onnx-int8.onnx"
    path.write_bytes(damage.flip_bits_in_the_middle(path.read_bytes(), count=1))
    words = r"onnx-int8\.onnx is not the file that the manifest describes"
    with pytest.raises(ArtifactError, match=words):
        verify(Exports.open(exports), ["onnx-int8"])
    result = verify(Exports.open(exports))
    assert not result.passed
    assert [(one.name, one.status) for one in result.unusable] == [("onnx-int8", "damaged")]
    assert re.search(words, result.unusable[0].reason)
    assert {parity.name for parity in result.artifacts if parity.passed} >= {
        spec.name for spec in ExportConfig.of().specs
    } - {"onnx-int8"}
    assert verify(Exports.open(exports), ["tflite-int8"]).passed


def test_a_golden_pack_that_is_not_the_recorded_one_stops_everything(exports: Path) -> None:
    path = exports / "golden.npz"
    path.write_bytes(damage.flip_bits_in_the_middle(path.read_bytes(), count=1))
    with pytest.raises(ArtifactError, match=r"golden\.npz"):
        verify(Exports.open(exports))


def test_a_directory_that_is_none_or_has_nothing_to_verify_says_so(exports: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="nowhere"):
        verify(Exports.open(tmp_path / "nowhere"))
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, artifacts=[]))
    with pytest.raises(ManifestError, match="no artifacts"):
        verify(Exports.open(exports))


def test_a_golden_pack_without_images_passes_nothing(exports: Path) -> None:
    damage.empty_golden_pack(exports)
    with pytest.raises(ArtifactError, match="no images"):
        verify(Exports.open(exports))


# ------------------------------------------------------------------------------------------------ missing runtimes


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package one that cannot be found: None in sys.modules is Python's own word for that."""
    return lambda module: monkeypatch.setitem(sys.modules, module, None)


def test_without_a_runtime_its_artifacts_are_left_out_with_a_notice(
    made_exports: Path, without: Callable[[str], None]
) -> None:
    without("onnxruntime")
    without("openvino")
    notices = Notices()
    result = verify(Exports.open(made_exports), reporter=notices)
    verified = {parity.name.partition("@")[0] for parity in result.artifacts}
    assert verified == {spec.name for spec in ExportConfig.of(formats=["tflite"], quantizations=TFLITE).specs}
    assert len(notices.messages) == 3
    assert all('pip install "edgemnist[onnx]"' in message for message in notices.messages)


def test_naming_an_artifact_whose_runtime_is_missing_is_an_error_with_the_pip_line(
    made_exports: Path, without: Callable[[str], None]
) -> None:
    without("onnxruntime")
    without("openvino")
    with pytest.raises(MissingDependencyError) as caught:
        verify(Exports.open(made_exports), ["tflite-int8", "onnx-int8"])
    assert 'pip install "edgemnist[onnx]"' in caught.value.hint


def test_without_any_runtime_nothing_passes(
    made_exports: Path, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edgemnist.native.SOURCES", tmp_path)
    without("onnxruntime")
    without("openvino")
    without("ai_edge_litert")
    with pytest.raises(MissingDependencyError):
        verify(Exports.open(made_exports))


# ------------------------------------------------------------------------------------------------ cost


class Counting(Classifier):
    """Counts the calls of another classifier."""

    def __init__(self, inner: Classifier) -> None:
        self.inner = inner
        self.classes_, self.labels = inner.classes_, inner.labels
        self.batches: list[int] = []

    @classmethod
    def load(cls, path: Path, *, threads: int = 1, labels: object = None, input_range: str | None = None) -> Classifier:
        """Count the calls of the classifier of a file."""
        del labels
        return cls(load(path, threads=threads, input_range=input_range))

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Count, and let the other answer."""
        self.batches.append(len(np.asarray(images)))
        return self.inner.predict_proba(images)


@pytest.mark.parametrize("times", [1, 3])
def test_the_work_grows_with_the_images_and_no_faster(times: int, made_exports: Path) -> None:
    pack = read_golden(made_exports, read_manifest(made_exports))
    images = np.tile(pack.images, (times, 1, 1))
    classifier = Counting(load(made_exports / "tflite-int8.tflite"))
    answers = ask(classifier, replace(pack, images=images, labels=np.resize(pack.labels, len(images))), Task())
    assert answers.single.shape == answers.batched.shape == (len(images), 10)
    assert classifier.batches.count(1) == len(images)
    assert sum(classifier.batches) == 2 * len(images)
    assert max(classifier.batches) == min(BATCH_SIZE, len(images))


def test_a_last_batch_that_is_not_full_is_answered_too(made_exports: Path) -> None:
    pack = read_golden(made_exports, read_manifest(made_exports))
    images = np.resize(pack.images, (BATCH_SIZE + 7, 28, 28))
    answers = ask(
        load(made_exports / "tflite-float32.tflite"),
        replace(pack, images=images, labels=np.resize(pack.labels, len(images))),
        Task(),
    )
    assert len(answers.single) == len(images)
    assert np.abs(answers.single - answers.batched).max() < 1e-5


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
    measured = [one.name for one in choose_subjects(opened, None, BenchConfig(keras=False), heard)]
    assert name not in measured
    assert {one.name for one in result.artifacts} == set(measured)
    assert f"{name} is left out: {reason}." in heard.messages
    for alone in (lambda: verify(opened, [name]), lambda: choose_subjects(opened, [name], BenchConfig(), heard)):
        with pytest.raises(ArtifactError, match="it makes the runtime litert crash"):
            alone()
