"""Confidences that mean what they say: at the end of a training, the logits are divided by one temperature.

Temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", 2017): the temperature is that of least
negative log-likelihood. It goes into kernel and bias of the last layer: the model stays plain Keras, and no answer
changes.

The paper takes held-out images. Here all images are trained on, and those have confidences that unseen ones do not
deserve. So it is fitted on training images that are distorted anew, and strongly: that comes nearest to the temperature
of held-out images, where some were held out to compare (`benchmarks/training/choices.md`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Labels
from edgemnist.data.interface import Split

if TYPE_CHECKING:
    from edgemnist.train.augment import Distortion
    from edgemnist.train.model import Weights

IMAGES: Final = 10_000
"""At most: more no longer change the temperature."""
LEAST, MOST = 1 / 8, 8.0
"""Of the temperature: a network beyond has learnt nothing, or everything, and nothing can be fitted."""
HALVINGS: Final = 40
"""Of that interval, in logarithms: more than float32 resolves."""


def calibrated(weights: Weights, train: Split, distortion: Distortion, seed: int) -> tuple[Weights, float]:
    """Return the weights with the last layer divided by the temperature, and the temperature."""
    from edgemnist.train.model import logits
    from edgemnist.train.pool import distorted

    step = max(1, len(train) // IMAGES)
    # A stream of its own: the pool has those of [seed, copy], and the teacher's moments [seed, 1].
    images = distorted(train.images[::step], distortion, np.random.default_rng([seed, 0, 1]))
    found = temperature(np.asarray(logits(weights, images.astype(np.float32) / 255)), train.labels[::step])
    *earlier, kernel, bias = weights
    return [*earlier, np.asarray(kernel / np.float32(found)), np.asarray(bias / np.float32(found))], found


def temperature(logits: npt.NDArray[np.float32], labels: Labels) -> float:
    """Return by what to divide logits, float32 [N, C], for the least negative log-likelihood of labels, [N].

    In 1/T the likelihood is convex, and its slope is the mean over the images of what the probabilities expect the
    logit to be, less the logit of the label.
    """
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    right = values[np.arange(len(labels)), labels]

    def sharpens(at: float) -> bool:
        odds = np.exp(values / at)
        return bool(((odds * values).sum(axis=1) / odds.sum(axis=1)).mean() < right.mean())

    low, high = np.log(LEAST), np.log(MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if sharpens(float(np.exp(middle))) else (middle, high)
    return float(np.exp((low + high) / 2))


def calibration_error(probabilities: npt.NDArray[np.float32], labels: Labels, bins: int = 15) -> float:
    """Return the expected calibration error, 0 to 1 (Guo et al., 15 bins): how far confidences are off the share right.

    `probabilities` are float32 [N, C], `labels` [N].
    """
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    # |Σ confidence − Σ right| of a bin is its gap times its images.
    gaps = np.bincount(places, confidences, bins) - np.bincount(places, right, bins)
    return float(np.abs(gaps).sum() / len(labels))
