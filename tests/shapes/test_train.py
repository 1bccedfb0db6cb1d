"""Networks for inputs of every shape compute in training as their Keras models do, and distort pictures alike."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import optuna
import tensorflow as tf

from edgemnist.errors import UsageError
from edgemnist.field.learn import tune
from edgemnist.field.learn.present import read_present
from edgemnist.ground.arrays import image_marks, recognized
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.task import task_named
from edgemnist.pipeline.data.dataset import Dataset, Split, identified, likely_task, numbers_of, stratified_split
from edgemnist.pipeline.search.limits import Costs, Limits, Space, parameters_of
from edgemnist.pipeline.search.networks import native_network
from edgemnist.pipeline.train.augment import Distortion, distorted, recolour, warp
from edgemnist.pipeline.train.families import Finished, Forward, finished, first_weights, student_of
from edgemnist.pipeline.train.loop import real
from edgemnist.pipeline.train.network import Network, short_name
from edgemnist.pipeline.train.recipes import TrainConfig, spec_of, training_of
from edgemnist.pipeline.train.run import train
from tests.shapes import SPECS

PLANES = {name: spec for name, spec in SPECS.items() if len(spec.shape) > 1}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_numbers_stand_for_is_the_same_in_training(spec: InputSpec) -> None:
    inputs = spec.random(3)
    found = np.asarray(real(tf.constant(inputs), spec))
    np.testing.assert_allclose(found, spec.real(inputs), rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("text", ["mlp:6:8bit", "mlp:6-5:4bit", "cnn:c4s2-d-p6-mean:8bit", "cnn:c3-max-7:2bit"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_network_of_any_shape_is_the_keras_model_that_it_becomes(spec: InputSpec, text: str) -> None:
    if text.startswith("cnn") and len(spec.shape) == 1:
        with pytest.raises(UsageError, match="leaves nothing of 1×1 places"):
            Network.parse(text, spec.shape)
        return
    network, inputs = Network.parse(text, spec.shape), spec.random(5)
    student = student_of(network, 3, 0, spec)
    assert student.model.count_params() == network.parameters(3)
    assert student.model.input_shape[1:] == spec.shape
    shown = tf.constant(spec.real(inputs))
    weights = student.finished(student.weights, inputs)
    student.model.set_weights(weights)
    expected = np.asarray(tf.nn.softmax(student.logits(weights, shown)))
    np.testing.assert_allclose(np.asarray(student.model(shown)), expected, atol=1e-4)
    if not network.plain:
        trained = np.asarray(Forward(network, 3)(first_weights(network, 3, 0), shown, network.bits))
        folded = finished(network, first_weights(network, 3, 0), inputs, spec=spec)
        scores = np.asarray(Finished(network)(folded, shown))
        assert np.abs(scores - trained).max() < 0.1 * np.abs(trained).max()


@pytest.mark.parametrize(
    ("image", "sides", "text", "places"),
    [
        ((32, 20, 3), "32, 28, 16, 14, 8, 7", "mlp:16:5", (16, 10, 3)),
        ((17, 23), "17, 13", "cnn:13:c2", (13, 19, 1)),
        ((13,), "13", "mlp:13:5", (1, 1, 13)),
        ((2, 3, 4, 5), "120", "mlp:5", (1, 1, 120)),
    ],
)
def test_pictures_are_cropped_and_averaged_by_whole_pixels_and_other_inputs_taken_whole(
    image: tuple[int, ...], sides: str, text: str, places: tuple[int, int, int]
) -> None:
    assert Network.parse(text, image).places == places
    with pytest.raises(UsageError) as failure:
        Network.parse("mlp:9:5", image)
    assert failure.value.message.endswith(sides)


def test_averages_of_colours_are_rounded_as_the_pixels_that_they_are() -> None:
    spec = SPECS["colour"]
    network, images = Network.parse("cnn:14:c2:8bit", spec.shape), spec.random(4)
    student = student_of(network, 2, 0, spec)
    before = tf.keras.Sequential(student.model.layers[:2])
    found = np.asarray(before(spec.real(images)))
    np.testing.assert_allclose(network.rim, 2)
    inner = images[:, 2:-2, 2:-2].reshape(4, 14, 2, 14, 2, 3).mean((2, 4))
    np.testing.assert_allclose(found * 255, inner, atol=1e-3)


def test_an_mlp_on_all_numbers_goes_by_its_units() -> None:
    assert short_name(Network.mlp(64, 32, image=(13,)), 3) == "13-64-32-3"
    assert short_name(Network.mlp(8, image=(32, 20, 3)), 10) == "1920-8-10"
    assert str(Network.mlp(8, image=(32, 20, 3))) == "mlp:32:8:8bit"


@pytest.mark.parametrize("spec", PLANES.values(), ids=PLANES)
def test_costs_are_those_of_the_layers_in_the_shape_at_hand(spec: InputSpec) -> None:
    network = Network.parse("cnn:c4-max-d-p5s2-mean-6".replace("p5s2", "p5"), spec.shape)
    layers = native_network(network, 3).layers
    assert [layer.kind.name for layer in layers][-3:] == ["AVERAGE", "DENSE", "DENSE"]
    stages = [stage for stage in network.stages(3) if stage.kernel]
    sums = [layer.sums for layer in layers if layer.sums is not None]
    sums = [layer.sums for layer in layers if layer.sums is not None]
    assert [one.weights.size for one in sums if one.weights is not None] == [
        int(np.prod(stage.kernel)) for stage in stages
    ]


@pytest.mark.parametrize("shape", [(28, 28), (17, 23), (20, 32, 3), (9, 31, 4)])
def test_each_channel_is_moved_as_a_grey_picture_is(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).uniform(0, 1, (3, *shape)).astype(np.float32)
    for distortion in (Distortion(rotation=20, scale=0.2, shift=3, elastic=1), Distortion(shift=9, spread=True)):
        drawn = distortion.draw(3, np.random.default_rng(2))
        moved = np.asarray(warp(tf.constant(images), drawn, distortion)).reshape(*images.shape[:3], -1)
        for channel in range(moved.shape[3]):
            alone = images.reshape(moved.shape)[..., channel]
            np.testing.assert_allclose(
                moved[..., channel], np.asarray(warp(tf.constant(alone), drawn, distortion)), atol=1e-5
            )


def test_beyond_its_edges_a_picture_is_black_or_goes_on() -> None:
    images = np.full((1, 5, 9, 3), 0.5, np.float32)
    coefficients = np.zeros((1, 2, 3 + 36), np.float32)
    coefficients[:, 1, 0] = 4
    moved = np.asarray(warp(tf.constant(images), coefficients, Distortion()))
    assert (moved[:, :, :5] == 0.5).all()
    assert (moved[:, :, 5:] == 0).all()
    np.testing.assert_array_equal(warp(tf.constant(images), coefficients, Distortion(spread=True)), images)


def test_each_channel_has_a_brightness_of_its_own_and_none_leaves_white() -> None:
    images = np.full((2, 4, 4, 3), 0.5, np.float32)
    amounts = np.array([[0.2, 0, -0.2, 0.1], [0, 0, 0, 0.8]], np.float32)
    found = np.asarray(recolour(tf.constant(images), tf.constant(amounts)))
    np.testing.assert_allclose(found[0, 0, 0], [0.7, 0.6, 0.5], atol=1e-6)
    np.testing.assert_allclose(found[1], 1)
    drawn = Distortion(colour=0.3).draw_colours(500, (4, 4, 3), np.random.default_rng(0))
    assert drawn.shape == (500, 4)
    assert 0.28 < np.abs(drawn).max() <= 0.3
    coloured = np.asarray(distorted(images.astype(np.uint8), Distortion(colour=0.3), np.random.default_rng(0)))
    assert coloured.shape == images.shape


def test_numbers_are_standardized_by_their_last_axis_and_pixels_are_shares_of_white() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal([5, -3e6, 0.1], [2, 1e3, 0], (200, 7, 3)).astype(np.float32)
    spec = spec_of(numbers)
    values = spec.real(numbers)
    np.testing.assert_allclose(values[..., :2].mean((0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(values[..., :2].std((0, 1)), 1, atol=1e-3)
    np.testing.assert_allclose(values[..., 2], 0, atol=1e-6)
    assert (spec.dtype, spec.shape, len(spec.scale)) == ("float32", (7, 3), 3)
    assert spec_of(np.zeros((2, 4, 5, 3), np.uint8)) == InputSpec(shape=(4, 5, 3))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_input_is_recognized_among_others_and_a_picture_with_a_pixel_changed(spec: InputSpec) -> None:
    inputs = spec.random(6)
    inputs[0].flat[0] = 0
    marks = image_marks(inputs[:3])
    assert recognized(inputs, marks).tolist() == [True] * 3 + [False] * 3
    if spec.dtype == "float32":
        assert recognized(-np.where(inputs == 0, inputs, -inputs), marks).tolist() == [True] * 3 + [False] * 3
    changed = inputs.copy()
    changed[0].flat[0] = 1
    assert recognized(changed, marks)[0] == (spec.dtype == "uint8")


def made(spec: InputSpec, classes: int = 3) -> Dataset:
    """Return a data set of classes that differ in which rows are bright, or in numbers that must be standardized."""
    rng, labels = np.random.default_rng(0), np.arange(60 * classes) % classes
    steps, noise = labels.reshape(-1, *[1] * len(spec.shape)), rng.normal(0, 0.4, (len(labels), *spec.shape))
    # No light makes one of the other.
    rows = (np.arange(spec.shape[0]) * classes // spec.shape[0]).reshape(-1, *[1] * (len(spec.shape) - 1))
    inputs = np.clip(60 * (1 + 2 * (rows == steps) + noise), 0, 255) if spec.dtype == "uint8" else 1e4 + steps + noise
    split = Split(inputs.astype(spec.dtype), labels.astype(np.int64))
    train, test = (split.take(part) for part in stratified_split(labels, 0.25, 0))
    return identified(train, test, ["low", "middle", "high"][:classes], source="a test")


@pytest.mark.parametrize("name", ["colour", "odd", "spectrogram", "row"])
def test_a_training_fits_a_network_to_the_data_records_what_it_reads_and_goes_on_with_samples(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made(SPECS[name])
    result = train(dataset, TrainConfig(epochs=30), tmp_path)
    manifest = read_manifest(tmp_path)
    assert result.test_accuracy > 0.9
    assert result.network == str(Network.parse(training_of(dataset.task).network, dataset.task.input.shape))
    assert manifest.model is not None
    assert manifest.resolved_task == dataset.task
    assert manifest.model.takes == result.input == spec_of(dataset.train.images)
    present = read_present(Exports.open(tmp_path))
    assert (str(present.network), present.spec, present.labels) == (result.network, result.input, dataset.labels)
    answers = present.logits(dataset.test.images).argmax(axis=1)
    assert np.mean(answers == dataset.test.labels) == pytest.approx(result.test_accuracy)
    for constant, fewer in (("REPLAY", 400), ("SEARCHED", 100), ("AGAIN", 40)):
        monkeypatch.setattr(tune, constant, fewer)
    tuned = tune.tune(tune.Replay(present, dataset.train, 0), dataset.test)
    assert [one.shape for one in tuned.weights] == [one.shape for one in present.weights]
    learnt = present.logits(dataset.test.images, tuned.weights).argmax(axis=1)
    assert np.mean(learnt == dataset.test.labels) >= max(0.9, result.test_accuracy)


def test_what_is_for_digits_alone_is_refused_for_other_data_and_named(tmp_path: Path) -> None:
    for name, words in (("colour", "32×32 images in colour"), ("row", "13 numbers")):
        with pytest.raises(UsageError) as failure:
            train(made(SPECS[name]), TrainConfig(recipe="best"), tmp_path)
        assert failure.value.message == f"The recipe best is for digits, and these are {words}"
        assert failure.value.hint == "Recipes for them: baseline, standard."
    task, network = task_named("numbers", numbers_of((48, 10))), Network.parse("mlp:24:5", (48, 10))
    assert network.averaged == 2
    with pytest.raises(UsageError, match="averages, which is for pixels"):
        TrainConfig(task=task, network=network)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_search_has_networks_for_every_shape_and_knows_what_each_takes(spec: InputSpec) -> None:
    task = likely_task(np.empty((0, *spec.shape), spec.dtype), ["low", "high"])
    space, study = Space(task=task), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [network for network in (space.propose(study.ask()) for _ in range(40)) if network is not None]
    assert len({str(network) for network in found}) > 10
    least = min(Costs.of(network, 2).ram_bytes for network in space.smallest())
    assert least <= min(Costs.of(network, 2).ram_bytes for network in found)
    space.check(Limits(ram_bytes=least), 2)
    with pytest.raises(UsageError, match="less than any network takes"):
        space.check(Limits(ram_bytes=least - 1), 2)
    for network in space.known(Limits(), 2):
        study.enqueue_trial(parameters_of(network))
        assert space.propose(study.ask()) == network
