"""TensorFlow Lite for Microcontrollers, with its portable reference kernels, on this machine."""

from __future__ import annotations

from typing import Any, Final

import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.model.runtimes import TFLITE, tflite
from edgemnist.model.runtimes.fixedpoint import numbers_of
from edgemnist.model.runtimes.interface import Signature, Tensor, TensorClassifier

_LEAST_ARENA: Final = 1 << 23
"""Bytes of address space: memory is taken as it is written to."""


class TFLMClassifier(TensorClassifier):
    """Answers with TFLM, one image a call, in one thread. Calls from several threads take turns."""

    formats = (TFLITE,)
    title = "TFLM"
    most = 1

    def _open(self, model: bytes, threads: int) -> Signature:
        from tflite_micro import runtime

        del threads
        graph = tflite.read_graph(model)
        try:
            inputs, outputs = ([_tensor(graph.tensors[at]) for at in ends] for ends in (graph.inputs, graph.outputs))
        except ValueError as error:
            raise ArtifactError(
                f"{self._file} cannot be executed by TFLM: {error}",
                hint="The tflm runtime takes full-int8 TFLite files, such as tflite-int8.",
            ) from error
        # By default it has ten times the file for its activations, of which a convolution of few weights has more.
        self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=max(_LEAST_ARENA, 10 * len(model)))
        return Signature(inputs=inputs, outputs=outputs)

    def _execute(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with self._lock:
            self._interpreter.set_input(tensor, 0)
            self._interpreter.invoke()
            scores: npt.NDArray[Any] = self._interpreter.get_output(0).copy()
            return scores


def _tensor(tensor: tflite.Tensor) -> Tensor:
    return Tensor(name=tensor.name, numbers=numbers_of(tensor), shape=(1, *tensor.shape[1:]), batch=None)
