"""Why a label flipped: what, repaired in the NumPy form of a full-int8 file, gives the label back.

The integer reference computes the file by the rule that its runtime follows. In that form one thing after the other is
repaired: a tensor is not clipped to its range, or not rounded to its steps, or an operator gets the weights of the
float file. What is repaired is real numbers, from which the next operators go on. The first repair, in the order of the
graph, after which the label is the reference's is the cause. Where none alone is enough, all of a kind are tried
together. A cause is never named for its size: other repairs of a label that is near a tie would do as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Labels, Probabilities
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.verify import FlipCause
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.models import Model
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.runtimes.activations import CURVES, CUT
from edgemnist.model.runtimes.fixedpoint import ACTIVATION_ENDS, BOUNDS, affine, sums_of
from edgemnist.model.runtimes.integer import RESHAPING, IntegerClassifier, Rounding, plan
from edgemnist.model.runtimes.moves import MOVING, moved
from edgemnist.model.runtimes.tflite import Graph, Operator, read_graph_file
from edgemnist.model.runtimes.windows import CONVOLUTIONS, window_of
from edgemnist.pipeline.verify.reference import INTEGER, RULES

Levels: TypeAlias = npt.NDArray[Any]
"""int64, or float64 where they are repaired: [N, ...], in steps of their tensor."""
Real: TypeAlias = npt.NDArray[np.float64]
Constants: TypeAlias = tuple[Real, Real]
"""Weights, and [outputs] biases."""

MOST: Final = 100
"""Flips of an artifact that are explained: of MobileNet at 96×96 each takes a second or two."""
_AT_ONCE: Final = 25
SCALE, SATURATION, WEIGHTS = "scale", "saturation", "weights"
TIE, INPUT, ROUNDING, SEVERAL, UNKNOWN = "tie", "input", "rounding", "several", "unknown"
CAUSES: Final[Mapping[str, str]] = {
    TIE: "a tie on the output's grid",
    ROUNDING: "the rounding rule",
    INPUT: "the input's range",
    SATURATION: "saturation",
    WEIGHTS: "weights too coarse",
    SCALE: "a scale too coarse",
    SEVERAL: "several together",
    UNKNOWN: "nothing that is known",
}
_SUMMING: Final = ("FULLY_CONNECTED", *CONVOLUTIONS)
_PASSING: Final = frozenset({*RESHAPING, *MOVING, "CONCATENATION", "MAX_POOL_2D", "REDUCE_MAX", "DEQUANTIZE"})
"""Which neither round nor clip."""
_NOISE: Final = 1e-3
"""Steps by which real numbers are off because they are computed in floating point."""
_ONE_STEP: Final = 1.01
"""How far weights of the float file may be from a full-int8 one's that were made of them."""


class _Repair(NamedTuple):
    kind: str
    place: int
    """The tensor."""


