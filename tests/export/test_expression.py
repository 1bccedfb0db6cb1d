"""What a format cannot express is an error that names the layer, and what it can express stays the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError, ModelError
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ExportConfig, _first_words
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model


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


def test_a_branched_and_nested_network_with_logits_becomes_every_artifact(
    branched: Path, dataset: Dataset, tmp_path: Path
) -> None:
    export(branched, dataset, tmp_path / "exports", input_range="0..1")
    manifest = read_manifest(tmp_path / "exports")
    pack = read_golden(tmp_path / "exports", manifest)
    assert np.abs(pack.probabilities.sum(axis=1) - 1).max() <= 1e-5
    assert pack.accuracy() >= 0.85
    assert len(manifest.artifacts) == 7
    for artifact in manifest.artifacts:
        answers = load(tmp_path / "exports" / artifact.file).predict_proba(pack.images)
        agreement = np.mean(answers.argmax(axis=1) == pack.probabilities.argmax(axis=1))
        assert agreement >= {"float32": 1.0, "int4": 0.9}.get(artifact.quantization, 0.96), artifact.name
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
def test_an_operation_that_a_format_lacks_is_named_within_a_nested_model(
    format_: str, dataset: Dataset, tmp_path: Path
) -> None:
    from keras import layers

    bent = layers.Resizing(14, 14, interpolation="lanczos3", name="bent")
    path = nested(tmp_path, layers.Reshape((28, 28, 1)), bent, layers.Flatten())
    with pytest.raises(ModelError, match="its layer 'bent' \\(Resizing\\)"):
        export(path, dataset, tmp_path / "exports", formats=[format_])


def test_a_model_too_small_to_be_quantized_is_an_error(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
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


def test_what_a_converter_says_is_passed_on_whole_or_cut_between_words() -> None:
    known = ", ".join(f"OPERATOR_{number}" for number in range(20))
    assert _first_words(ValueError(f"it has the operator TANH, and only {known} are known")).endswith("are known")
    assert _first_words(ValueError("not " * 200)).endswith("not …")
