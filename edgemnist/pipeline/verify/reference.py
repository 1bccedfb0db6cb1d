"""A runtime compared with the integer reference of the same file, and with itself on the exporting machine.

Only answers to one file are compared: another file, such as ONNX beside TFLite, has activation ranges of its own. The
reference computes full-int8 TFLite files with NumPy, under each rounding rule.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.verdict import MISSED, UNKNOWN, Measurement
from edgemnist.ground.results.verify import (
    Departure,
    IntegerCheck,
    ModelRounding,
    Replay,
    RoundingRule,
    Unexplained,
)
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.models import Model
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.fixedpoint import affine
from edgemnist.model.runtimes.integer import RESCALINGS, SOFTMAXES, IntegerClassifier, Rounding, plan
from edgemnist.model.runtimes.tflite import IDENTIFIER, read_graph
from edgemnist.pipeline.verify.gate import BATCH_DIFF, BATCH_FLIPS, Gate, allowed
from edgemnist.pipeline.verify.parity import BATCH_SIZE, spread_of

INTEGER: Final = "integer"
_ASKED: Final = 50
"""Images whose values are looked at operator by operator."""
_LISTED: Final = 1000
"""Values that no rule explains."""


def integer_answers(model: Model, golden: GoldenPack, reporter: Reporter = SILENT) -> Probabilities | None:
    """Return what the integer reference answers to every image, float32 [N, C].

    None for a file of another format, and, with a notice, for one that it cannot compute, such as dilated windows.
    """
    if model.twin is not None and model.twin.suffix not in RUNTIMES[INTEGER].suffixes:
        return None
    try:
        return _answers_under(Rounding(model.rounding), model, golden)
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so the integer reference does not check it.")
        return None


def _answers_under(rule: Rounding, model: Model, golden: GoldenPack) -> Probabilities:
    twin = model.twin
    if twin is None:
        raise ArtifactError(f"{model.path} was made with a TFLite file that is not beside it")
    classifier = IntegerClassifier.load(twin, spec=model.spec, numbers=model.numbers, rounding=rule)
    return np.concatenate([classifier.answer(batch) for batch in golden.batches(BATCH_SIZE)])


def check_integer(answers: Probabilities, reference: Probabilities, *, numbers: bool = False) -> IntegerCheck:
    """Compare a runtime's answers with those of the integer reference to the same file, both float32 [N, ...]."""
    distance = np.abs(answers - reference)
    return IntegerCheck(
        differing=int(np.count_nonzero(distance)),
        max_abs_diff=float(distance.max()),
        flips=0 if numbers else int(np.count_nonzero(answers.argmax(axis=1) != reference.argmax(axis=1))),
    )


RULES: Final = tuple(Rounding(rescaling, softmax) for rescaling in RESCALINGS for softmax in SOFTMAXES)
"""The reference's own first."""
STEP: Final = 1 / 256
"""Of the int8 softmax, which kernels compute in float32, too."""
STEPPED: Final = 0.0001
"""Share of the values that may be a step off under a rule that explains all others: 10 of 10,000 images × ten classes.

LiteRT's answers are those of a rule to the last bit in all models that were tried, dense ones and convolutional ones;
the softmax in float32, which another processor may compute otherwise, differs from the one in integers in up to 2.
"""


def find_rounding(model: Model, answers: Probabilities, golden: GoldenPack) -> ModelRounding | None:
    """Return how `answers`, float32 [N, C], of a model to every image differ from the reference under each rule.

    The rule that fits best comes first; of equals the one nearest to the reference. None for a file that the integer
    reference cannot compute.
    """
    try:
        answered = [_answers_under(rule, model, golden) for rule in RULES]
    except ArtifactError:
        return None
    rules = [_check(rule, one, answers, golden) for rule, one in zip(RULES, answered, strict=True)]
    order = sorted(range(len(rules)), key=lambda at: rules[at].differing)
    given, expected = (one.reshape(len(answers), -1) for one in (answers, answered[order[0]]))
    unexplained = [
        Unexplained(index=row, output=at, answer=float(given[row, at]), expected=float(expected[row, at]))
        for row, at in np.argwhere(given != expected)[:_LISTED].tolist()
    ]
    return ModelRounding(name=model.name, rules=[rules[at] for at in order], unexplained=unexplained)