class _Form:
    """A full-int8 file as NumPy computes it by a rule, with repairs."""

    def __init__(self, graph: Graph, rounding: Rounding, constants: Mapping[int, Constants]) -> None:
        """`constants` are those of the float file, by the tensor that an operator makes."""
        self.graph, self._constants = graph, constants
        self.steps = plan(graph, rounding)[0]
        self.position = {one.operator.outputs[0]: at for at, one in enumerate(self.steps)}

    def run(
        self, values: Mapping[int, Levels], repairs: Sequence[_Repair] = (), real: Real | None = None
    ) -> dict[int, Levels]:
        """Return the values of all tensors; given are those before the first that is repaired, or the input's.

        `real` are the inputs, [N, ...], where their own tensor may be repaired.
        """
        made, source = dict(values), self.graph.inputs[0]
        kinds = {repair.kind for repair in repairs if repair.place == source}
        if kinds and real is not None:
            made[source] = self._held(source, real.reshape(len(real), -1), kinds)
        first = min((self.position.get(repair.place, 0) for repair in repairs), default=0)
        for one in self.steps[first:]:
            target = one.operator.outputs[0]
            kinds = {repair.kind for repair in repairs if repair.place == target}
            taken = [made[index] for index in one.reads]
            if kinds or any(array.dtype == np.float64 for array in taken):
                reals = [self._real(index, made[index]) for index in one.reads]
                # What passes values on has no steps of its own.
                kept = {SCALE, SATURATION} if one.operator.kind in _PASSING else kinds
                made[target] = self._held(target, self._exact(one.operator, reals, kinds), kept)
            else:
                made[target] = one.run(*taken)
        return made

    def labels(self, values: Mapping[int, Levels]) -> Labels:
        """Return the labels, int64 [N]; of a single output whether it is the second of two classes."""
        place = self.graph.outputs[0]
        answers = self._real(place, values[place]).reshape(len(values[place]), -1)
        found: Labels = answers.argmax(axis=1) if answers.shape[1] > 1 else (answers[:, 0] > 0.5).astype(np.int64)  # noqa: PLR2004 - a half
        return found

    def repairs(self) -> Iterator[_Repair]:
        """Yield what can be repaired, in the order of the graph."""
        source = self.graph.inputs[0]
        yield from (_Repair(kind, source) for kind in (SATURATION, SCALE) if self.graph.tensors[source].scales.size)
        for one in self.steps:
            target = one.operator.outputs[0]
            if target in self._constants:
                yield _Repair(WEIGHTS, target)
            if one.operator.kind not in _PASSING:
                yield from (_Repair(kind, target) for kind in (SATURATION, SCALE))

    def _real(self, index: int, values: Levels) -> Real:
        tensor = self.graph.tensors[index]
        if not tensor.scales.size:
            return values.astype(np.float64)
        scale, zero_point = affine(tensor)
        return scale * (values.astype(np.float64) - zero_point)

    def _held(self, index: int, real: Real, kinds: set[str]) -> Levels:
        """Return the levels of real numbers, neither rounded nor clipped where that is repaired."""
        tensor = self.graph.tensors[index]
        if not tensor.scales.size:
            return real.astype(np.float32)
        scale, zero_point = affine(tensor)
        levels = real / scale + zero_point
        levels = levels if SCALE in kinds else np.floor(levels + 0.5)
        levels = levels if SATURATION in kinds else np.clip(levels, *BOUNDS[tensor.dtype])
        return levels if kinds & {SCALE, SATURATION} else levels.astype(np.int64)

    def _exact(self, operator: Operator, reals: Sequence[Real], kinds: set[str]) -> Real:  # noqa: PLR0911 - one of each
        """Return what an operator makes of real numbers, with its fused activation."""
        tensors, kind, x = self.graph.tensors, operator.kind, reals[0]
        source, target = tensors[operator.inputs[0]], operator.outputs[0]
        ends = ACTIVATION_ENDS[CUT.get(kind, operator.activation)]
        if kind in {*MOVING, "CONCATENATION"}:
            # Of the same scale; what stands for 0 is in steps.
            scale, zero_point = affine(tensors[target])
            levels: list[Any] = [one / scale + zero_point for one in reals]
            return self._real(target, moved(self.graph, operator)(*levels))
        if kind in _SUMMING:
            weights, bias = self._constants[target] if WEIGHTS in kinds else stored(self.graph, operator)
            return np.clip(_sums(self.graph, operator, x, weights) + bias, *ends)
        if kind in {"MAX_POOL_2D", "REDUCE_MAX", "AVERAGE_POOL_2D", "MEAN"}:
            window = window_of(self.graph, operator)
            images = x.reshape(len(x), window.height, window.width, window.channels)
            outside: Any = np.nan
            covered = window.patches(window.padded(images, fill=outside))
            pooled: Real = (np.nanmax if "MAX" in kind else np.nanmean)(covered, axis=(3, 4)).clip(*ends)
            return pooled
        if kind == "SOFTMAX":
            beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
            rows = beta * x.reshape(len(x), -1, source.shape[-1])
            powers: Real = np.exp(rows - rows.max(axis=-1, keepdims=True))
            shares: Real = powers / powers.sum(axis=-1, keepdims=True)
            return shares
        if kind in {"ADD", "SUB", "MUL", "PRELU"}:
            given = iter(reals)
            first, second = (
                tensors[index].real().astype(np.float64)
                if tensors[index].constant
                else next(given).reshape(len(x), *tensors[index].shape[1:])
                for index in operator.inputs[:2]
            )
            return np.clip(_JOINED[kind](first, second), *ends)
        if kind == "LEAKY_RELU":
            slope = 0.0 if operator.options is None else float(operator.options.scalar(0, "f"))
            return np.where(x >= 0, x, slope * x)
        if kind == "HARD_SWISH":
            return x * np.clip(x + 3, 0, 6) / 6
        by_tanh = kind == "GELU" and operator.options is not None and operator.options.integer(0, "b")
        curve = CURVES.get("GELU by TANH" if by_tanh else kind)
        return np.clip(x if curve is None else curve(x.astype(np.float32)).astype(np.float64), *ends)


_JOINED: Final[Mapping[str, Callable[[Real, Real], Real]]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "PRELU": lambda x, slopes: np.where(x >= 0, x, slopes * x),
}


