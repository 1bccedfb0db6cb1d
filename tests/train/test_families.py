"""A network of the families is in the end what it was while it trained, as a plain Keras model."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.train.families import Finished, Forward, finished, first_weights, rounded_kernel, student_of
from edgemnist.pipeline.train.network import LEVELS, Network, short_name_of
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train

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
def test_the_finished_network_answers_as_in_training_and_keras_as_the_finished_network(
    spec: str, dataset: Dataset
) -> None:
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
