"""What runs in a process of its own: everything that touches the pictures of strangers.

A decoder's time and memory cannot be limited in a thread. So the service hands the bytes of a request to a process,
which it kills when the time is up or the client has left; the kernel limits its memory. A worker has no model: it asks
for the answers to what it has made of them through its pipe, in the messages of `edgemnist.serve.jobs`.
"""

import contextlib
import io
import os
import signal
import socket
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import IO, Final, Unpack

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.page import LARGER, SMALLEST, read_page
from edgemnist.errors import DataError, EdgemnistError
from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.pictures import FORMATS, declared_pixels, decode_image, webp_pixels
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.web.bodies import JSON
from edgemnist.ground.web.refusals import RefusedError, bad_request, refusal_of, too_large, unsupported
from edgemnist.model.native import library_version
from edgemnist.model.runtimes.interface import Classifier, Options
from edgemnist.model.runtimes.untrusted import data_bytes
from edgemnist.model.task import Assessment
from edgemnist.serve.config import PictureLimits
from edgemnist.serve.jobs import (
    HEAD,
    LARGE_BYTES,
    NUMBER_BYTES,
    Classify,
    Elsewhere,
    End,
    Given,
    Job,
    Needs,
    Normalized,
    Page,
    PredictJob,
    ReadJob,
    Refusal,
    count_of_numbers,
    framed,
)

PICTURE: Final = "body"
"""What messages call a picture that is all of a request; those of a batch are `images[0]` and so on."""
READING_BYTES: Final = 24
"""Of memory, for each pixel of a page as it is read; measured."""
READING_IN_NUMPY_BYTES: Final = 240
"""The same where the native engine is not installed; measured: 160 are too few for a small page of print."""
_STORED: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a pixel in Pillow's memory by mode; 4 in any other."""
WEBP_BYTES: Final = 16
"""Of memory, for each pixel of a WebP: two canvases of the decoder, what it hands over, and the picture."""
SLACK_BYTES: Final = 12 * 2**20
"""Of memory, beside the decoded picture: what the normalization of 512×512 pixels takes, and long metadata."""
MOST_PREPARED_BYTES: Final = 2**26
"""Of a batch as the model takes it."""
NICENESS: Final = 10
"""The event loop goes before: it has little to do, and everybody waits for it."""


def work(connection: socket.socket, limits: PictureLimits) -> None:
    """Do jobs until the connection ends."""
    # Of the terminal and of systemd, which sends it to all processes: the service says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    # The stacks of more threads would count against the memory of the pictures.
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    memory = _Memory(limits)
    with contextlib.suppress(EOFError, OSError, MemoryError):
        while True:
            head, descriptors, _, _ = socket.recv_fds(connection, HEAD.size, 1)
            if not descriptors:
                return
            with os.fdopen(descriptors[0], "rb") as body:
                body.seek(0)
                job: Job = msgspec.msgpack.decode(_received(connection, head), type=Job)
                memory.allow()
                # The signal at its end is not caught: it ends the process in the middle of a decoder.
                signal.setitimer(signal.ITIMER_PROF, limits.work_timeout_s)
                end = msgspec.msgpack.encode(_done(job, body, connection, limits, memory))
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.sendall(framed(end))


def _received(connection: socket.socket, head: bytes = b"") -> bytes:
    """Return the next message. Raises EOFError where none comes."""

    def exactly(count: int) -> bytes:
        data = connection.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise EOFError
        return data

    (length,) = HEAD.unpack(head or exactly(HEAD.size))
    return exactly(length) if length else b""


class _Memory:
    """The limit that the kernel holds this process to: what it has now, and what the job may take beside it."""

    def __init__(self, limits: PictureLimits) -> None:
        self._before = data_bytes()
        self._most = limits.decoded_bytes

    def allow(self, body: int = 0, picture: int = 0) -> None:
        """Allow this many bytes for a body and a picture. Elsewhere than on Linux, nothing limits it."""
        import resource

        if self._before:
            most = self._before + body + min(picture, self._most) + SLACK_BYTES
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _done(job: Job, body: IO[bytes], connection: socket.socket, limits: PictureLimits, memory: _Memory) -> End:
    try:
        if isinstance(job, PredictJob):
            return _normalized(job, body, connection, limits, memory)
        return _read(job, body, connection, limits, memory)
    except (MemoryError, EdgemnistError, RefusedError) as error:
        out_of_memory = isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
        memoryless = too_large("The picture takes too much memory to decode", "Scale it down, or save it as PNG.")
        refused = memoryless if out_of_memory else refusal_of(error)
        document = refused.document
        return Refusal(status=refused.status, error=document.error, message=document.message, hint=document.hint)