def _sums(graph: Graph, operator: Operator, x: Real, weights: Real) -> Real:
    """Return the sums of products of an operator with weights, [N, ..., outputs]."""
    if operator.kind == "FULLY_CONNECTED":
        return x.reshape(len(x), -1, weights.shape[1]) @ weights.T
    window = window_of(graph, operator)
    images = x.reshape(len(x), window.height, window.width, window.channels)
    if operator.kind == "DEPTHWISE_CONV_2D":
        outputs = weights.shape[3]
        repeated = np.repeat(images, outputs // window.channels, axis=3)
        return sum(
            (covered * weights[0, row, column] for row, column, covered in window.taps(window.padded(repeated))),
            np.zeros((len(x), window.out_height, window.out_width, outputs)),
        )
    covered = window.patches(window.padded(images))
    groups = window.channels // weights.shape[3]
    parts = zip(np.split(covered, groups, axis=-1), np.split(weights, groups), strict=True)
    made = [part.reshape(*part.shape[:3], -1) @ some.reshape(len(some), -1).T for part, some in parts]
    return np.concatenate(made, axis=-1)


def stored(graph: Graph, operator: Operator) -> Constants:
    """Return the weights and biases of a full-int8 operator, as real numbers."""
    sums, tensor = sums_of(graph, operator), graph.tensors[operator.inputs[1]]
    scales = tensor.scales.astype(np.float64)
    last = operator.kind == "DEPTHWISE_CONV_2D" or scales.size == 1
    weights = sums.weights * (scales if last else scales.reshape(-1, *[1] * (sums.weights.ndim - 1)))
    return weights, sums.bias * (scales * affine(graph.tensors[operator.inputs[0]])[0])


def float_constants(graph: Graph, source: Path | None) -> dict[int, Constants]:
    """Return the weights and biases of a float file that a full-int8 graph was made of, by the tensor they make.

    None for a file that is no `.tflite` and no Keras file, or whose layers are others: no weights are repaired then.
    """
    if source is None or source.suffix not in {".tflite", *RUNTIMES["keras"].suffixes}:
        return {}
    float_graph = read_graph_file(source) if source.suffix == ".tflite" else _converted(source)
    pairs = [[one for one in each.operators if one.kind in _SUMMING] for each in (graph, float_graph)]
    if [one.kind for one in pairs[0]] != [one.kind for one in pairs[1]]:
        return {}
    found: dict[int, Constants] = {}
    for operator, twin in zip(*pairs, strict=True):
        tensor, real = graph.tensors[operator.inputs[1]], float_graph.tensors[twin.inputs[1]]
        weights, bias = stored(graph, operator)
        if real.dtype != "float32" or real.shape != tensor.shape:
            return {}
        exact = real.values().astype(np.float64)
        if np.abs(exact - weights).max() > _ONE_STEP * tensor.scales.max():
            return {}
        if twin.inputs[2:3] not in {(), (-1,)}:
            bias = float_graph.tensors[twin.inputs[2]].values().astype(np.float64).reshape(-1)
        found[operator.outputs[0]] = exact, bias
    return found


def _converted(source: Path) -> Graph:
    """Return what TensorFlow makes of a Keras file, in float32."""
    import tensorflow as tf

    from edgemnist.model.runtimes.keras import decode_keras_model
    from edgemnist.model.runtimes.tflite import read_graph

    model = decode_keras_model(source.read_bytes(), source)
    return read_graph(bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert()))


