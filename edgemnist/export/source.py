"""The Keras model that artifacts are made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemnist.data.dataset import Dataset
from edgemnist.errors import ArtifactError, ManifestError, ModelError
from edgemnist.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    NewerManifestError,
    read_manifest,
    read_recorded,
    sha256,
)
from edgemnist.progress import Reporter
from edgemnist.results.data import DataIdentity
from edgemnist.runtimes.files import KERAS, KERAS_H5, identify, read_model
from edgemnist.runtimes.keras import check_model, decode_keras_model


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """A Keras model that maps 28×28 images to class scores."""

    path: Path
    """Where it came from, for messages."""
    data: bytes
    """The contents of its `.keras` file."""
    sha256: str
    """Of `data`."""
    original: Any
    """The model as it was loaded."""
    model: Any
    """The model to convert: the same function, with shapes that are known beforehand."""
    classes: int
    parameters: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image: (28, 28) or (28, 28, 1), for example."""
        return tuple(self.original.inputs[0].shape[1:])


def read_source(path: Path) -> Source:
    """Read a Keras model file of any origin.

    Raises ModelError where it is missing, damaged, or no classifier of 28×28 images.
    """
    try:
        return decode_source(read_model(path, KERAS, KERAS_H5), path)
    except ArtifactError as error:
        raise ModelError(error.message, hint="Name a .keras or .h5 file with --model FILE.") from error


def decode_source(data: bytes, path: Path) -> Source:
    """Read the contents of a Keras model file; `path` names it in messages. Raises ModelError as `read_source` does."""
    model = decode_keras_model(data, path)
    check_model(model, path)
    if identify(data) == KERAS_H5:
        from edgemnist.train.record import model_bytes

        data = model_bytes(model)
    return Source(
        path=path,
        data=data,
        sha256=sha256(data),
        original=model,
        model=_with_static_shapes(model),
        classes=int(model.outputs[0].shape[1]),
        parameters=int(model.count_params()),
    )


def _with_static_shapes(model: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a model that flattens and reshapes to constant shapes, with a free batch.

    Keras computes these shapes while the model runs, from the batch size of its input. LiteRT then has to plan its
    memory anew in every call, and cannot say where its tensors lie.
    """
    import keras

    class StaticReshape(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        """Reshapes [N, ...] to [N, *shape]."""

        def __init__(self, shape: tuple[int, ...], name: str) -> None:
            super().__init__(name=name)
            self.shape = shape

        def call(self, inputs: Any) -> Any:  # noqa: ANN401
            return keras.ops.reshape(inputs, (-1, *self.shape))

    def replaced(layer: Any) -> Any:  # noqa: ANN401
        if _only_reshapes(layer):
            return StaticReshape(layer.output.shape[1:], layer.name)
        return layer.__class__.from_config(layer.get_config())

    if not _has_reshapes(model):
        return model
    static = keras.models.clone_model(model, clone_function=replaced, recursive=True)
    static.set_weights(model.get_weights())
    return static


def _has_reshapes(model: Any) -> bool:  # noqa: ANN401 - Keras has no types
    return any(_only_reshapes(layer) or _has_reshapes(layer) for layer in getattr(model, "layers", ()))


def _only_reshapes(layer: Any) -> bool:  # noqa: ANN401 - Keras has no types
    import keras

    if not isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)):
        return False
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    return all(isinstance(size, int) for size in layer.output.shape[1:]) and math.prod(layer.output.shape[1:]) > 0


@dataclass(frozen=True, eq=False)
class Origin:
    """What an export starts from."""

    source: Source
    manifest: Manifest | None
    """What the directory records so far."""
    trained_on: DataIdentity | None
    """The data set that the model was trained on, where that is recorded."""


def find_origin(model: Path | None, dataset: Dataset, exports: Path, reporter: Reporter) -> Origin:
    """Read the model to export: a file that was named, or the one of the export directory, hash checked.

    Raises ModelError where it is missing, damaged, or does not fit the data set, and ManifestError where a newer
    edgemnist wrote the manifest.
    """
    manifest = _manifest(exports, reporter)
    source = read_source(model) if model is not None else _own_source(exports, manifest)
    if source.classes != len(dataset.labels):
        raise ModelError(
            f"{source.path} tells {source.classes} classes apart, and the data set has {len(dataset.labels)}",
            hint="Name the data set that it was trained on with --data DIR.",
        )
    if manifest is None or manifest.model is None or manifest.model.sha256 != source.sha256:
        return Origin(source, manifest, trained_on=None)
    _check_labels(source, manifest, dataset)
    if manifest.data is not None and manifest.data.sha256 != dataset.identity.sha256:
        reporter.notice(
            f"The model was trained on {manifest.data.source}, and is exported with images of {dataset.identity.source}"
        )
    return Origin(source, manifest, trained_on=manifest.data)


def _manifest(exports: Path, reporter: Reporter) -> Manifest | None:
    """Return what the directory records, or None where it records nothing that can be used."""
    try:
        return read_manifest(exports)
    except NewerManifestError:
        raise
    except ManifestError as error:
        if (exports / MANIFEST_FILE).exists():
            reporter.notice(f"{error.message}; it is written anew, with what is exported now")
        return None


def _own_source(exports: Path, manifest: Manifest | None) -> Source:
    path = exports / MODEL_FILE
    if not path.exists():
        raise ModelError(
            f"{exports} holds no {MODEL_FILE}", hint="Make one with: edgemnist train, or name another with --model FILE"
        )
    if manifest is None or manifest.model is None:
        return read_source(path)
    try:
        data = read_recorded(exports, manifest.model)
    except ArtifactError as error:
        raise ModelError(
            error.message, hint=f"Train it anew with: edgemnist train, or take it as it is with: --model {path}"
        ) from error
    return decode_source(data, path)


def _check_labels(source: Source, manifest: Manifest, dataset: Dataset) -> None:
    for index, (trained, given) in enumerate(zip(manifest.labels, dataset.labels, strict=False)):
        if trained != given:
            raise ModelError(
                f"{source.path} was trained for other classes than the data set has: class {index} is {trained!r} "
                f"there and {given!r} here",
                hint="Name the data set that it was trained on with --data DIR.",
            )
