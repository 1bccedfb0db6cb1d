"""Where the error comes from: a quantized TFLite file compared with its float32 twin, layer by layer.

Both files are executed by LiteRT, in the kernels that answer elsewhere, on the same images, and their layers are paired
in order. A layer's own part in the error shows in two numbers that do not depend on the layers before it: what its
calibration costs (the float output, put into the tensor's scale and back), and what its weights lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter, Task
from edgemnist.ground.results.verify import ArtifactLayers, LayerError
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.models import Model, require_runtime
from edgemnist.model.runtimes import TFLITE, load, read_model
from edgemnist.model.runtimes.interface import Classifier, are_probabilities, softmax
from edgemnist.model.runtimes.pixels import Numbers, encoder
from edgemnist.model.runtimes.tflite import IDENTIFIER, Operator, Tensor, read_graph
from edgemnist.model.task import default_task

Real: TypeAlias = npt.NDArray[np.float64]

FLOAT_TWIN: Final = "tflite-float32"
"""The artifact whose layers the others of the format are compared with."""
LOW_SQNR_DB: Final = 30.0
"""Below this a layer's calibration is named as the one that hurts; 41 to 51 dB were measured for ranges that fit."""
CLIPPED: Final = 0.002
"""Above this share of clipped values as well: they are the largest ones, which decide; 0.0006 were measured."""

RUNTIME: Final = "litert"
"""The runtime whose layers are looked at: the only one that shows them."""
SAME: Final = 1e-5
"""How far probabilities may differ and still come from the same kernels: of float32, summed up in another order."""

_BATCH_SIZE: Final = 500
_MOVING: Final = frozenset(
    {"SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE"}
)
"""Operators that compute nothing: they differ between a float file and a quantized one."""


@dataclass
class _Sums:
    signal: float = 0.0
    noise: float = 0.0
    range_noise: float = 0.0
    answer: float = 0.0
    dot: float = 0.0
    values: int = 0
    clipped: int = 0

    def add(self, real: Real, found: Real, tensor: Tensor) -> None:
        """Take in the outputs of the float layer and of the quantized one."""
        self.signal += _power(real)
        self.noise += _power(real - found)
        self.answer += _power(found)
        self.dot += float(np.vdot(real, found))
        self.values += real.size
        if tensor.scales.size:
            scale, low, high = _range(tensor)
            held = np.clip(np.round(real / scale) * scale, low, high)
            self.range_noise += _power(real - held)
            # The int8 softmax cannot hold a probability of 1, by a step: that is its definition, no bad calibration.
            self.clipped += int(np.count_nonzero((real < low - scale) | (real > high + scale)))


