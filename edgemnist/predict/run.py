"""Pictures in, digits out."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from msgspec import structs

from edgemnist.arrays import Images, Probabilities, as_digit
from edgemnist.errors import ImageError, UsageError
from edgemnist.exports import Exports, model_for
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.pictures import DIGIT, DIGITS, Prediction, PredictResult
from edgemnist.runtimes.interface import Classifier, check_answers

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.predict.refusal import Assessment
    from edgemnist.samples.collector import CollectConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """One image on its way to the model."""

    source: str
    image: Images
    """uint8 [28, 28], white digit on black: what the model is given."""
    inverted: bool = False
    label: int | None = None
    """The true class, where it is known."""
    assessment: Assessment | None = None
    """Whether it is a digit at all, where that was asked."""


def predict_sources(
    exports: Exports | None,
    pictures: Sequence[Path],
    indices: Sequence[int],
    *,
    artifact: str | None = None,
    threads: int = 1,
    show: bool = False,
    collect: CollectConfig | None = None,
    reporter: Reporter = SILENT,
) -> PredictResult:
    """Answer for picture files and for evaluation images of the golden pack, in that order.

    A directory stands for the pictures in it, and `-` for a picture on standard input. Of several pictures those that
    cannot be read are told in a notice, and the others are answered; `unread` has those of them that were named.

    `artifact` is `NAME[@RUNTIME]` or a model file; by default the best model answers, see `Exports.best`. `exports` may
    be None where a model file answers for pictures. With `show`, each prediction carries the image that the model was
    given. With `collect`, pictures that are worth a look are kept as samples.

    Raises ImageError if none can be read, or a directory has none, UsageError where no picture is named, and what
    `Exports.model` raises.
    """
    if not pictures and not indices:
        raise UsageError("No picture is named", hint="Name a picture, or an evaluation image with --index N.")
    model, labels = model_for(exports, artifact, reporter)
    classifier = model.load(threads=threads, labels=labels)
    digits = tuple(classifier.labels) == DIGITS
    golden = _golden_images(exports, indices)
    opened, unread = _each(pictures, functools.partial(_open_picture, digits=digits), reporter)
    sourced = [*opened, *golden]
    probabilities = classifier.predict_proba(np.stack([one.image for one in sourced]))
    predictions = tell(classifier, sourced, probabilities, show=show)
    if collect is not None:
        from edgemnist.agent.store import release_of

        release = None if exports is None else release_of(exports.directory)
        with collect.open(artifact=model.name, release=release, patient=True, reporter=reporter) as collector:
            for one, prediction in zip(sourced, predictions, strict=True):
                # Evaluation images were not met in the field, and must not be learnt from.
                if one.label is None:
                    collector.offer(
                        one.image,
                        source=one.source,
                        answer=str(prediction.digit) if prediction.verdict in {None, DIGIT} else None,
                        confidence=prediction.confidence,
                    )
    return PredictResult(
        artifact=model.name,
        runtime=model.runtime,
        labels=list(classifier.labels),
        predictions=predictions,
        unread=unread,
    )


def predict_on(
    target: BoardAddress, pictures: Sequence[Path], words: Sequence[str], reporter: Reporter = SILENT
) -> PredictResult:
    """Answer on a board for pictures that are here, as `predict_sources` does; `words` are the command's others.

    Raises ImageError if none can be read here, and DeployError if none is answered there.
    """
    from edgemnist.deploy.remote import predict_pictures_on
    from edgemnist.images.decode import picture_name

    sent, unread = _each(pictures, _read_picture, reporter)
    result = predict_pictures_on(target, sent, words)
    for why in result.unread:
        reporter.notice(why)
    named = tuple(f"{picture_name(picture)} " for picture in pictures)
    return structs.replace(result, unread=[*unread, *(why for why in result.unread if why.startswith(named))])


def tell(
    classifier: Classifier, sourced: Sequence[Sourced], probabilities: Probabilities, *, show: bool = False
) -> list[Prediction]:
    """Return what a classifier's probabilities, float32 [N, C], say about each image, which `show` makes part of it.

    Raises ArtifactError if some are not finite.
    """
    return [
        Prediction(
            source=one.source,
            digit=as_digit(classifier.labels[int(row.argmax())]),
            confidence=float(row.max()),
            probabilities=[float(value) for value in row],
            inverted=one.inverted,
            label=None if one.label is None else as_digit(classifier.labels[one.label]),
            image=one.image.tolist() if show else None,
            verdict=None if one.assessment is None else _verdict(one.assessment, row),
        )
        for one, row in zip(sourced, check_answers(probabilities), strict=True)
    ]


def expanded(source: Path) -> list[Path]:
    """Return the picture files of a directory by name, or the only one that is named.

    Raises ImageError where a directory has none, or cannot be read.
    """
    if not os.path.isdir(source):  # noqa: PTH112 - unlike `Path.is_dir`, it says no where it cannot look
        return [source]
    from edgemnist.images.decode import SUFFIXES

    try:
        found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise ImageError(f"{source} cannot be read: {error.strerror or error}") from error
    # A pipe that nobody writes to would be waited for.
    found = [path for path in found if not path.name.startswith(".") and path.is_file()]
    if not found:
        raise ImageError(f"{source} has no pictures", hint=f"Pictures end in {', '.join(sorted(SUFFIXES))}.")
    return found


def _each(named: Sequence[Path], take: Callable[[Path], T], reporter: Reporter) -> tuple[list[T], list[str]]:
    """Return what can be opened, and why not what was named. Raises ImageError if there is nothing else."""
    opened: list[T] = []
    failed: list[tuple[ImageError, bool]] = []
    for one in named:
        try:
            pictures = expanded(one)
        except ImageError as error:
            failed.append((error, True))
            continue
        for picture in pictures:
            try:
                opened.append(take(picture))
            except ImageError as error:
                failed.append((error, picture == one))
    if len(failed) == 1 and not opened:
        raise failed[0][0]
    for why, _ in failed:
        reporter.notice(f"{why.message}.")
    if failed and not opened:
        raise ImageError("None of the pictures can be read")
    return opened, [f"{why.message}." for why, by_name in failed if by_name]


def _open_picture(path: Path, *, digits: bool) -> Sourced:
    # Here, since Pillow takes a while to import, and evaluation images do without.
    from edgemnist.images import read_digit
    from edgemnist.images.decode import picture_name
    from edgemnist.predict.refusal import assess

    normalized = read_digit(path)
    return Sourced(
        source=picture_name(path),
        image=normalized.image,
        inverted=normalized.inverted,
        assessment=assess(normalized) if digits else None,
    )


def _read_picture(path: Path) -> tuple[str, bytes]:
    """Return a picture's name and its bytes, which another machine decodes. Raises ImageError if it cannot be read."""
    from edgemnist.images.decode import STANDARD_INPUT, picture_name, read_stream

    name = picture_name(path)
    if path == STANDARD_INPUT:
        return name, read_stream(sys.stdin.buffer, name)
    try:
        return name, path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", hint="Name a picture file.") from error


def _verdict(assessment: Assessment, row: Probabilities) -> str | None:
    from edgemnist.predict.refusal import verdict

    return verdict(assessment, [float(value) for value in row])


def _golden_images(exports: Exports | None, indices: Sequence[int]) -> list[Sourced]:
    if not indices or exports is None:
        return []
    golden = exports.read_golden()
    count = len(golden.labels)
    for index in indices:
        if not 0 <= index < count:
            raise UsageError(
                f"{exports.directory} has no evaluation image {index}",
                hint=f"--index must be between 0 and {count - 1:,}.",
            )
    return [
        Sourced(source=f"evaluation image {index}", image=golden.images[index], label=int(golden.labels[index]))
        for index in indices
    ]
