"""TensorFlow Lite for Microcontrollers, with its portable reference kernels, on this machine."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.runtimes import TFLITE, read_model
from edgemnist.runtimes.fixedpoint import numbers_of
from edgemnist.runtimes.interface import INPUT_SHAPES, ChunkedClassifier, not_a_classifier
from edgemnist.runtimes.pixels import covered_range, decoder, encoder
from edgemnist.runtimes.tflite import read_graph


class TFLMClassifier(ChunkedClassifier):
    """Answers with TFLM, one image a call. Calls from several threads take turns."""

    _batch = 1

    def __init__(
        self, model: bytes, path: Path, *, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> None:
        """`model` is the contents of a full-int8 TFLite file, `path` its name in messages."""
        self._path = path
        self._lock = threading.Lock()
        try:
            graph = read_graph(model)
            source, target = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
            self._input, output = numbers_of(source), numbers_of(target)
        except (ValueError, IndexError) as error:
            raise ArtifactError(
                f"{path} cannot be executed by TFLM: {error}",
                hint="The tflm runtime takes full-int8 TFLite files, such as tflite-int8.",
            ) from error
        if tuple(source.shape[1:]) not in INPUT_SHAPES:
            raise not_a_classifier(path, f"its input is an array of {list(source.shape)}")
        self._shape = (1, *source.shape[1:])
        self._encode = encoder(self._input, input_range or covered_range(self._input))
        self._decode, self._storage = decoder(output), output.storage
        self._interpreter = self._interpret(model)
        self._set_up(path, labels)

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> TFLMClassifier:
        """Read a full-int8 TFLite file; see `Classifier.load`. TFLM has one thread, whatever `threads` says."""
        del threads
        return cls(read_model(path, TFLITE), path, labels=labels, input_range=input_range)

    def _interpret(self, model: bytes) -> Any:  # noqa: ANN401 - TFLM has no types
        from tflite_micro import runtime

        try:
            return runtime.Interpreter.from_bytes(model)
        # It reads the file in Python, too, and what is no flatbuffer gets as far as an index or a struct format.
        except (ValueError, RuntimeError, TypeError, LookupError, struct.error) as error:
            raise ArtifactError(f"{self._path} cannot be loaded by TFLM: {error}") from error

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty(images.shape, dtype=self._input.storage)
        self._encode(images, pixels)
        with self._lock:
            try:
                self._interpreter.set_input(pixels.view(self._input.dtype).reshape(self._shape), 0)
                self._interpreter.invoke()
                scores = self._interpreter.get_output(0)
            except (ValueError, RuntimeError) as error:
                raise ArtifactError(f"{self._path} cannot be executed by TFLM: {error}") from error
            return self._decode(scores.view(self._storage))
