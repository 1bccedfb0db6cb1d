"""What the runtimes have in common: checked input, many images in pieces, and logits turned into probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.runtimes.interface import Classifier
from edgemnist.runtimes.scores import PROBES, are_probabilities, softmax

CHUNK: Final = 1000
"""Images that a runtime gets at once: its memory does not grow with their number, and larger ones are no faster."""
SINGLE: Final = (1, IMAGE_SIDE, IMAGE_SIDE)
INPUT_SHAPES: Final = (
    (IMAGE_SIDE, IMAGE_SIDE),
    (IMAGE_SIDE, IMAGE_SIDE, 1),
    (1, IMAGE_SIDE, IMAGE_SIDE),
    (IMAGE_SIDE * IMAGE_SIDE,),
)
"""Of one image, as models take it: all of them are the same pixels in the same order."""
UINT8: Final = np.dtype(np.uint8)
_ARRAY: Final = np.ndarray


class ChunkedClassifier(Classifier):
    """A classifier that is fed a limited number of images at a time.

    A subclass implements `_scores`, sets `_batch` where the model takes a fixed number of images only, and then calls
    `_set_up`. It may set `_one` before or after that.
    """

    _batch: int | None = None
    """The number of images that the model takes at once; None where that is free."""
    _one: Callable[[Images], Probabilities] | None = None
    """Answers one proper image as `_scores` does, where the runtime has a faster way for that."""
    _has_logits = False

    def predict_proba(self, images: Images) -> Probabilities:
        """Return the class probabilities; see `Classifier.predict_proba`."""
        # One image is what boards are asked for: it is checked in 0.1 µs, and on its way.
        if type(images) is _ARRAY and images.shape == SINGLE and images.dtype is UINT8:
            one = self._one
            if one is not None and not self._has_logits:
                return one(images)
        check_images(images)
        answers = np.empty((len(images), len(self.classes_)), dtype=np.float32)
        size = self._batch or CHUNK
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            answers[start : start + size] = self._answer(chunk)
        return answers

    @abstractmethod
    def _scores(self, images: Images) -> Probabilities:
        """Return what the model answers, a new float32 [N, C], to 1 to CHUNK images, or exactly `_batch` of them."""

    def _answer(self, images: Images) -> Probabilities:
        missing = 0 if self._batch is None else self._batch - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)])
        scores = self._one(images) if self._one is not None and len(images) == 1 else self._scores(images)
        if missing:
            scores = scores[:-missing]
        return softmax(scores) if self._has_logits else scores

    def _set_up(self, path: Path, labels: Sequence[str] | None) -> None:
        """Find out how many classes the model has, and whether it answers with probabilities or logits."""
        scores = np.concatenate([self._answer(PROBES[index : index + 1]) for index in range(len(PROBES))])
        if scores.ndim != 2 or scores.shape[1] < 2 or len(scores) != len(PROBES):  # noqa: PLR2004 - rows and columns
            raise not_a_classifier(path, f"its answer to {len(PROBES)} images is an array of {list(scores.shape)}")
        self._has_logits = not are_probabilities(scores)
        classes = scores.shape[1]
        if labels is not None and len(labels) != classes:
            raise ArtifactError(f"{path} answers with {classes} scores, and there are {len(labels)} labels")
        self.classes_ = np.arange(classes, dtype=np.int64)
        self.labels = tuple(labels) if labels is not None else tuple(str(index) for index in range(classes))


def check_images(images: Images) -> None:
    """Raise ValueError for anything but uint8 [N, 28, 28]."""
    if not isinstance(images, np.ndarray):
        raise ValueError(f"images must be a NumPy array, not {type(images).__name__}")  # noqa: TRY004 - one kind for all
    if images.dtype != UINT8 or images.shape[1:] != SINGLE[1:]:
        raise ValueError(f"images must be uint8 [N, 28, 28], not {images.dtype} {list(images.shape)}")


def not_a_classifier(path: Path, reason: str) -> ArtifactError:
    """Return the error for a model that does something else than classify 28×28 images."""
    return ArtifactError(
        f"{path} does not map 28×28 images to class scores: {reason}",
        hint="It takes one tensor of [N, 28, 28], or the same pixels as [N, 28, 28, 1], [N, 1, 28, 28] or [N, 784], "
        "and answers with one of [N, classes].",
    )
