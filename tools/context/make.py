"""From a data set to the files that ship: pages, what reading sees on them, weights and their record."""

from __future__ import annotations

import multiprocessing
import os
import platform
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.read.assemble import without_specks
from edgemnist.digits.read.context import (
    LEAST,
    LETTER,
    NAMES,
    RECORD_FILE,
    WEIGHTS_FILE,
    look_around,
    probabilities,
)
from edgemnist.digits.read.layout import overlap
from edgemnist.digits.read.likeness import ReadConfig, open_network
from edgemnist.digits.read.page import recognize_page
from edgemnist.digits.task import DIGITS
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.storage import commit_files, sha256
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset
from tools.context.pages import compose
from tools.context.sheet import PRINT
from tools.likeness.fonts import WRITTEN, hashes, require
from tools.likeness.make import HELD_OUT
from tools.likeness.page import Digits

if TYPE_CHECKING:
    import keras

SEED: Final = 11
PAGES: Final = 1_800
"""Pages that are learned from; a sixth as many judge."""
JOBS: Final = 24
"""Pieces that the making of pages is cut into, each with a seed of its own."""
EPOCHS: Final = 12
HIDDEN: Final = (64, 32)
NOISE: Final = 0.1
"""Standard deviation of what is added to each input, of 1: drawn pages are no real ones."""
DROPPED: Final = 0.3
RATE: Final = 3e-3
BATCH: Final = 256
SAME: Final = 0.5
"""Share of the union with a digit's box from which on a reading is this digit."""
APART: Final = 0.25
"""Share up to which it is none; between the two nobody can say."""
SHOWN: Final = 500
"""Readings whose activations give the ranges of int8."""

FACES: Final = (*WRITTEN, *PRINT)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What the network learns from, a row for each reading."""

    features: npt.NDArray[np.uint8]
    """uint8 [N, features]."""
    are_digits: npt.NDArray[np.bool_]
    """bool [N]: whether this digit stands there."""
    weights: Floats
    """float32 [N]: a reading counts less, the more there are on its page."""

    @classmethod
    def of(cls, parts: list[Seen]) -> Seen:
        """Return several as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


class Shares(Part, frozen=True, kw_only=True):
    """What int8 says of readings on pages that it has not learned from."""

    readings: int
    digits_kept: float
    """Share of the digits, read right, that count."""
    others_kept: float
    """Share of all else that counts: what is no digit, and digits read wrong."""


class ContextRecord(Result, frozen=True, kw_only=True):
    """Origin of the network that judges by context."""

    file: str
    bytes: int
    sha256: str
    """Of `file`; checked whenever it is loaded."""
    typical: list[int]
    """What the network sees of the usual digit: uint8 [features]."""
    seed: int
    pages: int
    epochs: int
    data: DataIdentity
    """Data set whose last training digits stand on the pages: the other networks have not learned from these."""
    fonts: dict[str, str]
    """SHA-256 of the file of each font; OpenCV's have none."""
    parity: float
    """Share of readings on which int8 decides as float does."""
    right: Shares
    versions: dict[str, str]


