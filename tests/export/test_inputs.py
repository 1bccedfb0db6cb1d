"""The range in which a model takes pixels is found, told with the next best, and asked for where two are close."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ModelError
from edgemnist.ground.inputs import INPUT_RANGES, MNIST_STANDARDIZED, UNIT, InputSpec, range_ends
from edgemnist.model.exports import Exports
from edgemnist.model.exports.ranges import Weighed
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export import inputs
from edgemnist.pipeline.export.inputs import find_input_range, option_of, unscaled
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.export.model import KerasSource, decode_source, read_source, read_source_file
from edgemnist.pipeline.export.run import _exporter, export_model
from edgemnist.pipeline.export.tflite import TFLiteExporter
from tests.export.test_kinds import check_all, trained
from tests.notices import Notices


@pytest.fixture(scope="module")
def unit(dataset: Dataset) -> Any:
    """Read only: a network that was trained on pixels in 0..1."""
    return trained(dataset, [])


@pytest.fixture
def taking(unit: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Save the same function of the same pictures as a model that takes its pixels in another range."""

    def save(name: str) -> Path:
        import keras

        low, high = range_ends(name)
        model = keras.models.clone_model(unit)
        kernel, bias, *rest = unit.get_weights()
        scaled = kernel / (high - low)
        model.set_weights([scaled, bias - low * scaled.sum(axis=0), *rest])
        model.save(tmp_path / "foreign.keras")
        return tmp_path / "foreign.keras"

    return save


# -0.5..0.5 is too close to -1..1 to be told from it after so short a training.
@pytest.mark.parametrize("name", [name for name in INPUT_RANGES if name != "-0.5..0.5"])
def test_each_range_is_found_and_told_with_another(name: str, taking: Callable[[str], Path], dataset: Dataset) -> None:
    found = find_input_range(read_source(taking(name)), dataset.train.images, dataset.train.labels)
    assert found.name == name
    assert found.told.startswith(f"Inputs are taken as {name}, by ")
    assert found.told.count("% right") == 2
    assert "; next best " in found.told


