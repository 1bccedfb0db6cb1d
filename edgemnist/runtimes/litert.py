"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.runtimes import TFLITE, read_model
from edgemnist.runtimes.interface import INPUT_SHAPES, SINGLE, ChunkedClassifier, Steps, first_line, not_a_classifier
from edgemnist.runtimes.pixels import Numbers, can_express, covered_range, decoder, encoder


class LiteRTClassifier(ChunkedClassifier):
    """Answers with the LiteRT interpreter and its XNNPACK kernels.

    A single image goes through an interpreter of its own that is never resized, so that its pixels can be written
    straight into the input tensor and the scores read straight from the output tensor: a call costs about as much as
    the bare `set_tensor`, `invoke`, `get_tensor`. Several images go through a second interpreter, made when needed.
    Calls from several threads take turns.
    """

    def __init__(
        self,
        model: bytes,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
    ) -> None:
        """`model` is the contents of a TFLite file, `path` its name in messages."""
        self._session = partial(_Session, model, path, threads, input_range)
        self._lock = threading.Lock()
        self._first = self._session()
        self._resized: _Session | None = None
        self._batch = None if self._first.input.free_batch else self._first.batch
        self._direct = _direct_access(self._first) if self._first.batch == 1 else None
        self._one = _direct_call(self._first, self._direct, self._lock) if self._direct else None
        self._set_up(path, labels, model=model)

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> LiteRTClassifier:
        """Read a TFLite file; see `Classifier.load`."""
        return cls(read_model(path, TFLITE), path, threads=threads, labels=labels, input_range=input_range)

    def steps(self) -> Steps | None:
        """Return the steps of a call with a single image; see `Classifier.steps`."""
        if self._direct is None:
            return None
        direct, encode, decode = self._direct, self._first.encode, self._first.decode
        return Steps(
            prepare=lambda images: encode(images, direct.pixels),
            invoke=direct.invoke,
            finish=lambda: decode(direct.scores),
        )

    def _scores(self, images: Images) -> Probabilities:
        with self._lock:
            if len(images) == self._first.batch:
                return self._first.run(images)
            if self._resized is None:
                self._resized = self._session()
            return self._resized.run(images)


@dataclass(frozen=True)
class _Tensor:
    index: int
    shape: tuple[int, ...]
    free_batch: bool
    numbers: Numbers


class _Session:
    """An interpreter, and what it says about its input and output."""

    def __init__(self, model: bytes, path: Path, threads: int, input_range: str | None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        try:
            self.interpreter = Interpreter(model_content=model, num_threads=threads)
            self.interpreter.allocate_tensors()
            inputs, outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(f"{path} cannot be loaded by LiteRT: {first_line(error)}") from error
        self.input, self.output = _only(path, "input", inputs), _only(path, "output", outputs)
        if self.input.shape[1:] not in INPUT_SHAPES:
            raise not_a_classifier(path, f"its input is an array of {list(self.input.shape)}")
        self.encode = encoder(self.input.numbers, input_range or covered_range(self.input.numbers))
        self.decode = decoder(self.output.numbers)
        self.batch = self.input.shape[0]

    def run(self, images: Images) -> Probabilities:
        """Return the scores of images, uint8 [N, 28, 28]; resizes the input where N is another than before."""
        storage = self.input.numbers.storage
        pixels = np.empty(images.shape, dtype=storage)
        self.encode(images, pixels)
        shape = (len(images), *self.input.shape[1:])
        try:
            if len(images) != self.batch:
                self.interpreter.resize_tensor_input(self.input.index, shape)
                self.interpreter.allocate_tensors()
                self.batch = len(images)
            self.interpreter.set_tensor(self.input.index, pixels.view(self.input.numbers.dtype).reshape(shape))
            self.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(f"{self.path} cannot be executed by LiteRT: {first_line(error)}") from error
        return self.decode(self.interpreter.get_tensor(self.output.index).view(self.output.numbers.storage))

    def view(self, tensor: _Tensor) -> npt.NDArray[Any]:
        """Return the memory of a tensor. Raises ValueError where it has none yet."""
        memory: npt.NDArray[Any] = self.interpreter.tensor(tensor.index)()
        return memory.view(tensor.numbers.storage)

    def addresses(self) -> tuple[int, int]:
        """Return where the input and the output lie. Raises ValueError where one has no memory yet."""
        return self.view(self.input).ctypes.data, self.view(self.output).ctypes.data


@dataclass(frozen=True)
class _Direct:
    """The memory of an interpreter's tensors, and the function that runs it."""

    pixels: npt.NDArray[Any]
    invoke: Callable[[], None]
    scores: npt.NDArray[Any]


def _direct_access(session: _Session) -> _Direct | None:
    """Return the memory of the tensors, or None where it moves.

    It moves where the shape of a tensor is only known while the model runs. The session must not be resized later.
    """
    try:
        before = session.addresses()
        for _ in range(2):
            session.interpreter.invoke()
            if session.addresses() != before:
                return None
        # The public method refuses to run while arrays show the tensors, because in general the memory may move.
        invoke: Callable[[], None] = session.interpreter._interpreter.Invoke  # noqa: SLF001
    except (AttributeError, ValueError, RuntimeError):
        return None
    return _Direct(session.view(session.input).reshape(SINGLE), invoke, session.view(session.output))


def _direct_call(session: _Session, direct: _Direct, lock: threading.Lock) -> Callable[[Images], Probabilities]:
    """Return a function that answers one image in the tensors' own memory."""
    acquire, release = lock.acquire, lock.release
    encode, decode = session.encode, session.decode
    pixels, invoke, scores = direct.pixels, direct.invoke, direct.scores

    def call(images: Images) -> Probabilities:
        acquire()
        try:
            encode(images, pixels)
            invoke()
            return decode(scores)
        finally:
            release()

    return call


def _only(path: Path, role: str, details: Sequence[Mapping[str, Any]]) -> _Tensor:
    """Read the description of the only input or output."""
    if len(details) != 1:
        raise not_a_classifier(path, f"it has {len(details)} {role}s")
    detail = details[0]
    dtype = np.dtype(detail["dtype"])
    if not can_express(dtype):
        raise not_a_classifier(path, f"its {role} is of {dtype}")
    parameters = detail["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    numbers = Numbers(dtype, float(scales[0]), int(zero_points[0])) if len(scales) else Numbers(dtype)
    signature = [int(size) for size in detail["shape_signature"]]
    return _Tensor(
        index=int(detail["index"]),
        shape=tuple(int(size) for size in detail["shape"]),
        free_batch=signature[:1] == [-1],
        numbers=numbers,
    )
