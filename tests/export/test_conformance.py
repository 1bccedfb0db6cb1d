"""Every registered format and quantization is what was asked for, deterministic, and close to the Keras model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, DataError, ModelError
from edgemnist.fleet.doctor.artifacts import examine_artifact
from edgemnist.ground.inputs import UNIT
from edgemnist.ground.results.boards import Level
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, encode_answers, read_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord, read_manifest, read_recorded
from edgemnist.model.formats import FORMATS, file_name
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.verify.run import verify
from tests.needs import require

USUAL = [spec.name for spec in ExportConfig.of().specs]
"""What is made where nothing is named."""

TARGETS = [(name, quantization) for name, entry in FORMATS.items() for quantization in entry.quantizations]


@pytest.mark.parametrize(("name", "quantization"), TARGETS)
def test_an_artifact_is_recorded_as_what_it_is(name: str, quantization: str, every_export: Path) -> None:
    manifest = read_manifest(every_export)
    artifact = manifest.artifact(f"{name}-{quantization}")
    assert artifact.file == file_name(name, quantization, "digit")
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
        bits = {"float32": 32, "float16": 16, "int8": 8, "dynamic": 8}[name.split("-")[1]]
        assert weights * bits / 8 <= size[name] <= weights * bits / 8 + 12_000, name


@pytest.mark.parametrize(
    ("name", "quantization"), [target for target in TARGETS if len(FORMATS[target[0]].quantizations) > 1]
)
def test_another_quantization_passed_off_as_this_is_refused(name: str, quantization: str, every_export: Path) -> None:
    source = read_source(every_export / "model.keras")
    exporter = FORMATS[name].load()(source, [str(index) for index in range(10)], np.zeros((1, 28, 28), np.uint8))
    for other in FORMATS[name].quantizations:
        data = (every_export / file_name(name, other, "digit")).read_bytes()
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


def test_unnamed_what_is_there_is_made_again(
    exports_with_c: Path, dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    exports = Path(shutil.copytree(exports_with_c, tmp_path / "with-c"))
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


def export(path: Path, dataset: Dataset, directory: Path, **options: Any) -> None:
    export_model(ExportConfig.of(model=path, golden=200, **options), dataset, directory)


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A trained network with everything that small vision networks have, nested and with logits."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    stem = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    )
    source = keras.Input((28, 28))
    values = stem(source)
    beside = layers.SeparableConv2D(12, 3, padding="same", activation="relu")(values)
    values = layers.MaxPooling2D()(layers.Add()([values, beside]))
    values = layers.Dropout(0.2)(layers.Flatten()(values))
    model = keras.Model(source, layers.Dense(10)(values))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(dataset.train.images / np.float32(255), dataset.train.labels, epochs=4, batch_size=32, verbose=0)
    path = tmp_path_factory.mktemp("branched") / "branched.keras"
    model.save(path)
    return path


def test_a_branched_nested_network_of_logits_becomes_all(branched: Path, dataset: Dataset, tmp_path: Path) -> None:
    export(branched, dataset, tmp_path / "exports", input_range="0..1")
    manifest = read_manifest(tmp_path / "exports")
    pack = read_golden(tmp_path / "exports", manifest)
    assert np.abs(pack.probabilities.sum(axis=1) - 1).max() <= 1e-5
    assert pack.accuracy() >= 0.85
    assert len(manifest.artifacts) == 7
    for artifact in manifest.artifacts:
        answers = load(tmp_path / "exports" / artifact.file).predict_proba(pack.images)
        agreement = np.mean(answers.argmax(axis=1) == pack.probabilities.argmax(axis=1))
        assert agreement >= {"float32": 1.0}.get(artifact.quantization, 0.96), artifact.name
        if artifact.quantization == "float32":
            assert np.abs(answers - pack.probabilities).max() <= 1e-5, artifact.name


def test_shapes_that_are_known_beforehand_change_no_answer(branched: Path, dataset: Dataset) -> None:
    source = read_source(branched)
    pixels = dataset.test.images[:100] / np.float32(255)
    assert source.model is not source.original
    before, after = (np.asarray(model(pixels)) for model in (source.original, source.model))
    assert np.array_equal(before, after)


def nested(directory: Path, *body: Any) -> Path:
    """Save a model with some layers in a model of their own."""
    import keras
    from keras import layers

    source = keras.Input((28, 28))
    inner = keras.Sequential([keras.Input((28, 28)), *body], name="body")
    keras.Model(source, layers.Dense(10, activation="softmax")(inner(source))).save(directory / "nested.keras")
    return directory / "nested.keras"


def test_gelu_becomes_onnx_although_that_lacks_its_operation(dataset: Dataset, tmp_path: Path) -> None:
    from keras import layers

    path = nested(tmp_path, layers.Flatten(), layers.Dense(16, activation="gelu"))
    export(path, dataset, tmp_path / "exports", formats=["onnx"], quantizations=["float32"])
    pack = read_golden(tmp_path / "exports", read_manifest(tmp_path / "exports"))
    answers = load(tmp_path / "exports" / "onnx-float32.onnx").predict_proba(pack.images)
    assert np.abs(answers - pack.probabilities).max() <= 1e-5


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_what_a_format_lacks_is_named_within_a_nested_model(format_: str, dataset: Dataset, tmp_path: Path) -> None:
    from keras import layers

    bent = layers.Resizing(14, 14, interpolation="lanczos3", name="bent")
    path = nested(tmp_path, layers.Reshape((28, 28, 1)), bent, layers.Flatten())
    with pytest.raises(ModelError, match="its layer 'bent' \\(Resizing\\)"):
        export(path, dataset, tmp_path / "exports", formats=[format_])


def test_too_small_a_model_is_not_quantized(dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path) -> None:
    """The dynamic quantization leaves layers below 1,024 weights in float: here, all of them."""
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)), layers.AveragePooling2D(7), layers.Flatten(), layers.Dense(10, activation="softmax")
    )
    with pytest.raises(ArtifactError, match="none of its weights are int8"):
        export(path, dataset, tmp_path / "exports", formats=["tflite"], quantizations=["dynamic"])


def test_onnx_files_carry_what_they_need_to_be_used_alone(made_exports: Path) -> None:
    import onnx

    manifest = read_manifest(made_exports)
    for artifact in manifest.artifacts:
        if artifact.format != "onnx":
            continue
        model = onnx.load(made_exports / artifact.file)
        properties = {entry.key: entry.value for entry in model.metadata_props}
        assert properties["labels"] == '["0","1","2","3","4","5","6","7","8","9"]'
        assert "255" in properties["preprocessing"]
        assert properties["quantization"] == artifact.quantization
        assert properties["source_sha256"] == artifact.model_sha256
        assert {entry.version for entry in model.opset_import if not entry.domain} == {17}
        assert (artifact.input.name, artifact.input.shape) == ("images", ["batch", 28, 28])
        assert (artifact.output.name, artifact.output.shape) == ("scores", ["batch", 10])


def test_int8_scores_of_onnx_are_not_rounded(made_exports: Path) -> None:
    """The last layer's sums go to the softmax as they are, so that the probabilities add up."""
    pack = read_golden(made_exports, read_manifest(made_exports))
    answers = load(made_exports / "onnx-int8.onnx").predict_proba(pack.images)
    assert np.abs(answers.sum(axis=1) - 1).max() <= 1e-5
    assert len(np.unique(answers)) > 1000


