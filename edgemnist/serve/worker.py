"""What runs in a process of its own: everything that touches the pictures of strangers.

A decoder's time and memory cannot be limited in a thread. So the service hands the bytes of a request to a process,
which it kills when the time is up or the client has left; the kernel limits its memory. A worker has no model: it asks
for the answers to 28×28 pixels through its pipe, in the messages of `edgemnist.serve.jobs`.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import IO, Final

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.arrays import Probabilities
from edgemnist.errors import EdgemnistError, ImageError
from edgemnist.formatting import count
from edgemnist.images import normalize_digit
from edgemnist.images.decode import FORMATS, declared_pixels, decode_image, webp_pixels
from edgemnist.predict.refusal import Assessment, assess
from edgemnist.read.config import ReadConfig
from edgemnist.read.page import LARGER, SMALLEST, read_page
from edgemnist.results import UNREADABLE
from edgemnist.results.pictures import PredictBody
from edgemnist.runtimes.interface import Classifier, as_images
from edgemnist.runtimes.untrusted_child import data_bytes
from edgemnist.serve.config import Limits
from edgemnist.serve.jobs import Classify, Job, Needs, Normalized, Page, PredictJob, ReadJob, Refusal, Reply
from edgemnist.serve.refusals import RefusedError, bad_request, refusal_of, too_large

PICTURE: Final = "body"
"""What messages call a picture that is all of a request; those of a batch are `images[0]` and so on."""
READING_BYTES: Final = 24
"""Of memory, for each pixel of a page as it is read; measured."""
_STORED: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a pixel in Pillow's memory by mode; 4 in any other."""
WEBP_BYTES: Final = 16
"""Of memory, for each pixel of a WebP: two canvases of the decoder, what it hands over, and the picture."""
SLACK_BYTES: Final = 12 * 2**20
"""Of memory, beside the decoded picture: what the normalization of 512×512 pixels takes, and long metadata."""
NICENESS: Final = 10
"""The event loop goes before: it has little to do, and everybody waits for it."""


def work(connection: Connection, limits: Limits) -> None:
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
            job: Job = msgspec.msgpack.decode(connection.recv_bytes(), type=Job)
            memory.allow()
            # The signal at its end is not caught: it ends the process in the middle of a decoder.
            signal.setitimer(signal.ITIMER_PROF, limits.work_timeout_s)
            with receive_file(connection) as body:
                reply = msgspec.msgpack.encode(_done(job, body, connection, limits, memory))
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(reply)


