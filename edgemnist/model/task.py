"""What a model is for: what it reads, how a picture is prepared for it, and what refuses to name what is shown.

Whatever differs from one to another is asked here. A wing registers its own task, preparers and refusers
in a module that `edgemnist.TASK_HOMES` names.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist import TASK_HOMES
from edgemnist.errors import ImageError
from edgemnist.ground.inputs import UNIT, InputSpec
from edgemnist.ground.registry import Entry, OpenRegistry

if TYPE_CHECKING:
    from PIL import Image

    from edgemnist.model.runtimes.interface import Classifier


@dataclass(frozen=True)
class Fitted:
    """A picture as the models take it, and where what it shows was."""

    image: npt.NDArray[np.uint8]
    """uint8, of the task's shape."""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """x, y, width, height of what it shows, in pixels of the picture."""
    inverted: bool = False
    """Whether the picture was dark on light, and has been inverted."""
    several: bool = False
    """Whether another piece of ink, as tall as it, stands beside it."""
    grey: npt.NDArray[np.uint8] | None = None
    """Grey levels of the picture that it was found in, uint8 [h, w]; left out by the engine."""
    told: tuple[str, ...] = ()
    """What was lost on the way, in sentences without a full stop."""


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture beside what the model answers."""

    likeness: list[float] | None = None
    """Probability that it is each class, [C]; None where that is not known."""
    several: bool = False
    """Whether as much ink stands beside it, or there is a crowd of pieces."""
    crowded: bool = False
    """Whether more strokes lie side by side than in any class."""
    single: bool = False
    """Whether it is a single stroke, with nothing beside it."""
    dotted: bool = False
    """Whether a dot stands above or below it, as in `!` and `;`."""
    aspect: float = 1.0
    """Width of the ink by its height."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is for, as a record has it. The names of its classes are the model's."""

    name: str = ""
    """One of `TASKS`; empty where nobody has said so, see `task_of`."""
    input: InputSpec
    answers: Literal["classes", "numbers"] = "classes"
    preparer: str = msgspec.field(default="none", name="prepare")
    """One of `PREPARERS`."""
    refuser: str = msgspec.field(default="", name="refuse")
    """One of `REFUSERS`; empty where the model is taken at its word."""

    @property
    def numbers(self) -> bool:
        """Whether models answer with numbers, and not with classes."""
        return self.answers == "numbers"

    def prepare(self, picture: Image.Image) -> Fitted:
        """Return what the model is given for a picture. Raises ImageError for one with nothing on it to take."""
        fitted: Fitted = PREPARERS[self.preparer].load()(picture, self.input)
        return fitted

    def fit(self, picture: Image.Image, name: str) -> Fitted:
        """Return what `prepare` does. Raises ImageError, naming the picture."""
        try:
            return self.prepare(picture)
        except ImageError as error:
            how = f"read as a {TASKS[default_task().name].noun}" if self.is_usual else "used"
            raise ImageError(f"{name} cannot be {how}: {error.message}", hint=error.hint) from error

    @property
    def is_usual(self) -> bool:
        """Whether pictures are prepared as those of the default task, for which their colours say nothing."""
        return self.preparer == default_task().preparer

    def assess(self, fitted: Fitted) -> Assessment | None:
        """Return what is known of a picture beside what the model answers; None where nothing refuses."""
        assessment: Assessment | None = REFUSERS[self.refuser].load()(fitted) if self.refuser else None
        return assessment


@dataclass(frozen=True, kw_only=True)
class PictureCode:
    """How a picture is prepared without Python: files of a folder, in the order in which they need others."""

    folder: Path
    declarations: str
    sources: tuple[str, ...]
    """For a C file, and the header of its declarations."""
    scripts: tuple[str, ...]
    """Modules of a web page."""
    program: str
    """What the program of a C file has in the place of `raw.h`."""
    name: str
    example: str
    takes: str
    """Of that program: its name, that of a file, and what it takes, in words."""
    pixels: str
    """What a byte of an image says, in words."""

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.folder / name).read_text("utf-8")


