"""Any two classifiers of 28×28 images can be compared, ours or not, without a manifest."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest

from edgemnist.data.sources import find_dataset
from edgemnist.errors import ArtifactError, DataError
from edgemnist.exports.golden import GoldenPack, read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.formats import FORMATS
from edgemnist.results.verify import VerifyResult
from edgemnist.verify.files import Evaluation, guess_quantization, verify_files
from tests.verify import damage


@pytest.fixture(scope="module")
def pack(made_exports: Path) -> GoldenPack:
    return read_golden(made_exports, read_manifest(made_exports))


def compared(pack: GoldenPack, reference: Path, *files: Path, quantization: str | None = None) -> VerifyResult:
    evaluation = Evaluation(images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data)
    return verify_files(str(reference), [str(file) for file in files], evaluation, quantization=quantization)


@pytest.mark.parametrize(
    "name", [f"{name}-{quantization}" for name, entry in FORMATS.items() for quantization in entry.quantizations]
)
def test_a_file_tells_its_quantization(name: str, every_export: Path) -> None:
    file = every_export / read_manifest(every_export).artifact(name).file
    assert guess_quantization(file) == name.split("-")[1]


def test_files_of_two_formats_are_compared_under_the_gates_of_what_they_are(
    made_exports: Path, tmp_path: Path, pack: GoldenPack
) -> None:
    theirs, ours, half = (tmp_path / name for name in ("theirs.onnx", "ours.tflite", "half.tflite"))
    for file, name in ((theirs, "onnx-float32.onnx"), (ours, "tflite-int8.tflite"), (half, "tflite-float16.tflite")):
        shutil.copy(made_exports / name, file)
    result = compared(pack, theirs, ours, half)
    assert result.passed
    assert result.reference == str(theirs)
    assert result.reference_accuracy == pytest.approx(pack.accuracy(), abs=0.001)
    assert [(parity.name, parity.quantization, parity.runtime) for parity in result.artifacts] == [
        (str(ours), "int8", "litert"),
        (str(half), "float16", "litert"),
    ]
    assert result.artifacts[0].integer is not None
    assert result.artifacts[0].flips == len(result.artifacts[0].flipped)


def test_a_file_is_the_same_as_itself(made_exports: Path, pack: GoldenPack) -> None:
    file = made_exports / "onnx-dynamic.onnx"
    (parity,) = compared(pack, file, file).artifacts
    # Single answers against those of a batch, which ONNX Runtime quantizes as one.
    assert parity.flips <= 5
    file = made_exports / "tflite-int8.tflite"
    (parity,) = compared(pack, file, file).artifacts
    assert (parity.flips, parity.mcnemar_p) == (0, 1.0)


@pytest.mark.parametrize("at", ["reference", "file"])
def test_images_that_a_model_was_trained_on_are_refused_by_the_manifest_beside_it(
    at: str, made_exports: Path, tmp_path: Path, pack: GoldenPack
) -> None:
    stranger, ours = tmp_path / "stranger.onnx", made_exports / "tflite-int8.tflite"
    shutil.copy(made_exports / "onnx-float32.onnx", stranger)
    pair = (ours, stranger) if at == "reference" else (stranger, ours)
    train = find_dataset(download=False).train
    seen = dataclasses.replace(pack, images=train.images[:100], labels=train.labels[:100])
    with pytest.raises(DataError, match="was trained on 100 of the 100 evaluation images"):
        compared(seen, *pair)
    # Of a file whose origin nobody knows nothing can be said.
    assert compared(seen, stranger, stranger).passed


def test_what_an_earlier_model_was_trained_on_is_not_what_the_manifest_says(exports: Path, pack: GoldenPack) -> None:
    manifest = read_manifest(exports)
    earlier = [msgspec.structs.replace(one, model_sha256="0" * 64) for one in manifest.artifacts]
    (exports / "manifest.json").write_bytes(msgspec.structs.replace(manifest, artifacts=earlier).encode())
    train = find_dataset(download=False).train
    seen = dataclasses.replace(pack, images=train.images[:100], labels=train.labels[:100])
    assert compared(seen, exports / "onnx-float32.onnx", exports / "onnx-float32.onnx").passed


def test_the_limits_of_another_quantization_can_be_asked_for(made_exports: Path, pack: GoldenPack) -> None:
    reference, file = made_exports / "onnx-float32.onnx", made_exports / "tflite-int8.tflite"
    assert not compared(pack, reference, file, quantization="float32").passed


@pytest.mark.parametrize("wrong", [damage.swap_tflite_outputs, damage.transpose_hidden_weights])
def test_a_wrong_file_is_caught(wrong: damage.Damage, made_exports: Path, tmp_path: Path, pack: GoldenPack) -> None:
    file = tmp_path / "wrong.tflite"
    file.write_bytes(wrong((made_exports / "tflite-int8.tflite").read_bytes()))
    result = compared(pack, made_exports / "onnx-float32.onnx", file)
    assert not result.passed
    assert "labels changed" in result.artifacts[0].reasons[0]


def test_a_file_with_fewer_classes_fails_and_says_so(made_exports: Path, tmp_path: Path, pack: GoldenPack) -> None:
    file = tmp_path / "nine.onnx"
    file.write_bytes(damage.forget_a_class((made_exports / "onnx-float32.onnx").read_bytes()))
    (parity,) = compared(pack, made_exports / "tflite-float32.tflite", file).artifacts
    assert "knows 9 classes" in parity.reasons[0]
    with pytest.raises(ArtifactError, match="knows 9 classes"):
        compared(pack, file, made_exports / "tflite-float32.tflite")