def explain_flips(
    model: Model,
    golden: GoldenPack,
    answers: Probabilities,
    *,
    source: Path | None = None,
    reads: InputSpec | None = None,
    reporter: Reporter = SILENT,
) -> list[FlipCause]:
    """Return why labels flipped, of the first `MOST`; of a file that NumPy does not compute nothing, with a notice.

    `answers`, float32 [N, C], are a model's to every image of a golden pack. `source` is the float file that it was
    made of, by which weights are repaired, see `float_constants`, and `reads` what the reference reads; None for the
    same as the model.
    """
    flipped = np.isfinite(answers).all(axis=1) & (answers.argmax(axis=1) != golden.probabilities.argmax(axis=1))
    chosen = np.flatnonzero(flipped)[:MOST]
    twin, own = model.twin, Rounding(model.rounding)
    if not len(chosen) or twin is None or twin.suffix not in RUNTIMES[INTEGER].suffixes:
        return []
    try:
        by_rule = {
            rule: IntegerClassifier.load(twin, rounding=rule, spec=model.spec, numbers=model.numbers) for rule in RULES
        }
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so --why says nothing about {model.name}.")
        return []
    graph = read_graph_file(twin)
    constants = float_constants(graph, source)
    images, wanted, given = golden.images[chosen], golden.probabilities[chosen].argmax(axis=1), answers[chosen]
    answered = {rule: classifier.answer(images) for rule, classifier in by_rule.items()}
    # The rule that gives most of the answers to the last bit, then others that give a label.
    order = sorted(RULES, key=lambda rule: (-np.count_nonzero((answered[rule] == given).all(axis=1)), rule != own))
    causes, left = [], np.ones(len(chosen), np.bool_)
    with reporter.task(f"Explaining {model.name}", total=len(chosen)) as task:
        for rule in order:
            fits = np.flatnonzero(left & (answered[rule].argmax(axis=1) == given.argmax(axis=1)))
            left[fits] = False
            form = _Form(graph, rule, constants)
            base = _Form(graph, own, {}) if rule != own else None
            for start in range(0, len(fits), _AT_ONCE):
                part = fits[start : start + _AT_ONCE]
                real = (reads or by_rule[rule].spec).real(images[part]).astype(np.float64)
                found = _explained(form, by_rule[rule].held(images[part]), real, wanted[part], base)
                causes += [FlipCause(index=int(chosen[part[at]]), **one) for at, one in found.items()]
                task.update(len(causes))
    unknown = {*chosen.tolist()} - {one.index for one in causes}
    causes += [FlipCause(index=index, cause=UNKNOWN, repaired=0) for index in unknown]
    return sorted(causes, key=lambda one: one.index)


def _explained(form: _Form, held: Levels, real: Real, wanted: Labels, base: _Form | None) -> dict[int, dict[str, Any]]:
    """Return the cause of flips that have one, by their place among inputs, [N, ...], `held` as levels and `real`.

    `wanted` are the reference's labels, int64 [N]; `base` rounds as the file promises, if that is another rule.
    """
    source = form.graph.inputs[0]
    values = form.run({source: held})
    found: dict[int, dict[str, Any]] = {}
    if base is not None:
        others = base.run({source: held})
        for at in np.flatnonzero(base.labels(others) == wanted).tolist():
            found[at] = {"cause": ROUNDING, "repaired": 1, **_departure(form, values, others, at)}
    repairs = list(form.repairs())
    tries = [([repairs[-1]], TIE), *(([one], one.kind) for one in repairs)]
    for kinds in ((SATURATION,), (WEIGHTS,), (SCALE,), (SATURATION, WEIGHTS, SCALE)):
        group = [one for one in repairs if one.kind in kinds]
        tries += [(group, kinds[0] if len(kinds) == 1 else SEVERAL)] if len(group) > 1 else []
    for group, cause in tries:
        left = np.array([at for at in range(len(wanted)) if at not in found], np.int64)
        if not len(left):
            break
        before = {place: array[left] for place, array in values.items()}
        repaired = form.run(before, group, real[left])
        for row in np.flatnonzero(form.labels(repaired) == wanted[left]).tolist():
            told = {"cause": cause, "repaired": len(group), **_departure(form, before, repaired, row)}
            # Beyond its ends, or given in another range.
            out_of_range = group[0].place == source and len(group) == 1 and told.get("steps", 0) > _ONE_STEP
            found[int(left[row])] = {**told, "cause": INPUT} if out_of_range else told
    return found


def _departure(form: _Form, values: Mapping[int, Levels], others: Mapping[int, Levels], at: int) -> dict[str, Any]:
    """Return the first operator whose values differ, or the input, by how much, and in which channel most."""
    graph = form.graph
    for place in (graph.inputs[0], *form.position):
        tensor = graph.tensors[place]
        off = np.abs(values[place][at].astype(np.float64) - others[place][at]).reshape(-1)
        if off.max() > _NOISE:
            operator = form.steps[form.position[place]].operator if place in form.position else None
            return {
                "operator": None if operator is None else graph.operators.index(operator),
                "kind": "" if operator is None else operator.kind,
                "tensor": tensor.name,
                "channel": int(off.argmax()) % max(1, tensor.shape[-1]),
                "steps": float(off.max()),
            }
    return {}


def why_words(causes: Sequence[FlipCause]) -> str:
    """Return how many labels come back, and how many by each cause, in a sentence."""
    returned = sum(one.cause != UNKNOWN for one in causes)
    kinds = Counter(CAUSES[one.cause] for one in causes).most_common()
    said = ", ".join(f"{number} by {words}" for words, number in kinds)
    return f"{returned} of {count(len(causes), 'label')} came back when the cause was repaired: {said}."
