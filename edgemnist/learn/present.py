"""The model that learns: the Keras model of an export directory, or what its int8 artifact preserves of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.errors import ModelError
from edgemnist.export.tflite import trained_quantization
from edgemnist.exports.manifest import MODEL_FILE, Artifact, read_recorded
from edgemnist.runtimes.integer import chain
from edgemnist.runtimes.tflite import read_graph

if TYPE_CHECKING:
    from edgemnist.exports import Exports
    from edgemnist.train.model import Weights

INT8: Final = "tflite-int8"
"""The artifact whose weights stand in for a missing Keras model, as on a board and in the package."""
PROBE: Final = 32
"""Random images on which the arithmetic is compared with Keras's."""
AGREES: Final = 1e-4
"""Largest difference of probabilities: float32 in another order of additions differs by 1e-6."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Present:
    """The present model, as weights of dense layers."""

    weights: Weights
    labels: tuple[str, ...]
    """Name of each class."""
    origin: str
    """The file that it was read from."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return tuple(int(bias.size) for bias in self.weights[1::2][:-1])

    def logits(self, images: Images) -> npt.NDArray[np.float32]:
        """Return what the model feeds to its softmax, float32 [N, C], for images, uint8 [N, 28, 28]."""
        return logits_of(self.weights, images)


def logits_of(weights: Weights, images: Images) -> npt.NDArray[np.float32]:
    """Return the logits, float32 [N, C], of a network of dense layers for images, uint8 [N, 28, 28]."""
    return np.asarray(hidden_of(weights, images) @ weights[-2] + weights[-1], np.float32)


def hidden_of(weights: Weights, images: Images) -> npt.NDArray[np.float32]:
    """Return the values of the last hidden layer, float32 [N, units], or the pixels if it has none."""
    values = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        values = np.maximum(values @ kernel + bias, 0)
    return np.asarray(values, np.float32)


def read_present(exports: Exports) -> Present:
    """Read the model of an export directory.

    Raises ModelError if it is not a plain network of dense layers, takes pixels in another range than 0..1, or has
    neither a Keras model nor a full-int8 artifact of one; and ArtifactError if a file is damaged.
    """
    labels = tuple(exports.manifest.labels)
    record = exports.manifest.model
    if record is not None and record.input_range is not None:
        raise _unfit(exports.directory / MODEL_FILE, f"it takes pixels in {record.input_range}")
    if record is not None and (exports.directory / MODEL_FILE).exists():
        data = read_recorded(exports.directory, record)
        path = exports.directory / MODEL_FILE
        return Present(weights=_keras_weights(data, path), labels=labels, origin=str(path))
    artifact = next((one for one in exports.manifest.artifacts if one.name == INT8), None)
    if artifact is None:
        raise ModelError(
            f"{exports.directory} has neither {MODEL_FILE} nor {INT8}",
            hint="Use --exports DIR to name the directory where the model was trained.",
        )
    return Present(
        weights=_int8_weights(exports, artifact), labels=labels, origin=str(exports.directory / artifact.file)
    )


def _keras_weights(data: bytes, path: Path) -> Weights:
    from edgemnist.runtimes.keras import KerasClassifier, decode_keras_model

    model = decode_keras_model(data, path)
    weights = [np.asarray(one, np.float32) for one in model.get_weights()]
    if not _is_dense(weights):
        raise _unfit(path, "it has layers other than dense ones")
    if trained_quantization(model) is not None:
        raise _unfit(path, "its weights were trained for 4 bits or fewer, and would need 8 afterwards")
    images = np.random.default_rng(0).integers(0, 256, (PROBE, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    scores = logits_of(weights, images).astype(np.float64)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    answers = KerasClassifier(model, path).predict_proba(images)
    if answers.shape != odds.shape or np.abs(odds / odds.sum(axis=1, keepdims=True) - answers).max() > AGREES:
        raise _unfit(path, "it computes something other than dense layers with ReLU and a softmax")
    return weights


def _int8_weights(exports: Exports, artifact: Artifact) -> Weights:
    path = exports.directory / artifact.file
    try:
        graph = read_graph(read_recorded(exports.directory, artifact))
        layers = [operator for operator in chain(graph) if operator.kind == "FULLY_CONNECTED"]
        tensors = [[graph.tensors[index] for index in layer.inputs[1:]] for layer in layers]
        weights = [
            part
            for kernel, *bias in tensors
            for part in (
                np.ascontiguousarray(kernel.real().T),
                bias[0].real().reshape(-1) if bias else np.zeros(kernel.shape[0], np.float32),
            )
        ]
        activations = [layer.activation for layer in layers]
    except (ValueError, IndexError) as error:
        raise _unfit(path, str(error)) from error
    if not _is_dense(weights) or activations != ["relu"] * (len(layers) - 1) + ["none"]:
        raise _unfit(path, "it has layers other than dense ones with ReLU")
    return weights


def _is_dense(weights: Weights) -> bool:
    sizes = [IMAGE_SIDE**2]
    for kernel, bias in zip(weights[::2], weights[1::2], strict=False):
        if kernel.ndim != 2 or kernel.shape[0] != sizes[-1] or bias.shape != (kernel.shape[1],):  # noqa: PLR2004 - a matrix
            return False
        sizes.append(kernel.shape[1])
    return len(weights) % 2 == 0 and len(sizes) > 1


def _unfit(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} cannot learn from samples: {reason}",
        hint="Only networks that edgemnist trains can do that. Export the samples, and train yours with them: "
        "edgemnist review --export DIR",
    )
