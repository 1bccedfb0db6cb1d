"""What every runtime offers: uint8 images in, float32 probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images, Probabilities, as_pixels
from edgemnist.errors import ArtifactError
from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.arrays import Labels


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What a call with a single image consists of, for those who want to know where its time goes."""

    prepare: Callable[[Images], object]
    """Write an image, uint8 [1, 28, 28], to the model's input: scaling or quantization."""
    invoke: Callable[[], object]
    """Run the model."""
    finish: Callable[[], object]
    """Read the scores from the model's output: dequantization or a copy."""


CHUNK: Final = 1000
"""Images that a runtime gets at once: its memory does not grow with their number, and larger ones are no faster."""


class Classifier(ABC):
    """A model that is ready to answer, modeled on scikit-learn's classifiers.

    Scaling, quantization parameters, tensor names and batch resizing are the private business of each subclass, which
    reads them from the model file itself. Few files say how the pixels were scaled when the model was trained. Where
    neither the file nor the caller does, floating-point and quantized inputs are taken to mean 0 to 1. Unquantized
    integers are always taken to mean the pixels themselves.

    A classifier may be called from several threads.
    """

    classes_: Labels
    """int64 [C]: 0 to C-1, the meaning of each column of `predict_proba`."""
    labels: tuple[str, ...]
    """The name of each class, such as `0` to `9`."""
    most: int = CHUNK
    """Images that the model gets at once, where their number is free."""

    @classmethod
    @abstractmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> Classifier:
        """Read a model file.

        `threads` is how many the runtime may use for one call. `labels` names the classes; by default they are the
        ones stored in the file, or 0 to C-1. `input_range` is what a black pixel and a white one are to the model, one
        of `pixels.INPUT_RANGES`; by default the file's own, or 0..1.

        Raises ArtifactError where the file is missing, damaged, of another format than its name says, or does not map
        28×28 images to class scores, or if there are more or fewer labels than classes.
        """

    @abstractmethod
    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return the class probabilities, float32 [N, C], of images: uint8 [N, 28, 28], or what `as_images` accepts.

        The result is a new array. Each row adds up to 1, or to within a few steps of it where the model's output is
        quantized, since that output is not normalized again. Raises ValueError for anything that is not images. N may
        be 0.
        """

    def steps(self) -> Steps | None:
        """Return the steps of a call with a single image, or None where the runtime does not tell them apart."""
        return None

    def predict(self, images: npt.ArrayLike) -> Labels:
        """Return the most probable class, int64 [N]; it takes what `predict_proba` takes."""
        best: Labels = self.predict_proba(images).argmax(axis=1)
        return self.classes_.take(best)

    def predict_names(self, images: npt.ArrayLike) -> list[str]:
        """Return the name of the most probable class of each image; it takes what `predict_proba` takes."""
        return [self.labels[index] for index in self.predict(images)]


ROUNDING: Final = 1 / 256
"""Step of probabilities in 8 bits, which even a floating point output may have come through."""
SLACK: Final = 0.01
"""How far the probabilities of one image may be from adding up to 1 beside that: half precision errs by 0.002."""


BOUNDED_SCORES: Final = frozenset({"tanh", "hardtanh", "softsign"})
"""Functions onto -1 to 1: a softmax of ten such scores is never surer than 45 %, and they themselves are no shares."""


def _probes() -> Images:
    ramp = np.linspace(0, 255, IMAGE_SIDE).astype(np.uint8)
    across = np.broadcast_to(ramp, (IMAGE_SIDE, IMAGE_SIDE))
    return np.stack([np.zeros_like(across), np.full_like(across, 255), across, across.T, across ^ across.T])


PROBES: Final = _probes()
"""Pictures of nothing in particular, uint8 [5, 28, 28]."""


def are_probabilities(scores: npt.NDArray[Any]) -> bool:
    """Return whether every row of `scores` [N, C] is a distribution over the classes, each rounded to 8 bits at worst.

    Logits of several unlike pictures that all add up to 1 without a negative one among them do not happen, whereas a
    model's last operation may be anything: a softmax, a softmax followed by a conversion or a reshape, or one that a
    converter has taken apart.
    """
    slack = SLACK + ROUNDING * scores.shape[1]
    return bool(np.all(scores >= -ROUNDING) and np.all(np.abs(scores.sum(axis=1, dtype=np.float64) - 1) <= slack))


def are_sigmoids(scores: npt.NDArray[Any]) -> bool:
    """Return whether all `scores` [N, C] lie between 0 and 1: each class has a probability of its own.

    Logits of several unlike pictures are not all so.
    """
    return bool(np.all(scores >= -ROUNDING) and np.all(scores <= 1 + ROUNDING))


def are_bounded(scores: npt.NDArray[Any]) -> bool:
    """Return whether all `scores` [N, C] lie between -1 and 1, as those of a tanh do, and small logits."""
    return bool(np.all(np.abs(scores) <= 1 + ROUNDING))


def shares(scores: npt.NDArray[Any]) -> Probabilities:
    """Return the scores of each row, 0 to 1, divided by their sum, float32 [N, C]; evenly if all are 0."""
    values = np.maximum(scores.astype(np.float32), 0)
    totals = values.sum(axis=1, keepdims=True)
    even = np.full_like(values, 1 / values.shape[1])
    result: Probabilities = np.divide(values, totals, out=even, where=totals != 0)
    return result


def softmax(logits: npt.NDArray[Any]) -> Probabilities:
    """Return exp(x) / Σ exp(x) of each row, float32 [N, C]."""
    # A broken model may answer with infinities: that is for the verification to notice, not for a warning.
    with np.errstate(invalid="ignore"):
        powers: Probabilities = np.exp(logits.astype(np.float32) - logits.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
    return powers


def check_answers(probabilities: Probabilities) -> Probabilities:
    """Return probabilities, float32 [N, C]. Raises ArtifactError if some are not finite: those are no answer."""
    if not np.isfinite(probabilities).all():
        raise ArtifactError(
            "The model answers a picture with numbers that are not finite",
            hint="Compare it with its reference: edgemnist verify",
        )
    return probabilities


SINGLE: Final = (1, IMAGE_SIDE, IMAGE_SIDE)
INPUT_SHAPES: Final = (
    (IMAGE_SIDE, IMAGE_SIDE),
    (IMAGE_SIDE, IMAGE_SIDE, 1),
    (1, IMAGE_SIDE, IMAGE_SIDE),
    (IMAGE_SIDE * IMAGE_SIDE,),
)
"""Of one image, as models take it: all of them are the same pixels in the same order."""
_SHAPES: Final = frozenset({(IMAGE_SIDE, IMAGE_SIDE), (IMAGE_SIDE, IMAGE_SIDE, 1), (IMAGE_SIDE * IMAGE_SIDE,)})
"""Of one of several images, as users have them."""
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
    """Whether the scores have to be turned into probabilities, by `_probabilities`."""
    _probabilities: Callable[[npt.NDArray[Any]], Probabilities]

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return the class probabilities; see `Classifier.predict_proba`."""
        # One image is what boards are asked for: it is checked in 0.1 µs, and on its way.
        if type(images) is _ARRAY and images.shape == SINGLE and images.dtype is UINT8:
            one = self._one
            if one is not None and not self._has_logits:
                return one(images)
        images = as_images(images)
        answers = np.empty((len(images), len(self.classes_)), dtype=np.float32)
        size = self._batch or self.most
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
        return self._probabilities(scores) if self._has_logits else scores

    def _set_up(
        self,
        path: Path,
        labels: Sequence[str] | None,
        scores: Probabilities | None = None,
        *,
        model: bytes | None = None,
    ) -> None:
        """Find out how many classes the model has, and whether it answers with probabilities, sigmoids or logits.

        `scores` are its answers to `PROBES`, where they are known, and `model` the contents of a TFLite or ONNX file.
        Raises ArtifactError for scores that are none of these.
        """
        if self._batch == 0:
            raise not_a_classifier(path, "it takes 0 images at a time")
        if scores is None:
            scores = np.concatenate([self._answer(PROBES[index : index + 1]) for index in range(len(PROBES))])
        if scores.ndim != 2 or scores.shape[1] < 2 or len(scores) != len(PROBES):  # noqa: PLR2004 - rows and columns
            raise not_a_classifier(path, f"its answer to {len(PROBES)} images is an array of {list(scores.shape)}")
        # What has no finite answer to a black picture, such as a network that divides by its norm, still has others.
        told = scores[np.isfinite(scores).all(axis=1)]
        if model is not None and are_bounded(told) and not are_sigmoids(told):
            _refuse_bounded(path, model)
        self._probabilities = shares if are_sigmoids(told) else softmax
        self._has_logits = not are_probabilities(told)
        classes = scores.shape[1]
        if labels is not None and len(labels) != classes:
            raise ArtifactError(
                f"{path} answers with {count(classes, 'score')}, but there are {count(len(labels), 'label')}"
            )
        self.classes_ = np.arange(classes, dtype=np.int64)
        self.labels = tuple(labels) if labels is not None else tuple(str(index) for index in range(classes))


