"""Answers to images that were met in the field, and who observes them: what keeps samples, and what counts.

Whoever answers does not know who keeps samples or counts: these register in `OBSERVERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from edgemnist.errors import UsageError
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.registry import Entry

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images
    from edgemnist.ground.inputs import InputSpec
    from edgemnist.ground.systemd import Unit
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.models import Model
    from edgemnist.model.runtimes.interface import Classifier

HEALTH_FILE: Final = "health.json"
"""Name of the file of counts in a directory of samples."""
REFUSED: Final = -1
"""Class of an answer that was refused."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What was answered to one image."""

    image: Images
    """What the model was given, as its task says."""
    source: str
    """Name of the picture or page that it comes from."""
    index: int
    """Of the class, or `REFUSED`."""
    label: str | None
    """Name of the class; None where it was refused."""
    confidence: float
    """That it is this class, 0 to 1, as it was told."""
    probability: float
    """Of the class as the model alone sees it, 0 to 1."""
    disputed: bool = False
    """Whether another model that was asked as well answers otherwise."""


def nothing_on(spec: InputSpec) -> Answer:
    """Return the answer to a picture on which there is nothing to answer.

    It counts: a camera that sees nothing more must be noticed.
    """
    nothing = np.zeros(spec.shape, spec.dtype)
    return Answer(image=nothing, source="", index=REFUSED, label=None, confidence=0.0, probability=0.0)


def require_classes(classifier: Classifier, name: str) -> None:
    """Raise UsageError for a classifier, called `name`, whose answers cannot be observed: they are no classes."""
    if classifier.answers_numbers:
        hint = "Leave out --collect and --health."
        raise UsageError(f"{name} answers with numbers, and only classes are kept, counted and reviewed", hint=hint)


class Observer(Protocol):
    """What wants to know of answers, such as a store of samples."""

    def observe(self, answers: Sequence[Answer]) -> None:
        """Take note of answers. Nothing that goes wrong here reaches whoever answers."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What answers, for those who observe it."""

    model: Model
    classifier: Classifier
    exports: Exports | None
    """Directory that the model is from; None for a file from elsewhere."""
    reporter: Reporter = SILENT
    waits: bool = True
    """Whether it waits for the disk, so that no sample is lost: a page has more of them at once than may wait."""

    @property
    def release(self) -> str | None:
        """Name of the release of `edgemnist deploy` that the model belongs to, if it does."""
        from edgemnist.board.agent.store import release_of

        return None if self.exports is None else release_of(self.exports.directory)


class Observing(Protocol):
    """How an observer is to observe: its options."""

    def observer(self, answering: Answering) -> AbstractContextManager[Observer]:
        """Return the observer of what answers."""


Publish: TypeAlias = Callable[[Sequence[Answer]], None]

_SAMPLES: Final = Entry(target="edgemnist.field.samples.collector:observing", summary="Samples worth a look")
_COUNTS: Final = Entry(target="edgemnist.field.drift.monitor:observing", summary="Counts of answers")


@contextmanager
def observed(by: Sequence[Observing], answering: Answering) -> Iterator[Publish]:
    """Give what publishes the answers of a model to its observers. Raises UsageError where it answers with numbers."""
    if by:
        require_classes(answering.classifier, answering.model.name)
    with ExitStack() as stack:
        observers = [stack.enter_context(request.observer(answering)) for request in by]

        def publish(answers: Sequence[Answer]) -> None:
            for observer in observers:
                observer.observe(answers)

        yield publish


def observing(
    collect: Path | None, most: int | None, *, counts: bool = False, health: Path | None = None
) -> list[Observing]:
    """Return who observes answers: samples go to `--collect` and, with `counts`, counts to `--health` or beside them.

    Raises UsageError for a limit of samples that is too low, or that comes without `--collect`.
    """
    # What nobody asked for is not imported: `predict` starts in a quarter of a second.
    if collect is None and most is None and health is None:
        return []
    samples = _SAMPLES.load()(collect, most)
    counted = _COUNTS.load()(collect, health) if counts else None
    return [one for one in (samples, counted) if one is not None]


def health_file(collect: Path | None, named: Path | None) -> Path | None:
    """Return the file that `--health` names, else that of the samples' directory; None without either."""
    return named if named is not None or collect is None else collect / HEALTH_FILE


def _kept_words(collect: Path | None, health: Path | None) -> tuple[list[str], list[PurePosixPath]]:
    """Return the options that make a service keep samples and counts, for its unit, and the directories to write."""
    samples = None if collect is None else collect.absolute()
    words = [] if samples is None else ["--collect", str(samples)]
    writes = [] if samples is None else [PurePosixPath(samples)]
    if health is not None and health != health_file(collect, None):
        file = health.absolute()
        words += ["--health", str(file)]
        # It is replaced, for which its directory is written to.
        writes += [PurePosixPath(file.parent)] if file.parent != samples else []
    return words, writes


def command_unit(
    name: str,
    description: str,
    command: Sequence[str],
    *,
    exports: Path,
    artifact: str | None,
    collect: Path | None,
    health: Path | None,
    reads: Sequence[Path] = (),
    state: Path | None = None,
    user_unit: bool = False,
    **own: Any,  # noqa: ANN401 - the other fields of `Unit`
) -> Unit:
    """Return the unit that runs a command of edgemnist from this environment, as the present user.

    With `user_unit` it is for that user's own manager. `exports` and `artifact` are what answers, and `collect`,
    `health` and `state` what it writes. `exports` is not resolved: through `current` the unit outlives the release.
    """
    import getpass

    from edgemnist.ground.systemd import Unit, python_for, shown
    from edgemnist.model.exports.models import absolute_name

    exports = exports.absolute()
    model_name, model = absolute_name(artifact)
    kept, writes = _kept_words(collect, health)
    if state is not None and (place := PurePosixPath(state.absolute().parent)) not in writes:
        writes.append(place)
    words = ["--exports", str(exports), *([] if model_name is None else ["--artifact", model_name]), *kept]
    return Unit(
        name=name,
        description=description,
        command=[str(python_for(exports)), "-I", "-m", "edgemnist", *command, *words],
        reads=shown(exports, *reads, *([] if model is None else [model])),
        writes=writes,
        user=None if user_unit else getpass.getuser(),
        **own,
    )
