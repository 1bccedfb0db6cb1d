"""Distillation: teachers that are trained once and kept, and the augmented copies of the images that they label.

A teacher is a small convolutional network that is more accurate than any perceptron, and never leaves this machine. It
is trained as those of `families` are, but not rounded, and what is left is a plain Keras model of Conv2D, ReLU, Flatten
and Dense, which answers with logits.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.errors import ModelError, TrainingError
from edgemnist.ground.arrays import Images, batches
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import Reporter
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.runtimes.keras import decode_keras_model, model_bytes
from edgemnist.pipeline.data.dataset import Split, split_sha256
from edgemnist.pipeline.train.augment import distorted
from edgemnist.pipeline.train.families import BATCH_SIZE, MOMENT_IMAGES, Forward, build_network, finished, first_weights
from edgemnist.pipeline.train.loop import DataSchedule, EpochData, fit_to_the_end
from edgemnist.pipeline.train.model import Weights
from edgemnist.pipeline.train.network import CNN, CONVOLUTION, Layer, Network
from edgemnist.pipeline.train.recipes import Distillation, Plan, digest


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

TEACHER_LAYERS: Final = tuple(
    Layer(CONVOLUTION, layer.channels, layer.stride, layer.side, layer.padding) for layer in CONVOLUTIONS
)


def teacher_network(images: Images) -> Network:
    """Return the network that learns to answer images, uint8 [N, *shape]."""
    return Network(family=CNN, layers=TEACHER_LAYERS, image=images.shape[1:])


def build_teacher(network: Network, classes: int) -> keras.Model:
    """Return the untrained Keras model. It takes float32 [N, *shape] in 0..1 and gives logits, float32 [N, classes]."""
    return build_network(network, classes, name="teacher", answers="logits")


def teacher_answers(model: keras.Model, images: Images) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the teacher's logits for images, uint8 [N, *shape], a batch at a time."""
    forward = tf.function(lambda batch: model(tf.cast(batch, tf.float32) / 255), reduce_retracing=True)
    for batch in batches(images, BATCH_SIZE):
        yield np.asarray(forward(tf.constant(batch)), np.float16)


RETRAIN = "Delete it, and the teacher will be trained again."


class Teachers:
    """The teachers of a directory, and the copies that the last one labelled, which networks of several sizes share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._labelled: tuple[str, AugmentedCopies] | None = None

    def file(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> Path:
        """Return the file of a teacher, whether or not it exists; its name has everything that it depends on."""
        record = {
            "recipe": digest(distillation.teacher, CONVOLUTIONS),
            "data": split_sha256(train)[:16],
            "number of classes": str(classes),
            "seed": str(seed),
        }
        return self._directory / f"teacher-{digest(record)[:8]}.keras"

    def copies(
        self,
        distillation: Distillation,
        train: Split,
        *,
        classes: int,
        seed: int,
        reporter: Reporter,
    ) -> tuple[Path, "AugmentedCopies"]:
        """Return the file of the teacher, trained first if it does not exist, and the copies that it labels.

        Raises TrainingError if the file is damaged, and what `fit` raises.
        """
        path = self.file(distillation, train, classes=classes, seed=seed)
        if not path.exists():
            recipe = distillation.teacher
            network = teacher_network(train.images)
            plan = Plan(
                recipe=recipe,
                distortion=recipe.distortion,
                epochs=recipe.epochs_for(len(train)),
                batch_size=min(recipe.batch_size, len(train)),
                seed=seed,
                spec=InputSpec(shape=train.images.shape[1:]),
            )
            fitted = fit_to_the_end(
                Forward(network, classes),
                first_weights(network, classes, seed),
                train,
                plan,
                name="Training the teacher",
                reporter=reporter,
            )
            write_file(path, _teacher_bytes(fitted.weights, train, plan, classes))
        try:
            data = path.read_bytes()
            teacher = decode_keras_model(data, path)
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}", hint=RETRAIN) from error
        except ModelError as error:
            raise TrainingError(f"{path} is damaged", hint=RETRAIN) from error
        key = digest(sha256(data), distillation, seed)
        if self._labelled is None or self._labelled[0] != key:
            # Let go of the old one first: the copies take a gigabyte.
            self._labelled = None
            self._labelled = key, AugmentedCopies(teacher, train.images, distillation, seed)
        return path, self._labelled[1]


def _teacher_bytes(weights: Weights, train: Split, plan: Plan, classes: int) -> bytes:
    # The moments are those of what it was trained on: distorted images, by half the strength on average.
    shown = train.images[:: max(1, len(train) // MOMENT_IMAGES)]
    if plan.distortion is not None:
        half = replace(plan.distortion.scaled(0.5), varied=False)
        shown = distorted(shown, half, np.random.default_rng([plan.seed, 1]))
    network = teacher_network(train.images)
    model = build_teacher(network, classes)
    model.set_weights(finished(network, weights, shown, spec=plan.spec, rounded=False))
    return model_bytes(model)


class AugmentedCopies:
    """Copies of the training images, each distorted further than the one before; the first is the images as they are.

    A copy is made when an epoch first needs it, and remade after `Distillation.uses` epochs, because images seen often
    are memorized.
    """

    def __init__(self, teacher: keras.Model, images: Images, distillation: Distillation, seed: int) -> None:
        """Make none of the copies of `images`, uint8 [N, *shape], yet."""
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
