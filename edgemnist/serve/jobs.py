"""What the service and its workers say to each other: MessagePack, so that a broken worker cannot make it run anything.

The service imports this, and nothing that can decode a picture.
"""

from __future__ import annotations

import os
import socket
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.predict.refusal import Assessment
from edgemnist.results.pictures import ReadResult

LARGE_BYTES: Final = 2**22
"""After a picture of so many bytes the process ends, which gives its memory back at once."""


class PredictJob(msgspec.Struct, frozen=True, kw_only=True, tag="predict"):
    """A request for `predict`; its body follows as a message of its own."""

    batch: bool
    """Whether the body is JSON with several pictures, instead of a picture."""
    digits: bool
    """Whether the model knows the ten digits, so that what is none can be told apart."""


class ReadJob(msgspec.Struct, frozen=True, kw_only=True, tag="read"):
    """A request for `read`; its body follows as a message of its own."""

    min_confidence: float
    labels: tuple[str, ...]
    """Of the model that answers."""


class Needs(msgspec.Struct, frozen=True, kw_only=True, tag="needs"):
    """Asks for leave to decode."""

    pixels: int
    """Of all pictures."""
    bytes: int
    """Of memory, for the largest."""


class Classify(msgspec.Struct, frozen=True, kw_only=True, tag="classify"):
    """Asks what the model answers: float32 [N, C] as bytes."""

    images: bytes
    """uint8 [N, 28, 28]."""


class Normalized(msgspec.Struct, frozen=True, kw_only=True, tag="normalized"):
    """The end of a `PredictJob`."""

    names: list[str]
    images: bytes
    """uint8 [N, 28, 28]."""
    inverted: list[bool]
    assessments: list[Assessment]
    decode_s: float
    normalize_s: float


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="page"):
    """The end of a `ReadJob`."""

    result: ReadResult
    decode_s: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """The end of a job that cannot be done."""

    status: int
    error: str
    message: str
    hint: str


Job: TypeAlias = PredictJob | ReadJob
Reply: TypeAlias = Needs | Classify | Normalized | Page | Refusal


def send_file(connection: Connection, descriptor: int) -> None:
    """Give a process at the other end of a connection, which is a UNIX socket, an open file."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        socket.send_fds(own, [b"\0"], [descriptor])


def images_of(data: bytes) -> Images:
    """Return uint8 [N, 28, 28] from its bytes."""
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)
