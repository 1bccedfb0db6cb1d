"""Counts as tests need them."""

import functools
import itertools

import numpy as np

from edgemnist.field.drift import Record
from edgemnist.field.drift.monitor import Tally, no_counts
from edgemnist.ground.arrays import Images
from edgemnist.model.answers import Answer
from edgemnist.model.exports import REFERENCE, Exports

FIRST_DAY, LAST_DAY = "2026-11-01T08:00:00.000Z", "2026-11-08T09:00:00.000Z"


@functools.cache
def images() -> Images:
    """Return the images of the reference's golden pack, uint8 [1000, 28, 28], in no order."""
    found = Exports.open(REFERENCE).read_golden().images
    return found[np.random.default_rng(0).permutation(len(found))]


@functools.cache
def answering() -> Record:
    """Return the record of the reference model before it has answered anything."""
    exports = Exports.open(REFERENCE)
    model = exports.model("tflite-int8@integer")
    return no_counts(model, model.load(), exports, None)


def after_a_week(count: int = 600) -> Tally:
    """Return a tally of sure answers to this many images, with a first week that is complete."""
    tally = Tally(answering())
    add(tally, images()[: count // 2], FIRST_DAY)
    add(tally, images()[count // 2 : count], LAST_DAY)
    return tally


def add(tally: Tally, some: Images, at: str = LAST_DAY, *, confidence: float = 0.99) -> None:
    """Count images that were answered with one class after the other, equally surely."""
    for number, one in enumerate(some):
        tally.add(one[None], [confidence], [number % 10], at)


def answers(images_: Images, confidence: float, *classes: int) -> list[Answer]:
    """Return answers to images, of each class in turn; -1 stands for a refusal."""
    every = zip(images_, itertools.cycle(classes), strict=False)
    return [
        Answer(image=image, source="", index=one, label=None, confidence=confidence, probability=confidence)
        for image, one in every
    ]


def bolder(some: Images) -> Images:
    """Return images with thicker strokes, uint8 [N, 28, 28]."""
    return np.maximum(some, np.maximum(np.roll(some, 1, axis=1), np.roll(some, 1, axis=2)))
