"""OpenVINO, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.formatting import count
from edgemnist.runtimes import ONNX, read_model
from edgemnist.runtimes.interface import INPUT_SHAPES, ChunkedClassifier, not_a_classifier
from edgemnist.runtimes.onnxruntime import LABELS_KEY, RANGE_KEY, decode_labels, stored_range
from edgemnist.runtimes.pixels import Numbers, decoder, encoder

_SETTINGS: Final = {
    # By default it computes in bfloat16 where the processor can, which is not what the file says.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
}


class OpenVINOClassifier(ChunkedClassifier):
    """Answers with OpenVINO's CPU plug-in. Calls from several threads take turns."""

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
        self._lock = threading.Lock()
        network, compiled = _compile(model, path, threads)
        if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
            raise not_a_classifier(
                path, f"it has {count(len(compiled.inputs), 'input')} and {count(len(compiled.outputs), 'output')}"
            )
        source = compiled.inputs[0]
        batch, *shape = (None if size.is_dynamic else size.get_length() for size in source.partial_shape)
        if tuple(shape) not in INPUT_SHAPES:
            raise not_a_classifier(path, f"its input is an array of {source.partial_shape}")
        self._batch, self._shape = batch, tuple(shape)
        self._input = Numbers(np.dtype(source.element_type.to_dtype()))
        self._encode = encoder(self._input, input_range or stored_range({RANGE_KEY: _stored(network, RANGE_KEY)}))
        self._decode = decoder(Numbers(np.dtype(compiled.outputs[0].element_type.to_dtype())))
        self._request = compiled.create_infer_request()
        named = labels if labels is not None else decode_labels(_stored(network, LABELS_KEY))
        self._set_up(path, named, model=model)

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> OpenVINOClassifier:
        """Read an ONNX file; see `Classifier.load`."""
        return cls(read_model(path, ONNX), path, threads=threads, labels=labels, input_range=input_range)

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty(images.shape, dtype=self._input.storage)
        self._encode(images, pixels)
        tensor = pixels.view(self._input.dtype).reshape(len(images), *self._shape)
        with self._lock:
            try:
                scores = self._request.infer([tensor], share_inputs=True)[0]
            except RuntimeError as error:
                raise ArtifactError(f"{self._path} cannot be executed by OpenVINO: {_words(error)}") from error
            return self._decode(scores)


def _compile(model: bytes, path: Path, threads: int) -> tuple[Any, Any]:
    """Return the model as it was read, and compiled."""
    import openvino

    try:
        core = openvino.Core()
        network = core.read_model(model)
        return network, core.compile_model(network, "CPU", {**_SETTINGS, "INFERENCE_NUM_THREADS": threads})
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be loaded by OpenVINO: {_words(error)}") from error


def _stored(network: Any, key: str) -> str:  # noqa: ANN401 - OpenVINO has no types
    """Return an entry of the file's metadata, or an empty string."""
    try:
        # Where the ONNX reader keeps the file's `metadata_props`.
        return str(network.get_rt_info(["framework", key]).astype(str))
    except RuntimeError:
        return ""


def _words(error: Exception) -> str:
    """Return the last line of OpenVINO's message, which says what is wrong; the others say where in its own code."""
    return str(error).strip().split("\n")[-1]