def make(
    dataset: Dataset, directory: Path, *, pages: int = PAGES, epochs: int = EPOCHS, reporter: Reporter = SILENT
) -> ContextRecord:
    """Compose and read pages, train the network, and write it with its record into a directory, all or nothing.

    Raises MissingDependencyError where fonts are missing, and StorageError if the directory cannot be written.
    """
    require(FACES)
    held_out = len(dataset.train) // HELD_OUT
    digits = Digits(dataset.train.images[-held_out:], dataset.train.labels[-held_out:])
    judged = max(1, JOBS // 6)
    jobs = [_Job(digits, number, max(1, pages // JOBS)) for number in range(JOBS + judged)]
    parts: list[Seen] = []
    # What TensorFlow has started does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (
        reporter.task("Composing and reading pages", len(jobs)) as task,
        ProcessPoolExecutor(os.cpu_count() or 1, context) as pool,
    ):
        for done, part in enumerate(pool.map(_Job.run, jobs), 1):
            parts.append(part)
            task.update(done)
    learned, others = Seen.of(parts[:JOBS]), Seen.of(parts[JOBS:])
    return finish(train(learned, epochs, reporter), learned, others, dataset, directory, pages=pages, epochs=epochs)


@dataclass(frozen=True)
class _Job:
    """Some of the pages, with a seed of their own."""

    digits: Digits
    number: int
    pages: int

    def run(self) -> Seen:
        cv2.setNumThreads(1)
        rng, config = np.random.default_rng([SEED, self.number]), ReadConfig()
        classifier = load(reference_directory() / "tflite-int8.tflite", labels=DIGITS)
        found: list[Seen] = []
        while len(found) < self.pages:
            page = compose(self.digits, rng)
            grey = to_grey(Image.fromarray(page.picture), config.max_side)
            read = recognize_page(grey, classifier, config)
            readings = without_specks(read.readings)
            if read.quarters or not readings:
                continue
            scale = np.array([page.picture.shape[1] / read.width, page.picture.shape[0] / read.height] * 2)
            features = look_around(readings, read.sheet, DIGITS, config.join_gap).features
            told = np.full(len(readings), -1)
            for index, one in enumerate(readings):
                if one.confidence >= LETTER and not one.piece.opened:
                    x, y, w, h = (np.array(one.piece.box) * scale).tolist()
                    shares = [(overlap((x, y, w, h), truth.box), truth.digit) for truth in page.truths]
                    share, digit = max(shares, default=(0.0, -1))
                    told[index] = digit == one.label if share > SAME else 0 if share <= APART else -1
            known = told >= 0
            weights = np.full(int(known.sum()), 1 / np.sqrt(len(readings)), dtype=np.float32)
            found.append(Seen(features[known], told[known] == 1, weights))
        return Seen.of(found)


def train(seen: Seen, epochs: int, reporter: Reporter = SILENT) -> keras.Model:
    """Return the network in Keras: float32 [N, features], of 0 to 1, to a logit, [N, 1]."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)
    x = shares = keras.Input((len(NAMES),), name="features")
    x = layers.GaussianNoise(NOISE)(x)
    for width in HIDDEN:
        x = layers.Dropout(DROPPED)(layers.Dense(width, activation="relu")(x))
    model = keras.Model(shares, layers.Dense(1, name="logit")(x), name="context")
    steps = epochs * len(seen.features) // BATCH
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(RATE, max(1, steps)), weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    with reporter.task("Training the network for context", epochs) as task:
        done = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: task.update(epoch + 1, f"loss {logs['loss']:.4f}")
        )
        model.fit(
            _share(seen.features), seen.are_digits.astype(np.float32), BATCH, epochs, verbose=0, callbacks=[done],
            sample_weight=seen.weights / seen.weights.mean(),
        )  # fmt: skip
    return model


def finish(
    model: keras.Model, learned: Seen, judged: Seen, dataset: Dataset, directory: Path, *, pages: int, epochs: int
) -> ContextRecord:
    """Write a trained network as int8 with its record, judged by pages that it has not learned from."""
    import tensorflow as tf

    shown = _share(learned.features[:: max(1, len(learned.features) // SHOWN)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in shown)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    data = bytes(converter.convert())
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, WEIGHTS_FILE.name)
        file.write_bytes(data)
        kept = probabilities(open_network(file, (len(NAMES),)), judged.features) >= LEAST
    logits = np.asarray(model(_share(judged.features), training=False))[:, 0]
    record = ContextRecord(
        file=WEIGHTS_FILE.name,
        bytes=len(data),
        sha256=sha256(data),
        seed=SEED,
        pages=pages,
        epochs=epochs,
        typical=np.median(learned.features[learned.are_digits], axis=0).astype(int).tolist(),
        data=dataset.identity,
        fonts=hashes(FACES),
        parity=round(float((kept == (1 / (1 + np.exp(-logits)) >= LEAST)).mean()), 4),
        right=Shares(
            readings=len(kept),
            digits_kept=round(float(kept[judged.are_digits].mean()), 4),
            others_kept=round(float(kept[~judged.are_digits].mean()), 4),
        ),
        versions={"python": platform.python_version(), **{n: version(n) for n in ("tensorflow", "keras", "numpy")}},
    )
    commit_files(directory, {WEIGHTS_FILE.name: data, RECORD_FILE.name: record.to_json().encode() + b"\n"})
    return record


def _share(features: npt.NDArray[np.uint8]) -> Floats:
    return np.asarray(features / np.float32(255), dtype=np.float32)