class _Probe:
    """A file that LiteRT executes in its usual kernels, with the output of every layer among those of the model."""

    def __init__(self, path: Path, spec: InputSpec | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path, self._spec = path, spec or default_task().input
        data = read_model(path, TFLITE)
        try:
            self.graph = read_graph(data)
            self.layers = [one for one in self.graph.operators if one.kind not in _MOVING]
            places = [layer.outputs[0] for layer in self.layers]
            self._interpreter = Interpreter(model_content=expose(data, [*places, *self.graph.outputs]))
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(f"{path} cannot be executed layer by layer: {error}") from error

    def run(self, images: Images) -> list[Real]:
        """Return the output of every layer as real numbers, float64 [N, …]."""
        place = self.graph.inputs[0]
        source = self.graph.tensors[place]
        numbers = _numbers(source)
        pixels = np.empty(images.shape, dtype=numbers.storage)
        encoder(numbers, self._spec)(images, pixels)
        shape = (len(images), *source.shape[1:])
        try:
            self._interpreter.resize_tensor_input(place, shape)
            self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(place, pixels.view(numbers.dtype).reshape(shape))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(f"{self.path} cannot be executed layer by layer: {error}") from error
        return [self._real(layer.outputs[0]) for layer in self.layers]

    def answers(self) -> Real:
        """Return the model's own output to the images of the last `run`, float64 [N, C]."""
        return self._real(self.graph.outputs[0])

    def weights(self, layer: Operator) -> npt.NDArray[np.float32] | None:
        """Return a layer's weights as real numbers, or None where it has none."""
        constants = [self._constant(index) for index in layer.inputs[1:2]]
        return constants[0].real() if constants and constants[0] is not None else None

    def _constant(self, index: int) -> Tensor | None:
        # A float16 file keeps its weights small and turns each into float32 by an operator of its own.
        for operator in self.graph.operators:
            if operator.kind == "DEQUANTIZE" and operator.outputs[0] == index:
                return self._constant(operator.inputs[0])
        tensor = self.graph.tensors[index]
        return tensor if tensor.constant else None

    def _real(self, index: int) -> Real:
        values: Real = self._interpreter.get_tensor(index).astype(np.float64)
        numbers = _numbers(self.graph.tensors[index])
        return values if numbers.scale is None else numbers.scale * (values - numbers.zero_point)


def expose(model: bytes, places: Sequence[int]) -> bytes:
    """Return a TFLite model that has the tensors at `places` for its outputs, and computes them as before.

    A delegate such as XNNPACK keeps the tensors between its operators to itself. An interpreter without one would show
    them, but in other kernels: those of LiteRT for int4 weights change one label in three.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    tree.subgraphs[0].outputs = list(dict.fromkeys(places))
    # They name the outputs that the file had.
    tree.signatureDefs = []
    builder = flatbuffers.Builder(len(model) + 1024)
    builder.Finish(tree.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def compare_layers(
    model: Model, reference: Model, golden: GoldenPack, reporter: Reporter = SILENT
) -> ArtifactLayers | None:
    """Compare each layer of a quantized TFLite file with the same layer of its float32 twin.

    Both run in the kernels that answer elsewhere. Where LiteRT takes others as soon as the layers are looked at, so
    that the answers are not those of `predict`, nothing is measured: a notice says so, and None is returned.

    Raises ArtifactError where one cannot be read or executed, or where their layers do not correspond, and
    MissingDependencyError where LiteRT is not installed.
    """
    require_runtime(RUNTIME)
    # Loaded first: that has files tried that are not trusted.
    taken = model.spec
    classifier, other = (
        load(one.path, runtime=RUNTIME, spec=taken, numbers=model.numbers, trusted=one.trusted)
        for one in (model, reference)
    )
    probe, twin = _Probe(model.path, taken), _Probe(reference.path, taken)
    kinds, expected = [one.kind for one in probe.layers], [one.kind for one in twin.layers]
    if kinds != expected:
        raise ArtifactError(
            f"{model.path} has the layers {', '.join(kinds)}, but {reference.path} has {', '.join(expected)}",
            hint="Both files must be of the same model. Write them again with: edgemnist export",
        )
    classifier.most = min(classifier.most, other.most)
    with reporter.task(f"Comparing the layers of {model.artifact}", total=len(golden.labels)) as task:
        sums = _add_up(probe, twin, golden, task, classifier)
    if sums is None:
        reporter.notice(
            f"The layers of {model.artifact} cannot be measured: with their outputs exposed, LiteRT uses other kernels."
        )
        return None
    layers = list(_errors(probe, twin, sums))
    return ArtifactLayers(
        name=model.artifact,
        reference=reference.artifact,
        images=len(golden.labels),
        layers=layers,
        hurt=find_hurt(layers),
        sha256=model.sha256,
        reference_sha256=reference.sha256,
    )


def find_hurt(layers: Sequence[LayerError]) -> int | None:
    """Return the layer whose calibration costs the most, where that is too much, see `LOW_SQNR_DB` and `CLIPPED`."""
    ranged = [one for one in layers if one.range_sqnr_db is not None]
    bad = [one for one in ranged if (one.range_sqnr_db or 0.0) < LOW_SQNR_DB or one.clipped > CLIPPED]
    return min(bad, key=lambda one: one.range_sqnr_db or 0.0).layer if bad else None


def _add_up(probe: _Probe, twin: _Probe, golden: GoldenPack, task: Task, classifier: Classifier) -> list[_Sums] | None:
    sums = [_Sums() for _ in probe.layers]
    tensors = [probe.graph.tensors[layer.outputs[0]] for layer in probe.layers]
    done = 0
    for batch in golden.batches(min(_BATCH_SIZE, classifier.most)):
        found = twin.run(batch), probe.run(batch)
        if not _same(probe.answers(), classifier.answer(batch)):
            return None
        for one, real, quantized, tensor in zip(sums, *found, tensors, strict=True):
            one.add(real, quantized, tensor)
        task.update(done := done + len(batch))
    return sums


def _same(answers: Real, probabilities: Probabilities) -> bool:
    """Return whether a model's output is what its classifier made these probabilities of."""
    found = answers if are_probabilities(answers) else softmax(answers)
    return bool(np.all(np.abs(found - probabilities) <= SAME))


def _errors(probe: _Probe, twin: _Probe, sums: Sequence[_Sums]) -> Iterator[LayerError]:
    for number, (layer, same, one) in enumerate(zip(probe.layers, twin.layers, sums, strict=True), start=1):
        tensor = probe.graph.tensors[layer.outputs[0]]
        weights, real = probe.weights(layer), twin.weights(same)
        yield LayerError(
            layer=number,
            operator=layer.kind,
            tensor=tensor.name,
            sqnr_db=decibels(one.signal, one.noise),
            cosine=one.dot / float(np.sqrt(one.signal * one.answer)) if one.signal and one.answer else 0.0,
            range_sqnr_db=decibels(one.signal, one.range_noise) if tensor.scales.size else None,
            clipped=one.clipped / one.values,
            weight_sqnr_db=None
            if weights is None or real is None or weights.shape != real.shape
            else decibels(_power(real), _power(real.astype(np.float64) - weights)),
        )


def decibels(signal: float, noise: float) -> float | None:
    """Return 10 · log10(signal / noise), or None if there is no noise, or no signal to speak of it."""
    return 10.0 * float(np.log10(signal / noise)) if signal > 0.0 and noise > 0.0 else None


def _power(values: npt.NDArray[Any]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _numbers(tensor: Tensor) -> Numbers:
    if not tensor.scales.size:
        return Numbers(np.dtype(tensor.dtype))
    return Numbers(np.dtype(tensor.dtype), float(tensor.scales[0]), int(tensor.zero_points[0]))


def _range(tensor: Tensor) -> tuple[float, float, float]:
    """Return the scale of a quantized tensor, and the least and the largest real number that it holds."""
    scale, zero_point = float(tensor.scales[0]), int(tensor.zero_points[0])
    limits = np.iinfo(tensor.dtype)
    return scale, scale * (limits.min - zero_point), scale * (limits.max - zero_point)
