"""Every registered format and quantization is what was asked for, deterministic, and close to the Keras model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgemnist.errors import ArtifactError, DataError
from edgemnist.ground.inputs import UNIT
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import read_manifest, read_recorded
from edgemnist.model.formats import FORMATS
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model

USUAL = [spec.name for spec in ExportConfig.of().specs]
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


def test_quantized_files_are_as_small_as_their_weights(made_exports: Path) -> None:
    size = {artifact.name: artifact.bytes for artifact in read_manifest(made_exports).artifacts}
    weights = 784 * 128 + 128 * 10
    for name in USUAL:
        bits = {"float32": 32, "float16": 16, "int8": 8, "dynamic": 8, "int4": 4}[name.split("-")[1]]
        assert weights * bits / 8 <= size[name] <= weights * bits / 8 + 12_000, name


@pytest.mark.parametrize(
    ("name", "quantization"), [target for target in TARGETS if len(FORMATS[target[0]].quantizations) > 1]
)
def test_another_quantization_passed_off_as_this_is_refused(name: str, quantization: str, every_export: Path) -> None:
    source = read_source(every_export / "model.keras")
    exporter = FORMATS[name].load()(source, [str(index) for index in range(10)], np.zeros((1, 28, 28), np.uint8))
    for other in FORMATS[name].quantizations:
        data = (every_export / ArtifactSpec(name, other).file).read_bytes()
        if other == quantization:
            exporter.inspect(data, quantization)
        else:
            with pytest.raises(ArtifactError, match="something else came out"):
                exporter.inspect(data, quantization)


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


def test_where_nothing_is_named_what_else_is_there_is_made_again(
    exports: Path, dataset: Dataset, save_model: Callable[..., Path]
) -> None:
    from keras import layers

    before = [one.name for one in Exports.open(exports).artifacts]
    assert set(before) > set(USUAL)
    other = save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="softmax"))
    export_model(ExportConfig.of(model=other, input_range=UNIT, golden=50), dataset, exports)
    assert [(one.name, one.status) for one in Exports.open(exports).artifacts] == [(one, "current") for one in before]


def test_more_calibration_images_than_there_are_is_an_error(exports: Path, dataset: Dataset) -> None:
    before = (exports / "manifest.json").read_bytes()
    with pytest.raises(DataError):
        export_model(ExportConfig.of(calibration=1_000_000), dataset, exports)
    assert (exports / "manifest.json").read_bytes() == before
