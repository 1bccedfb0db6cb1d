"""What can be wrong with the data or the course of a training, told before time is spent on it."""

from __future__ import annotations

from math import ceil

import numpy as np

from edgemnist.data.interface import Dataset, Split
from edgemnist.errors import TrainingError
from edgemnist.progress import Reporter
from edgemnist.results import Epoch

EARLIEST_STEPS = 25
"""Steps after which a working training is beyond guessing: the classic is at 70 % after 25 batches of MNIST."""
LEAST_PROGRESS = 0.1
"""Share of the way from guessing to knowing: wrong labels are learned by heart, but not that fast."""


def check_learnable(dataset: Dataset, batch_size: int) -> None:
    """Raise TrainingError where there is nothing to learn from the images, or no way to tell whether it was learned."""
    train, test = dataset.train, dataset.test
    present = {name: set(np.unique(split.labels).tolist()) for name, split in (("training", train), ("test", test))}
    for name, indices in present.items():
        if not indices:
            raise TrainingError(f"There are no {name} images", hint="See what there is with: edgemnist data")
    if len(present["training"]) == 1:
        (only,) = present["training"]
        raise TrainingError(
            f"All {len(train):,} training images are of one class, {dataset.labels[only]!r}",
            hint="A classifier needs two classes at least.",
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
            f"There are {len(train):,} training images, fewer than one batch of {batch_size:,}",
            hint=f"Add images, or make smaller batches with: edgemnist train --batch-size {max(1, len(train) // 8)}",
        )


class ChanceWatch:
    """Tells once, early, where a training does hardly better than guessing."""

    def __init__(self, train: Split, batch_size: int, reporter: Reporter) -> None:
        # Always answering the most frequent class is right that often.
        self._guessing = float(np.bincount(train.labels).max() / len(train))
        self._judged_at = ceil(EARLIEST_STEPS / ceil(len(train) / batch_size))
        self._reporter = reporter

    def see(self, epoch: Epoch) -> None:
        """Look at an epoch."""
        least = self._guessing + LEAST_PROGRESS * (1 - self._guessing)
        if epoch.epoch == self._judged_at and epoch.accuracy < least:
            self._reporter.notice(
                f"After epoch {epoch.epoch} the accuracy is {epoch.accuracy:.1%}, and guessing gives "
                f"{self._guessing:.1%}: are the labels right? Ctrl-C stops the training"
            )
