"""A network of the families is in the end what it was while it trained, as a plain Keras model."""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.model.exports.ranges import temperature
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.train.augment import Distortion
from edgemnist.pipeline.train.calibration import (
    LEAST,
    MOST,
    calibrated,
    rounded_activations,
    rounded_weights,
)
from edgemnist.pipeline.train.families import Finished, Forward, finished, first_weights, rounded_kernel, student_of
from edgemnist.pipeline.train.model import logits
from edgemnist.pipeline.train.network import LEVELS, Network, short_name_of
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train
from edgemnist.pipeline.verify.statistics import expected_calibration_error as calibration_error

SPECS = (
    "mlp:14:24-12:4bit",
    "mlp:7::2bit",
    "cnn:28:c4s2-ds2-p6-max-8:2bit",
    "cnn:14:c6-d-p8-mean:8bit",
    "mlp:12:16:4bit",
)


def trained_weights(network: Network) -> list[np.ndarray]:
    """Return weights that a training might have come to: scales of either sign, offsets of any."""
    random = np.random.default_rng(1)
    return [
        weight if weight.ndim > 1 else random.normal(0.5, 0.6, weight.shape).astype(np.float32)
        for weight in first_weights(network, 10, seed=2)
    ]


@pytest.mark.parametrize("spec", SPECS)
def test_the_finished_network_answers_as_in_training_and_keras_as_it_does(spec: str, dataset: Dataset) -> None:
    network, images = Network.parse(spec), dataset.train.images[:500]
    weights, shown = trained_weights(network), tf.constant(images.astype(np.float32) / 255)
    in_training = np.asarray(Forward(network, 10)(weights, shown, network.bits))
    folded = finished(network, weights, images)
    scores = np.asarray(Finished(network)(folded, shown))
    # Activations are rounded to 8 bits in the one, and not in the other.
    assert np.abs(scores - in_training).max() < 0.05 * np.abs(in_training).max()
    student = student_of(network, 10, seed=0)
    student.model.set_weights(folded)
    answers = np.asarray(student.model(shown))
    np.testing.assert_allclose(answers, np.asarray(tf.nn.softmax(scores)), atol=0.01)


@pytest.mark.parametrize("spec", SPECS)
def test_finished_weights_have_the_levels_of_their_bits(spec: str, dataset: Dataset) -> None:
    network = Network.parse(spec)
    folded = finished(network, trained_weights(network), dataset.train.images[:100])
    stages = [stage for stage in network.stages(10) if stage.kernel]
    for stage, kernel in zip(stages, folded[::2], strict=True):
        outputs = kernel.reshape(-1, stage.target.channels).T
        for weights in outputs:
            step = np.abs(weights)[np.abs(weights) > 0].min()
            levels = min(
                (np.abs(weights / (step / part) - np.rint(weights / (step / part))).max(), part) for part in range(1, 8)
            )
            assert network.bits == 8 or levels[0] < 1e-3
            assert network.bits == 8 or np.abs(weights / step).max() <= LEVELS[network.bits] + 1e-3


def test_gradients_pass_as_if_nothing_was_rounded() -> None:
    network = Network.parse("mlp:7:3:4bit")
    stage = next(network.stages(10))
    kernel = tf.constant(first_weights(network, 10, seed=0)[0])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(rounded_kernel(stage, kernel, 4) * 2.0)
    np.testing.assert_array_equal(np.asarray(tape.gradient(total, kernel)), 2.0)