@dataclass(frozen=True, kw_only=True)
class Preparer(Entry):
    """A way to prepare pictures."""

    code: str = ""
    """Target of a `PictureCode`; empty where C files and pages take what is prepared already, or do it themselves."""


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A kind of task. Targets are `package.module:name`, imported when used."""

    summary: str
    """One line for listings."""
    input: InputSpec | None = None
    """What its models read; None for anything."""
    answers: Literal["classes", "numbers"] = "classes"
    labels: tuple[str, ...] | None = None
    """Names of its classes; None for any."""
    preparer: str = "none"
    refuser: str = ""
    recognizer: str = ""
    """Target that takes a `Classifier` of this input and these labels, and returns whether it is for this task."""
    training: str = ""
    """Target that takes an `InputSpec`, and returns how networks that read such inputs are trained: a `Training`."""
    noun: str = "picture"
    """What messages call one input."""
    meaning: str = ""
    """What a picture shows, as files that are exported say it."""
    default: bool = False
    """Whether it is meant where nothing else is said."""

    def recognizes(self, classifier: Classifier) -> bool:
        """Return whether a classifier is for this task, of which no record says it."""
        if not self.recognizer or self.labels != tuple(classifier.labels):
            return False
        return bool(pkgutil.resolve_name(self.recognizer)(classifier))


TASKS: Final[OpenRegistry[TaskEntry]] = OpenRegistry(
    "task",
    TASK_HOMES,
    {
        "pictures": TaskEntry(
            summary="Pictures of any size, grey or in colour",
            preparer="resize",
            training="edgemnist.pipeline.train.recipes:for_pictures",
        ),
        "numbers": TaskEntry(
            summary="Any numbers, such as the values of sensors",
            training="edgemnist.pipeline.train.recipes:for_numbers",
            noun="row",
        ),
    },
)
PREPARERS: Final[OpenRegistry[Preparer]] = OpenRegistry(
    "preparer",
    TASK_HOMES,
    {
        "resize": Preparer(target="edgemnist.model.prepare:resize", summary="Scaling all of it, whatever its sides"),
        "crop": Preparer(target="edgemnist.model.prepare:crop", summary="Cutting off what is too wide or too high"),
        "letterbox": Preparer(target="edgemnist.model.prepare:letterbox", summary="Adding bars so that all of it fits"),
        "none": Preparer(target="edgemnist.model.prepare:as_it_is", summary="Taking pictures of the right size only"),
    },
)
"""What takes a Pillow image and an `InputSpec`, and returns a `Fitted`; raises ImageError for what cannot be taken."""
REFUSERS: Final[OpenRegistry[Entry]] = OpenRegistry("refuser", TASK_HOMES, {})
"""What takes a `Fitted` and returns an `Assessment` of what it shows."""


@cache
def default_task() -> Task:
    """Return the task that is meant where nothing else is said."""
    return next(task_named(name) for name, entry in TASKS.items() if entry.default)


def default_input(name: str = UNIT) -> InputSpec:
    """Return what its models read, in a range of this name. Raises UnknownNameError as `range_ends` does."""
    return InputSpec.of_range(default_task().input.shape, name)


def default_labels() -> tuple[str, ...]:
    """Return the names of its classes."""
    return TASKS[default_task().name].labels or ()


def task_named(name: str, spec: InputSpec | None = None, preparer: str | None = None) -> Task:
    """Return the task of a name, with models that read `spec`, by default what those of this task all read.

    `preparer` is another than the task's own.

    Raises UnknownNameError for another name, and ValueError where a task does not say what its models read.
    """
    entry = TASKS[name]
    if (taken := spec or entry.input) is None:
        raise ValueError(f"the task {name} says nothing of the shape of its inputs")
    preparer = preparer or entry.preparer
    return Task(name=name, input=taken, answers=entry.answers, preparer=preparer, refuser=entry.refuser)


def code_of(task: Task | None) -> PictureCode | None:
    """Return how pictures are prepared in C for a task, None of which is the default one; None if they are not."""
    target = PREPARERS[(task or default_task()).preparer].code
    return pkgutil.resolve_name(target) if target else None


@cache
def unnamed_task() -> Task:
    """Return what a record means that says nothing of a task: the default one's input, and classes of any kind."""
    return msgspec.structs.replace(default_task(), name="", refuser="")


def is_usual(task: Task) -> bool:
    """Return whether a record that says nothing of a task means this one: with the default input."""
    return msgspec.structs.replace(task, name="", refuser="") == unnamed_task()


def task_of(classifier: Classifier) -> Task:
    """Return what a classifier is for. What is not known to be for the default task refuses nothing."""
    if classifier.task is None:
        classifier.task = _task_found(classifier)
    return classifier.task


def _task_found(classifier: Classifier) -> Task:
    spec, numbers = classifier.spec, classifier.answers_numbers
    if numbers or not default_task().input.takes_the_same(spec):
        task = task_named("pictures" if spec.is_picture else "numbers", spec)
        return msgspec.structs.replace(task, answers="numbers" if numbers else "classes")
    name = next((name for name, entry in TASKS.items() if entry.recognizes(classifier)), None)
    return unnamed_task() if name is None else task_named(name)
