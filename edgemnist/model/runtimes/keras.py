"""Keras model files: loaded safely, and refused with a reason where they do not fit their task."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, Unpack

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, ModelError, temporary_files_failed
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import MOST_AXES, InputSpec
from edgemnist.model.runtimes import KERAS, KERAS_H5, identify, read_model
from edgemnist.model.runtimes.interface import SIGMOIDS, ChunkedClassifier, Options, infer_spec
from edgemnist.model.runtimes.pixels import Numbers, encoder
from edgemnist.model.task import default_task

_CLASS_NOT_FOUND = re.compile(r"Could not locate (?:class|function) '(?P<name>[^']+)'|Unknown layer: '?(?P<old>[^'.]+)")
_CONFIG_REFUSED = re.compile(
    r"Error when deserializing class '(\w+)' using config=[^\n]*\s+Exception encountered: ([^\n]+)"
)
_WEIGHTS_REFUSED = re.compile(
    r"could not be loaded\. Example error message for object <\w+ name=([^,>]+)[^\n]*\s+([^\n]+)"
)
BOUNDED_SCORES: Final = frozenset({"tanh", "hardtanh", "softsign"})
"""Functions onto -1 to 1: a softmax of ten such scores is never surer than 45 %, and they themselves are no shares."""
MAX_REASON: Final = 300
"""Characters of Keras's words: some of its messages quote the whole configuration."""
_STYLE = re.compile("\x1b\\[[0-9;]*m")


def decode_keras_model(data: bytes, path: Path) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the model in the contents of a `.keras` or `.h5` file, uncompiled; `path` names it in messages.

    Code in the file, such as that of a Lambda layer, is not run. Raises ModelError for a damaged file, and for layers
    that Keras does not know.
    """
    import keras

    suffix = ".h5" if identify(data[:64]) == KERAS_H5 else ".keras"
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        # Keras reads files only.
        copy = Path(directory) / f"model{suffix}"
        try:
            copy.write_bytes(data)
        except OSError as error:
            raise temporary_files_failed(error) from error
        try:
            model = keras.saving.load_model(copy, compile=False, safe_mode=True)
        except Exception as error:
            # Whatever a damaged file makes of the zip, HDF5 and JSON readers.
            raise _unloadable(path, str(error).replace(str(copy), path.name)) from error
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict | list | tuple) and len(model.outputs) == 1:
        # The only answer of a dictionary or list, by itself.
        model = keras.Model(model.inputs[0], model.outputs[0])
    return model


def check_model(
    model: Any,  # noqa: ANN401 - Keras has no types
    path: Path,
    spec: InputSpec | None = None,
    *,
    numbers: bool = False,
) -> None:
    """Raise ModelError where a Keras model does not map inputs to scores, and say which layer is to blame.

    `spec` is what it should read, by default the default task's. With `numbers`, its answers may be anything.
    """
    spec = spec or default_task().input
    check_ends(model, path)
    inputs, outputs = model.inputs, model.outputs
    batch, *image = inputs[0].shape
    try:
        spec.axes(image)
    except ValueError as error:
        raise _unfit(path, f"its layer {_name(inputs[0])!r} takes {_words(inputs[0].shape)}", spec) from error
    if batch is not None:
        raise _unfit(path, f"its layer {_name(inputs[0])!r} takes exactly {count(batch, 'input')} at a time", spec)
    if numbers:
        return
    answer = tuple(outputs[0].shape)
    is_one_of_two = answer[1:] == (1,) and _last_function(outputs[0]) in SIGMOIDS
    if not is_one_of_two and (len(answer) != 2 or answer[1] is None or answer[1] < 2):  # noqa: PLR2004 - images and classes
        raise _unfit(path, f"its layer {_name(outputs[0])!r} answers with {_words(answer)}", spec)
    if (last := _last_function(outputs[0])) in BOUNDED_SCORES:
        raise ModelError(
            f"{path} ends with {last}, in its layer {_name(outputs[0])!r}: its answers are neither probabilities "
            "nor logits, so they do not tell how sure it is",
            hint="End it with softmax or sigmoid, or with a Dense layer without an activation.",
        )


def check_ends(model: Any, path: Path) -> None:  # noqa: ANN401 - Keras has no types
    """Raise ModelError for several inputs or outputs, and for sizes that are free."""
    inputs, outputs = (getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or [])
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path} does not map one input to one answer: it has {count(len(inputs), 'input')} and "
            f"{count(len(outputs), 'output')}",
            hint="Save a part of it that does: keras.Model(input, output).save(FILE)",
        )
    for verb, tensor in (("takes", inputs[0]), ("answers with", outputs[0])):
        sizes = tensor.shape[1:]
        if None in sizes or len(sizes) > MOST_AXES:
            name = tensor._keras_history.operation.name  # noqa: SLF001 - there is no public way
            words = ", ".join("N" if size is None else str(size) for size in tensor.shape)
            raise ModelError(
                f"{path} cannot be exported: its layer {name!r} {verb} [{words}], but beside the first size, one to "
                f"{MOST_AXES} fixed ones must follow",
                hint="Build it with fixed sizes, and copy the weights.",
            )


def _last_function(tensor: Any) -> str:  # noqa: ANN401 - Keras has no types
    """Return the name of the function that a model's scores come from: of an activation, a layer or an operation."""
    operation = tensor._keras_history.operation  # noqa: SLF001 - there is no public way
    function = getattr(operation, "activation", operation)
    return str(getattr(function, "__name__", type(function).__name__)).lower().replace("_", "")