@pytest.mark.parametrize("spec", ["mlp:14:24:4bit", "cnn:14:c6s2-d-p12:2bit"])
def test_a_training_learns_is_recorded_and_the_same_the_next_time(spec: str, dataset: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(network=Network.parse(spec), epochs=4, batch_size=50, seed=1)
    result = train(dataset, config, tmp_path / "whole")
    assert result.test_accuracy > 0.6
    assert result.network == short_name_of(result) == spec
    assert read_result(TrainResult, (tmp_path / "whole" / "training.json").read_bytes()).network == spec
    model = keras.saving.load_model(tmp_path / "whole" / "model.keras")
    assert model.count_params() == result.parameters == config.resolved_network.parameters(10)
    assert train(dataset, config, tmp_path / "again").weights_sha256 == result.weights_sha256


def test_a_student_of_a_teacher_is_rounded_and_calibrated(dataset: Dataset, tmp_path: Path, quick_best: object) -> None:
    del quick_best
    config = TrainConfig(recipe="best", network=Network.parse("mlp:14:16:2bit"), epochs=3)
    result = train(dataset, config, tmp_path)
    assert result.teacher is not None
    assert result.temperature is not None
    kernel = keras.saving.load_model(tmp_path / "model.keras").get_weights()[-2]
    assert all(len(np.unique(np.abs(output).round(6))) <= 2 for output in kernel.T)


CLASSES = 10


def drawn(*, scale: float = 1.0, images: int = 40_000) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return logits, and labels drawn with the probabilities that `scale` times the logits have."""
    random = np.random.default_rng(0)
    values = random.normal(scale=2, size=(images, CLASSES)).astype(np.float32)
    # The class with the largest logit plus Gumbel noise is drawn with the softmax's probability.
    return values, (scale * values + random.gumbel(size=values.shape)).argmax(axis=1)


def softmax(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.5])
def test_the_temperature_with_which_labels_were_drawn_is_found(wanted: float) -> None:
    values, labels = drawn(scale=1 / wanted)
    assert temperature(values, labels, LEAST, MOST) == pytest.approx(wanted, rel=0.03)


def test_where_no_temperature_is_best_it_stays_within_its_bounds() -> None:
    values, _ = drawn(images=500)
    assert temperature(values, values.argmax(axis=1), LEAST, MOST) == pytest.approx(LEAST)
    assert temperature(values, values.argmin(axis=1), LEAST, MOST) == pytest.approx(MOST)


def test_calibrated_weights_answer_the_same_and_are_surer_where_they_were_too_unsure(dataset: Dataset) -> None:
    # Nearest class mean: right on four of five digits, and hardly sure of any.
    images, labels = dataset.train.images.reshape(-1, 784) / np.float32(255), dataset.train.labels
    means = np.stack([images[labels == digit].mean(axis=0) for digit in range(CLASSES)])
    weights = [means.T * np.float32(0.05), -(means**2).sum(axis=1) * np.float32(0.025)]
    kept, found = calibrated(weights, dataset.train, Distortion(rotation=3, shift=0.5), 0, logits)
    assert 0 < found < 1
    shown = dataset.test.images.astype(np.float32) / 255
    before, after = (np.asarray(logits(some, shown)) for some in (weights, kept))
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    np.testing.assert_allclose(after * found, before, rtol=1e-4, atol=1e-5)
    errors = [calibration_error(softmax(values), dataset.test.labels) for values in (before, after)]
    assert errors[1] < 0.25 * errors[0]


@pytest.fixture
def weights() -> list[npt.NDArray[np.float32]]:
    """Return the weights of a network whose outputs differ a hundredfold in scale, one of them all zero."""
    random = np.random.default_rng(0)
    kernel = (random.standard_t(4, (400, 6)) * np.array([1, 0.1, 10, 0.5, 3, 0])).astype(np.float32)
    return [kernel, np.ones(6, np.float32), random.normal(size=(6, 3)).astype(np.float32), np.zeros(3, np.float32)]


def test_each_output_has_a_scale_of_its_own_and_as_many_steps_as_8_bits_allow(
    weights: list[npt.NDArray[np.float32]],
) -> None:
    rounded = [np.asarray(value) for value in rounded_weights(weights)]
    for column, largest in enumerate(np.abs(weights[0]).max(axis=0)):
        steps = rounded[0][:, column] / max(largest / 127, 1e-9)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        np.testing.assert_allclose(np.abs(steps).max(), 127 if largest else 0, atol=1e-3)
    np.testing.assert_array_equal(rounded[1], weights[1])


def test_the_gradient_passes_as_if_nothing_was_rounded() -> None:
    kernel = tf.constant([[0.3], [0.9], [2.0]])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(rounded_weights([kernel, tf.zeros(1)])[0])
    np.testing.assert_array_equal(tape.gradient(total, kernel), [[1], [1], [1]])


def test_activations_are_rounded_to_255_steps_of_the_largest() -> None:
    values = np.random.default_rng(1).uniform(0, 7, (20, 30)).astype(np.float32)
    rounded = np.asarray(rounded_activations(tf.constant(values)))
    steps = rounded / (values.max() / 255)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-2)
    assert np.abs(rounded - values).max() <= 0.51 * values.max() / 255
    assert not np.asarray(rounded_activations(tf.zeros((2, 3)))).any()
