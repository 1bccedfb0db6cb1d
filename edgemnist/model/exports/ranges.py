"""In which range a model takes pixels, judged by what it answers: nothing in most files says it.

In a wrong range a model is less accurate, or as accurate and either too sure or not sure enough. Both raise the
cross-entropy of the right classes, which its training has made small in the right one. A model that is too sure or
not sure enough in its own range may have a smaller cross-entropy in a wrong one, which makes up for it. So the range
has to be better at the best temperature of each, too, at which it does not count how sure the model is.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Labels, Probabilities
from edgemnist.ground.formatting import percent

Logits: TypeAlias = npt.NDArray[np.floating]

MOST: Final = -math.log(1e-7)
"""Largest cross-entropy of an image, in nats: one image must not decide."""
ALIKE: Final = 1.05
"""Quotient of two cross-entropies, at the best temperature of each, up to which a model tells classes apart alike. It
was measured on 40 networks, trained on MNIST in six ranges: dense, convolutional and linear ones, with and without
BatchNormalization. In 0..255 the cross-entropy was smaller by up to 2.1 % for networks that were trained in 0..1, and
in 0..1 greater by 6.9 % at least for those that were trained in 0..255 (4.9 % on images that they had not seen)."""
CALIBRATED: Final = 0.1
"""Most of what a model's sureness in a wrong range adds to the cross-entropy that it may add in its own, if nothing
else tells them apart. Of those of the 40 that were trained in 0..1 it was 0.046 at most, with 0..255 as the other, and
0.24 for one that knew its images by heart, whose range `ALIKE` told."""
TOO_SURE: Final = 50.0
"""Quotient of the best temperatures in a wrong range and in a model's own from which the first is out of the question,
if nothing else tells the two apart. It was 205 to 258 for 0..255 and 0..1, and is 2 for -1..1 and
-0.5..0.5, between which nobody can tell: many models are twice as sure as they should be."""
MOST_TEMPERATURE: Final = 2.0**20
"""Largest divisor of logits, and its inverse the smallest."""
HALVINGS: Final = 40
"""Times to halve an interval of temperatures, in logarithms: more than float32 resolves."""
CLEARLY: Final = 4.0
"""Standard errors by which the mean cross-entropy of the better range is smaller."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighed:
    """What a model makes of labelled images in one range."""

    name: str
    right: npt.NDArray[np.bool_]
    """bool [N]: whether it is right about each image."""
    losses: npt.NDArray[np.float64]
    """float64 [N]: the cross-entropy of each image, in nats."""
    temperature: float
    """The divisor of logits that makes the model as sure as it should be."""
    tempered: npt.NDArray[np.float64]
    """float64 [N]: the cross-entropy of each image at that temperature."""

    @property
    def accuracy(self) -> float:
        """Share of the images that are right."""
        return float(self.right.mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(self.losses.mean())

    @property
    def excess(self) -> float:
        """What it costs that the model is too sure or not sure enough, in nats of the mean cross-entropy."""
        return self.loss - float(self.tempered.mean())

    def __str__(self) -> str:
        return f"{percent(self.accuracy, 1)} right, loss {self.loss:.2f}"

    def is_clearly_better(self, other: "Weighed") -> bool:
        """Return whether chance does not explain that the cross-entropy is smaller, and nothing contradicts.

        A greater accuracy of the other contradicts. At the best temperature of each, the cross-entropy has to be
        smaller by more than `ALIKE`: else this range may merely make up for how sure the model is. It need only not be
        greater where the model would be too sure by far in the other range, and is as sure as it should be in this one.
        All is paired: of the same images only differences count.
        """
        if not _by_more_than_chance(other.losses - self.losses) or other.is_more_accurate(self):
            return False
        if _by_more_than_chance(other.tempered - ALIKE * self.tempered):
            return True
        is_calibrated = self.excess <= CALIBRATED * other.excess
        is_too_sure = other.temperature >= TOO_SURE * self.temperature
        return is_calibrated and is_too_sure and _by_more_than_chance(ALIKE * other.tempered - self.tempered)

    def is_more_accurate(self, other: "Weighed") -> bool:
        """Return whether chance does not explain that more images are right (the sign test of McNemar 1947)."""
        fixed = int(np.count_nonzero(self.right & ~other.right))
        broken = int(np.count_nonzero(other.right & ~self.right))
        return fixed - broken > CLEARLY * math.sqrt(fixed + broken)


def _by_more_than_chance(gains: npt.NDArray[np.float64]) -> bool:
    return float(gains.mean()) > CLEARLY * float(gains.std()) / math.sqrt(len(gains))


def weigh(names: Iterable[str], answer: Callable[[str], Logits], labels: Labels) -> list[Weighed]:
    """Return what a model makes of images with `labels`, int64 [N], in each range, the smallest cross-entropy first.

    `answer` returns its logits, float [N, C], or logarithms of probabilities, in a range; one for which it raises
    ArtifactError is left out, since some layers refuse negative values, some refuse large ones, and not every quantized
    input can express them.
    """
    weighed = []
    for name in names:
        try:
            logits = answer(name).astype(np.float64)
        except ArtifactError:
            continue
        # What is not finite is as bad as can be.
        finite = np.isfinite(logits).all(axis=1)
        logits[~finite] = 0
        divisor = temperature(logits, labels, 1 / MOST_TEMPERATURE, MOST_TEMPERATURE)
        weighed.append(
            Weighed(
                name=name,
                right=finite & (logits.argmax(axis=1) == labels),
                losses=np.where(finite, np.minimum(_losses(logits, labels), MOST), MOST),
                temperature=divisor,
                tempered=_losses(logits / divisor, labels),
            )
        )
    return sorted(weighed, key=lambda one: one.loss)


def logarithms(probabilities: Probabilities) -> Logits:
    """Return the logarithms of probabilities, [N, C]; what was rounded to 0 counts as the smallest that was not."""
    logs: Logits = np.log(np.maximum(probabilities, probabilities[probabilities > 0].min(initial=1.0)))
    return logs


def _losses(logits: Logits, labels: Labels) -> npt.NDArray[np.float64]:
    logs = logits - logits.max(axis=1, keepdims=True)
    losses: npt.NDArray[np.float64] = np.log(np.exp(logs).sum(axis=1)) - logs[np.arange(len(labels)), labels]
    return losses


def temperature(logits: npt.NDArray[np.floating], labels: Labels, least: float, most: float) -> float:
    """Return the divisor of logits, [N, C], that gives labels, int64 [N], the least negative log-likelihood.

    That is temperature scaling (Guo et al., 2017). It is searched between `least` and `most`. In 1/T the likelihood is
    convex, and its slope is the mean over the images of what the probabilities expect the logit to be, less the logit
    of the label.
    """
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    right = values[np.arange(len(labels)), labels]

    def sharpens(at: float) -> bool:
        odds = np.exp(values / at)
        return bool(((odds * values).sum(axis=1) / odds.sum(axis=1)).mean() < right.mean())

    low, high = np.log(least), np.log(most)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if sharpens(float(np.exp(middle))) else (middle, high)
    return float(np.exp((low + high) / 2))
