"""The model that learns: the Keras model of an export directory, or what its int8 artifact preserves of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ModelError, UsageError
from edgemnist.ground.arrays import batches
from edgemnist.model.exports.manifest import MODEL_FILE, Artifact, read_recorded
from edgemnist.model.runtimes.integer import OF_TWO, needed
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.keras import KerasClassifier, decode_keras_model
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.pipeline.export.tflite import trained_quantization
from edgemnist.pipeline.train.network import (
    CNN,
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    KERNEL,
    MAXIMUM,
    MEAN,
    MLP,
    POINTWISE,
    WHOLE,
    Layer,
    Network,
)

if TYPE_CHECKING:
    from edgemnist.ground.inputs import InputSpec
    from edgemnist.model.exports import Exports
    from edgemnist.model.task import Task
    from edgemnist.pipeline.train.model import Weights

INT8: Final = "tflite-int8"
"""The artifact whose weights stand in for a missing Keras model, as on a board and in the package."""
PROBE: Final = 32
"""Random inputs on which the arithmetic is compared with Keras's."""
AGREES: Final = 1e-4
"""Largest difference of probabilities: float32 in another order of additions differs by 1e-6."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Present:
    """The present model, as weights of a network that `train` makes."""

    weights: Weights
    network: Network
    task: Task
    spec: InputSpec
    """What it reads."""
    labels: tuple[str, ...]
    """Name of each class."""
    origin: str
    """The file that it was read from."""
    model_sha256: str
    """Hash of the Keras model that it is, or that the artifact was converted from."""

    def logits(self, inputs: npt.NDArray[Any], weights: Weights | None = None) -> npt.NDArray[np.float32]:
        """Return what the model, with these `weights` or its own, feeds to its softmax, float32 [N, C]."""
        return logits_of(self.network, self.spec, weights or self.weights, inputs)


def logits_of(network: Network, spec: InputSpec, weights: Weights, inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the logits, float32 [N, C], of a finished network for inputs [N, *shape]."""
    import tensorflow as tf

    from edgemnist.pipeline.train.families import finished_form

    forward, known = finished_form(network), [tf.constant(weight) for weight in weights]
    none = np.empty((0, weights[-1].size), np.float32)
    shown = map(spec.real, batches(inputs, spec.at_once()))
    return np.concatenate([none, *(np.asarray(forward(known, tf.constant(batch))) for batch in shown)])


def read_present(exports: Exports) -> Present:
    """Read the model of an export directory.

    Raises ModelError if it is not a network that `train` makes, takes pixels in another range than 0..1, or has neither
    a Keras model nor a full-int8 artifact of dense layers; and ArtifactError if a file is damaged.
    """
    labels, task, record = tuple(exports.manifest.labels), exports.task, exports.manifest.model
    spec = (record.spec(task) if record is not None else None) or task.input
    if spec.dtype == "uint8" and not spec.is_unit:
        raise _unfit(exports.model_path, f"it takes pixels in {spec.range or 'a range of each channel'}")
    if record is not None and exports.model_path.exists():
        path = exports.model_path
        network, weights = _keras_weights(read_recorded(exports.directory, record), path, spec)
        origin, model_sha256 = path, record.sha256
    else:
        artifact = next((one for one in exports.manifest.artifacts if one.name == INT8), None)
        if artifact is None:
            raise ModelError(
                f"{exports.directory} has neither {MODEL_FILE} nor {INT8}",
                hint="Use --exports DIR to name the directory where the model was trained.",
            )
        weights = _int8_weights(exports, artifact, spec)
        network = Network.mlp(*(int(bias.size) for bias in weights[1:-2:2]), image=spec.shape)
        origin, model_sha256 = exports.directory / artifact.file, artifact.model_sha256
    return Present(
        weights=weights,
        network=network,
        task=task,
        spec=spec,
        labels=labels,
        origin=str(origin),
        model_sha256=model_sha256,
    )


