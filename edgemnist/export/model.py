"""The Keras model that artifacts are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgemnist.arrays import Images, Labels, Probabilities
from edgemnist.data.dataset import Dataset, stratified_indices
from edgemnist.errors import ArtifactError, ManifestError, ModelError
from edgemnist.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    NewerManifestError,
    command,
    read_manifest,
    read_recorded,
)
from edgemnist.exports.questions import near_chance
from edgemnist.formats import INPUT_RANGES, UNIT
from edgemnist.progress import Reporter
from edgemnist.results.data import DataIdentity
from edgemnist.runtimes import KERAS, KERAS_H5, identify, read_model
from edgemnist.runtimes.keras import KerasClassifier, check_model, decode_keras_model, in_float32, model_bytes
from edgemnist.storage import sha256


@dataclass(frozen=True, eq=False, kw_only=True)
class KerasSource:
    """A Keras model that maps 28×28 images to class scores."""

    path: Path
    """Where it came from, for messages."""
    data: bytes
    """The contents of its `.keras` file."""
    sha256: str
    """Hash of `data`."""
    original: Any
    """The model as it was loaded, in float32."""
    model: Any
    """The model to convert: the same weights and layers, prepared for the converters."""
    classes: int
    parameters: int
    input_range: str = UNIT
    """The range in which it takes pixels, one of `INPUT_RANGES`."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image: (28, 28) or (28, 28, 1), for example."""
        return tuple(self.original.inputs[0].shape[1:])

    def pixels(self, images: Images) -> Probabilities:
        """Return images, uint8 [N, 28, 28], as the model takes them: float32 [N, *input_shape]."""
        low, high = INPUT_RANGES[self.input_range]
        unit = images.astype(np.float32) / np.float32(255)
        return (unit * np.float32(high - low) + np.float32(low)).reshape(-1, *self.input_shape)

    def answers(self, images: Images) -> Probabilities:
        """Return the class probabilities, float32 [N, C], of images, uint8 [N, 28, 28]."""
        return KerasClassifier(self.original, self.path, input_range=self.input_range).predict_proba(images)


def read_source(path: Path) -> KerasSource:
    """Read a Keras model file of any origin.

    Raises ModelError if it is missing, damaged, or not a classifier of 28×28 images.
    """
    return decode_source(read_source_file(path), path)


def read_source_file(path: Path) -> bytes:
    """Return the contents of a Keras model file. Raises ModelError if there is none, or a file of another kind."""
    try:
        return read_model(path, KERAS, KERAS_H5)
    except ArtifactError as error:
        raise ModelError(error.message, hint="Name a .keras or .h5 file with --model FILE.") from error


def decode_source(data: bytes, path: Path) -> KerasSource:
    """Read the contents of a Keras model file; `path` names it in messages. Raises ModelError as `read_source` does."""
    model = decode_keras_model(data, path)
    check_model(model, path)
    check_finite(model, path)
    check_steps(model, path)
    if not str(model.inputs[0].dtype).startswith(("float", "bfloat")):
        raise ModelError(
            f"{path} takes pixels as {model.inputs[0].dtype}, which no converter keeps",
            hint='Make its input keras.Input(shape, dtype="float32"), and copy the weights.',
        )
    if identify(data) == KERAS_H5:
        data = model_bytes(model)
    return KerasSource(
        path=path,
        data=data,
        sha256=sha256(data),
        original=in_float32(model),
        # Loaded a second time and not cloned: a clone loses what a layer keeps outside of its weights and its
        # configuration, such as the statistics of an adapted Normalization.
        model=prepared(in_float32(decode_keras_model(data, path))),
        classes=int(model.outputs[0].shape[1]),
        parameters=int(model.count_params()),
    )


def check_finite(model: Any, path: Path) -> None:  # noqa: ANN401 - Keras has no types
    """Raise ModelError for weights that are not finite, so that no conversion is blamed for them."""
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if not all(np.isfinite(np.asarray(weights, np.float32)).all() for weights in layer.get_weights()):
            raise ModelError(
                f"{path} has weights that are not finite, in its layer {layer.name!r}",
                hint="Its training diverged: train it again, with a lower learning rate.",
            )


