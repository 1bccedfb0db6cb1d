"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import RANGE_PATTERN
from edgemnist.ground.results import UNREADABLE
from edgemnist.model.runtimes import ONNX
from edgemnist.model.runtimes.interface import Signature, Tensor, TensorClassifier, not_a_classifier
from edgemnist.model.runtimes.pixels import Numbers

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


class ONNXRuntimeClassifier(TensorClassifier):
    """Answers with ONNX Runtime's CPU provider.

    The input and output of a single image are bound to fixed memory, which makes a call cheaper than the bare
    `session.run`. Single images from several threads take turns.
    """

    formats = (ONNX,)
    title = "ONNX Runtime"

    def _open(self, model: bytes, threads: int) -> Signature:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        if threads == 1:
            # Nobody to wait for, so nothing to spin for.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # To fall back, from the only one to the only one, would be told on stdout, which carries results.
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        outputs = self._session.get_outputs()
        # Labels beside scores are left out, as by an export.
        scores = [one for one in outputs if one.type == "tensor(float)"]
        properties = self._session.get_modelmeta().custom_metadata_map
        return Signature(
            inputs=[self._tensor("input", tensor) for tensor in self._session.get_inputs()],
            outputs=[self._tensor("output", tensor) for tensor in (scores if len(scores) == 1 else outputs)],
            labels=decode_labels(properties.get(LABELS_KEY, "")),
            input_range=stored_range(properties),
        )

    def _tensor(self, role: str, tensor: Any) -> Tensor:  # noqa: ANN401 - ONNX Runtime has no types
        if tensor.type not in _DTYPES:
            raise not_a_classifier(self._file, f"its {role} is a {tensor.type}", self._asked)
        # A size that is free has a name, or None.
        shape = tuple(tensor.shape)
        batch = shape[0] if shape and isinstance(shape[0], int) else None
        return Tensor(tensor.name, Numbers(np.dtype(_DTYPES[tensor.type])), shape, batch)

    def _execute(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        scores: npt.NDArray[Any] = self._session.run([self._output.name], {self._input.name: tensor})[0]
        return scores

    def _fix_memory(self) -> None:
        if self.fixed_batch not in {None, 1}:
            return
        shape = [1, *self._input.shape[1:]]
        pixels = np.empty(shape, dtype=self._input.numbers.dtype)
        scores = np.empty((1, *self._given), dtype=self._output.numbers.dtype)
        binding = self._session.io_binding()
        binding.bind_input(self._input.name, "cpu", 0, pixels.dtype.type, shape, pixels.ctypes.data)
        binding.bind_output(self._output.name, "cpu", 0, scores.dtype.type, list(scores.shape), scores.ctypes.data)
        self._bind(self._as_inputs(pixels), partial(self._session.run_with_iobinding, binding), scores)


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
    return stored if stored is not None and re.fullmatch(RANGE_PATTERN, stored) else None
