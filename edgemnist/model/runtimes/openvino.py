"""OpenVINO, on the CPU."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes import ONNX
from edgemnist.model.runtimes.interface import Signature, Tensor, TensorClassifier
from edgemnist.model.runtimes.onnxruntime import LABELS_KEY, RANGE_KEY, decode_labels, stored_range
from edgemnist.model.runtimes.pixels import Numbers

_SETTINGS: Final = {
    # By default it computes in bfloat16 where the processor can, which is not what the file says.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
}


class OpenVINOClassifier(TensorClassifier):
    """Answers with OpenVINO's CPU plug-in. Calls from several threads take turns."""

    formats = (ONNX,)
    title = "OpenVINO"

    def _open(self, model: bytes, threads: int) -> Signature:
        import openvino

        core = openvino.Core()
        network = core.read_model(model)
        compiled = core.compile_model(network, "CPU", {**_SETTINGS, "INFERENCE_NUM_THREADS": threads})
        self._request = compiled.create_infer_request()
        return Signature(
            inputs=[_tensor(tensor) for tensor in compiled.inputs],
            outputs=[_tensor(tensor) for tensor in compiled.outputs],
            labels=decode_labels(_stored(network, LABELS_KEY)),
            input_range=stored_range({RANGE_KEY: _stored(network, RANGE_KEY)}),
        )

    def _execute(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with self._lock:
            return np.array(self._request.infer([tensor], share_inputs=True)[0])

    def _words(self, error: Exception) -> str:
        # The lines before the last one say where in its own code, or which operators it lacks.
        lines = str(error).strip().split("\n")
        return next((line.strip("- ") for line in lines if "No conversion rule" in line), lines[-1])


def _tensor(tensor: Any) -> Tensor:  # noqa: ANN401 - OpenVINO has no types
    shape = tuple(None if size.is_dynamic else size.get_length() for size in tensor.partial_shape)
    numbers = Numbers(np.dtype(tensor.element_type.to_dtype()))
    return Tensor(name=tensor, numbers=numbers, shape=shape, batch=shape[0] if shape else None)


def _stored(network: Any, key: str) -> str:  # noqa: ANN401 - OpenVINO has no types
    """Return an entry of the file's metadata, or an empty string."""
    try:
        # Where the ONNX reader keeps the file's `metadata_props`.
        return str(network.get_rt_info(["framework", key]).astype(str))
    except RuntimeError:
        return ""