MAX_STEPS: Final = 1000
"""Most steps that a recurrent layer is unrolled to: a picture has 784 pixels."""


def check_steps(model: Any, path: Path) -> None:  # noqa: ANN401 - Keras has no types
    """Raise ModelError for a recurrent layer with more steps than can be unrolled."""
    import keras

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if isinstance(layer, keras.layers.RNN):
            _, steps, *_ = (layer.get_build_config() or {}).get("input_shape") or (None, None)
            if steps is not None and steps > MAX_STEPS:
                raise ModelError(
                    f"{path} has a layer {layer.name!r} of {steps:,} steps, but converters take at most {MAX_STEPS:,}",
                    hint="Give it the rows or columns of the image, or its 784 pixels.",
                )


def prepared(model: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Change a Keras model so that the converters can take it, and return it; it answers as before.

    - Flatten and Reshape get constant shapes. Keras computes them while the model runs, from the batch size; LiteRT
      would have to plan its memory again in every call.
    - Recurrent layers are unrolled: no converter takes their loop.
    - Tensors that a layer keeps beside its weights, such as the statistics of an adapted Normalization, become
      constants: tf2onnx would make inputs of them.
    """
    import keras
    import tensorflow as tf

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        for name, value in list(vars(layer).items()):
            if tf.is_tensor(value) and not isinstance(value, tf.Variable):
                setattr(layer, name, value.numpy())
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True
        if isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)):
            layer.call = _with_constant_shape(layer, layer.call)
    return model


def _with_constant_shape(layer: Any, call: Callable[[Any], Any]) -> Callable[[Any], Any]:  # noqa: ANN401
    import keras

    def reshape(inputs: Any) -> Any:  # noqa: ANN401
        shape = layer.compute_output_shape(tuple(inputs.shape))[1:]
        reorders = getattr(layer, "data_format", "channels_last") != "channels_last"
        if reorders or not all(isinstance(size, int) and size > 0 for size in shape):
            return call(inputs)
        return keras.ops.reshape(inputs, (-1, *shape))

    return reshape


RANGE_IMAGES: Final = 500
"""Training images on which the ranges are compared."""
CLEARLY_BETTER: Final = 0.02
"""Accuracy by which another range must beat 0..1: networks of ReLUs hardly notice a factor."""
BRIGHT: Final = 1.5
"""A mean or a maximum beyond this means that pixels are in 0..255."""


def find_input_range(source: KerasSource, images: Images, labels: Labels) -> str:
    """Return the range in which a model takes pixels: its first layer's, else that of the best training accuracy.

    `images` are uint8 [N, 28, 28], `labels` int64 [N]. A model that answers in no range is said to take 0..1; see
    `check_executable`.
    """
    found = _range_of_layers(source.original)
    if found is not None:
        return found
    chosen = stratified_indices(labels, min(RANGE_IMAGES, len(labels)), 0)
    shown, truth = images[chosen], labels[chosen]
    accuracies: dict[str, float] = {}
    for name in INPUT_RANGES:
        try:
            answers = KerasClassifier(source.original, source.path, input_range=name).predict_proba(shown)
        except ArtifactError:
            # Some layers refuse negative values, and some refuse large ones.
            continue
        accuracies[name] = float(np.mean(answers.argmax(axis=1) == truth))
    if UNIT not in accuracies:
        return max(accuracies, key=lambda name: accuracies[name], default=UNIT)
    best = max(accuracies, key=lambda name: accuracies[name])
    # A model that guesses in every range says nothing about its own.
    guesses = near_chance(accuracies[best], source.classes, len(chosen))
    return best if not guesses and accuracies[best] > accuracies[UNIT] + CLEARLY_BETTER else UNIT


def check_executable(source: KerasSource, images: Images) -> None:
    """Raise ModelError if Keras itself cannot answer for images, uint8 [N, 28, 28]: no layer behind is to blame."""
    try:
        source.answers(images)
    except ArtifactError as error:
        raise ModelError(
            error.message, hint="Its layers do not fit each other outside of a training, or refuse the pixels."
        ) from error


def _range_of_layers(model: Any) -> str | None:  # noqa: ANN401 - Keras has no types
    """Return the range that a first layer of Rescaling or Normalization expects, or None without such a layer."""
    import keras

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = np.asarray(layer.scale, float), np.asarray(layer.offset, float)
            # What it makes of a white pixel of 255 tells: 1 or 2 for a factor of 1/255 or 1/127.5.
            if np.allclose(255 * scale, 1) or np.allclose(255 * scale, 2):
                return "0..255"
            return UNIT if np.allclose(scale, 2) and np.allclose(offset, -1) else None
        if isinstance(layer, keras.layers.Normalization):
            mean = float(np.mean(np.asarray(layer.mean)))
            if mean > BRIGHT:
                return "0..255"
            return "-1..1" if mean < 0 else UNIT
        if layer.weights:
            return None
    return None


@dataclass(frozen=True, eq=False)
class Origin:
    """What an export starts from."""

    source: KerasSource
    manifest: Manifest | None
    """What the directory records so far."""
    trained_on: DataIdentity | None
    """The data set that the model was trained on, if that is recorded."""


def find_origin(model: Path | None, dataset: Dataset, exports: Path, reporter: Reporter) -> Origin:
    """Read the model to export: a named file, or the one in the export directory, its hash checked.

    Raises ModelError if it is missing, damaged, or does not fit the data set, and ManifestError if a newer edgemnist
    wrote the manifest.
    """
    manifest = _manifest(exports, reporter)
    source = read_source(model) if model is not None else _own_source(exports, manifest)
    if source.classes != len(dataset.labels):
        raise ModelError(
            f"{source.path} has {source.classes} classes, but the data set has {len(dataset.labels)}",
            hint="Name the data set that it was trained on with --data DIR.",
        )
    if manifest is None or manifest.model is None or manifest.model.sha256 != source.sha256:
        return Origin(source, manifest, trained_on=None)
    _check_labels(source, manifest, dataset)
    if manifest.data is not None and manifest.data.sha256 != dataset.identity.sha256:
        reporter.notice(
            f"The model was trained on {manifest.data.source}, but is exported with images of {dataset.identity.source}"
        )
    return Origin(source, manifest, trained_on=manifest.data)


def _manifest(exports: Path, reporter: Reporter) -> Manifest | None:
    """Return the manifest of the directory, or None if it has none that can be used."""
    try:
        return read_manifest(exports)
    except NewerManifestError:
        raise
    except ManifestError as error:
        if (exports / MANIFEST_FILE).exists():
            reporter.notice(f"{error.message}. A new manifest is written that lists only this export.")
        return None


def _own_source(exports: Path, manifest: Manifest | None) -> KerasSource:
    path = exports / MODEL_FILE
    if not path.exists():
        is_file = exports.exists() and not exports.is_dir()
        raise ModelError(
            f"{exports} is a file, not an export directory" if is_file else f"{exports} has no {MODEL_FILE}",
            hint="Name a directory with --exports DIR."
            if is_file
            else f"Make one with: {command('train', exports)}, or name another with --model FILE",
        )
    if manifest is None or manifest.model is None:
        return read_source(path)
    try:
        data = read_recorded(exports, manifest.model)
    except ArtifactError as error:
        raise ModelError(
            error.message,
            hint=f"Train it again with: {command('train', exports)}, or take it as it is with: --model {path}",
        ) from error
    return decode_source(data, path)


def _check_labels(source: KerasSource, manifest: Manifest, dataset: Dataset) -> None:
    for index, (trained, given) in enumerate(zip(manifest.labels, dataset.labels, strict=False)):
        if trained != given:
            raise ModelError(
                f"{source.path} was trained for other classes than the data set has: class {index} is {trained!r} "
                f"there and {given!r} here",
                hint="Name the data set that it was trained on with --data DIR.",
            )
