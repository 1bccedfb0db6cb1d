"""The model that artifacts are made from: a Keras file, a float ONNX file or a full-int8 TFLite file."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, ManifestError, ModelError
from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import Reporter
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    NewerManifestError,
    command,
    file_sha256,
    read_manifest,
    read_recorded,
)
from edgemnist.model.exports.models import recorded_beside
from edgemnist.model.formats import FORMATS
from edgemnist.model.runtimes import KERAS, KERAS_H5, ONNX, RUNTIMES, TFLITE, identify, read_model
from edgemnist.model.runtimes.integer import EDGES, IntegerClassifier
from edgemnist.model.runtimes.interface import CHUNK, ChunkedClassifier, infer_spec
from edgemnist.model.runtimes.keras import KerasClassifier, check_ends, decode_keras_model, in_float32, model_bytes
from edgemnist.model.runtimes.onnxruntime import ONNXRuntimeClassifier
from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.model.runtimes.untrusted import try_file, try_reader
from edgemnist.model.task import Task, default_task, task_named, unnamed_task


@dataclass(frozen=True, eq=False, kw_only=True)
class Source(ABC):
    """A model that maps one input to the scores of classes, or to numbers."""

    title: ClassVar[str]
    """What messages call it."""
    file: ClassVar[str]
    """Its name in an export directory."""

    path: Path
    """Where it came from, for messages."""
    data: bytes
    """The contents of `file`."""
    sha256: str
    """Hash of `data`."""
    original: Any = None
    """The Keras model as it was loaded, in float32; None where it never was one."""
    model: Any = None
    """The Keras model to convert: the same weights and layers, prepared for the converters."""
    tflite: bytes | None = None
    """The full-int8 TFLite file that it is; None where that has to be made."""
    spec: InputSpec
    """What it reads, as far as its shape tells until somebody says more."""
    numbers: bool
    """Whether it answers with numbers, and not with classes."""
    outputs: tuple[int, ...]
    """The shape of one answer."""
    guesses: tuple[str, ...] = ()
    """What only its shapes say of it, and what else it may be, see `Classifier.guesses`."""
    labels: tuple[str, ...] | None = None
    """Names of its classes, where the file has them."""
    parameters: int
    logits: bool = False
    """Whether full-int8 files answer with what the last softmax gets."""
    rounding: str = "single"
    """The rule by which C files and pages round."""
    at_once: int = CHUNK
    """How many inputs the model answers at once within the limits of memory."""

    @property
    def classes(self) -> int:
        """How many classes it tells apart: two with a single sigmoid."""
        return max(2, *self.outputs)

    def guesses_on(self, verb: str) -> list[str]:
        """Return a sentence for each guess on what it `reads` or `answers`."""
        return [f"{self.path} {guess}." for guess in self.guesses if guess.startswith(verb)]

    @property
    def is_usual(self) -> bool:
        """Whether what it reads and answers may be what is meant where nothing is said."""
        return self.spec.takes_the_same(default_task().input) and not self.numbers

    @property
    def task(self) -> Task:
        """What it is for, as far as that is known."""
        if self.is_usual:
            return unnamed_task()
        bare = InputSpec(shape=self.spec.shape) if self.spec.dtype == "uint8" else self.spec
        task = task_named("pictures" if bare.is_picture else "numbers", bare)
        return msgspec.structs.replace(task, answers="numbers" if self.numbers else "classes")

    def reading(self, spec: InputSpec) -> "Source":
        """Return the source of other inputs, of a shape that fits."""
        return replace(self, spec=spec)

    @abstractmethod
    def _classifier(self) -> ChunkedClassifier:
        """Return what answers as artifacts are to answer."""

    def answer(self, inputs: npt.NDArray[Any]) -> Probabilities:
        """Return what the model answers, float32 [N, ...]: numbers, or the probabilities of classes."""
        classifier = self._classifier()
        classifier.most = min(classifier.most, self.at_once)
        return classifier.answer(inputs)


@dataclass(frozen=True, eq=False, kw_only=True)
class KerasSource(Source):
    """A Keras model."""

    title: ClassVar[str] = "Keras model"
    file: ClassVar[str] = MODEL_FILE

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input as the file has it, with or without the axis of one channel."""
        return tuple(self.original.inputs[0].shape[1:])

    def tensor(self, inputs: npt.NDArray[Any]) -> Probabilities:
        """Return inputs, [N, *spec.shape], as the Keras model takes them: float32 [N, *input_shape]."""
        real, axes = self.spec.real(inputs), self.spec.axes(self.input_shape)
        if axes is not None:
            return real.transpose(0, *(1 + axis for axis in axes))
        return real.reshape(-1, *self.input_shape)

    def _classifier(self) -> ChunkedClassifier:
        return KerasClassifier(self.original, self.path, spec=self.spec, numbers=self.numbers)


