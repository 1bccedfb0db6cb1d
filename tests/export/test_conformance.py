"""Every registered format and quantization is what was asked for, deterministic, and close to the Keras model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgemnist.data.dataset import Dataset, stratified_indices
from edgemnist.errors import ArtifactError, DataError, EdgemnistError, ModelError, UnknownNameError, UsageError
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.model import read_source
from edgemnist.export.run import export_model
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest, read_recorded
from edgemnist.formats import FORMATS
from edgemnist.runtimes import load

EIGHT = [spec.name for spec in ExportConfig.of().specs]
"""What is made where nothing is named."""

TARGETS = [(name, quantization) for name, entry in FORMATS.items() for quantization in entry.quantizations]


@pytest.mark.parametrize(("name", "quantization"), TARGETS)
def test_an_artifact_is_recorded_as_what_it_is(name: str, quantization: str, every_export: Path) -> None:
    manifest = read_manifest(every_export)
    artifact = manifest.artifact(f"{name}-{quantization}")
    assert artifact.file == ArtifactSpec(name, quantization).file
    assert len(read_recorded(every_export, artifact)) == artifact.bytes
    dtype = {"tflite-int8": "int8", "c-int8": "uint8", "web-int8": "uint8"}.get(artifact.name, "float32")
    assert artifact.input.dtype == artifact.output.dtype == dtype
    assert (artifact.output.scale is not None) == (dtype != "float32")
    assert (artifact.calibration is not None) == (quantization == "int8")
    assert manifest.model is not None
    assert artifact.model_sha256 == manifest.model.sha256
    assert artifact.versions.keys() >= {"tensorflow", "edgemnist"}


@pytest.mark.parametrize(("name", "quantization"), TARGETS)
def test_an_artifact_answers_like_the_keras_model(name: str, quantization: str, every_export: Path) -> None:
    pack = read_golden(every_export, read_manifest(every_export))
    answers = load(every_export / ArtifactSpec(name, quantization).file).predict_proba(pack.images)
    furthest = {"float32": 1e-5, "float16": 2e-3, "dynamic": 0.1, "int8": 0.2, "int4": 0.7}
    assert np.abs(answers - pack.probabilities).max() <= furthest[quantization]
    assert np.mean(answers.argmax(axis=1) == pack.probabilities.argmax(axis=1)) >= 0.98


def test_quantized_files_are_as_small_as_their_weights(made_exports: Path) -> None:
    size = {artifact.name: artifact.bytes for artifact in read_manifest(made_exports).artifacts}
    weights = 784 * 128 + 128 * 10
    for name in EIGHT:
        bits = {"float32": 32, "float16": 16, "int8": 8, "dynamic": 8, "int4": 4}[name.split("-")[1]]
        assert weights * bits / 8 <= size[name] <= weights * bits / 8 + 12_000, name


def test_exporting_twice_gives_the_same_bytes(made_exports: Path, dataset: Dataset, tmp_path: Path) -> None:
    # The directory was made by another process: nothing of a process may be in the files.
    shutil.copy(made_exports / "model.keras", tmp_path / "again.keras")
    config = ExportConfig.of(model=tmp_path / "again.keras")
    export_model(config, dataset, tmp_path / "exports")
    before, after = read_manifest(made_exports), read_manifest(tmp_path / "exports")
    assert {one.name: one.sha256 for one in before.artifacts} == {one.name: one.sha256 for one in after.artifacts}
    assert before.golden is not None
    assert before.golden == after.golden


@pytest.mark.parametrize(("name", "quantization"), TARGETS)
def test_another_quantization_passed_off_as_this_one_is_refused(
    name: str, quantization: str, every_export: Path
) -> None:
    source = read_source(every_export / "model.keras")
    exporter = FORMATS[name].load()(source, [str(index) for index in range(10)], np.zeros((1, 28, 28), np.uint8))
    for other in FORMATS[name].quantizations:
        data = (every_export / ArtifactSpec(name, other).file).read_bytes()
        if other == quantization:
            exporter.inspect(data, quantization)
        else:
            with pytest.raises(ArtifactError, match="something else came out"):
                exporter.inspect(data, quantization)


def test_a_convolutional_model_of_foreign_origin_becomes_every_artifact(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    )
    result = export_model(ExportConfig.of(model=path, calibration=50, golden=100), dataset, tmp_path / "exports")
    assert [artifact.name for artifact in result.artifacts] == EIGHT
    assert result.golden_images == 100
    manifest = read_manifest(tmp_path / "exports")
    pack = read_golden(tmp_path / "exports", manifest)
    assert manifest.model is not None
    assert (tmp_path / "exports" / manifest.model.file).exists()
    for artifact in manifest.artifacts:
        answers = load(tmp_path / "exports" / artifact.file).predict_proba(pack.images)
        assert np.abs(answers - pack.probabilities).max() <= (0.35 if artifact.quantization == "int4" else 0.1)


def test_calibration_images_come_evenly_from_the_training_split(dataset: Dataset) -> None:
    indices = stratified_indices(dataset.train.labels, 100, 0)
    assert np.bincount(dataset.train.labels[indices]).tolist() == [10] * 10


def test_only_what_is_asked_for_is_made_and_the_rest_stays(exports: Path, dataset: Dataset) -> None:
    before = read_manifest(exports)
    config = ExportConfig.of(formats=["onnx"], quantizations=["int8"], calibration=77)
    result = export_model(config, dataset, exports)
    assert [artifact.name for artifact in result.artifacts] == ["onnx-int8"]
    after = read_manifest(exports)
    assert [one.name for one in after.artifacts] == [one.name for one in before.artifacts]
    changed = [one.name for one in after.artifacts if one != before.artifact(one.name)]
    assert changed == ["onnx-int8"]
    calibration = after.artifact("onnx-int8").calibration
    assert calibration is not None
    assert calibration.images == 77


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"calibration": 0}, UsageError),
        ({"golden": 0}, UsageError),
        ({"formats": ["tensorrt"]}, UnknownNameError),
        ({"formats": ["onnx"], "quantizations": ["int4"]}, UnknownNameError),
        ({"quantizations": ["int16"]}, UnknownNameError),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], error: type[EdgemnistError]) -> None:
    with pytest.raises(error):
        ExportConfig.of(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_more_calibration_images_than_there_are_is_an_error(exports: Path, dataset: Dataset) -> None:
    before = (exports / "manifest.json").read_bytes()
    with pytest.raises(DataError):
        export_model(ExportConfig.of(calibration=1_000_000), dataset, exports)
    assert (exports / "manifest.json").read_bytes() == before


def test_models_that_are_no_digit_classifiers_are_refused_by_name(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    wrong = {
        "width": save_model(layers.Input((28, 27)), layers.Flatten(), layers.Dense(10), name="width.keras"),
        "classes": save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(7), name="classes.keras"),
        "image": save_model(layers.Input((28, 28)), layers.Dense(10), name="image.keras"),
    }
    text = tmp_path / "text.keras"
    text.write_text("no model")
    for path in (*wrong.values(), text, tmp_path / "missing.keras"):
        with pytest.raises(ModelError) as caught:
            export_model(ExportConfig.of(model=path), dataset, tmp_path / "exports")
        assert path.name in caught.value.message
        assert not (tmp_path / "exports" / "manifest.json").exists()


def test_a_layer_without_an_equivalent_is_named(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)),
        layers.Resizing(14, 14, interpolation="lanczos3", name="shrunk"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax", name="scores"),
    )
    with pytest.raises(ModelError, match=r"shrunk.*Resizing"):
        export_model(ExportConfig.of(formats=["tflite"], model=path, calibration=10), dataset, tmp_path / "exports")


def test_a_convolution_as_c_answers_every_bit_of_its_twin(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)),
        layers.Conv2D(4, 3, strides=2, activation="relu", padding="same"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    )
    exports = tmp_path / "exports"
    for name in ("tflite", "c"):
        export_model(ExportConfig.of(formats=[name], model=path, calibration=10, golden=50), dataset, exports)
    images = dataset.test.images[:50]
    expected = load(exports / "tflite-int8.tflite", runtime="integer").predict_proba(images)
    assert len(np.unique(expected)) > 5
    for answers in (load(exports / "c-int8.c"), load(exports / "tflite-int8.tflite", runtime="native")):
        np.testing.assert_array_equal(answers.predict_proba(images), expected)


def test_a_convolution_with_gaps_is_refused_by_name(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)),
        layers.Conv2D(2, 3, dilation_rate=5, name="eyes"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    )
    with pytest.raises(ModelError, match=r"exported as c-int8: its layer 'eyes' \(Conv2D\)"):
        export_model(ExportConfig.of(formats=["c"], model=path, calibration=10), dataset, tmp_path / "exports")
    assert not (tmp_path / "exports" / "manifest.json").exists()
