"""Pictures or numbers in, answers out."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from msgspec import UNSET, structs

from edgemnist.digits.results import Prediction, PredictResult
from edgemnist.digits.task import DIGIT
from edgemnist.errors import DataError, DeployError, ImageError, UsageError
from edgemnist.ground.arrays import Images, Probabilities, as_number
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.exports import Exports, model_for
from edgemnist.model.exports.models import tell_guesses
from edgemnist.model.runtimes.interface import Classifier, check_answers
from edgemnist.model.task import task_of, unnamed_task

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.model.answers import Answer, Observing
    from edgemnist.model.task import Assessment

T = TypeVar("T")

MOST_AT_ONCE: Final = 10_000
"""Inputs of one file."""
MOST_NAMED: Final = 3
"""Pictures that a notice names; of more, it says how many."""


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """One input on its way to the model."""

    source: str
    image: Images
    """What the model is given, as its `InputSpec` says: uint8 [28, 28] of a digit."""
    inverted: bool = False
    label: int | None = None
    """The true class, where it is known."""
    assessment: Assessment | None = None
    """Whether it is a digit at all, where that was asked."""
    told: tuple[str, ...] = ()
    """What was lost when a picture was prepared."""


def predict_sources(
    exports: Exports | None,
    pictures: Sequence[Path],
    indices: Sequence[int],
    *,
    artifact: str | None = None,
    threads: int = 1,
    show: bool = False,
    observing: Sequence[Observing] = (),
    reporter: Reporter = SILENT,
) -> PredictResult:
    """Answer for files of pictures and of numbers, or for evaluation images of the golden pack.

    A directory stands for the pictures in it, and `-` for a picture on standard input. Of several files those that
    cannot be read are told in a notice, and the others are answered; `unread` has those of them that were named.

    `artifact` is `NAME[@RUNTIME]` or a model file; by default the best model answers, see `Exports.best`. `exports` may
    be None where a model file answers for pictures. With `show`, each prediction carries the image that the model was
    given. What is answered to pictures is published to those who are `observing`.

    Raises ImageError or DataError if none can be read, or a directory has none, UsageError where no picture is named,
    or both kinds are, and what `Exports.model` raises.
    """
    if not pictures and not indices:
        raise UsageError("No picture is named", hint="Name a picture, or an evaluation image with --index N.")
    if pictures and indices:
        raise UsageError(
            f"--index names evaluation images, and does not go with {pictures[0]}", hint="Leave out one of them."
        )
    model, labels = model_for(exports, artifact, reporter)
    classifier = model.load(threads=threads, labels=labels)
    tell_guesses(model, classifier, reporter)
    take = functools.partial(_open, classifier=classifier, reporter=reporter)
    sourced, unread = _each(pictures, take, reporter)
    for what in dict.fromkeys(what for one in sourced for what in one.told):
        names = [one.source for one in sourced if what in one.told]
        few = len(names) <= MOST_NAMED
        reporter.notice(f"{', '.join(names) if few else f'{len(names):,} of {len(sourced):,} pictures'}: {what}.")
    sourced += _golden_images(exports, indices)
    answers = classifier.answer(np.stack([one.image for one in sourced]))
    predictions = tell(classifier, sourced, answers, show=show)
    # Evaluation images were not met in the field, and must not be learnt from.
    if observing and pictures:
        from edgemnist.model.answers import Answering, observed

        answering = Answering(model=model, classifier=classifier, exports=exports, reporter=reporter)
        with observed(observing, answering) as publish:
            publish(answers_of([one.image for one in sourced], predictions, classifier.labels))
    return PredictResult(
        artifact=model.name,
        runtime=model.runtime,
        labels=list(classifier.labels),
        predictions=predictions,
        unread=unread,
    )


def predict_on(
    board: Board, pictures: Sequence[Path], words: Sequence[str], reporter: Reporter = SILENT
) -> PredictResult:
    """Answer on a board for pictures that are here, as `predict_sources` does; `words` are the command's others.

    Raises ImageError if none can be read here, and DeployError if none is answered there.
    """
    from edgemnist.ground.pictures import picture_name

    read, unread = _each(pictures, _read_picture, reporter)
    # Two pictures may have the same name in different folders.
    names = {f"picture{number}{Path(name).suffix}": name for number, (name, _) in enumerate(read)}
    files = {there: data for there, (_, data) in zip(names, read, strict=True)}
    try:
        answer: PredictResult = board.answer(["predict", *files, *words], PredictResult, files, partial=True).result
    except DeployError as error:
        raise DeployError(_renamed(error.message, names), hint=_renamed(error.hint, names)) from None
    failed = [_renamed(why, names) for why in answer.unread]
    for why in failed:
        reporter.notice(why)
    named = tuple(f"{picture_name(picture)} " for picture in pictures)
    return structs.replace(
        answer,
        predictions=[structs.replace(one, source=_source_here(one.source, names)) for one in answer.predictions],
        unread=[*unread, *(why for why in failed if why.startswith(named))],
    )


def _source_here(source: str, names: Mapping[str, str]) -> str:
    """Return the name here of a picture on the board, or of one input of a file there, `picture0.npy[3]`."""
    file, bracket, place = source.partition("[")
    return f"{names.get(file, file)}{bracket}{place}"


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which the names that pictures have on the board are those that they have here."""
    for name, picture in names.items():
        # A backslash, as in a path on Windows, is one here too.
        text = re.sub(rf"\b{re.escape(name)}\b", picture.replace("\\", r"\\"), text)
    return text


