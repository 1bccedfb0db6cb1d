"""Train the small network that tells digits from everything else: python -m benchmarks.vision.train_likeness.

Digits are the MNIST training digits as they are, bent, thinned to pen lines and as they are found on photographed
pages, and digits of fonts. Everything else is letters of fonts, those among them that look much like a digit, scribbles
and blots, and what reading a page comes across: two digits as one, pieces of one, rulings and specks. What the
benchmark refuses is made with other fonts and another kind of scribble. The last 10,000 training digits are held out,
for the threshold. Needs the full data set and some fonts, says which, and takes a quarter of an hour; the pictures are
made once and kept in the cache directory.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.vision.harvest import harvest
from benchmarks.vision.not_digits import (
    COPIES,
    FONTS,
    LETTERS,
    font_glyphs,
    hard_digits,
    letters_like_digits,
    not_digits,
)
from benchmarks.vision.synthetic.camera import Picture
from benchmarks.vision.synthetic.digits import REPOSITORY, VALIDATION, Digits, training_digits
from benchmarks.vision.synthetic.fonts import require
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import KERNELS, STRIDE, WEIGHTS_FILE, save_weights
from edgemnist.train.augment import Distortion, warp

SEED: Final = 21
OTHER: Final = 10
"""Label of what is no digit."""
PART: Final = 11
"""Label of parts of digits and of what else a page has, some of which is a digit to anybody who sees no more."""
ALIKE: Final = 12
"""Label of letters that are much like a digit."""
SHARES: Final = {OTHER: 0.6, PART: 0.5, ALIKE: 0.45}
"""What each kind of no digit weighs, all together, against all digits."""
CHANNELS: Final = (24, 64)
HIDDEN: Final = 160
EPOCHS: Final = 18
BATCH: Final = 256
RATE: Final = 2e-3
DROPOUT: Final = 0.3
SMOOTHING: Final = 0.02
SURE: Final = 0.8
AVERAGE: Final = 0.999
"""Decay of the moving average of the weights, which is what is kept."""
DISTORTION: Final = Distortion(rotation=8, scale=0.08, shear=0.1, shift=0.7, elastic=0.5)
JOBS: Final = 18
"""Into how many pieces, with a seed each, the making of pictures is cut."""
PAGES: Final = 100
"""Small pages of each job."""
DRAWINGS: Final = 400
"""Scribbles, blots, pairs and pieces of each job, each; and twice as many hard digits."""
BAR: Final = 0.12
"""What spreads across its axis less than this share of how it spreads along it (variances) is a bar; so are 95 % of
MNIST's ones."""
CACHE: Final = REPOSITORY / ".cache" / "likeness"

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def main() -> None:
    """Train the network and write its weights into the package."""
    require(FONTS)
    images, labels = _pictures(CACHE)
    print(f"{int((labels < OTHER).sum()):,} digits, {int((labels >= OTHER).sum()):,} others", flush=True)
    save_weights(WEIGHTS_FILE, train(images, labels))