def _normalized(
    job: PredictJob, body: IO[bytes], connection: socket.socket, limits: PictureLimits, memory: _Memory
) -> Normalized | Elsewhere:
    size, names = 0, [PICTURE]
    pictures: list[IO[bytes]] = [body]
    spec = job.task.input
    if job.batch:
        # The JSON, and the pictures in it.
        size = 2 * os.fstat(body.fileno()).st_size
        memory.allow(size)
        sent = _batch(body.read())
        most = min(limits.max_images, max(1, MOST_PREPARED_BYTES // spec.nbytes))
        if isinstance(sent, msgspec.Raw):
            numbers = NUMBER_BYTES * count_of_numbers(sent)
            if numbers > limits.decoded_bytes:
                message = f"The inputs take more than {limits.decoded_bytes:,} bytes to decode, which is the limit"
                raise too_large(message, "Send fewer at once.")
            _ask(connection, numbers, memory, body=size)
            return _numbers(sent, spec, most)
        _check_count(len(sent), most)
        pictures = [io.BytesIO(picture) for picture in sent]
        names = [f"images[{index}]" for index in range(len(pictures))]
    if not spec.is_picture:
        hint = f'Send {{"inputs": [[…]]}} as {JSON}.'
        raise unsupported(f"The model takes {spec.words()}, and no pictures", hint)
    pixels, largest = _needs(pictures, limits)
    if pixels > job.max_pixels:
        return Elsewhere()
    _ask(connection, largest, memory, body=size)
    decoding, normalizing, task = 0.0, 0.0, job.task
    images, given = [], []
    # One after the other, so that only one is in memory.
    for file, name in zip(pictures, names, strict=True):
        started = perf_counter()
        image = decode_image(file, name, colours=not task.is_usual)
        decoded = perf_counter()
        found = task.fit(image, name)
        images.append(found.image)
        assessment = task.assess(found) or Assessment()
        given.append(Given(name=name, inverted=found.inverted, told=found.told, assessment=assessment))
        decoding += decoded - started
        normalizing += perf_counter() - decoded
    return Normalized(given=given, images=np.stack(images).tobytes(), decode_s=decoding, normalize_s=normalizing)


def _numbers(sent: msgspec.Raw, spec: InputSpec, most: int) -> Normalized:
    """Return inputs that came as numbers in JSON. Raises RefusedError where they are none of the model's."""
    started = perf_counter()
    try:
        rows = msgspec.json.decode(sent)
    except UNREADABLE as error:
        raise bad_request(f"The inputs are not the expected JSON: {error}", f"Send {spec.words()}.") from error
    if not isinstance(rows, list) or not rows:
        raise bad_request("The batch has no inputs", f"Send at least one, of {spec.words()}.")
    _check_count(len(rows), most, "input")
    inputs, names = [], [f"inputs[{index}]" for index in range(len(rows))]
    for row, name in zip(rows, names, strict=True):
        try:
            (one,) = spec.check(row)
        except (ValueError, DataError) as error:
            reason = error.message if isinstance(error, DataError) else f"{error}"
            message, hint = f"{name} cannot be used: {reason}", f"The model takes {spec.words()}."
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-input", message, hint) from error
        inputs.append(one)
    return Normalized(
        given=[Given(name=name) for name in names],
        images=np.stack(inputs).tobytes(),
        decode_s=perf_counter() - started,
        normalize_s=0.0,
    )


def _read(job: ReadJob, body: IO[bytes], connection: socket.socket, limits: PictureLimits, memory: _Memory) -> Page:
    config = ReadConfig(min_confidence=job.min_confidence)
    pixels, largest = _needs([body], limits)
    # Small pages are enlarged first.
    enlarged = max(pixels, min(LARGER**2 * pixels, SMALLEST**2))
    each = READING_BYTES if library_version() else READING_IN_NUMPY_BYTES
    reading = each * min(enlarged, config.max_side**2)
    _ask(connection, max(largest, reading), memory)
    started = perf_counter()
    image = decode_image(body, PICTURE)
    decoded = perf_counter()
    result = read_page(image, _Remote(connection, job), config)
    return Page(result=msgspec.structs.replace(result, source=PICTURE), decode_s=decoded - started)


class _Remote(Classifier):
    """The model, which is on the other side of the pipe."""

    def __init__(self, connection: socket.socket, job: ReadJob) -> None:
        self._connection, self.labels, self.task = connection, job.labels, job.task
        self.classes_ = np.arange(len(job.labels), dtype=np.int64)

    @classmethod
    def load(cls, path: Path, **options: Unpack[Options]) -> Classifier:
        """Not from a file: it answers for a classifier of the service."""
        raise NotImplementedError

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return float32 [N, C] for images; see `Classifier.predict_proba`."""
        images = self.spec.check(images)
        self._connection.sendall(framed(msgspec.msgpack.encode(Classify(images=images.tobytes()))))
        answers = np.frombuffer(_received(self._connection), dtype=np.float32)
        return answers.reshape(len(images), len(self.labels)).copy()


def _ask(connection: socket.socket, picture: int, memory: _Memory, *, body: int = 0) -> None:
    """Wait until the service has room for this many bytes of a decoded picture, if they are worth it."""
    if picture >= LARGE_BYTES:
        connection.sendall(framed(msgspec.msgpack.encode(Needs(bytes=picture))))
        _received(connection)
    memory.allow(body, picture)


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `PredictBody`, of which the numbers are not decoded yet."""

    images: list[bytes] | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _batch(body: bytes) -> list[bytes] | msgspec.Raw:
    """Return the picture files of a JSON body, or its numbers. Raises RefusedError for another one, or without any."""
    try:
        sent = msgspec.json.decode(body, type=_Batch)
    except UNREADABLE as error:
        hint = 'Send {"images": ["<Base64 of a picture file>"]}, or {"inputs": [[numbers]]}.'
        raise bad_request(f"The body is not the expected JSON: {error}", hint) from error
    if isinstance(sent.inputs, msgspec.Raw):
        if isinstance(sent.images, list):
            raise bad_request("The batch has both images and inputs", "Send one of the two.")
        return sent.inputs
    if not isinstance(sent.images, list) or not sent.images:
        raise bad_request("The batch has no images", "Send at least one.")
    return sent.images


def _check_count(found: int, most: int, noun: str = "image") -> None:
    if found > most:
        message = f"The batch has {count(found, noun)}, but the limit is {most:,}"
        raise too_large(message, "Send fewer at once.")


def _needs(pictures: Sequence[IO[bytes]], limits: PictureLimits) -> tuple[int, int]:
    """Return the pixels of all pictures, and the bytes that the largest takes.

    Raises RefusedError where that is more than the limits allow.
    """
    pixels = largest = 0
    for picture in pictures:
        try:
            own, size = _declared(picture)
            pixels += own
            largest = max(largest, size)
        # The warning is an error where Python was told so.
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            pixels = limits.max_pixels + 1
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112 - what is wrong with it is told by whoever decodes it
            continue
        finally:
            picture.seek(0)
        if pixels > limits.max_pixels:
            raise too_large(
                f"The request has more than {limits.max_pixels:,} pixels, which is the limit",
                "Scale the picture down, or crop it.",
            )
        if largest > limits.decoded_bytes:
            raise too_large(
                f"The picture takes more than {limits.decoded_bytes:,} bytes to decode, which is the limit",
                "Scale it down, or save it as PNG or as a JPEG that is not progressive.",
            )
    return pixels, largest


def _declared(picture: IO[bytes]) -> tuple[int, int]:
    """Return a picture's pixels, and the bytes that decoding it takes at most. Raises as Pillow does."""
    if pixels := webp_pixels(picture):
        return pixels, WEBP_BYTES * pixels
    with Image.open(picture, formats=FORMATS) as image:
        pixels, stored = declared_pixels(image), _STORED.get(image.mode, 4)
        # Measured: all coefficients of a progressive JPEG, of two bytes each, are there until the last scan has come; a
        # strip of a TIFF may be all of it, and a picture that EXIF turns is there twice.
        return pixels, pixels * stored * (3 if image.info.get("progressive") else 2)
