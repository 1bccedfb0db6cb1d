"""Models of other origins stay the same function: other input ranges, other ends, layers with a state of their own."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from edgemnist.errors import ArtifactError, ModelError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.pipeline import ExportResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.models import file_model
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.keras import KerasClassifier
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.inputs import find_input_range
from edgemnist.pipeline.export.interface import ExportConfig, artifact_specs
from edgemnist.pipeline.export.model import check_layers, read_source
from edgemnist.pipeline.export.run import export_model
from tests.conftest import REPOSITORY
from tests.notices import Notices

QUICK = {"quantizations": ["float32", "int8"]}


def trained(
    dataset: Dataset, head: list[Any], *, scale: float = 1 / 255, offset: float = 0.0, end: str = "softmax"
) -> Any:
    """Return a small network, trained for a moment on pixels * scale + offset, with some layers in front."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            *head,
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation=end, name="scores"),
        ]
    )
    pixels = (dataset.train.images * scale + offset).astype(np.float32)
    if end == "sigmoid":
        model.compile("adam", "binary_crossentropy")
        model.fit(pixels, np.eye(10)[dataset.train.labels], epochs=4, batch_size=32, verbose=0)
    else:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(pixels, dataset.train.labels, epochs=2, batch_size=32, verbose=0)
    return model


def export(model: Any, dataset: Dataset, place: Path, **options: Any) -> tuple[Exports, ExportResult, list[str]]:
    """Return what was exported, and the notices."""
    notices = Notices()
    model.save(place / "foreign.keras")
    config = ExportConfig.of(model=place / "foreign.keras", calibration=100, golden=300, **options)
    result = export_model(config, dataset, place / "exports", notices)
    return Exports.open(place / "exports"), result, notices.messages


class Scaled(NamedTuple):
    """A network that takes pixels up to 255 and scales them itself, and what was exported of it."""

    model: Any
    exports: Exports
    result: ExportResult
    notices: list[str]


@pytest.fixture(scope="module")
def scaled(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Scaled:
    """Read only."""
    from keras import layers

    model = trained(dataset, [layers.Rescaling(1 / 255)], scale=1.0)
    return Scaled(model, *export(model, dataset, tmp_path_factory.mktemp("scaled"), **QUICK))


def check_all(exports: Exports, *, least: float = 0.8) -> None:
    """Make sure that the reference knows the digits, and that every artifact in every runtime answers as it does."""
    golden = exports.read_golden()
    assert golden.accuracy() >= least
    for model in exports.select():
        answers = exports.load(model.name).predict_proba(golden.images)
        assert np.abs(answers.sum(axis=1) - 1).max() <= 0.05
        assert np.mean(answers.argmax(axis=1) == golden.probabilities.argmax(axis=1)) >= 0.95, model.name
        if "float32" in model.name:
            assert np.abs(answers - golden.probabilities).max() <= 1e-4, model.name


def test_a_model_that_takes_pixels_up_to_255_is_found_out_by_its_layers_recorded_and_fed_them(scaled: Scaled) -> None:
    assert scaled.result.input_range == "0..255"
    assert [notice for notice in scaled.notices if "Inputs are taken as 0..255" in notice]
    assert {artifact.input_range for artifact in scaled.exports.manifest.artifacts} == {"0..255"}
    check_all(scaled.exports)


def test_a_file_named_by_its_path_keeps_range_and_class_names_some_alone(scaled: Scaled, tmp_path: Path) -> None:
    golden = scaled.exports.read_golden()
    for name in ("tflite-float32.tflite", "tflite-int8.tflite", "model.keras"):
        classifier = file_model(str(scaled.exports.directory / name)).load()
        assert np.mean(classifier.predict(golden.images) == golden.labels) >= 0.8, name
        assert classifier.labels == tuple(scaled.exports.manifest.labels)
    for name in ("onnx-float32.onnx", "tflite-int8.tflite"):
        alone = Path(shutil.copy(scaled.exports.directory / name, tmp_path / name))
        assert np.mean(load(alone).predict(golden.images) == golden.labels) >= 0.8, name


def test_sigmoids_are_no_logits(dataset: Dataset, tmp_path: Path) -> None:
    exports, *_ = export(trained(dataset, [], end="sigmoid"), dataset, tmp_path, **QUICK)
    check_all(exports, least=0.7)
    # A softmax on top would leave no class with much more than the others.
    assert exports.read_golden().probabilities.max(axis=1).mean() > 0.5


def _refused(name: str, layers: Any) -> tuple[list[Any], str]:
    """Return the layers of a model behind its input, and what is said of it."""
    ends = "its answers are neither probabilities"
    return {
        "tanh": ([layers.Flatten(), layers.Dense(10, activation="tanh", name="last")], f"its layer 'last': {ends}"),
        "softsign": (
            [layers.Flatten(), layers.Dense(10), layers.Activation("softsign", name="last")],
            f"its layer 'last': {ends}",
        ),
        "not loaded": (
            [layers.Reshape((28, 28, 1)), layers.RandomShear(0.1, 0.1), layers.Flatten(), layers.Dense(10)],
            r"'RandomShear' that Keras saved but does not load: The `factor` argument",
        ),
        "unrolled": (
            [
                *(layers.Flatten(), layers.Dense(1), layers.RepeatVector(1010)),
                *(layers.SimpleRNN(1, name="long"), layers.Dense(10)),
            ],
            "'long' of 1,010 steps, but converters take at most 1,000",
        ),
    }[name]


@pytest.mark.parametrize("name", ["tanh", "softsign", "not loaded", "unrolled"])
def test_a_model_that_nothing_can_be_made_of_is_refused_by_layer(name: str, save_model: Callable[..., Path]) -> None:
    from keras import layers

    rest, said = _refused(name, layers)
    with pytest.raises(ModelError, match=said):
        read_source(save_model(layers.Input((28, 28)), *rest))


def test_pixels_that_are_whole_numbers_are_refused_by_name(save_model: Callable[..., Path]) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28), dtype="uint8"), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(10)
    )
    with pytest.raises(ModelError, match="takes pixels as uint8, which no converter keeps"):
        read_source(path)


