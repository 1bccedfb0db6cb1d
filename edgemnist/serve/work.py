"""What an answer consists of: bytes in memory in, a result out. No HTTP, no event loop."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edgemnist.errors import ImageError
from edgemnist.images import normalize_digit
from edgemnist.images.decode import decode_image
from edgemnist.predict.run import Sourced, tell
from edgemnist.read.config import ReadConfig
from edgemnist.read.page import read_page
from edgemnist.results.pictures import ReadResult
from edgemnist.results.serve import Comparison, PredictResponse, PredictTimes
from edgemnist.serve.models import LoadedModel

if TYPE_CHECKING:
    from PIL import Image

    from edgemnist.images.normalize import Normalized
    from edgemnist.results.pictures import Prediction

READING_BYTES: Final = 24
"""Of memory, for each pixel of a page as it is read; measured."""
Observe = Callable[[str, float], None]
"""Takes the name of a stage and its seconds."""


@dataclass(frozen=True, kw_only=True)
class PredictJob:
    """A request for `predict`."""

    pictures: Sequence[bytes]
    """Picture files."""
    names: Sequence[str]
    """What messages call them."""
    show: bool
    """Whether the answer has the 28×28 pixels that the model was given."""


def predict(job: PredictJob, artifacts: Sequence[LoadedModel], observe: Observe) -> PredictResponse:
    """Answer for pictures with one artifact, and let the others be compared with it.

    Raises ImageError for a picture that cannot be read as a digit.
    """
    decoding = normalizing = 0.0
    sourced: list[Sourced] = []
    # One after the other, so that only one is in memory.
    for data, name in zip(job.pictures, job.names, strict=True):
        started = perf_counter()
        image = decode_image(io.BytesIO(data), name)
        decoded = perf_counter()
        found = _normalized(image, name)
        sourced.append(Sourced(source=name, image=found.image, inverted=found.inverted))
        decoding += decoded - started
        normalizing += perf_counter() - decoded
    first, *others = artifacts
    predictions, seconds = _timed(first, sourced, show=job.show)
    compared = []
    for other in others:
        theirs, took = _timed(other, sourced, show=False)
        agrees = [one.digit for one in theirs] == [one.digit for one in predictions]
        compared.append(
            Comparison(
                artifact=other.name, runtime=other.runtime, agrees=agrees, predictions=theirs, microseconds=took * 1e6
            )
        )
    observe("decode", decoding)
    observe("normalize", normalizing)
    observe("classify", seconds)
    return PredictResponse(
        artifact=first.name,
        runtime=first.runtime,
        labels=list(first.classifier.labels),
        predictions=predictions,
        microseconds=PredictTimes(decode=decoding * 1e6, normalize=normalizing * 1e6, classify=seconds * 1e6),
        compared=compared,
    )


def read(picture: bytes, name: str, artifact: LoadedModel, config: ReadConfig, observe: Observe) -> ReadResult:
    """Read a page. Raises ImageError where it cannot be read, and MissingDependencyError where OpenCV is missing."""
    result = read_page(_decoded(picture, name, observe), artifact.classifier, config)
    for stage in ("find", "normalize", "classify", "arrange"):
        observe(stage, getattr(result.milliseconds, stage) / 1e3)
    return msgspec.structs.replace(result, source=name, artifact=artifact.name, runtime=artifact.runtime)


def _decoded(picture: bytes, name: str, observe: Observe) -> Image.Image:
    started = perf_counter()
    image = decode_image(io.BytesIO(picture), name)
    observe("decode", perf_counter() - started)
    return image


def _normalized(image: Image.Image, name: str) -> Normalized:
    try:
        return normalize_digit(image)
    except ImageError as error:
        raise ImageError(f"{name} cannot be read as a digit: {error.message}", hint=error.hint) from error


def _timed(artifact: LoadedModel, sourced: Sequence[Sourced], *, show: bool) -> tuple[list[Prediction], float]:
    """Return the predictions of an artifact, and the seconds that its runtime took for them."""
    if not sourced:
        return [], 0.0
    stack = np.stack([one.image for one in sourced])
    started = perf_counter()
    probabilities = artifact.classifier.predict_proba(stack)
    took = perf_counter() - started
    return tell(artifact.classifier, sourced, probabilities, show=show), took