class _Memory:
    """The limit that the kernel holds this process to: what it has now, and what the job may take beside it."""

    def __init__(self, limits: Limits) -> None:
        self._before = data_bytes()
        self._most = limits.decoded_bytes

    def allow(self, body: int = 0, picture: int = 0) -> None:
        """Allow so many bytes for a body and a picture. Elsewhere than on Linux, nothing limits it."""
        import resource

        if self._before:
            most = self._before + body + min(picture, self._most) + SLACK_BYTES
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def receive_file(connection: Connection) -> IO[bytes]:
    """Return the file that `send_file` gives, from its start. Raises EOFError where none comes."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        _, descriptors, _, _ = socket.recv_fds(own, 1, 1)
    if not descriptors:
        raise EOFError
    file = os.fdopen(descriptors[0], "rb")
    file.seek(0)
    return file


def _done(job: Job, body: IO[bytes], connection: Connection, limits: Limits, memory: _Memory) -> Reply:
    try:
        if isinstance(job, PredictJob):
            return _normalized(job, body, connection, limits, memory)
        return _read(job, body, connection, limits, memory)
    except MemoryError:
        return _refusal(_too_much_memory())
    except ImageError as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        return _refusal(_too_much_memory() if out_of_memory else refusal_of(error))
    except EdgemnistError as error:
        return _refusal(refusal_of(error))
    except RefusedError as refused:
        return _refusal(refused)


def _normalized(
    job: PredictJob, body: IO[bytes], connection: Connection, limits: Limits, memory: _Memory
) -> Normalized:
    size = 0
    if job.batch:
        # The JSON, and the pictures in it.
        size = 2 * os.fstat(body.fileno()).st_size
        memory.allow(size)
    pictures: list[IO[bytes]] = [body]
    names = [PICTURE]
    if job.batch:
        pictures = [io.BytesIO(picture) for picture in _batch(body.read(), limits.max_images)]
        names = [f"images[{index}]" for index in range(len(pictures))]
    _ask(connection, _needs(pictures, limits), memory, body=size)
    decoding = normalizing = 0.0
    images, inverted, assessments = [], [], []
    # One after the other, so that only one is in memory.
    for file, name in zip(pictures, names, strict=True):
        started = perf_counter()
        image = decode_image(file, name)
        decoded = perf_counter()
        try:
            found = normalize_digit(image)
        except ImageError as error:
            raise ImageError(f"{name} cannot be read as a digit: {error.message}", hint=error.hint) from error
        images.append(found.image)
        inverted.append(found.inverted)
        assessments.append(assess(found) if job.digits else Assessment())
        decoding += decoded - started
        normalizing += perf_counter() - decoded
    return Normalized(
        names=names,
        images=np.stack(images).tobytes(),
        inverted=inverted,
        assessments=assessments,
        decode_s=decoding,
        normalize_s=normalizing,
    )


def _read(job: ReadJob, body: IO[bytes], connection: Connection, limits: Limits, memory: _Memory) -> Page:
    config = ReadConfig(min_confidence=job.min_confidence)
    needs = _needs([body], limits)
    # Small pages are enlarged first.
    enlarged = max(needs.pixels, min(LARGER**2 * needs.pixels, SMALLEST**2))
    reading = READING_BYTES * min(enlarged, config.max_side**2)
    _ask(connection, Needs(pixels=needs.pixels, bytes=max(needs.bytes, reading)), memory)
    started = perf_counter()
    image = decode_image(body, PICTURE)
    decoded = perf_counter()
    result = read_page(image, _Remote(connection, job.labels), config)
    return Page(result=msgspec.structs.replace(result, source=PICTURE), decode_s=decoded - started)


class _Remote(Classifier):
    """The model, which is on the other side of the pipe."""

    def __init__(self, connection: Connection, labels: tuple[str, ...]) -> None:
        self._connection, self.labels = connection, labels
        self.classes_ = np.arange(len(labels), dtype=np.int64)

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> Classifier:
        """Not from a file: it answers for a classifier of the service."""
        raise NotImplementedError

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return float32 [N, C] for images; see `Classifier.predict_proba`."""
        images = as_images(images)
        self._connection.send_bytes(msgspec.msgpack.encode(Classify(images=images.tobytes())))
        answers = np.frombuffer(self._connection.recv_bytes(), dtype=np.float32)
        return answers.reshape(len(images), len(self.labels)).copy()


def _ask(connection: Connection, needs: Needs, memory: _Memory, *, body: int = 0) -> None:
    """Wait until the service has room for the pictures. Raises RefusedError where they are not to be decoded here."""
    connection.send_bytes(msgspec.msgpack.encode(needs))
    if not connection.recv_bytes():
        raise too_large("The picture belongs to another worker", "")
    memory.allow(body, needs.bytes)


def _batch(body: bytes, limit: int) -> list[bytes]:
    """Return the picture files of a JSON body. Raises RefusedError where it is no such body, empty or too long."""
    try:
        images = msgspec.json.decode(body, type=PredictBody).images
    except UNREADABLE as error:
        raise bad_request(
            f"The body is not the expected JSON: {error}", 'Send {"images": ["<Base64 of a picture file>"]}.'
        ) from error
    if not images:
        raise bad_request("The batch has no images", "Send at least one.")
    if len(images) > limit:
        raise too_large(
            f"The batch has {count(len(images), 'image')}, but the limit is {limit:,}", "Send fewer at once."
        )
    return images


def _needs(pictures: Sequence[IO[bytes]], limits: Limits) -> Needs:
    """Return what pictures take. Raises RefusedError where that is more than the limits allow."""
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
    return Needs(pixels=pixels, bytes=largest)


def _declared(picture: IO[bytes]) -> tuple[int, int]:
    """Return a picture's pixels, and the bytes that decoding it takes at most. Raises as Pillow does."""
    if pixels := webp_pixels(picture):
        return pixels, WEBP_BYTES * pixels
    with Image.open(picture, formats=FORMATS) as image:
        pixels, stored = declared_pixels(image), _STORED.get(image.mode, 4)
        # Measured: all coefficients of a progressive JPEG, of two bytes each, are there until the last scan has come; a
        # strip of a TIFF may be all of it, and a picture that EXIF turns is there twice.
        return pixels, pixels * stored * (3 if image.info.get("progressive") else 2)


def _too_much_memory() -> RefusedError:
    return too_large("The picture takes too much memory to decode", "Scale it down, or save it as PNG.")


def _refusal(refused: RefusedError) -> Refusal:
    document = refused.document
    return Refusal(status=refused.status, error=document.error, message=document.message, hint=document.hint)
