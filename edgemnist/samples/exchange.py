"""Samples on their way between a board and a desk: one JSON document, with every label that was ever given."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import StorageError
from edgemnist.results.base import UNREADABLE
from edgemnist.samples.sample import PIXELS, REASONS, Label, Sample

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