def _keras_weights(data: bytes, path: Path, spec: InputSpec) -> tuple[Network, Weights]:
    """Return the network that a Keras model is, and its weights."""
    model = decode_keras_model(data, path)
    weights = [np.asarray(one, np.float32) for one in model.get_weights()]
    if (network := network_of(model, spec)) is None:
        raise _unfit(path, "it has other layers than those that edgemnist trains")
    if trained_quantization(model) is not None:
        raise _unfit(path, "its weights were trained for 4 bits or fewer, and would need 8 afterwards")
    inputs = spec.random(PROBE)
    expected = softmax(logits_of(network, spec, weights, inputs))
    answers = KerasClassifier(model, path, spec=spec).predict_proba(inputs)
    if answers.shape != expected.shape or not np.abs(expected - answers).max() <= AGREES:
        raise _unfit(path, "it computes something other than a network that edgemnist trains")
    return network, weights


_LAYERS: Final[dict[str, Callable[[dict[str, Any]], Layer]]] = {
    "Conv2D": lambda one: Layer(
        CONVOLUTION if one["kernel_size"][0] == KERNEL else POINTWISE, one["filters"], one["strides"][0]
    ),
    "DepthwiseConv2D": lambda one: Layer(DEPTHWISE, 0, one["strides"][0]),
    "MaxPooling2D": lambda one: Layer(MAXIMUM, 0, one["pool_size"][0]),
    "AveragePooling2D": lambda _: Layer(MEAN),
    "Dense": lambda one: Layer(DENSE, one["units"]),
}
"""Keras' layers that have a layer of a `Network`, by their settings."""


def network_of(model: Any, spec: InputSpec) -> Network | None:  # noqa: ANN401 - Keras has no types
    """Return the network that has the layers of a Keras model; None if `train` makes none of them.

    What the layers compute beside their shapes is not looked at.
    """
    layers: list[Layer] = []
    rim, each = 0, 1
    for layer in model.layers:
        kind, settings = type(layer).__name__, layer.get_config()
        if kind == "Cropping2D":
            rim = settings["cropping"][0][0]
        elif kind == "AveragePooling2D" and not layers:
            each = settings["pool_size"][0]
        elif kind in _LAYERS:
            layers.append(_LAYERS[kind](settings))
        elif kind not in {"InputLayer", "Reshape", "Flatten"}:
            return None
    family = CNN if any(layer.kind != DENSE for layer in layers) else MLP
    side = (spec.shape[0] - 2 * rim) // each if (rim, each) != (0, 1) else WHOLE
    try:
        network = Network(family=family, side=side, layers=tuple(layers[:-1]), image=spec.shape)
    except UsageError:
        return None
    kernels = [stage.kernel for stage in network.stages(layers[-1].units if layers else 0) if stage.kernel]
    found = [tuple(weight.shape) for weight in model.get_weights()]
    return network if found[::2] == kernels and len(found) == 2 * len(kernels) else None


def _int8_weights(exports: Exports, artifact: Artifact, spec: InputSpec) -> Weights:
    path = exports.directory / artifact.file
    try:
        graph = read_graph(read_recorded(exports.directory, artifact))
        operators = [one.operator for one in needed(graph)]
        layers = [operator for operator in operators if operator.kind == "FULLY_CONNECTED"]
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
    sizes = [spec.size, *(int(bias.size) for bias in weights[1::2])]
    is_dense = [kernel.shape for kernel in weights[::2]] == list(pairwise(sizes))
    if (
        not is_dense
        or any(one.kind in OF_TWO for one in operators)
        or activations != ["relu"] * (len(layers) - 1) + ["none"]
    ):
        raise _unfit(path, "it has layers other than dense ones with ReLU, and the Keras model is not here")
    return weights


def _unfit(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} cannot learn from samples: {reason}",
        hint="Only networks that edgemnist trains can do that. Export the samples, and train yours with them: "
        "edgemnist review --export DIR",
    )
