"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes import TFLITE
from edgemnist.model.runtimes.interface import Signature, Tensor, TensorClassifier
from edgemnist.model.runtimes.pixels import Numbers


class LiteRTClassifier(TensorClassifier):
    """Answers with the LiteRT interpreter and its XNNPACK kernels.

    A single image goes through an interpreter of its own that is never resized, so that its pixels can be written
    straight into the input tensor and the scores read straight from the output tensor: a call costs about as much as
    the bare `set_tensor`, `invoke`, `get_tensor`. Several images go through a second interpreter, made when needed.
    Calls from several threads take turns.
    """

    formats = (TFLITE,)
    title = "LiteRT"
    cure = "If it is full int8, another runtime may load it: name it as FILE@native, or FILE@integer."

    def _open(self, model: bytes, threads: int) -> Signature:
        from ai_edge_litert.interpreter import Interpreter

        self._make: Callable[[], Any] = partial(Interpreter, model_content=model, num_threads=threads)
        self._first, self._resized, self._resized_to = self._make(), None, 0
        self._first.allocate_tensors()
        details = self._first.get_input_details(), self._first.get_output_details()
        return Signature(inputs=[_tensor(one) for one in details[0]], outputs=[_tensor(one) for one in details[1]])

    def _execute(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with self._lock:
            interpreter = self._first
            # It refuses while arrays show the memory of the first one.
            if len(tensor) != self._input.shape[0] or self._one is not None:
                interpreter = self._resized = self._resized or self._make()
                if len(tensor) != self._resized_to:
                    interpreter.resize_tensor_input(self._input.name, tensor.shape)
                    interpreter.allocate_tensors()
                    self._resized_to = len(tensor)
            interpreter.set_tensor(self._input.name, tensor)
            interpreter.invoke()
            scores: npt.NDArray[Any] = interpreter.get_tensor(self._output.name)
            return scores

    def _memory(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the memory of input and output. Raises ValueError where one has none yet."""
        source, target = (self._first.tensor(tensor.name)() for tensor in (self._input, self._output))
        return source, target

    def _fix_memory(self) -> None:
        if self._input.shape[0] != 1:
            return
        try:
            before = [array.ctypes.data for array in self._memory()]
            # It moves where the shape of a tensor is only known while the model runs.
            for _ in range(2):
                self._first.invoke()
                if [array.ctypes.data for array in self._memory()] != before:
                    return
            # The public method refuses to run while arrays show the tensors, because in general the memory may move.
            invoke: Callable[[], object] = self._first._interpreter.Invoke  # noqa: SLF001 - the call alone
        except (AttributeError, ValueError, RuntimeError):
            return
        source, target = self._memory()
        self._bind(self._as_inputs(source), invoke, target)


def _tensor(detail: Mapping[str, Any]) -> Tensor:
    parameters, dtype = detail["quantization_parameters"], np.dtype(detail["dtype"])
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    shape = tuple(int(size) for size in detail["shape"])
    return Tensor(
        name=int(detail["index"]),
        numbers=Numbers(dtype, float(scales[0]), int(zero_points[0])) if len(scales) else Numbers(dtype),
        shape=shape,
        batch=None if [int(size) for size in detail["shape_signature"][:1]] == [-1] else next(iter(shape), None),
    )
