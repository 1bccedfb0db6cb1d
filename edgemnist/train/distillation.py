"""Distillation: teachers that are trained once and kept, and the augmented copies of the images that they label.

A teacher is a small convolutional network that is more accurate than any perceptron, and never leaves this machine.
While it trains, its layers are normalized by the moments of the batch (S. Ioffe and C. Szegedy, 2015). Once it is
trained, the moments of many images are folded into the kernels, and what is left is a plain Keras model of Conv2D,
ReLU, Flatten and Dense, which answers with logits.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.arrays import IMAGE_SIDE, Images, batches
from edgemnist.data.dataset import Split, split_sha256
from edgemnist.errors import ModelError, TrainingError
from edgemnist.progress import Reporter
from edgemnist.results import UNREADABLE
from edgemnist.runtimes.keras import ZIP_EPOCH, decode_keras_model, model_bytes
from edgemnist.storage import sha256, write_file
from edgemnist.train.augment import distorted
from edgemnist.train.checkpoint import Checkpoint, fit_resumably
from edgemnist.train.loop import DataSchedule, EpochData
from edgemnist.train.recipes import Distillation, digest, plan_of

if TYPE_CHECKING:
    import keras

    from edgemnist.train.model import Weights

EPSILON = 1e-3
"""Added to variances, as Keras's BatchNormalization does."""
PER_CONVOLUTION = 3
"""Weights of a convolution while training: kernel, scale and offset of the normalization."""
MOMENT_IMAGES = 10_000
"""Enough images for moments that no longer change the teacher's answers."""
BATCH_SIZE = 500
"""Images that the finished teacher is shown at a time."""


class Convolution(NamedTuple):
    """One layer: convolution, normalization, ReLU."""

    channels: int
    side: int
    """Side of the kernel, in pixels."""
    stride: int
    padding: str


CONVOLUTIONS = (
    Convolution(24, 5, 2, "SAME"),
    Convolution(48, 3, 2, "SAME"),
    Convolution(64, 3, 1, "SAME"),
    Convolution(64, 3, 1, "VALID"),
)