def tell(
    classifier: Classifier, sourced: Sequence[Sourced], answers: Probabilities, *, show: bool = False
) -> list[Prediction]:
    """Return what a classifier's answers, float32 [N, ...], say about each input, which `show` makes part of it.

    Raises ArtifactError if some are not finite.
    """
    # It is not recognized first, which takes a while: 0.1.0 answers so for any classes of this shape.
    task, predictions = classifier.task or unnamed_task(), []
    known = task.is_usual and task.input.takes_the_same(classifier.spec)
    for one, row in zip(sourced, check_answers(answers), strict=True):
        said: dict[str, Any] = {"confidence": 0.0, "probabilities": [], "values": row.ravel().tolist()}
        if not classifier.answers_numbers:
            answer = as_number(classifier.labels[int(row.argmax())])
            said = {
                "answer": answer,
                "digit": answer if known else UNSET,
                "confidence": float(row.max()),
                "probabilities": row.tolist(),
                "label": None if one.label is None else as_number(classifier.labels[one.label]),
                "verdict": None if one.assessment is None else verdict_on(one.assessment, row.tolist()),
            }
        image = one.image.tolist() if show else None
        predictions.append(
            Prediction(source=one.source, inverted=one.inverted, told=list(one.told), image=image, **said)
        )
    return predictions


def verdict_on(assessment: Assessment, probabilities: list[float]) -> str | None:
    """Return what a picture shows, see `refusal`, which evaluation images have no use for."""
    from edgemnist.digits.predict.refusal import verdict

    return verdict(assessment, probabilities)


def answers_of(
    images: Sequence[Images],
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    *,
    source: str = "",
    disputed: Sequence[bool] = (),
) -> list[Answer]:
    """Return predictions of classes for inputs, as answers to be observed.

    `source` is the name of all, instead of each its own; `disputed` are those that another model answers otherwise.
    """
    from edgemnist.model.answers import REFUSED, Answer

    answers = []
    for image, one, differs in zip(images, predictions, disputed or [False] * len(predictions), strict=True):
        index = int(np.argmax(one.probabilities))
        counts = one.verdict in {None, DIGIT}
        answers.append(
            Answer(
                image=image,
                source=source or one.source,
                index=index if counts else REFUSED,
                label=labels[index] if counts else None,
                confidence=one.confidence,
                probability=one.confidence,
                disputed=differs,
            )
        )
    return answers


def expanded(source: Path) -> list[Path]:
    """Return the picture files of a directory by name, or the only one that is named.

    Raises ImageError where a directory has none, or cannot be read.
    """
    if not os.path.isdir(source):  # noqa: PTH112 - unlike `Path.is_dir`, it says no where it cannot look
        return [source]
    from edgemnist.ground.pictures import SUFFIXES

    try:
        found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise ImageError(f"{source} cannot be read: {error.strerror or error}") from error
    # A pipe that nobody writes to would be waited for.
    found = [path for path in found if not path.name.startswith(".") and path.is_file()]
    if not found:
        raise ImageError(f"{source} has no pictures", hint=f"Pictures end in {', '.join(sorted(SUFFIXES))}.")
    return found