@dataclass(frozen=True, eq=False, kw_only=True)
class OnnxSource(KerasSource):
    """A float ONNX file. ONNX Runtime answers for it; converters get a Keras model of it."""

    title: ClassVar[str] = "ONNX model"
    file: ClassVar[str] = "model.onnx"

    def reading(self, spec: InputSpec) -> "OnnxSource":
        """Return the source of other inputs; the Keras model has channels where these have them."""
        if spec.is_picture == self.spec.is_picture or len(spec.shape) == 1:
            return replace(self, spec=spec)
        return replace(self, spec=spec, **_keras_of_onnx(self.path, spec))

    def _classifier(self) -> ChunkedClassifier:
        return ONNXRuntimeClassifier(self.data, self.path, spec=self.spec, numbers=self.numbers)


@dataclass(frozen=True, eq=False, kw_only=True)
class TFLiteSource(Source):
    """A full-int8 TFLite file. The integer reference answers for it where that takes it, and else LiteRT."""

    title: ClassVar[str] = "TFLite model"
    file: ClassVar[str] = "model.tflite"

    def _classifier(self) -> ChunkedClassifier:
        return _tflite_classifier(self.data, self.path, spec=self.spec, numbers=self.numbers)


def read_source(path: Path) -> Source:
    """Read a model file of any origin, which a child process tries first.

    Raises ModelError if it is missing, damaged, not read, or does not map one input to one answer.
    """
    data = read_source_file(path)
    try:
        at_once = _tried(path, identify(data))
    except ArtifactError as error:
        raise ModelError(error.message, hint=error.hint) from error
    return replace(decode_source(data, path), at_once=at_once)


def _tried(path: Path, kind: str | None) -> int:
    if kind == ONNX:
        FORMATS["onnx"].load()
        try_reader(path, "edgemnist.pipeline.export.from_onnx:read_onnx")
        return CHUNK
    if kind != TFLITE:
        RUNTIMES["keras"].load()
        return try_file(path, "keras")
    try:
        return try_file(path, "integer")
    except ArtifactError:
        # LiteRT knows more operators. It also refuses files that the integer reference and microcontrollers take.
        if RUNTIMES["litert"].missing():
            raise
        return try_file(path, "litert")


def read_source_file(path: Path) -> bytes:
    """Return the contents of a model file. Raises ModelError if there is none, or a file of another kind."""
    try:
        return read_model(path, KERAS, KERAS_H5, ONNX, TFLITE)
    except ArtifactError as error:
        raise ModelError(error.message, hint="Name a .keras, .h5, .onnx or full-int8 .tflite file.") from error


def decode_source(data: bytes, path: Path) -> Source:
    """Read the contents of a model file; `path` names it in messages. Raises what `read_source` does."""
    return {ONNX: _decode_onnx, TFLITE: _decode_tflite}.get(identify(data) or "", _decode_keras)(data, path)


def _decode_onnx(_data: bytes, path: Path) -> Source:
    from edgemnist.pipeline.export.from_onnx import plain_file

    plain = plain_file(path)
    try:
        tried = ONNXRuntimeClassifier(plain, path)
    except ArtifactError as error:
        raise ModelError(error.message, hint=error.hint) from error
    made = _keras_of_onnx(path, tried.spec)
    return OnnxSource(
        path=path,
        data=plain,
        sha256=sha256(plain),
        spec=tried.spec,
        numbers=tried.answers_numbers,
        outputs=tuple(made["original"].outputs[0].shape[1:]),
        guesses=tried.guesses,
        labels=None if tried.labels == tuple(map(str, tried.classes_)) else tried.labels,
        parameters=int(made["original"].count_params()),
        **made,
    )


