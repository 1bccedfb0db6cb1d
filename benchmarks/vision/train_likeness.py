"""Train the small network that tells digits from everything else: python -m benchmarks.vision.train_likeness.

Digits are the MNIST training digits as they are, bent, thinned to pen lines and as they are found on photographed
pages, and digits of fonts. Everything else is letters of fonts, scribbles and blots, and what reading a page comes
across: two digits as one, pieces of one, rulings and specks. What the benchmark refuses is made with other fonts and
another kind of scribble. The last 10,000 training digits are held out, for the threshold. Needs the full data set and
takes some minutes; the pictures are made once and kept in the cache directory.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.vision.harvest import harvest
from benchmarks.vision.not_digits import LETTERS, font_glyphs, hard_digits, not_digits
from benchmarks.vision.synthetic.camera import Picture
from benchmarks.vision.synthetic.digits import REPOSITORY, VALIDATION, Digits, training_digits
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import WEIGHTS_FILE, save_weights
from edgemnist.train.augment import Distortion, warp

SEED: Final = 21
HIDDEN: Final = 256
EPOCHS: Final = 30
BATCH: Final = 256
RATE: Final = 1e-3
AVERAGE: Final = 0.999
"""Decay of the moving average of the weights, which is what is kept."""
DISTORTION: Final = Distortion(rotation=8, scale=0.08, shear=0.1, shift=0.7, elastic=0.5)
JOBS: Final = 10
"""Into how many pieces, with a seed each, the making of pictures is cut."""
PAGES: Final = 75
"""Small pages of each job."""
DRAWINGS: Final = 350
"""Scribbles, blots, pairs and pieces of each job, each; and twice as many hard digits."""
FONT_JOBS: Final = 10
"""Every so many jobs draw all characters of all fonts."""
CACHE: Final = REPOSITORY / ".cache" / "likeness"

Images = npt.NDArray[np.uint8]


def main() -> None:
    """Train the network and write its weights into the package."""
    images, targets = _pictures(CACHE)
    print(f"{int(targets.sum()):,} digits, {int((1 - targets).sum()):,} others", flush=True)
    weights = train(images, targets)
    save_weights(WEIGHTS_FILE, weights[0::2], weights[1::2])


def _pictures(cache: Path) -> tuple[Images, npt.NDArray[np.float32]]:
    """Return images and 1 for each digit, 0 for each other; what a run before has made is not made again."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [job for job in range(JOBS) if not _part(cache, job).exists()]
    if missing:
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(_make, missing))
    digits, others = [training().images], []
    for job in range(JOBS):
        with np.load(_part(cache, job), allow_pickle=False) as stored:
            digits.append(stored["digits"])
            others.append(stored["others"])
    counts = [sum(map(len, digits)), sum(map(len, others))]
    return np.concatenate([*digits, *others]), np.repeat(np.array([1, 0], np.float32), counts)


def _part(cache: Path, job: int) -> Path:
    return cache / f"{job:02}.npz"


def training() -> Digits:
    """Return the training digits without those that are held out for the threshold."""
    everything = training_digits()
    return Digits(everything.images[:-VALIDATION], everything.labels[:-VALIDATION])


def _make(job: int) -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng([SEED, job])
    digits = training()
    found = harvest(digits, PAGES, rng)
    drawn = [hard_digits(digits.images, 2 * DRAWINGS, rng)], [not_digits(digits.images, DRAWINGS, rng)]
    if job % FONT_JOBS == 0:
        drawn[0].append(font_glyphs(string.digits, rng))
        drawn[1].append(font_glyphs(LETTERS, rng))
    np.savez_compressed(
        _part(CACHE, job),
        digits=np.concatenate([found.digits, *(_all(pictures) for pictures in drawn[0])]),
        others=np.concatenate([found.others, *(_all(pictures) for pictures in drawn[1])]),
    )


def _all(drawings: Iterator[Picture]) -> Images:
    """Return ink, uint8 [h, w] each, as MNIST would have it."""
    return np.stack([fit_digit(drawing) for drawing in drawings])


def train(images: Images, targets: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
    """Return weights and biases, in turn, of a network that was trained on pixels / 255."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = keras.Sequential(
        [keras.Input((784,)), keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(1)]
    )
    steps = len(images) // BATCH
    # As if there were as many others as digits.
    balance = float(targets.sum() / (1 - targets).sum())
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(RATE, steps * EPOCHS), weight_decay=1e-4,
        use_ema=True, ema_momentum=AVERAGE,
    )  # fmt: skip
    loss_function = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.01)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no type information
    def step(batch: tf.Tensor, wanted: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        pixels = warp(tf.cast(batch, tf.float32) / 255, coefficients, DISTORTION.grid)
        with tf.GradientTape() as tape:
            logits = model(tf.reshape(pixels, [-1, 784]), training=True)
            loss = loss_function(wanted[:, None], logits, sample_weight=wanted + (1 - wanted) * balance)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, steps * BATCH, BATCH):
            chosen = order[start : start + BATCH]
            coefficients = DISTORTION.draw(BATCH, rng)
            losses.append(step(images[chosen], targets[chosen], coefficients))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    optimizer.finalize_variable_values(model.trainable_variables)
    return [np.asarray(weight, dtype=np.float64) for weight in model.get_weights()]


if __name__ == "__main__":
    main()