def find_departure(model: Model, golden: GoldenPack, rule: RoundingRule) -> Departure | None:
    """Return the first operator that does not make of its runtime's own numbers what the reference does under a rule.

    The runtime is asked for the output of one operator after the other, for the first images of a golden pack. None
    where all are as they should be, or where it cannot be asked.
    """
    if model.path.suffix not in RUNTIMES[INTEGER].suffixes or model.runtime == INTEGER:
        return None
    data, images = model.path.read_bytes(), golden.images[:_ASKED]
    graph = read_graph(data)
    reference = IntegerClassifier.load(model.path, spec=model.spec, numbers=model.numbers)
    values = {graph.inputs[0]: reference.held(images)}
    with tempfile.TemporaryDirectory() as directory:
        for one in plan(graph, Rounding(rule.rescaling, rule.softmax))[0]:
            place = one.operator.outputs[0]
            tensor, path = graph.tensors[place], Path(directory, f"{place}{model.path.suffix}")
            path.write_bytes(expose(data, [place]))
            try:
                runtime = load(path, runtime=model.runtime, spec=reference.spec, numbers=True, trusted=True)
                real = np.concatenate([runtime.answer(images[index : index + 1]) for index in range(len(images))])
            except ArtifactError:
                return None
            scale, zero_point = affine(tensor) if tensor.scales.size else (1.0, 0)
            found = np.rint(real.reshape(len(images), -1) / scale).astype(np.int64) + zero_point
            made = one.run(*(values[index] for index in one.reads)).reshape(len(images), -1)
            if tensor.scales.size and (differing := int(np.count_nonzero(found != made))):
                return Departure(
                    operator=graph.operators.index(one.operator),
                    kind=one.operator.kind,
                    tensor=tensor.name,
                    differing=differing,
                    values=made.size,
                    max_steps=int(np.abs(found - made).max()),
                )
            values[place] = found
    return None


def expose(model: bytes, places: Sequence[int]) -> bytes:
    """Return a TFLite model that has the tensors at `places` for its outputs, and computes them as before.

    A delegate such as XNNPACK keeps the tensors between its operators to itself. An interpreter without one would show
    them, but in other kernels, which may change labels.
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


def explaining_rescaling(model: Model, answers: Probabilities, golden: GoldenPack, step: float = STEP) -> str | None:
    """Return how a runtime rounds, see `RoundingRule`, if the reference gives its answers, float32 [N, ...], like that.

    `STEPPED` of them may be a step apart, which is that of the softmax or of numbers. None if no rule explains them.
    """
    found = find_rounding(model, answers, golden)
    most = allowed(STEPPED, answers.size)
    near = (1 + 1e-6) * step
    explaining = (one for one in found.rules if one.max_abs_diff <= near and one.differing <= most) if found else ()
    return next((one.rescaling for one in explaining), None)


def _check(rule: Rounding, expected: Probabilities, answers: Probabilities, golden: GoldenPack) -> RoundingRule:
    images = int(np.count_nonzero((expected != answers).reshape(len(answers), -1).any(axis=1)))
    figures = msgspec.structs.asdict(check_integer(answers, expected, numbers=golden.task.numbers))
    return RoundingRule(**{**figures, "rescaling": rule.rescaling}, softmax=rule.softmax, images=images)


FLOAT_NOISE: Final = 1e-5
"""Of a probability computed in float32; 7.6e-6 was the most that was seen between x86 and Arm."""
HIDDEN_STEP: Final = 5e-3
"""Of a probability, where float noise moved one hidden activation, half-way between two of its 8-bit values, to the
other. Changing any one activation of 512 units by its step, on each of MNIST's 10,000 test images, moves a probability
by at most 3.1e-3 (`benchmarks/verify/hidden_step.py`); 1.5e-3 was the most that was seen between x86 and Arm."""
HIDDEN_STEPS: Final = 0.001
"""Share of the images on which that may happen; 1 of 10,000 was seen at most. Wrong arithmetic moves most of them."""

_FLOAT: Final = frozenset({"float32", "float16"})
"""Quantizations without quantized activations."""

_LAST_PLACES: Final = 16
"""Units in the last place of the largest number. In MLPerf Tiny's autoencoder, whose answers to noise spread by a
six-hundredth of that number, two runtimes are up to 7 apart."""
_LARGEST_ROUNDING: Final = 0.01
"""Of the spread: what is more is no rounding, however large another output is."""

IDENTICAL: Final = "identical"
ROUNDING: Final = "rounding"
DRIFT: Final = "drift"
FLIPS: Final = "flips"


def _beyond_rounding(
    distance: npt.NDArray[np.float32], output_scale: float | None, quantization: str
) -> npt.NDArray[np.bool_]:
    """Return which values rounding alone does not explain, bool [N, C], given by how much they differ."""
    if output_scale:
        # Half a step above one step: the values are floats again by now.
        return distance > 1.5 * output_scale
    noisy = distance > FLOAT_NOISE
    if quantization in _FLOAT or np.count_nonzero(noisy.reshape(len(noisy), -1).any(axis=1)) > allowed(
        HIDDEN_STEPS, len(distance)
    ):
        return noisy
    return distance > HIDDEN_STEP


def float_rounding(numbers: Probabilities, quantization: str) -> float:
    """Return by how much float32 may round a model's numbers, which hardly spread; 0 if the model quantizes some."""
    if quantization not in _FLOAT or not np.isfinite(numbers).all():
        return 0.0
    rounding = _LAST_PLACES * float(np.spacing(np.abs(numbers).max(initial=0.0)))
    return min(rounding, _LARGEST_ROUNDING * spread_of(numbers))


