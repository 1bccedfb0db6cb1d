"""Digits met in the field: what the model saw, what it answered and, later, how people labelled it.

A reviewer sees the most suspicious first. Between a board and a desk they travel in one JSON document, with every label
that was ever given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.errors import StorageError
from edgemnist.results import UNREADABLE
from edgemnist.results.pictures import DIGITS

PIXELS: Final = IMAGE_SIDE**2

DOUBTFUL: Final = "doubtful"
REFUSED: Final = "refused"
DISAGREEMENT: Final = "disagreement"
CORRECTION: Final = "correction"
UNIFORM: Final = "uniform"
IMPORTED: Final = "imported"
REASONS: Final = {
    DOUBTFUL: "the confidence was low",
    REFUSED: "the answer was refused: no digit, several, or too little confidence",
    DISAGREEMENT: "two models answered differently",
    CORRECTION: "somebody said that the answer was wrong",
    UNIFORM: "drawn evenly from everything that was answered",
    IMPORTED: "taken over from a data set",
}
"""Why a sample was kept."""

NOT_A_DIGIT: Final = "not-a-digit"
"""The label of an image that shows none of the classes."""

DOUBT_BELOW: Final = 0.9
"""Confidence below which an answer is doubtful: of the reference's answers to MNIST's test images 1.6 % are, and with
them 74 % of its errors."""


def now() -> str:
    """Return the time in UTC as `2026-11-26T01:30:00.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Label(NamedTuple):
    """One person's label of a sample."""

    label: str
    """Name of a class, or `not-a-digit`."""
    writer: str
    """Who gave the label."""
    at: str
    """When, in UTC."""
    settles: bool
    """Whether the writer had seen that labels differ."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """A digit met in the field."""

    id: int
    """0 before it is stored."""
    image: Images
    """uint8 [28, 28], white digit on black: what the model was given."""
    at: str
    """When, in UTC."""
    source: str
    """The file, camera or service that it came from."""
    artifact: str
    """The model that answered."""
    release: str | None = None
    """The release of `edgemnist deploy` that it belongs to."""
    answer: str | None
    """Name of the class; None if nothing was answered."""
    confidence: float
    """Confidence of the answer, 0 to 1."""
    reason: str
    """One of `REASONS`."""
    labels: tuple[Label, ...] = ()
    """The last label of each writer, oldest first, without those that were taken back."""

    @property
    def label(self) -> str | None:
        """The label that all writers agree on, or the last one that settled a difference; None while that is open."""
        settled = [number for number, one in enumerate(self.labels) if one.settles]
        valid = self.labels[settled[-1] :] if settled else self.labels
        found = {one.label for one in valid}
        return found.pop() if len(found) == 1 else None

    @property
    def disputed(self) -> bool:
        """Whether its labels differ, and nobody who saw that has settled it."""
        return bool(self.labels) and self.label is None

    @property
    def day(self) -> str:
        """The day on which it was met, in UTC, such as `2026-11-26`."""
        return self.at[:10]


_Text = Annotated[str, msgspec.Meta(max_length=1 << 12)]


class LabelRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of the store."""

    label: _Text | None
    writer: _Text
    at: _Text
    settles: bool


class Sent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sample with all its rows of labels, the oldest first."""

    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    image: bytes
    at: _Text
    source: _Text
    artifact: _Text
    release: _Text | None
    answer: _Text | None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reason: _Text
    labels: list[LabelRow]

    def sample(self) -> Sample:
        """Return the sample with the labels that count: the last one of each writer, unless it was taken back."""
        counting: dict[str, Label] = {}
        for row in self.labels:
            # Out first, so that the order is that of the last labels.
            counting.pop(row.writer, None)
            if row.label is not None:
                counting[row.writer] = Label(row.label, row.writer, row.at, row.settles)
        return Sample(
            id=self.id,
            image=np.frombuffer(self.image, np.uint8).reshape(IMAGE_SIDE, IMAGE_SIDE),
            at=self.at,
            source=self.source,
            artifact=self.artifact,
            release=self.release,
            answer=self.answer,
            confidence=self.confidence,
            reason=self.reason,
            labels=tuple(counting.values()),
        )


def encode_sent(samples: list[Sent]) -> bytes:
    """Return the document."""
    return msgspec.json.encode(samples)


def decode_sent(data: str | bytes, name: str) -> list[Sent]:
    """Read the document of `name`. Raises StorageError if it is not one."""
    try:
        samples = msgspec.json.decode(data, type=list[Sent])
    except UNREADABLE as error:
        raise StorageError(f"The samples of {name} cannot be read: {error}") from error
    if any(len(one.image) != PIXELS or one.reason not in REASONS for one in samples):
        raise StorageError(f"The samples of {name} cannot be read: one is not a sample of this version")
    return samples


_SUSPICION: Final = (CORRECTION, DISAGREEMENT, REFUSED, DOUBTFUL, UNIFORM, IMPORTED)
"""Reasons, the most suspicious first."""


def to_review(samples: Iterable[Sample], writer: str) -> list[Sample]:
    """Return the samples that a writer should look at, the most suspicious first.

    These are samples without a label, samples whose labels differ, and corrections that nobody else has confirmed.
    """
    shown = [one for one in samples if one.disputed or not one.labels or _is_unconfirmed(one, writer)]
    return sorted(shown, key=lambda one: (not one.disputed, _SUSPICION.index(one.reason), one.confidence, one.id))


def _is_unconfirmed(sample: Sample, writer: str) -> bool:
    return sample.reason == CORRECTION and len(sample.labels) == 1 and sample.labels[0].writer != writer


def classes_of(samples: Iterable[Sample]) -> Sequence[str]:
    """Return the classes that labels may name: the ten digits, or all that were answered and labelled."""
    found = {name for one in samples for name in (one.answer, *(label.label for label in one.labels)) if name}
    found.discard(NOT_A_DIGIT)
    return DIGITS if found <= set(DIGITS) else sorted(found)
