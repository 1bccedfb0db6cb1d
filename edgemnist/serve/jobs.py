"""What the service and its workers say to each other: MessagePack, so that a broken worker cannot make it run anything.

Each message follows its length in four bytes. The service imports this, and nothing that can decode a picture.
"""

import struct
from typing import Final, TypeAlias

import msgspec
import numpy as np

from edgemnist.digits.results import ReadResult
from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import Assessment, Task

LARGE_BYTES: Final = 2**22
"""A picture of this many bytes waits for its share of memory, and its process ends with it, which gives it back."""


class PredictJob(msgspec.Struct, frozen=True, kw_only=True, tag="predict"):
    """A request for `predict`; its body comes with it as an open file."""

    batch: bool
    """Whether the body is JSON with several pictures or with numbers, instead of a picture."""
    max_pixels: int
    """With more, the end of the job is `Elsewhere`."""
    task: Task
    """Of the model."""


class ReadJob(msgspec.Struct, frozen=True, kw_only=True, tag="read"):
    """A request for `read`; its body comes with it as an open file."""

    min_confidence: float
    labels: tuple[str, ...]
    """Of the model that answers."""
    task: Task
    """Of that model, see `PredictJob`."""


class Needs(msgspec.Struct, frozen=True, kw_only=True, tag="needs"):
    """Asks for leave to decode pictures that are large."""

    bytes: int
    """Of memory, for the largest."""


class Classify(msgspec.Struct, frozen=True, kw_only=True, tag="classify"):
    """Asks what the model answers: float32 [N, C] as bytes."""

    images: bytes
    """What the model takes, [N, *shape]."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One input: what messages call it, and of a picture what `Fitted` and its assessment say."""

    name: str
    inverted: bool = False
    told: tuple[str, ...] = ()
    assessment: Assessment = Assessment()


class Normalized(msgspec.Struct, frozen=True, kw_only=True, tag="normalized"):
    """The end of a `PredictJob`."""

    given: list[Given]
    images: bytes
    """What the model takes, [N, *shape]."""
    decode_s: float
    normalize_s: float


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="page"):
    """The end of a `ReadJob`."""

    result: ReadResult
    decode_s: float


class Elsewhere(msgspec.Struct, frozen=True, tag="elsewhere"):
    """The end of a job that is for another lane."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """The end of a job that cannot be done."""

    status: int
    error: str
    message: str
    hint: str


Job: TypeAlias = PredictJob | ReadJob
End: TypeAlias = Normalized | Page | Elsewhere | Refusal
Reply: TypeAlias = Needs | Classify | End
HEAD: Final = struct.Struct("!I")
"""The length of a message."""


def framed(message: bytes) -> bytes:
    """Return a message after its length."""
    return HEAD.pack(len(message)) + message


def images_of(data: bytes, spec: InputSpec) -> Images:
    """Return inputs, [N, *shape], from their bytes."""
    return np.frombuffer(data, dtype=spec.dtype).reshape(-1, *spec.shape)


NUMBER_BYTES: Final = 96
"""Of memory that a number of JSON may take as an object of Python in nested lists, and in arrays beside."""


def count_of_numbers(document: msgspec.Raw) -> int:
    """Return how many numbers nested lists in JSON hold at most, before any of them is decoded."""
    return bytes(document).count(b",") + 1