@pytest.mark.all
@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (np.inf, np.float16, "weights that are not finite, in its layer 'normalized' Its training diverged"),
        (np.nan, np.float32, "weights that are not finite, in its layer 'normalized' Its training diverged"),
        (65_504, np.float16, None),
        (1e30, np.float32, None),
    ],
)
def test_a_weight_that_is_not_finite_is_named_by_its_layer(value: float, dtype: type, said: str | None) -> None:
    weights = [np.ones((3, 2), np.float32), np.array([1, value], dtype)]
    layer = SimpleNamespace(name="normalized", get_weights=lambda: weights)
    model = SimpleNamespace(_flatten_layers=lambda **_: [layer])
    if said is None:
        check_layers(model, Path("my.keras"))
        return
    with pytest.raises(ModelError) as caught:
        check_layers(model, Path("my.keras"))
    assert f"my.keras has {said}" in f"{caught.value.message} {caught.value.hint}"


def test_a_layer_that_refuses_values_is_named_and_has_the_range_that_it_takes(
    dataset: Dataset, save_model: Callable[..., Path]
) -> None:
    from keras import layers

    path = save_model(layers.Input((28, 28)), layers.Flatten(), layers.CategoryEncoding(4, "count"), layers.Dense(10))
    source = read_source(path)
    assert find_input_range(source, dataset.train.images, dataset.train.labels).name == "0..1"
    with pytest.raises(ArtifactError, match=r"foreign\.keras cannot be executed by Keras: .*CategoryEncoding[^\n]*$"):
        KerasClassifier(source.original, path, spec=InputSpec.of_range((28, 28), "-1..1"))