def first_weights(classes: int, seed: int) -> Weights:
    """Return the weights of the teacher before training; see `drawn_weights`."""
    layers: list[tuple[tuple[int, ...], int]] = []
    inputs, side = 1, IMAGE_SIDE
    for layer in CONVOLUTIONS:
        layers.append(((layer.side, layer.side, inputs, layer.channels), layer.channels))
        inputs = layer.channels
        side = -(-side // layer.stride) if layer.padding == "SAME" else side - layer.side + 1
    return drawn_weights([*layers, ((side**2 * inputs, classes), classes)], seed)


def drawn_weights(layers: Sequence[tuple[tuple[int, ...], int]], seed: int) -> Weights:
    """Return weights before training (K. He et al., 2015), given the shape of each kernel and its outputs.

    Each layer has its kernel, and scale and offset of its normalization; the last one, kernel and bias.
    """
    rng = np.random.default_rng([seed, layers[-1][1]])
    weights: list[npt.NDArray[np.float32]] = []
    for shape, outputs in layers:
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (prod(shape) // outputs)))
        weights += [kernel, np.ones(outputs, np.float32), np.zeros(outputs, np.float32)]
    kernel, _, bias = weights[-3:]
    return [*weights[:-3], kernel / np.float32(np.sqrt(2)), bias]


def teacher_logits(weights: Sequence[tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Return the logits, float32 [N, C], of the network in training, for images, float32 [N, 28, 28] in 0..1."""
    values = images[..., None]
    for layer, (kernel, scale, offset) in zip(CONVOLUTIONS, _convolutions(weights), strict=True):
        values = tf.nn.conv2d(values, kernel, layer.stride, layer.padding)
        mean, variance = tf.nn.moments(values, axes=[0, 1, 2])
        gain = scale * tf.math.rsqrt(variance + EPSILON)
        values = tf.nn.relu(values * gain + (offset - mean * gain))
    return tf.reshape(values, [-1, weights[-2].shape[0]]) @ weights[-2] + weights[-1]


def finished_teacher(weights: Weights, images: Images) -> keras.Model:
    """Return the trained network as a Keras model, normalized by the moments of `images`, uint8 [N, 28, 28]."""
    shown = images[:: max(1, len(images) // MOMENT_IMAGES)]
    tensors = [tf.constant(batch[..., None].astype(np.float32) / 255) for batch in batches(shown, BATCH_SIZE)]
    folded: list[npt.NDArray[np.float32]] = []
    for layer, (kernel, scale, offset) in zip(CONVOLUTIONS, _convolutions(weights), strict=True):
        tensors = [tf.nn.conv2d(values, kernel, layer.stride, layer.padding) for values in tensors]
        gain, bias = normalization(tensors, scale, offset)
        folded += [kernel * gain, bias]
        tensors = [tf.nn.relu(values * gain + bias) for values in tensors]
    model = build_teacher(weights[-1].size)
    model.set_weights([*folded, *weights[-2:]])
    return model


def normalization(
    tensors: Sequence[tf.Tensor], scale: npt.NDArray[np.float32], offset: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return factor and summand that normalize batches by their moments over all axes but the last, and scale them."""
    axes = tuple(range(len(tensors[0].shape) - 1))
    count = sum(len(values) for values in tensors)
    mean = sum(tf.reduce_mean(values, axes) * len(values) for values in tensors) / count
    variance = sum(tf.reduce_mean((values - mean) ** 2, axes) * len(values) for values in tensors) / count
    gain = scale / np.sqrt(np.asarray(variance, np.float32) + np.float32(EPSILON))
    return gain, offset - np.asarray(mean, np.float32) * gain


def build_teacher(classes: int) -> keras.Model:
    """Return the untrained Keras model. It takes float32 [N, 28, 28] in 0..1 and gives logits, float32 [N, classes]."""
    import keras

    convolutions = [
        keras.layers.Conv2D(
            layer.channels,
            layer.side,
            strides=layer.stride,
            padding=layer.padding.lower(),
            activation="relu",
            name=f"convolution_{number}",
        )
        for number, layer in enumerate(CONVOLUTIONS, start=1)
    ]
    layers = [
        keras.Input((IMAGE_SIDE, IMAGE_SIDE), name="image"),
        keras.layers.Reshape((IMAGE_SIDE, IMAGE_SIDE, 1), name="channel"),
        *convolutions,
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(classes, name="logits"),
    ]
    return keras.Sequential(layers, name="teacher")


def teacher_answers(model: keras.Model, images: Images) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the teacher's logits for images, uint8 [N, 28, 28], a batch at a time."""
    forward = tf.function(lambda batch: model(tf.cast(batch, tf.float32) / 255), reduce_retracing=True)
    for batch in batches(images, BATCH_SIZE):
        yield np.asarray(forward(tf.constant(batch)), np.float16)


def _convolutions(weights: Sequence[tf.Tensor]) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    inner = weights[: PER_CONVOLUTION * len(CONVOLUTIONS)]
    return list(zip(inner[::PER_CONVOLUTION], inner[1::PER_CONVOLUTION], inner[2::PER_CONVOLUTION], strict=True))


RECORD = "edgemnist.json"
"""Member of the file that says what the teacher was made from."""
CHECKPOINT_SUFFIX = ".checkpoint.npz"
RETRAIN = "Delete it, and the teacher will be trained again."


class Teachers:
    """The teachers of a directory, and the copies that the last one labelled, which networks of several sizes share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._labelled: tuple[str, AugmentedCopies] | None = None

    def files(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> tuple[Path, Checkpoint]:
        """Return the file of a teacher, and the checkpoint of its training, whether or not they exist."""
        # Everything that a teacher depends on, by its name in messages.
        record = {
            "recipe": digest(distillation.teacher, CONVOLUTIONS),
            "data": split_sha256(train)[:16],
            "number of classes": str(classes),
            "seed": str(seed),
        }
        path = self._directory / f"teacher-{digest(record)[:8]}.keras"
        return path, Checkpoint(path.with_suffix(CHECKPOINT_SUFFIX), record)

    def copies(
        self, distillation: Distillation, train: Split, *, classes: int, seed: int, resume: bool, reporter: Reporter
    ) -> tuple[Path, AugmentedCopies]:
        """Return the file of the teacher, trained first if it does not exist, and the copies that it labels.

        Raises TrainingError if the file is damaged or belongs to another training, and what `fit_resumably` raises.
        """
        path, checkpoint = self.files(distillation, train, classes=classes, seed=seed)
        if not path.exists():
            self._train(path, checkpoint, distillation, train, seed=seed, resume=resume, reporter=reporter)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}", hint=RETRAIN) from error
        teacher = read_teacher(data, path, checkpoint.identity)
        key = digest(sha256(data), distillation, seed)
        if self._labelled is None or self._labelled[0] != key:
            # Let go of the old one first: the copies take a gigabyte.
            self._labelled = None
            self._labelled = key, AugmentedCopies(teacher, train.images, distillation, seed)
        return path, self._labelled[1]

    def _train(
        self,
        path: Path,
        checkpoint: Checkpoint,
        distillation: Distillation,
        train: Split,
        *,
        seed: int,
        resume: bool,
        reporter: Reporter,
    ) -> None:
        fitted = fit_resumably(
            teacher_logits,
            first_weights(int(checkpoint.identity["number of classes"]), seed),
            train,
            plan_of(distillation.teacher, images=len(train), seed=seed),
            checkpoint,
            name="Training the teacher",
            resume=resume,
            reporter=reporter,
        )
        if fitted.interrupted:
            reporter.notice("Interrupted while training the teacher. Continue with --resume.")
            raise KeyboardInterrupt
        # The moments are those of what it was trained on: distorted images, by half the strength on average.
        shown = train.images[:: max(1, len(train) // MOMENT_IMAGES)]
        if (distortion := distillation.teacher.distortion) is not None:
            half = replace(distortion.scaled(0.5), varied=False)
            shown = distorted(shown, half, np.random.default_rng([seed, 1]))
        stream = io.BytesIO(model_bytes(finished_teacher(fitted.weights, shown)))
        with zipfile.ZipFile(stream, "a") as file:
            file.writestr(zipfile.ZipInfo(RECORD, ZIP_EPOCH), msgspec.json.encode(dict(checkpoint.identity)))
        write_file(path, stream.getvalue())
        checkpoint.remove()


def read_teacher(data: bytes, path: Path, record: Mapping[str, str]) -> keras.Model:
    """Return the teacher of a file's contents. Raises TrainingError if it is damaged, or not what `record` says."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            found = msgspec.json.decode(file.read(RECORD), type=dict[str, str])
    except (zipfile.BadZipFile, *UNREADABLE) as error:
        raise TrainingError(f"{path} is damaged or not a teacher", hint=RETRAIN) from error
    except KeyError as error:
        raise TrainingError(
            f"{path} is a Keras model, but not a teacher that edgemnist trained", hint=RETRAIN
        ) from error
    for what, wanted in record.items():
        if found.get(what) != wanted:
            raise TrainingError(
                f"{path} is the teacher of another training: its {what} is {found.get(what)}, not {wanted}",
                hint=RETRAIN,
            )
    try:
        model = decode_keras_model(data, path)
    except ModelError as error:
        raise TrainingError(f"{path} is damaged", hint=RETRAIN) from error
    if _shapes(model) != _shapes(build_teacher(int(record["number of classes"]))):
        raise TrainingError(f"{path} is a teacher of a different shape from those this edgemnist trains", hint=RETRAIN)
    return model


def _shapes(model: Any) -> list[tuple[int, ...]]:  # noqa: ANN401 - Keras has no types
    return [tuple(weight.shape) for weight in model.get_weights()]


class AugmentedCopies:
    """Copies of the training images, each distorted further than the one before; the first is the images as they are.

    A copy is made when an epoch first needs it, and remade after `Distillation.uses` epochs, because images seen often
    are memorized.
    """

    def __init__(self, teacher: keras.Model, images: Images, distillation: Distillation, seed: int) -> None:
        """Make none of the copies of `images`, uint8 [N, 28, 28], yet."""
        self.copies = distillation.copies_for(len(images))
        self._teacher = teacher
        self._images = images
        self._distillation = distillation
        self._seed = seed
        self._kept: dict[int, tuple[int, EpochData]] = {}
        """The last edition of each copy, by its number."""

    def schedule(self, seed: int) -> DataSchedule:
        """Return a schedule that goes through the copies in random order, and then again in another order."""

        def data_of(epoch: int) -> EpochData:
            turn, place = divmod(epoch - 1, self.copies)
            copy = int(np.random.default_rng([seed, turn]).permutation(self.copies)[place])
            return self.copy(copy, turn)

        return data_of

    def copy(self, number: int, turn: int) -> EpochData:
        """Return a copy as it is in a turn, both counted from 0: the images, and the teacher's answers to them."""
        edition = self._distillation.edition_of(number, turn)
        kept = self._kept.get(number)
        if kept is None or kept[0] != edition:
            # Let go of the old one first.
            self._kept.pop(number, None)
            self._kept[number] = edition, self._make(number, edition)
        return self._kept[number][1]

    def _make(self, number: int, edition: int) -> EpochData:
        distortion = self._distillation.distortion.scaled(number / (self.copies - 1))
        rng = np.random.default_rng([self._seed, number, edition])
        images = distorted(self._images, distortion, rng) if number else self._images
        return EpochData(tf.constant(images), tf.constant(np.concatenate(list(teacher_answers(self._teacher, images)))))
