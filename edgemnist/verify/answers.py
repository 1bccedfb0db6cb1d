"""What a classifier answers: to one image at a time, and to many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.progress import Task
from edgemnist.runtimes.interface import Classifier

BATCH_SIZE = 1000
"""Images a batch: large enough for every runtime's large-batch kernels, and 3 MB as float32."""
TOLD_EVERY = 500
"""Images between two steps of the progress."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Probabilities for the same images, both ways."""

    single: Probabilities
    """float32 [N, C], one image a call."""
    batched: Probabilities
    """float32 [N, C], `BATCH_SIZE` images a call."""


def ask(classifier: Classifier, images: Images, task: Task) -> Answers:
    """Return what `classifier` answers to every image, uint8 [N, 28, 28]; `task` counts images."""
    shape = len(images), len(classifier.classes_)
    single = np.empty(shape, dtype=np.float32)
    for index in range(len(images)):
        single[index] = classifier.predict_proba(images[index : index + 1])[0]
        if index % TOLD_EVERY == 0:
            task.update(index)
    batched = np.empty(shape, dtype=np.float32)
    for start in range(0, len(images), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        batched[batch] = classifier.predict_proba(images[batch])
    return Answers(single=single, batched=batched)


def no_answers(images: int, classes: int) -> Answers:
    """Return the answers of a classifier that has none: not a number, everywhere."""
    nothing = np.full((images, classes), np.nan, dtype=np.float32)
    return Answers(single=nothing, batched=nothing)