def _keras_of_onnx(path: Path, spec: InputSpec) -> dict[str, Any]:
    """Return the Keras model of an ONNX file, twice, as the fields of a source."""
    from edgemnist.pipeline.export.from_onnx import read_onnx

    return {
        "original": (model := read_onnx(path, channels_last=spec.is_picture)),
        "model": prepared(decode_keras_model(model_bytes(model), path)),
    }


def _tflite_classifier(data: bytes, path: Path, **options: Any) -> ChunkedClassifier:  # noqa: ANN401 - of any classifier
    """Return what answers as a full-int8 file does. Raises ArtifactError where nothing here executes it."""
    try:
        return IntegerClassifier(read_graph(data), path, **options)
    except (ValueError, LookupError, ArithmeticError):
        classifier: ChunkedClassifier = RUNTIMES["litert"].load()(data, path, **options)
        return classifier


def _decode_tflite(data: bytes, path: Path) -> Source:
    try:
        graph = read_graph(data)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="Convert or download it again.") from error
    edges = {
        one.inputs[0] if one.kind == "QUANTIZE" else one.outputs[0] for one in graph.operators if one.kind in EDGES
    }
    of_floats = ((index, one) for index, one in enumerate(graph.tensors) if one.dtype.startswith("float"))
    if floats := [tensor for index, tensor in of_floats if index not in edges]:
        raise ModelError(
            f"{path} is a TFLite file, but not full int8: its tensor {floats[0].name!r} is {floats[0].dtype}",
            hint="Export the Keras or ONNX model that it was made from.",
        )
    try:
        tried = _tflite_classifier(data, path)
    except ArtifactError as error:
        raise ModelError(error.message, hint=error.hint) from error
    return TFLiteSource(
        path=path,
        data=data,
        sha256=sha256(data),
        tflite=data,
        spec=tried.spec,
        numbers=tried.answers_numbers,
        outputs=graph.tensors[graph.outputs[0]].shape[1:],
        guesses=tried.guesses,
        parameters=sum(prod(tensor.shape) for tensor in graph.tensors if tensor.constant),
    )


def _decode_keras(data: bytes, path: Path) -> Source:
    RUNTIMES["keras"].load()
    model = decode_keras_model(data, path)
    check_ends(model, path)
    check_layers(model, path)
    spec, numbers, guesses = _ends(in_float32(model), path)
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
        spec=spec,
        numbers=numbers,
        outputs=tuple(model.outputs[0].shape[1:]),
        guesses=guesses,
        parameters=int(model.count_params()),
    )


def _ends(model: Any, path: Path) -> tuple[InputSpec, bool, tuple[str, ...]]:  # noqa: ANN401 - Keras has no types
    """Return what a Keras model reads as far as its shapes tell, whether it answers with numbers, and what is guessed.

    Raises ModelError as `KerasClassifier` does.
    """
    try:
        tried = KerasClassifier(model, path)
    except ArtifactError:
        # It refuses what it is tried with, but perhaps not in another range.
        spec, guesses = infer_spec(model.inputs[0].shape[1:], Numbers(np.dtype(np.float32)))
        return spec, len(model.outputs[0].shape) != 2, guesses  # noqa: PLR2004 - rows and classes
    return tried.spec, tried.answers_numbers, tried.guesses


MAX_STEPS: Final = 1000
"""Most steps that a recurrent layer is unrolled to."""