def test_the_range_of_a_model_with_one_sigmoid_is_found(tmp_path: Path) -> None:
    from keras import Sequential, layers

    images = np.repeat(np.arange(256, dtype=np.uint8), 28 * 28).reshape(-1, 28, 28)
    model = Sequential([layers.Input((28, 28)), layers.Flatten(), layers.Dense(1, "sigmoid")])
    # Whether a picture is bright.
    model.set_weights([np.full((28 * 28, 1), 50 / 28**2), np.array([-25])])
    model.save(tmp_path / "foreign.keras")
    found = find_input_range(read_source(tmp_path / "foreign.keras"), images, np.arange(256) // 128)
    assert (found.name, found.told.startswith("Inputs are taken as 0..1, by ")) == (UNIT, True)


def test_every_artifact_gets_the_numbers_of_mean_and_std_and_a_worse_choice_is_kept_and_told(
    taking: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    path, directory, notices = taking(MNIST_STANDARDIZED), tmp_path / "exports", Notices()
    quick: dict[str, Any] = {"model": path, "golden": 300}
    named = ExportConfig.of(**quick, quantizations=["int8", "float32"], mean=0.1307, std=0.3081)
    assert export_model(named, dataset, directory, notices).input_range == MNIST_STANDARDIZED
    exports = Exports.open(directory)
    assert exports.manifest.model is not None
    assert exports.manifest.model.input_range == MNIST_STANDARDIZED
    assert not [one for one in notices.messages if one.startswith("Inputs")]
    check_all(exports)
    # Somebody's choice is kept, and remembered for the same model.
    export_model(ExportConfig.of(**quick, quantizations=["float32"], input_range=UNIT), dataset, directory, notices)
    (told,) = [one for one in notices.messages if one.startswith("Inputs")]
    assert told.startswith("Inputs are taken as 0..1, as asked for.")
    assert f"; as {MNIST_STANDARDIZED} it would be " in told
    again = ExportConfig.of(golden=300, quantizations=["float32"])
    assert export_model(again, dataset, directory, Notices()).input_range == UNIT


@pytest.fixture(scope="module")
def networks(dataset: Dataset) -> Callable[[str, float], Any]:
    """Return a network that was trained on pixels in a range, with its logits times a factor."""
    kept: dict[str, Any] = {}

    def network(name: str, factor: float) -> Any:
        import keras

        if name not in kept:
            low, high = range_ends(name)
            kept[name] = trained(dataset, [], scale=(high - low) / 255, offset=low)
        model = keras.models.clone_model(kept[name])
        *weights, kernel, bias = kept[name].get_weights()
        model.set_weights([*weights, kernel * np.float32(factor), bias * np.float32(factor)])
        return model

    return network


# Whatever its training made of how sure a network is: 0..1 times 0.004 is as sure in 0..255 as one trained there.
@pytest.mark.parametrize(
    ("name", "factor", "told"),
    [
        (UNIT, 1, True),
        (UNIT, 30, None),
        (UNIT, 0.01, False),
        (UNIT, 0.004, False),
        ("0..255", 0.01, None),
        ("0..255", 30, False),
        ("-1..1", 30, None),
        ("-1..1", 0.01, None),
        (MNIST_STANDARDIZED, 1, None),
        (MNIST_STANDARDIZED, 30, None),
        (MNIST_STANDARDIZED, 0.01, False),
    ],
)
def test_a_network_that_is_far_too_sure_or_unsure_is_asked_for_rather_than_taken_in_a_wrong_range(
    name: str,
    factor: float,
    *,
    told: bool | None,
    networks: Callable[[str, float], Any],
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    networks(name, factor).save(tmp_path / "foreign.keras")
    found, asked = name, ""
    try:
        found = find_input_range(
            read_source(tmp_path / "foreign.keras"), dataset.train.images, dataset.train.labels
        ).name
    except ModelError as error:
        asked = f"{error.message} {error.hint}"
    assert found == name
    if asked:
        assert f"{name} (" in asked
        assert option_of(name) in asked
    assert told is None or told == (not asked)


def test_ranges_that_give_the_same_answers_are_asked_for(dataset: Dataset, tmp_path: Path) -> None:
    from keras import layers

    # Whatever the contrast, the first layer makes the same of it.
    trained(dataset, [layers.Flatten(), layers.UnitNormalization()]).save(tmp_path / "foreign.keras")
    with pytest.raises(ModelError, match="may take pixels in any of") as asked:
        find_input_range(read_source(tmp_path / "foreign.keras"), dataset.train.images, dataset.train.labels)
    assert "--input-range 0..1" in asked.value.hint
    assert "--input-range 0..255" in asked.value.hint


def test_a_range_that_no_answer_shows_is_told(dataset: Dataset, tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "untrained.keras")
    found = find_input_range(read_source(tmp_path / "untrained.keras"), dataset.train.images, dataset.train.labels)
    assert found.name == UNIT
    assert found.told.startswith("Inputs are taken as 0..1, although the model hardly does better than guessing")


@pytest.mark.parametrize(
    ("normalized", "next_best", "asked"),
    [(True, 0.9000, True), (True, 0.8701, True), (True, 0.8700, True), (True, 0.8699, False), (False, 0.9000, False)],
)
def test_where_batch_normalization_hides_the_difference_the_range_is_asked_for(
    next_best: float, monkeypatch: pytest.MonkeyPatch, *, normalized: bool, asked: bool
) -> None:
    """One that was trained in 0..1 is 2.1 points more accurate in a wrong range, beyond any chance."""

    def weighed(name: str, accuracy: float, loss: float) -> Weighed:
        right = np.arange(10_000) < round(10_000 * accuracy)
        losses = np.full(10_000, loss)
        return Weighed(name=name, right=right, losses=losses, temperature=1.0, tempered=losses)

    both = [weighed(MNIST_STANDARDIZED, 0.92, 0.2), weighed(UNIT, next_best, 0.4)]
    monkeypatch.setattr(inputs, "_weigh", lambda *_: both)
    import keras
    from keras.layers import BatchNormalization, Dense, Flatten, Input

    layers = [Input((28, 28)), Flatten(), Dense(10), *([BatchNormalization()] if normalized else [])]
    model = keras.Sequential(layers)
    source: Any = SimpleNamespace(original=model, classes=10, path="m.keras", spec=InputSpec(shape=(28, 28)))
    source.guesses_on = lambda _: []
    images, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10)
    if asked:
        with pytest.raises(ModelError, match="may take pixels in any of 2 ranges"):
            find_input_range(source, images, labels)
    else:
        assert find_input_range(source, images, labels).name == MNIST_STANDARDIZED


def test_what_scales_each_number_first_is_taken_off_and_nothing_else_is(tmp_path: Path) -> None:
    from keras import Model, layers, ops

    rows = (np.random.default_rng(0).lognormal(0, 1.5, (300, 3)) * [1, 50, 3000]).astype(np.float32)
    scaling = layers.Normalization()
    scaling.adapt(rows)

    def source(first: Callable[[Any], Any]) -> KerasSource:
        given = layers.Input((3,))
        Model(given, layers.Dense(2, activation="softmax")(first(given))).save(tmp_path / "foreign.keras")
        file = read_source_file(tmp_path / "foreign.keras")
        found = decode_source(file, tmp_path / "foreign.keras")
        assert isinstance(found, KerasSource)
        return found

    scaled = source(scaling)
    bare = unscaled(scaled, rows)
    assert bare.spec.scale != scaled.spec.scale
    np.testing.assert_allclose(bare.tensor(rows).std(axis=0), 1, atol=1e-4)
    expected, found = (np.asarray(one.model(one.tensor(rows))) for one in (scaled, bare))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # The file must not depend on what was made before.
    made = [TFLiteExporter(unscaled(scaled, rows), ("0", "1"), rows).export("int8").data for _ in range(2)]
    assert made[0] == made[1]
    for quantization, taken_off in {"int8": True, "float16": True, "dynamic": False, "float32": False}.items():
        exporter: Any = _exporter(ArtifactSpec("tflite", quantization), scaled, ("0", "1"), rows)
        assert (exporter.source is not scaled) == taken_off
    for other in (ops.log1p, ops.sqrt, lambda x: scaling(x) + x**2, lambda x: layers.Embedding(99, 1)(x)[..., 0]):
        assert unscaled(curved := source(other), rows % 50) is curved
