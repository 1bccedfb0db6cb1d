"""What a model met in the field: what it saw, what it answered and, later, how people labelled it.

A reviewer sees the most suspicious first. Between a board and a desk they travel in one JSON document, with every label
that was ever given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import numpy as np

from edgemnist.errors import StorageError
from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import FORMER_NAMES, UNREADABLE
from edgemnist.model.task import default_input, default_labels

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board

DOUBTFUL: Final = "doubtful"
REFUSED: Final = "refused"
DISAGREEMENT: Final = "disagreement"
CORRECTION: Final = "correction"
UNIFORM: Final = "uniform"
IMPORTED: Final = "imported"
REASONS: Final = (CORRECTION, DISAGREEMENT, REFUSED, DOUBTFUL, UNIFORM, IMPORTED)
"""Why a sample was kept, the most suspicious first: somebody said that the answer was wrong; two models answered
differently; the answer was refused; the confidence was low; drawn evenly from all answers; imported from a data set."""

NONE_OF_THESE: Final = "none-of-these"
"""The label of what shows none of the classes."""

CLIENT: Final = "client "
"""How the name of a writer begins who is known by an address only: anybody who reaches the service."""
OBJECTOR: Final = "edgemnist learn"
"""The writer of what `learn` reads where a label looks wrong to it. Only a person settles that."""

DOUBT_BELOW: Final = 0.9
"""Confidence below which an answer is doubtful: of the reference's answers to MNIST's test images 1.6 % are, and with
them 74 % of its errors."""


def now() -> str:
    """Return the time in UTC as `2026-11-26T01:30:00.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_Text = Annotated[str, msgspec.Meta(max_length=1 << 12)]


def label_named(name: str | None) -> str | None:
    """Return a label by its present name: stores, boards and folders may have the one of before there were tasks."""
    return NONE_OF_THESE if name in FORMER_NAMES else name


class Label(msgspec.Struct, frozen=True, array_like=True):
    """What one writer said a sample is."""

    label: _Text | None
    """Name of a class, or `NONE_OF_THESE`; None takes back what the writer said before."""
    writer: _Text
    """Who gave the label."""
    at: _Text
    """When, in UTC."""
    settles: bool
    """Whether the writer had seen that labels differ."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "label", label_named(self.label))


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model met, as it is stored and as it travels. Raises ValueError for other bytes than its shape has."""

    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """0 before it is stored."""
    pixels: bytes = msgspec.field(name="image")
    """What the model was given, row by row: bytes, or little-endian float32."""
    shape: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    dtype: Literal["uint8", "float32"] | msgspec.UnsetType = msgspec.UNSET
    """Of that, as `InputSpec` has both. Not written for the default input: earlier versions read no other fields
    than theirs."""
    at: _Text
    """When, in UTC."""
    source: _Text
    """The file, camera or service that it came from."""
    artifact: _Text
    """The model that answered."""
    release: _Text | None = None
    """The release of `edgemnist deploy` that it belongs to."""
    answer: _Text | None
    """Name of the class; None if nothing was answered."""
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Confidence of the answer."""
    reason: _Text
    """One of `REASONS`."""
    rows: tuple[Label, ...] = msgspec.field(name="labels", default=())
    """All that was said about it, the oldest first."""

    def __post_init__(self) -> None:
        if len(self.pixels) != self.spec.nbytes:
            raise ValueError(f"{self.spec.words()} have {self.spec.nbytes:,} bytes, not {len(self.pixels):,}")

    @property
    def spec(self) -> InputSpec:
        """What the model took, but for the meaning of its numbers."""
        if self.shape is msgspec.UNSET or self.dtype is msgspec.UNSET:
            return default_input()
        return InputSpec(shape=self.shape, dtype=self.dtype)

    @property
    def image(self) -> Images:
        """What the model was given, as its task says."""
        spec = self.spec
        return np.frombuffer(self.pixels, np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The last label of each writer, oldest first, without those that were taken back."""
        last: dict[str, Label] = {}
        for row in self.rows:
            # Out first, so that the order is that of the last labels.
            last.pop(row.writer, None)
            if row.label is not None:
                last[row.writer] = row
        return tuple(last.values())

    @property
    def label(self) -> str | None:
        """The label that all writers agree on, or the last one that settled a difference; None while that is open.

        What a client says counts only until a person says something.
        """
        labels = self.labels
        settled = [number for number, label in enumerate(labels) if label.settles]
        valid = labels[settled[-1] :] if settled else labels
        if any(is_person(label.writer) for label in valid):
            valid = tuple(label for label in valid if not label.writer.startswith(CLIENT))
        names = {label.label for label in valid}
        return names.pop() if len(names) == 1 else None

    @property
    def confirmed(self) -> bool:
        """Whether a person gave it a label: what only clients say may be anybody's."""
        return any(is_person(label.writer) for label in self.labels)

    @property
    def disputed(self) -> bool:
        """Whether its labels differ, and nobody who saw that has settled it."""
        return bool(self.labels) and self.label is None

    @property
    def settled(self) -> bool:
        """Whether somebody gave the label who saw that labels differ."""
        return self.label is not None and any(label.settles for label in self.labels)


def is_person(writer: str) -> bool:
    """Return whether a writer is a person, and neither a client nor `learn`."""
    return writer != OBJECTOR and not writer.startswith(CLIENT)


def kind_of(spec: InputSpec) -> dict[str, Any]:
    """Return the fields of a `Sample` that say what it is; none for the default input."""
    return {} if spec.takes_the_same(default_input()) else {"shape": spec.shape, "dtype": spec.dtype}


def decode_samples(data: str | bytes, name: str) -> list[Sample]:
    """Read the JSON document of `name`, a list of samples. Raises StorageError if it is not one."""
    try:
        samples = msgspec.json.decode(data, type=list[Sample])
    except UNREADABLE as error:
        raise StorageError(f"The samples of {name} cannot be read: {error}") from error
    if any(sample.reason not in REASONS for sample in samples):
        raise StorageError(f"The samples of {name} cannot be read: one is not a sample of this version")
    return samples


CLASSES: Final = "--classes"
"""Asks a board for the classes of its model instead of its samples."""


def classes_on(board: Board, directory: str, samples: Sequence[Sample]) -> list[str]:
    """Return the classes of the model that samples of a board are from; none for the default shape."""
    if not samples or not kind_of(samples[0].spec):
        return []
    return board.read(board.ask_module(["edgemnist.field.samples", directory, CLASSES]), list[str])


def samples_on(board: Board, directory: str) -> list[Sample]:
    """Return the samples of a directory on a board. Raises DeployError if it has none, or fails there."""
    return decode_samples(board.ask_module(["edgemnist.field.samples", directory]), board.name)


def merge_samples_on(board: Board, directory: str, samples: list[Sample]) -> None:
    """Add labels to the samples of a board, all or none. Raises as `samples_on` does."""
    document = msgspec.json.encode(samples)
    board.ask_module(["edgemnist.field.samples", directory, "labels.json"], {"labels.json": document})


def to_review(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that a person should look at, the most suspicious first.

    These are samples without a label, samples whose labels differ, and corrections that no person has confirmed.
    """
    shown = [sample for sample in samples if sample.disputed or not sample.confirmed]
    return sorted(shown, key=lambda one: (not one.disputed, REASONS.index(one.reason), one.confidence, one.id))


def one_of_each(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples with a class for a label, each picture once, the earliest; in an order of their own.

    A picture that is one class to a writer and another, or none, to the next is left out, and so is one that no person
    has labelled: anybody may send a service corrections.
    """
    alike: dict[bytes, list[Sample]] = {}
    for sample in samples:
        if sample.confirmed:
            alike.setdefault(sample.pixels, []).append(sample)
    agreed = [same for same in alike.values() if len({sample.label for sample in same}) == 1]
    first = [min(same, key=lambda one: (one.at, one.artifact, one.answer or "", one.id)) for same in agreed]
    chosen = [sample for sample in first if sample.label not in {None, NONE_OF_THESE}]
    return sorted(chosen, key=lambda one: (one.at, one.pixels))


def classes_of(samples: Iterable[Sample], labels: Sequence[str] = ()) -> Sequence[str]:
    """Return the classes that labels may name: a model's `labels`, or the usual ones, and all that were answered."""
    names = {name for one in samples for name in (one.answer, *(label.label for label in one.labels)) if name}
    names.discard(NONE_OF_THESE)
    if labels:
        return [*labels, *sorted(names.difference(labels))]
    usual = default_labels()
    return usual if names <= set(usual) else sorted(names)
