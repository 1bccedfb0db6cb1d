"""Samples as tests need them."""

from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.field.samples import DOUBTFUL, Sample, now
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.arrays import Images


def image_of(digit: int) -> Images:
    """Return an image that is told from others by its digit, uint8 [28, 28]."""
    return np.random.default_rng(digit).integers(0, 256, (28, 28), np.uint8)


def sample_of(digit: int, **fields: Any) -> Sample:
    """Return a sample that was answered with its digit; `image` is uint8 [28, 28], `labels` all that was said."""
    usual: dict[str, Any] = {
        "image": image_of(digit),
        "labels": (),
        "at": now(),
        "source": "camera",
        "artifact": "tflite-int8",
        "answer": str(digit),
        "confidence": 0.5,
        "reason": DOUBTFUL,
    }
    given = {**usual, **fields}
    return Sample(pixels=given.pop("image").tobytes(), rows=given.pop("labels"), **given)


def stored(directory: Path) -> list[Sample]:
    with SampleStore.open(directory) as store:
        return store.samples()