def check_layers(model: Any, path: Path) -> None:  # noqa: ANN401 - Keras has no types
    """Raise ModelError for what a layer has that no conversion is to be blamed for.

    That are weights that are not finite, a state that outlasts a call, and more recurrent steps than can be unrolled.
    """
    import keras

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if not all(np.isfinite(np.asarray(one, np.float32)).all() for one in layer.get_weights()):
            raise ModelError(
                f"{path} has weights that are not finite, in its layer {layer.name!r}",
                hint="Its training diverged: train it again, with a lower learning rate. Or float16 cannot hold them.",
            )
        if getattr(layer, "stateful", False):
            raise ModelError(
                f"{path} keeps a state from one call to the next, in its layer {layer.name!r}",
                hint="Build it with stateful=False, copy the weights, and give it all steps in one input.",
            )
        if isinstance(layer, keras.layers.RNN):
            _, steps, *_ = (layer.get_build_config() or {}).get("input_shape") or (None, None)
            if steps is not None and steps > MAX_STEPS:
                raise ModelError(
                    f"{path} has a layer {layer.name!r} of {steps:,} steps, but converters take at most {MAX_STEPS:,}",
                    hint="Give it fewer steps of more numbers each, such as the rows of a picture.",
                )


def prepared(model: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Change a Keras model so that the converters can take it, and return it; it answers as before."""
    import keras
    import tensorflow as tf

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        for name, value in list(vars(layer).items()):
            # Of what a layer keeps beside its weights, such as statistics, tf2onnx would make inputs.
            if tf.is_tensor(value) and not isinstance(value, tf.Variable):
                setattr(layer, name, value.numpy())
        # No converter takes a loop.
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True
        # Keras computes shapes from the batch size, and LiteRT would plan its memory again in every call.
        if isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)):
            layer.call = _with_constant_shape(layer, layer.call)
    return model


def _with_constant_shape(layer: Any, call: Callable[[Any], Any]) -> Callable[[Any], Any]:  # noqa: ANN401 - Keras has no stubs
    import keras

    def reshape(inputs: Any) -> Any:  # noqa: ANN401 - Keras has no stubs
        shape = layer.compute_output_shape(tuple(inputs.shape))[1:]
        reorders = getattr(layer, "data_format", "channels_last") != "channels_last"
        if reorders or not all(isinstance(size, int) and size > 0 for size in shape):
            return call(inputs)
        return keras.ops.reshape(inputs, (-1, *shape))

    return reshape


def check_executable(source: Source, inputs: npt.NDArray[Any]) -> None:
    """Raise ModelError if a model cannot answer for inputs, [N, ...]: no layer behind is to blame."""
    try:
        source.answer(inputs)
    except ArtifactError as error:
        raise ModelError(
            error.message, hint="Its layers do not fit each other outside of a training, or refuse the pixels."
        ) from error


@dataclass(frozen=True, eq=False)
class Origin:
    """What an export starts from."""

    source: Source
    manifest: Manifest | None
    """What the directory records so far."""
    record: Manifest | None
    """What records this very model: that manifest, or the one beside a named file; None where neither does."""
    place: Path
    """The directory of that record."""


def find_origin(model: Path | None, exports: Path, reporter: Reporter, *, trusted: bool = False) -> Origin:
    """Read the model to export: a named file, perhaps `trusted`, or the one in the export directory, its hash checked.

    Raises ModelError if it is missing or damaged, and ManifestError if a newer edgemnist wrote the manifest.
    """
    manifest = _manifest(exports, reporter)
    if model is not None and (model.name == "saved_model.pb" or (model / "saved_model.pb").is_file()):
        raise ModelError(
            f"{model} is a SavedModel, which is not read",
            hint='Save the model as a .keras file with model.save("model.keras"), and export that.',
        )
    if model is None:
        source = _own_source(exports, manifest)
    else:
        source = decode_source(read_source_file(model), model) if trusted else read_source(model)
    record, place = manifest, exports
    if record is None or record.model is None or record.model.sha256 != source.sha256:
        record = None
        if model is not None and (beside := recorded_beside(model, file_sha256(model) or "")):
            record, place = beside[0], model.parent
    return Origin(source, manifest, record, place)


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


def _own_source(exports: Path, manifest: Manifest | None) -> Source:
    path = exports / (MODEL_FILE if manifest is None or manifest.model is None else manifest.model.file)
    if not path.exists():
        if exports.is_file():
            raise ModelError(
                f"{exports} is a file, not an export directory", hint="Name a directory with --exports DIR."
            )
        raise ModelError(
            f"{exports} has no {path.name}",
            hint=f"Make one with: {command('train', exports)}, or name another with --model FILE",
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