def _each(named: Sequence[Path], take: Callable[[Path], Sequence[T]], reporter: Reporter) -> tuple[list[T], list[str]]:
    """Return what files hold, and why not what was named. Raises ImageError or DataError if there is nothing else."""
    opened: list[T] = []
    failed: list[tuple[ImageError | DataError, bool]] = []
    for one in named:
        try:
            pictures = expanded(one)
        except ImageError as error:
            failed.append((error, True))
            continue
        for picture in pictures:
            try:
                opened += take(picture)
            except (ImageError, DataError) as error:
                failed.append((error, picture == one))
    if len(failed) == 1 and not opened:
        raise failed[0][0]
    for why, _ in failed:
        reporter.notice(f"{why.message}.")
    if failed and not opened:
        raise ImageError("None of the pictures can be read")
    return opened, [f"{why.message}." for why, by_name in failed if by_name]


ARRAY: Final = ".npy"
TABLES: Final = (".csv", ".tsv", ".npz")
"""Endings of files of inputs as numbers: an array of one or more, and what data sets come in."""


def _open(path: Path, *, classifier: Classifier, reporter: Reporter) -> list[Sourced]:
    spec = classifier.spec
    if path.suffix.lower() in {ARRAY, *TABLES}:
        inputs = read_inputs(path, spec, reporter)
        names = [str(path)] if len(inputs) == 1 else [f"{path}[{index}]" for index in range(len(inputs))]
        return [Sourced(source=name, image=one) for name, one in zip(names, inputs, strict=True)]
    if not spec.is_picture:
        hint = f"Save them as .csv, or with numpy.save as an array of {list(spec.shape)}, or of several: [N, …]."
        raise DataError(f"The model takes {spec.words()}, and {path} is no {ARRAY} or .csv file of them", hint=hint)
    # Here, since Pillow takes a while to import, and evaluation images do without.
    from edgemnist.ground.pictures import decode_image, picture_file, picture_name

    task, name = task_of(classifier), picture_name(path)
    with picture_file(path) as file:
        picture = decode_image(file, name, colours=not task.is_usual)
    fitted = task.fit(picture, name)
    assessment = task.assess(fitted)
    return [Sourced(source=name, image=fitted.image, inverted=fitted.inverted, assessment=assessment, told=fitted.told)]


def read_inputs(path: Path, spec: InputSpec, reporter: Reporter = SILENT) -> Images:
    """Return the inputs in a file of numbers, [N, *shape], one or many. Raises DataError for anything else."""
    if path.suffix.lower() in TABLES:
        from edgemnist.pipeline.data.arrays import read_contents

        contents = read_contents(path, reporter, spec=spec, labelled=False)
        inputs = (contents.test or contents.train).inputs
        _check_number(len(inputs), f"{path} has")
        return inputs
    try:
        # Nothing is read before its size is known.
        return _checked(np.load(path, mmap_mode="r", allow_pickle=False), spec)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path} cannot be used: {error.message}", hint=error.hint) from error
    except (ValueError, EOFError, SyntaxError) as error:
        reason = "it holds no array of numbers" if "pickle" in str(error) else str(error)
        raise DataError(f"{path} cannot be used: {reason}", hint=f"The model takes {spec.words()}.") from error


def _checked(values: Any, spec: InputSpec) -> Images:  # noqa: ANN401 - an archive of arrays, too
    if not isinstance(values, np.ndarray) or not values.size:
        raise ValueError("it holds no array of numbers, or an empty one")
    _check_number(values.size / spec.size, "it has")
    return spec.check(values)


def _check_number(inputs: float, has: str) -> None:
    if inputs > MOST_AT_ONCE:
        raise DataError(f"{has} more than {MOST_AT_ONCE:,} inputs, which is the limit", hint="Use part of it.")


def _read_picture(path: Path) -> list[tuple[str, bytes]]:
    """Return a picture's name and its bytes, which another machine decodes. Raises ImageError if it cannot be read."""
    from edgemnist.ground.pictures import picture_file, picture_name

    with picture_file(path) as file:
        return [(picture_name(path), file.read())]


def _golden_images(exports: Exports | None, indices: Sequence[int]) -> list[Sourced]:
    if not indices or exports is None:
        return []
    golden = exports.read_golden()
    count, numbers, noun = len(golden.images), golden.task.numbers, golden.task.input.noun
    for index in indices:
        if not 0 <= index < count:
            raise UsageError(
                f"{exports.directory} has no evaluation {noun} {index}",
                hint=f"--index must be between 0 and {count - 1:,}.",
            )
    return [
        Sourced(
            source=f"evaluation {noun} {index}",
            image=golden.images[index],
            label=None if numbers or golden.truth is None else int(golden.truth[index]),
        )
        for index in indices
    ]