def replay(
    here: Probabilities,
    there: Probabilities,
    *,
    quantization: str,
    output_scale: float | None = None,
    numbers: bool = False,
) -> Replay:
    """Compare an artifact's answers, float32 [N, ...], here with those on the exporting machine, image by image.

    `quantization` is the artifact's, `output_scale` the step of a quantized output, None for a float one. `numbers`
    have no labels that change; noise is measured by their spread, and is no less than `float_rounding`.
    """
    distance = np.abs(here - there)
    # An answer that is no number differs from everything.
    distance = np.where(np.isfinite(distance), distance, np.float32(np.inf))
    flips = 0 if numbers else int(np.count_nonzero(here.argmax(axis=1) != there.argmax(axis=1)))
    largest = float(distance.max(initial=0.0))
    spread = 1.0
    if numbers and not output_scale:
        spread = max(spread_of(there), float_rounding(there, quantization) / FLOAT_NOISE)
    unit = np.float32(spread if np.isfinite(spread) and spread > 0 else 1.0)
    shares: npt.NDArray[np.float32] = (distance / unit).astype(np.float32)
    beyond = int(np.count_nonzero(_beyond_rounding(shares, output_scale, quantization)))
    return Replay(
        verdict=FLIPS if flips else DRIFT if beyond else ROUNDING if largest else IDENTICAL,
        images=len(here),
        flips=flips,
        differing=int(np.count_nonzero(distance)),
        beyond_rounding=beyond,
        max_abs_diff=largest,
        max_steps=round(largest / output_scale) if output_scale and np.isfinite(largest) else None,
    )


def replay_measurements(gate: Gate, found: Replay, spread: float = 0.0, least: float = 0.0) -> list[Measurement]:
    """Return what is held against the limits of how differently an artifact may answer than where it was exported.

    They are those between a batch of one and a large batch, which has another kernel for its cause, too. `spread` is
    that of numbers, 0 for classes. By a built-in limit numbers may differ by `least`, such as a step of an output.
    """
    if spread:
        off = "a value differs by {} times the spread from the exporting machine's, {} allowed"
        size, most_off = found.max_abs_diff / spread, gate[BATCH_DIFF]
        if gate.is_built_in(BATCH_DIFF):
            most_off = max(most_off, least / spread)
        otherwise = UNKNOWN if gate.is_undecided(BATCH_DIFF, size) else MISSED
        return [
            Measurement("replay_diff", size, off, most=most_off, origin=gate.origin(BATCH_DIFF), otherwise=otherwise)
        ]
    most = gate.allowed(BATCH_FLIPS, found.images)
    flips = f"{found.flips:,} of {found.images:,} labels differ from the exporting machine's, {most:,} allowed"
    off = "a probability differs by {} from the exporting machine's, {} allowed"
    if not np.isfinite(found.max_abs_diff):
        off = "some probabilities are not numbers, here or on the exporting machine"
    origins = gate.origin(BATCH_FLIPS), gate.origin(BATCH_DIFF)
    return [
        Measurement("replay_flips", found.flips, flips, most=most, origin=origins[0]),
        Measurement("replay_diff", found.max_abs_diff, off, most=gate[BATCH_DIFF], origin=origins[1]),
    ]
