"""What a classifier answers: to one image at a time, and to many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.golden import Golden
from edgemnist.progress import Task
from edgemnist.runtimes.interface import Classifier

BATCH_SIZE = 1000
"""Images a batch: large enough for every runtime's large-batch kernels, and 3 MB as float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Probabilities for the same images, both ways."""

    single: Probabilities
    """float32 [N, C], one image a call."""
    batched: Probabilities
    """float32 [N, C], `BATCH_SIZE` images a call."""


def ask(classifier: Classifier, golden: Golden, task: Task) -> Answers:
    """Return what `classifier` answers to every image; `task` counts images."""
    shape = len(golden.labels), len(classifier.classes_)
    answers = Answers(single=np.empty(shape, np.float32), batched=np.empty(shape, np.float32))
    done = 0
    for batch in golden.batches(BATCH_SIZE):
        place = slice(done, done := done + len(batch))
        answers.single[place] = ask_one_at_a_time(classifier, batch)
        answers.batched[place] = classifier.predict_proba(batch)
        task.update(done)
    return answers


def ask_one_at_a_time(classifier: Classifier, images: Images) -> Probabilities:
    """Return what `classifier` answers to images, uint8 [N, 28, 28], one a call: float32 [N, C]."""
    answers = np.empty((len(images), len(classifier.classes_)), dtype=np.float32)
    for index in range(len(images)):
        answers[index] = classifier.predict_proba(images[index : index + 1])[0]
    return answers


def no_answers(images: int, classes: int) -> Answers:
    """Return the answers of a classifier that has none: not a number, everywhere."""
    nothing = np.full((images, classes), np.nan, dtype=np.float32)
    return Answers(single=nothing, batched=nothing)