def in_float32(model: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Have a Keras model of mixed precision compute in float32, as every artifact of it does, and return it."""
    import keras

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if getattr(layer, "compute_dtype", "float32") != "float32":
            layer.dtype_policy = keras.DTypePolicy("float32")
    return model


def _unloadable(path: Path, reason: str) -> ModelError:
    hint = "Make a new one with: edgemnist train, or model.save()"
    if match := _CLASS_NOT_FOUND.search(reason):
        name = match["name"] or match["old"]
        said = f"has a layer or function of its own, {name!r}, which Keras does not know"
        hint = "Only layers and functions of Keras itself can be exported: rebuild the model from these."
    elif "Lambda" in reason or "safe_mode" in reason or "unsafe" in reason:
        said = "has a Lambda layer, whose code is not run"
        hint = "Rebuild the model with layers of Keras in its place."
    elif refused := _CONFIG_REFUSED.findall(reason):
        # The innermost one comes last.
        name, why = refused[-1]
        why = why[:MAX_REASON].rstrip(".")
        said = f"has a layer of the class {name!r} that Keras saved but does not load: {why}"
        hint = "Leave that layer out: copy the weights into a model without it."
    elif misfit := _WEIGHTS_REFUSED.search(reason):
        said = f"is damaged: the weights of its layer {misfit[1]!r} do not match its configuration"
    else:
        first = reason.strip().split("\n", 1)[0][:MAX_REASON].rstrip(".")
        said = f"is damaged or not a Keras model: {first}"
    return ModelError(f"{path} {said}", hint=hint)


def _unfit(path: Path, reason: str, spec: InputSpec) -> ModelError:
    return ModelError(
        f"{path} does not map {spec.words()} to class scores: {reason}",
        hint=f"It must take {spec.shapes_in_words()}, for any N, and answer with [N, classes].",
    )


def _name(tensor: Any) -> str:  # noqa: ANN401 - Keras has no types
    """Return the name of the layer that a symbolic tensor comes from."""
    return str(tensor._keras_history.operation.name)  # noqa: SLF001 - there is no public way


def _words(shape: Any) -> str:  # noqa: ANN401 - Keras has no types
    return f"[{', '.join('N' if size is None else str(size) for size in shape)}]"


class KerasClassifier(ChunkedClassifier):
    """Answers with `model(x)`.

    TensorFlow has one pool of threads for the whole process: `threads` counts where a Keras model is the first thing
    that TensorFlow does in it, and has no effect later.
    """

    def _take(self, source: Any, spec: InputSpec | None) -> Callable[[], str]:  # noqa: ANN401 - Keras has no types
        """Take a Keras model. Raises ModelError for one that is no classifier."""
        model, real = source, Numbers(np.dtype(np.float32))
        ends = [tuple(tensor.shape[1:]) for tensor in (*(model.inputs or ()), *(model.outputs or ()))]
        is_free = False
        if len(ends) == 2:  # noqa: PLR2004 - an input and an output
            if spec is None:
                with contextlib.suppress(ValueError):
                    spec, self.guesses = infer_spec(ends[0], real)
            # Of which kind an answer is that may be none of a classifier, is known when there are some.
            size = ends[1][0] if len(ends[1]) == 1 else 1
            is_free = self._is_numbers is None and (size == 1 or (spec is not None and size == spec.size))
        self.spec = spec or default_task().input
        check_model(model, self._file, self.spec, numbers=bool(self._is_numbers) or is_free)
        self._model, self._shape, self._reads = model, ends[0], (real.dtype, ends[0])
        self._axes = self.spec.axes(self._shape)
        self._encode = encoder(real, self.spec)
        return partial(_last_function, model.outputs[0])

    @classmethod
    def load(cls, path: Path, **options: Unpack[Options]) -> Self:
        """Read a Keras model file; see `Classifier.load`."""
        import tensorflow as tf

        data = read_model(path, KERAS, KERAS_H5)
        # Refused once TensorFlow has started its threads.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(options.get("threads", 1))
            tf.config.threading.set_inter_op_parallelism_threads(1)
        try:
            return cls(in_float32(decode_keras_model(data, path)), path, **options)
        except ModelError as error:
            raise ArtifactError(error.message, hint=error.hint) from error

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty(images.shape, dtype=np.float32)
        self._encode(images, pixels)
        if self._axes is not None:
            return self._run(pixels.transpose(0, *(1 + axis for axis in self._axes)))
        return self._run(pixels.reshape(len(images), *self._shape))

    def _run(self, tensor: npt.NDArray[Any]) -> Probabilities:
        try:
            return self._infer(tensor)
        except Exception as error:
            # Layers refuse values with exceptions of every kind; the first line of Keras's says who, the next one why.
            lines = [line.strip() for line in _STYLE.sub("", str(error)).splitlines() if line.strip()]
            reason = ": ".join(line.rstrip(".") for line in lines[:2])
            raise ArtifactError(f"{self._file} cannot be executed by Keras: {reason}") from error

    def _infer(self, pixels: Probabilities) -> Probabilities:
        """Return the model's answer to pixels, float32 [N, ...], 0 to 1."""
        return np.array(self._model(pixels, training=False), dtype=np.float32)


ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date that the ZIP format can express."""


def model_bytes(model: Any) -> bytes:  # noqa: ANN401 - Keras has no types
    """Return the contents of a `.keras` file: the same bytes for the same model, without date and memory addresses.

    Raises OSError if the system's temporary directory cannot hold it.
    """
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        path = Path(directory) / "model.keras"
        model.save(path)
        saved = path.read_bytes()
    normalized = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as source, zipfile.ZipFile(normalized, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name.endswith(".json"):
                document = json.loads(data)
                document.pop("date_saved", None)
                _number_shared_objects(document, {})
                data = json.dumps(document).encode()
            target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), data)
    return normalized.getvalue()


def _number_shared_objects(node: Any, numbers: dict[int, int]) -> None:  # noqa: ANN401 - any part of a JSON document
    """Replace the addresses by which Keras marks shared objects with 1, 2, 3 …, in order of appearance."""
    if isinstance(node, dict):
        if "shared_object_id" in node:
            node["shared_object_id"] = numbers.setdefault(node["shared_object_id"], len(numbers) + 1)
        for child in node.values():
            _number_shared_objects(child, numbers)
    elif isinstance(node, list):
        for child in node:
            _number_shared_objects(child, numbers)