@pytest.mark.parametrize("told", ["by nobody", "by the user", "by a layer"])
def test_a_model_that_keras_itself_cannot_execute_is_no_fault_of_a_layer_behind(
    told: str, dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    # It crops in a training, and nowhere else.
    crop = layers.RandomCrop(24, 24, name="cropped")
    head = [layers.Rescaling(1 / 255)] if told == "by a layer" else []
    path = save_model(layers.Input((28, 28, 1)), *head, crop, layers.Flatten(), layers.Dense(10, name="scores"))
    config = ExportConfig.of(model=path, calibration=10, input_range="0..1" if told == "by the user" else None)
    with pytest.raises(ModelError, match=r"foreign\.keras cannot be executed by Keras: .*: .*576.*\[?[^\n]*$"):
        export_model(config, dataset, tmp_path / "exports")
    assert not (tmp_path / "exports" / "manifest.json").exists()


def test_a_range_that_was_named_is_taken_and_a_reference_near_chance_is_questioned(
    scaled: Scaled, dataset: Dataset, tmp_path: Path
) -> None:
    _, result, notices = export(scaled.model, dataset, tmp_path, formats=["tflite"], input_range="0..1")
    assert result.input_range == "0..1"
    assert [notice for notice in notices if "hardly better than guessing" in notice and "0..1" in notice]


def test_mixed_precision_is_exported_in_float32(dataset: Dataset, tmp_path: Path) -> None:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = trained(dataset, [])
    finally:
        keras.config.set_dtype_policy("float32")
    exports, *_ = export(model, dataset, tmp_path, **QUICK)
    # The reference computes as the artifacts do, or none of float32 would pass its gate.
    check_all(exports)
    golden = exports.read_golden()
    reference = file_model(str(tmp_path / "exports" / "model.keras")).load()
    assert np.abs(reference.predict_proba(golden.images) - golden.probabilities).max() <= 1e-6


def test_recurrent_layers_are_unrolled(dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path) -> None:
    from keras import layers

    path = save_model(layers.Input((28, 28)), layers.LSTM(8, name="memory"), layers.Dense(10, activation="softmax"))
    config = ExportConfig.of(model=path, golden=50, quantizations=["float32"])
    export_model(config, dataset, tmp_path / "exports")
    # LiteRT has no int8 kernels for what its converter makes of it, which shows when it is executed.
    with pytest.raises(ModelError, match=r"its layer 'memory' \(LSTM\) cannot be executed"):
        export_model(
            dataclasses.replace(config, specs=artifact_specs(["tflite"], ["int8"])), dataset, tmp_path / "exports"
        )
    exports = Exports.open(tmp_path / "exports")
    golden = exports.read_golden()
    for model in exports.select():
        answers = exports.load(model.name).predict_proba(golden.images)
        assert np.abs(answers - golden.probabilities).max() <= 1e-5, model.name


def test_without_a_name_everything_possible_is_made_and_the_rest_is_listed_with_the_layer(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    path = save_model(
        layers.Input((28, 28)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.LayerNormalization(name="levelled"),
        layers.Dense(10, activation="softmax"),
    )
    config = ExportConfig.of(model=path, calibration=20, golden=50)
    result = export_model(config, dataset, tmp_path / "exports")
    refused = {one.name: one.reason for one in result.refused}
    assert list(refused) == ["tflite-int8"]
    # TensorFlow's converter leaves such a layer in float, and says nothing.
    assert "float32, because of its layer 'levelled' (LayerNormalization)" in refused["tflite-int8"]
    assert {one.name for one in result.artifacts} >= {"tflite-float32", "tflite-dynamic", "onnx-float32", "onnx-int8"}
    assert "tflite-int8" not in {one.name for one in Exports.open(tmp_path / "exports").manifest.artifacts}


def test_where_nothing_can_be_made_the_first_reason_is_the_error(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from keras import layers

    from edgemnist.pipeline.export.interface import Exporter

    def fail(self: Exporter, quantization: str) -> None:
        raise ModelError(f"{self.format}-{quantization} cannot be made")

    monkeypatch.setattr(Exporter, "export", fail)
    path = save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(10))
    with pytest.raises(ModelError, match="tflite-int8 cannot be made"):
        export_model(ExportConfig.of(model=path), dataset, tmp_path / "exports")
    assert not (tmp_path / "exports" / "manifest.json").exists()


BARE = {"InputLayer", "InputSpec", "Layer", "Wrapper"}
"""What Keras has among its layers that is none by itself."""


def test_the_book_says_of_every_layer_that_keras_ships_what_becomes_of_it() -> None:
    from keras import layers

    names: dict[type, set[str]] = {}
    for name in dir(layers):
        if isinstance(layer := getattr(layers, name), type) and name not in BARE:
            names.setdefault(layer, set()).add(name)
    told = set(re.findall(r"\w+", (REPOSITORY / "docs" / "reference" / "layers.md").read_text()))
    assert [sorted(aliases) for aliases in names.values() if not aliases & told] == []