def _pictures(cache: Path) -> tuple[Images, Labels]:
    """Return images and the digit of each, OTHER, PART or ALIKE; what a run before has made is not made again."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [job for job in range(JOBS) if not _part(cache, job).exists()]
    if missing:
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(_make, missing))
    clean = training()
    images, labels = [clean.images], [clean.labels]
    for job in range(JOBS):
        with np.load(_part(cache, job), allow_pickle=False) as stored:
            images.append(stored["images"])
            labels.append(stored["labels"].astype(np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _like_one(images: Images) -> npt.NDArray[np.bool_]:
    """Tell which images, uint8 [N, 28, 28], are upright bars: the leg of a 4 is a 1 to anybody who sees no more."""
    mass = images.astype(np.float32)
    mass /= mass.sum(axis=(1, 2), keepdims=True) + 1
    at = np.arange(28, dtype=np.float32)
    down, right = mass.sum(axis=2), mass.sum(axis=1)
    y, x = down @ at, right @ at
    yy, xx = down @ at**2 - y**2, right @ at**2 - x**2
    yx = np.einsum("nyx,y,x->n", mass, at, at) - y * x
    root = np.sqrt((yy - xx) ** 2 / 4 + yx**2)
    across, along = (yy + xx) / 2 - root, (yy + xx) / 2 + root
    return np.asarray((across < BAR * along) & (yy > xx))


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
    bent = digits.sample(2 * DRAWINGS, rng)
    drawn = _all(not_digits(digits.images, DRAWINGS, rng))
    parts = np.concatenate([found.others, drawn])
    parts = parts[~_like_one(parts)]
    some_fonts = FONTS[job::JOBS]
    printed = _all(font_glyphs(string.digits, rng, fonts=some_fonts))
    letters = _all(font_glyphs(LETTERS, rng, fonts=some_fonts))
    alike = _all(letters_like_digits(some_fonts, rng))
    images = [found.digits, _all(hard_digits(bent.images, rng)), printed, parts, letters, alike]
    labels = [
        found.labels,
        bent.labels,
        np.arange(10).repeat(len(some_fonts) * COPIES),
        *(np.full(len(others), label) for others, label in ((parts, PART), (letters, OTHER), (alike, ALIKE))),
    ]
    np.savez_compressed(
        _part(CACHE, job), images=np.concatenate(images), labels=np.concatenate(labels).astype(np.uint8)
    )


def _all(drawings: Iterator[Picture]) -> Images:
    """Return ink, uint8 [h, w] each, as MNIST would have it."""
    return np.stack([fit_digit(drawing) for drawing in drawings])


def train(images: Images, labels: Labels) -> list[npt.NDArray[np.float64]]:
    """Return kernels and biases, in turn, of a network that was trained on pixels / 255."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(
                keras.layers.Conv2D(channels, kernel, strides=STRIDE, activation="relu")
                for channels, kernel in zip(CHANNELS, KERNELS, strict=True)
            ),
            keras.layers.Flatten(),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(OTHER + 1),
        ]
    )
    steps = len(images) // BATCH
    counts = np.bincount(labels, minlength=ALIKE + 1)
    weight_of = np.ones(len(counts))
    for label, share in SHARES.items():
        weight_of[label] = share * counts[:OTHER].sum() / counts[label]
    weights = weight_of[labels].astype(np.float32)
    targets = np.eye(OTHER + 1, dtype=np.float32)[np.minimum(labels, OTHER)]
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(RATE, steps * EPOCHS), weight_decay=1e-3,
        use_ema=True, ema_momentum=AVERAGE,
    )  # fmt: skip
    loss_function = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)

    # Compiled for the distortion alone: XLA's convolutions are several times slower on a CPU than TensorFlow's own.
    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no type information
    def distorted(batch: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        return warp(tf.cast(batch, tf.float32) / 255, coefficients, DISTORTION)[..., None]

    @tf.function  # type: ignore[untyped-decorator]  # as above
    def step(pixels: tf.Tensor, wanted: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_function(wanted, model(pixels, training=True), sample_weight=weight)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    for epoch in range(EPOCHS):
        if epoch == EPOCHS // 2:
            weights *= ~_digits_to_anybody(model, images, labels)
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, steps * BATCH, BATCH):
            chosen = order[start : start + BATCH]
            pixels = distorted(images[chosen], DISTORTION.draw(BATCH, rng))
            losses.append(step(pixels, targets[chosen], weights[chosen]))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    optimizer.finalize_variable_values(model.trainable_variables)
    return [np.asarray(weight, dtype=np.float64) for weight in model.get_weights()]


def _digits_to_anybody(model: keras.Model, images: Images, labels: Labels) -> npt.NDArray[np.bool_]:
    """Tell which parts the half-trained network takes for digits, against its training.

    The right half of an 8 is a 3, and to hear that it is none only makes the network doubt each 3.
    """
    doubtful = np.zeros(len(images), dtype=bool)
    parts = np.flatnonzero(labels == PART)
    logits = np.concatenate(
        [np.asarray(model(images[some][..., None] / np.float32(255))) for some in np.array_split(parts, 100)]
    )
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    doubtful[parts] = probabilities[:, :OTHER].max(axis=1) > SURE
    print(f"{int(doubtful.sum()):,} parts are left out: they are digits to anybody", flush=True)
    return doubtful


if __name__ == "__main__":
    main()
