"""What an answer consists of: bytes in memory in, a result out. No HTTP, no event loop."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from PIL import Image

from edgemnist.errors import ImageError
from edgemnist.images import normalize_digit
from edgemnist.images.decode import FORMATS, decode_image
from edgemnist.predict import Sourced, tell
from edgemnist.read.config import ReadConfig
from edgemnist.read.page import read_page
from edgemnist.read.results import ReadResult
from edgemnist.serve.faults import too_large
from edgemnist.serve.results import Comparison, PredictResponse, PredictTimes
from edgemnist.serve.shelf import Loaded

if TYPE_CHECKING:
    from edgemnist.images.normalize import Normalized
    from edgemnist.results import Prediction

SMALL_PIXELS: Final = 2**17
"""Of a picture that is answered within a few milliseconds: sooner than a thread could be found for it."""
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


def predict(job: PredictJob, artifacts: Sequence[Loaded], observe: Observe) -> PredictResponse:
    """Answer for pictures with one artifact, and let the others be compared with it.

    Raises ImageError for a picture that cannot be read as a digit.
    """
    started = perf_counter()
    images = [decode_image(io.BytesIO(data), name) for data, name in zip(job.pictures, job.names, strict=True)]
    decoded = perf_counter()
    found = [_normalized(image, name) for image, name in zip(images, job.names, strict=True)]
    sourced = [
        Sourced(source=name, image=one.image, inverted=one.inverted) for one, name in zip(found, job.names, strict=True)
    ]
    normalized = perf_counter()
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
    observe("decode", decoded - started)
    observe("normalize", normalized - decoded)
    observe("classify", seconds)
    return PredictResponse(
        artifact=first.name,
        runtime=first.runtime,
        labels=list(first.classifier.labels),
        predictions=predictions,
        microseconds=PredictTimes(
            decode=(decoded - started) * 1e6, normalize=(normalized - decoded) * 1e6, classify=seconds * 1e6
        ),
        compared=compared,
    )


def read(picture: bytes, name: str, artifact: Loaded, config: ReadConfig, observe: Observe) -> ReadResult:
    """Read a page. Raises ImageError where it cannot be read, and MissingDependencyError where OpenCV is missing."""
    started = perf_counter()
    image = decode_image(io.BytesIO(picture), name)
    decoded = perf_counter()
    result = read_page(image, artifact.classifier, config)
    observe("decode", decoded - started)
    for stage in ("find", "normalize", "classify", "arrange"):
        observe(stage, getattr(result.milliseconds, stage) / 1e3)
    return msgspec.structs.replace(result, source=name, artifact=artifact.name, runtime=artifact.runtime)


def count_pixels(pictures: Sequence[bytes], limit: int) -> int:
    """Return how many pixels pictures have by their headers, 0 for one that has none; nothing is decoded.

    Raises RefusedError where they are more than `limit`.
    """
    pixels = 0
    for picture in pictures:
        try:
            with Image.open(io.BytesIO(picture), formats=FORMATS) as image:
                pixels += image.width * image.height
        # The warning is an error where Python was told so.
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            pixels = limit + 1
        except Exception:  # noqa: BLE001, S112 - what is wrong with it is told by whoever decodes it
            continue
        if pixels > limit:
            raise too_large(
                f"The request has more than {limit:,} pixels, which is the limit", "Scale the picture down, or crop it."
            )
    return pixels


def _normalized(image: Image.Image, name: str) -> Normalized:
    try:
        return normalize_digit(image)
    except ImageError as error:
        raise ImageError(f"{name} cannot be read as a digit: {error.message}", hint=error.hint) from error


def _timed(artifact: Loaded, sourced: Sequence[Sourced], *, show: bool) -> tuple[list[Prediction], float]:
    """Return the predictions of an artifact, and the seconds that its runtime took for them."""
    if not sourced:
        return [], 0.0
    stack = np.stack([one.image for one in sourced])
    started = perf_counter()
    probabilities = artifact.classifier.predict_proba(stack)
    took = perf_counter() - started
    return tell(artifact.classifier, sourced, probabilities, show=show), took
