"""Checks for what can be wrong with the data or the fit of a training, before time is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.arrays import Images
from edgemnist.data.dataset import Dataset, Split, stratified_indices
from edgemnist.errors import ImageError, TrainingError
from edgemnist.formatting import percent
from edgemnist.images import normalize_digit
from edgemnist.progress import Reporter
from edgemnist.results.pipeline import Epoch

EARLIEST_STEPS = 25
"""Steps after which a working training is beyond guessing: the classic is at 70 % after 25 batches of MNIST."""
LEAST_PROGRESS = 0.1
"""Share of the way from guessing to knowing: wrong labels are learned by heart, but not that fast."""


def check_learnable(dataset: Dataset, batch_size: int) -> None:
    """Raise TrainingError if the images teach nothing, or if nobody could tell what was learned."""
    train, test = dataset.train, dataset.test
    present = {name: set(np.unique(split.labels).tolist()) for name, split in (("training", train), ("test", test))}
    for name, indices in present.items():
        if not indices:
            raise TrainingError(f"The data set has no {name} images", hint="List its images with: edgemnist data")
    if len(present["training"]) == 1:
        (only,) = present["training"]
        raise TrainingError(
            f"All {len(train):,} training images are of one class, {dataset.labels[only]!r}",
            hint="A classifier needs at least two classes.",
        )
    for name, other in (("training", "test"), ("test", "training")):
        if missing := sorted(present[other] - present[name]):
            raise TrainingError(
                f"The {name} images lack classes that the {other} images have: "
                f"{', '.join(dataset.labels[index] for index in missing)}",
                hint="Put images of every class into both splits, or leave those classes out.",
            )
    for name, split in (("training", train), ("test", test)):
        # A single test image is like itself, and tells something.
        if len(split) > 1 and (split.images == split.images[0]).all():
            raise TrainingError(
                f"All {len(split):,} {name} images are the same, pixel for pixel",
                hint="Look at them with: edgemnist data --sheet digits.png",
            )
    if len(train) < batch_size:
        raise TrainingError(
            f"The training images do not fill one batch: {len(train):,} of {batch_size:,}",
            hint=f"Add images, or make smaller batches with: edgemnist train --batch-size {max(1, len(train) // 8)}",
        )


def question_progress(epoch: Epoch, train: Split, batch_size: int, reporter: Reporter) -> None:
    """Warn once, after an early epoch, if a training does hardly better than guessing."""
    if epoch.epoch != ceil(EARLIEST_STEPS / ceil(len(train) / batch_size)):
        return
    # Always answering the most frequent class is right that often.
    guessing = float(np.bincount(train.labels).max() / len(train))
    if epoch.accuracy < guessing + LEAST_PROGRESS * (1 - guessing):
        reporter.notice(
            f"After epoch {epoch.epoch} the accuracy is {percent(epoch.accuracy, 1)}, and guessing gives "
            f"{percent(guessing, 1)}: are the labels right? Ctrl-C stops the training."
        )


ANGLE: Final = 10
"""Degrees, either way."""
SHIFT: Final = 2
"""Pixels, along each axis."""
SIGMA: Final = 0.1
"""Standard deviation of the noise, of pixels in 0..1."""
SEED: Final = 0
INVERTED: Final = 1_000
"""Images, evenly of each class, that are photographed: finding the digit takes a millisecond each."""
PAPER, INK, ENLARGED = 225, 40, 4
"""Of such a photograph: grey of its ground, grey of its strokes, and how many pixels it has for one of MNIST's."""


def conditions(test: Split) -> Iterator[tuple[str, Split]]:
    """Yield the test images under each condition, by name, as images of the same kind, uint8 [N, 28, 28]."""
    from scipy import ndimage

    images = test.images
    for angle in (-ANGLE, ANGLE):
        turned = [Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR) for image in images]
        yield f"rotated by {angle:+}°", Split(np.stack([np.asarray(image) for image in turned]), test.labels)
    for y, x in ((-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT), (SHIFT, SHIFT)):
        yield f"shifted by {x:+}, {y:+} px", Split(ndimage.shift(images, (0, y, x), order=0), test.labels)
    # The brightest, or darkest, of each 2×2 pixels: strokes a pixel thicker or thinner, as far as there are.
    for words, extreme in (("thicker", ndimage.maximum_filter), ("thinner", ndimage.minimum_filter)):
        yield f"{words} strokes", Split(extreme(images, (1, 2, 2), mode="constant"), test.labels)
    noise = np.random.default_rng(SEED).normal(0, 255 * SIGMA, images.shape)
    yield f"noise, σ {SIGMA}", Split(_pixels(images + noise), test.labels)
    chosen = stratified_indices(test.labels, min(INVERTED, len(test)), SEED)
    inverted = np.stack([_read_from_paper(image) for image in images[chosen]])
    yield f"dark on light, normalized ({len(chosen):,} images)", Split(inverted, test.labels[chosen])


def _read_from_paper(image: npt.NDArray[np.uint8]) -> Images:
    """Return what `predict` makes of a photograph of the digit, dark ink on light paper."""
    large = Image.fromarray(image).resize([side * ENLARGED for side in image.shape[::-1]], Image.Resampling.BICUBIC)
    paper = PAPER - np.asarray(large, np.float64) / 255 * (PAPER - INK)
    try:
        return normalize_digit(Image.fromarray(_pixels(paper))).image
    except ImageError:
        # Nothing was found on it, which is a wrong answer for every class but one.
        return np.zeros_like(image)


def _pixels(values: npt.NDArray[np.float64]) -> Images:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
