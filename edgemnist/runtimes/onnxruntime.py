"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.formats import INPUT_RANGES
from edgemnist.results import UNREADABLE
from edgemnist.runtimes import ONNX, read_model
from edgemnist.runtimes.interface import INPUT_SHAPES, SINGLE, ChunkedClassifier, Steps, first_line, not_a_classifier
from edgemnist.runtimes.pixels import Numbers, decoder, encoder

LABELS_KEY: Final = "labels"
"""The entry of `metadata_props` that names the classes: a JSON list of strings."""

MOST_LABEL: Final = 255
"""Characters of the name of a class, as of the folder that it comes from."""

RANGE_KEY: Final = "input_range"
"""The entry that says how the model takes pixels."""

_DTYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
_ERRORS_ONLY: Final = 3


class ONNXRuntimeClassifier(ChunkedClassifier):
    """Answers with ONNX Runtime's CPU provider.

    The input and output of a single image are bound to fixed memory, which makes a call cheaper than the bare
    `session.run`. Single images from several threads take turns.
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
        """`model` is the contents of an ONNX file, `path` its name in messages."""
        self._path = path
        self._session = _load(model, path, threads)
        try:
            self._input = _only(path, "input", self._session.get_inputs())
            self._output = _only(path, "output", self._session.get_outputs())
            properties = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path} is damaged: {error}") from error
        if self._input.shape[1:] not in INPUT_SHAPES:
            raise not_a_classifier(path, f"its input is an array of {list(self._input.shape)}")
        self._batch = self._input.batch
        self._encode = encoder(self._input.numbers, input_range or stored_range(properties))
        self._decode = decoder(self._output.numbers)
        self._steps: Steps | None = None
        named = labels if labels is not None else decode_labels(properties.get(LABELS_KEY, ""))
        self._set_up(path, named, model=model)
        if self._batch in {None, 1}:
            self._one, self._steps = self._bound_call()

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> ONNXRuntimeClassifier:
        """Read an ONNX file; see `Classifier.load`."""
        return cls(read_model(path, ONNX), path, threads=threads, labels=labels, input_range=input_range)

    def steps(self) -> Steps | None:
        """Return the steps of a call with a single image; see `Classifier.steps`."""
        return self._steps

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty(images.shape, dtype=self._input.numbers.storage)
        self._encode(images, pixels)
        tensor = pixels.view(self._input.numbers.dtype).reshape(len(images), *self._input.shape[1:])
        try:
            scores = self._session.run([self._output.name], {self._input.name: tensor})[0]
        except Exception as error:
            # The exceptions of ONNX Runtime have no base class of their own.
            raise ArtifactError(f"{self._path} cannot be executed by ONNX Runtime: {first_line(error)}") from error
        return self._decode(scores.view(self._output.numbers.storage))

    def _bound_call(self) -> tuple[Callable[[Images], Probabilities], Steps]:
        """Return a function that answers one image in memory of its own, and what it consists of."""
        pixels = np.empty(SINGLE, dtype=self._input.numbers.dtype)
        scores = np.empty((1, len(self.classes_)), dtype=self._output.numbers.dtype)
        binding = self._session.io_binding()
        shape = [1, *self._input.shape[1:]]
        binding.bind_input(self._input.name, "cpu", 0, pixels.dtype.type, shape, pixels.ctypes.data)
        binding.bind_output(self._output.name, "cpu", 0, scores.dtype.type, list(scores.shape), scores.ctypes.data)
        encode, decode, run, lock = self._encode, self._decode, self._session.run_with_iobinding, threading.Lock()
        source, target = pixels.view(self._input.numbers.storage), scores.view(self._output.numbers.storage)

        def call(images: Images) -> Probabilities:
            with lock:
                encode(images, source)
                run(binding)
                return decode(target)

        steps = Steps(
            prepare=lambda images: encode(images, source),
            invoke=lambda: run(binding),
            finish=lambda: decode(target),
        )
        return call, steps


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[Any, ...]
    batch: int | None
    """None where it is free."""
    numbers: Numbers


def _load(model: bytes, path: Path, threads: int) -> Any:  # noqa: ANN401 - ONNX Runtime has no types
    """Return an inference session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    if threads == 1:
        # Nobody to wait for, so nothing to spin for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # To fall back, from the only one to the only one, would be told on stdout, which carries results.
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:
        # The exceptions of ONNX Runtime have no base class of their own.
        raise ArtifactError(f"{path} cannot be loaded by ONNX Runtime: {first_line(error)}") from error


def _only(path: Path, role: str, tensors: Sequence[Any]) -> _Tensor:
    """Read the description of the only input or output."""
    if len(tensors) != 1:
        raise not_a_classifier(path, f"it has {len(tensors)} {role}s")
    tensor = tensors[0]
    dtype = _DTYPES.get(tensor.type)
    if dtype is None:
        raise not_a_classifier(path, f"its {role} is a {tensor.type}")
    # A size that is free has a name, or None.
    shape = tuple(tensor.shape)
    batch = shape[0] if shape and isinstance(shape[0], int) else None
    return _Tensor(name=tensor.name, shape=shape, batch=batch, numbers=Numbers(np.dtype(dtype)))


def decode_labels(stored: str) -> list[str] | None:
    """Return the names of the classes that a file carries under `LABELS_KEY`, or None."""
    try:
        labels = msgspec.json.decode(stored, type=list[str])
    except UNREADABLE:
        # Other tools may keep something else under this name.
        return None
    return labels if all(len(label) <= MOST_LABEL and label.isprintable() for label in labels) else None


def stored_range(properties: Mapping[str, str]) -> str | None:
    """Return the input range that a file carries under `RANGE_KEY`, or None."""
    stored = properties.get(RANGE_KEY)
    return stored if stored in INPUT_RANGES else None