def _refuse_bounded(path: Path, model: bytes) -> None:
    # Only where the scores ask for it: to read a file takes longer than most calls.
    from edgemnist.runtimes.pixels import last_operation

    if (last := last_operation(model)) in BOUNDED_SCORES:
        raise ArtifactError(
            f"{path} ends with {last}: its answers are neither probabilities nor logits, so they do not "
            "tell how sure it is",
            hint="End the model with softmax or sigmoid, or with no such function, and convert it again.",
        )


def as_images(images: npt.ArrayLike) -> Images:
    """Return images as the runtimes take them, uint8 [N, 28, 28], white on black.

    It takes an array or nested lists, of one image [28, 28], of several [N, 28, 28] or [N, 28, 28, 1], or of their
    pixels in a row [N, 784], and lists of images. `as_pixels` decides what the numbers of a call mean.

    Raises ValueError for any other shape, and as `as_pixels` does.
    """
    try:
        found = np.asarray(images)
    except ValueError as error:
        raise ValueError(f"the images must all be of one shape: {error}") from None
    if found.dtype.kind in "OSU":
        raise ValueError(f"pixels must be numbers, not {type(images).__name__}; edgemnist.prepare() takes a picture")
    shape = found.shape
    if shape in _SHAPES or found.shape[1:] in _SHAPES:
        found = found.reshape(-1, *SINGLE[1:]) if found.size else np.empty(SINGLE, found.dtype)[:0]
    elif not found.size and found.ndim == 1:
        return np.empty(SINGLE, np.uint8)[:0]
    else:
        raise ValueError(f"images must be [28, 28], [N, 28, 28], [N, 28, 28, 1] or [N, 784], not {list(shape)}")
    return as_pixels(found)


def first_line(error: Exception) -> str:
    """Return the first line of a runtime's message."""
    return str(error).strip().split("\n", 1)[0]


def not_a_classifier(path: Path, reason: str) -> ArtifactError:
    """Return the error for a model that does anything but classify 28×28 images."""
    return ArtifactError(
        f"{path} does not map 28×28 images to class scores: {reason}",
        hint="It must take one tensor [N, 28, 28], or the same pixels as [N, 28, 28, 1], [N, 1, 28, 28] or [N, 784], "
        "and answer with one [N, classes].",
    )