@pytest.fixture(scope="module")
def convolutions(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """A network whose logits lie far apart, so that one step of a hidden value moves its answers by several."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    *rest, kernel, bias = (random.normal(0, 0.1, weights.shape) for weights in model.get_weights())
    model.set_weights([*rest, 400 * kernel, bias])
    place = tmp_path_factory.mktemp("convolutions")
    model.save(place / "sure.keras")
    config = ExportConfig.of(formats=["tflite", "c"], model=place / "sure.keras", calibration=50, golden=300)
    export_model(config, dataset, place / "exports")
    return Exports.open(place / "exports")


def test_rounding_that_adds_up_from_layer_to_layer_misses_no_gate(convolutions: Exports) -> None:
    require("engine")
    result = verify(convolutions, ["tflite-int8", "tflite-int8@native", "tflite-int8@integer"])
    by_runtime = {parity.runtime: parity for parity in result.artifacts}
    litert, native = by_runtime["litert"].integer, by_runtime["native"].integer
    assert litert is not None
    assert native is not None
    images = convolutions.read_golden().images
    exact, rounded = (convolutions.load(f"tflite-int8@{one}").predict_proba(images) for one in ("integer", "litert"))
    assert len(np.unique(exact)) > 5
    assert native.differing == 0
    assert litert.max_abs_diff == float(np.abs(exact - rounded).max())
    # Of which the kernels for other processors may have none.
    assert (litert.rescaling is not None) == (litert.max_abs_diff > 1 / 256)
    said = [reason for parity in result.artifacts for reason in parity.reasons]
    assert not [reason for reason in said if "integer reference" in reason or "exporting machine" in reason]


def test_as_c_it_answers_every_bit_of_its_twin(convolutions: Exports) -> None:
    require("cc")
    images = convolutions.read_golden().images
    answers = load(convolutions.directory / "c-int8.c", trusted=True).predict_proba(images)
    np.testing.assert_array_equal(answers, convolutions.load("tflite-int8@integer").predict_proba(images))


def test_a_board_whose_kernels_round_otherwise_is_fit(convolutions: Exports) -> None:
    exports, manifest = convolutions.directory, convolutions.manifest
    artifact = manifest.artifact("tflite-int8")
    exact = convolutions.load("tflite-int8@integer").predict_proba(convolutions.read_golden().images)
    for answers, is_right in ((np.roll(exact, 1, axis=1), False), (exact, True)):
        # As if exported where kernels round as the reference does.
        data = encode_answers({artifact.sha256: answers})
        (exports / ANSWERS_FILE).write_bytes(data)
        changed = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data))
        (exports / MANIFEST_FILE).write_bytes(changed.encode())
        (parity,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
        assert ("exporting machine" in "".join(parity.reasons)) is not is_right
        check = examine_artifact(exports, "tflite-int8")
        assert (check.level is Level.OK) is is_right, check.value
