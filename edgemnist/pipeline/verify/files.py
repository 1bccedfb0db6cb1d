"""Model files of any origin, compared with each other without a manifest."""

import math
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import FEWEST_IMAGES, Basis
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports, basis_of
from edgemnist.model.exports.golden import RANDOM_INPUTS, GoldenPack, check_finite
from edgemnist.model.exports.manifest import MANIFEST_FILE, Artifact
from edgemnist.model.exports.models import (
    Model,
    Subject,
    file_model,
    in_its_range,
    models_of,
    random_inputs,
    recorded_beside,
    understood,
)
from edgemnist.model.exports.questions import check_unseen, doubts_of, reference_question, seen_question
from edgemnist.model.formats import FORMATS
from edgemnist.model.runtimes import RUNTIMES, onnxgraph, read_file
from edgemnist.model.runtimes.tflite import read_graph, read_graph_file
from edgemnist.model.task import default_input, unnamed_task
from edgemnist.pipeline.data.sources import find_dataset, read_inputs
from edgemnist.pipeline.verify.gate import GATES, GateTable, gates_of
from edgemnist.pipeline.verify.reference import INTEGER
from edgemnist.pipeline.verify.run import examine, joint_result
from edgemnist.pipeline.verify.why import explain_flips


class Evaluation(NamedTuple):
    """Images with known classes, that no model was trained on."""

    images: Images
    """[N, ...], as the models read them."""
    labels: Labels | None
    """int64 [N]; None where nobody has said them."""
    class_labels: Sequence[str] | None
    """None for those of the reference."""
    identity: DataIdentity


def evaluation_for(
    reference: str,
    exports: Path,
    data: Path | None = None,
    *,
    usual: Path | None = None,
    download: bool = True,
    skip_broken: bool = False,
    reporter: Reporter = SILENT,
) -> Evaluation:
    """Return what to compare files with `reference` on.

    Where it reads the default inputs, these are the test images of a data set that was named, or of the `usual` one,
    else those of the golden pack in `exports`, else those of MNIST. A model of anything else is given the inputs that
    are named, or random ones: it never loads MNIST.

    Raises DataError if there are none, ManifestError and ArtifactError where the golden pack is damaged, and what
    `inputs_for` and `understood` raise.
    """
    model = understood(file_model(reference))
    if model.numbers or not default_input().takes_the_same(model.spec or default_input()):
        return inputs_for(understood(file_model(reference), reporter), data, reporter)
    data = data or usual
    if data is None and (exports / MANIFEST_FILE).exists():
        opened = Exports.open(exports)
        if opened.manifest.golden is not None:
            pack = opened.read_golden()
            return Evaluation(pack.images, pack.truth, pack.class_labels, pack.data)
    dataset = find_dataset(data, task=unnamed_task(), download=download, skip_broken=skip_broken, reporter=reporter)
    return Evaluation(dataset.test.images, dataset.test.truth, dataset.labels, dataset.identity)


def inputs_for(model: Model, data: Path | None, reporter: Reporter = SILENT) -> Evaluation:
    """Return inputs for a model that is understood: those of a file or directory, or random ones, which is told.

    Raises DataError where they are not what the model reads.
    """
    spec = model.spec or default_input()
    labels = None
    if data is not None:
        images, labels = read_inputs(data, spec, reporter, classes=model.labels or ())
        source = f"inputs in {data.name}"
    else:
        # As many as a gate needs: the integer reference takes 30 ms for one of MobileNet at 96×96.
        images, source = random_inputs(model, FEWEST_IMAGES), RANDOM_INPUTS
        drawn = f"{FEWEST_IMAGES} {source}"
        reporter.notice(f"{model.artifact} is given {drawn}, which have no labels. Name others with --data.")
    found = sha256(np.ascontiguousarray(images).tobytes())
    identity = DataIdentity(source=source, train=0, test=len(images), sha256=found, reduced=False)
    return Evaluation(images, labels, None, identity)


def verify_alone(
    names: Sequence[str],
    data: Path | None = None,
    *,
    gates: GateTable | None = None,
    rounding: bool = False,
    why: bool = False,
    reporter: Reporter = SILENT,
) -> VerifyResult:
    """Compare full-int8 TFLite files, each `FILE[@RUNTIME]`, with the integer reference of the same file.

    One that is named without a runtime runs in each that takes it here. Runtimes that promise every bit must keep that;
    others may differ by a step, or by what a rounding rule explains. Nothing is known of what the network has learnt.

    Raises UsageError for a file of another kind, and what `file_model`, `inputs_for` and `Model.load` raise.
    """
    groups: dict[Path, list[Model]] = {}
    for name in names:
        for model in models_of(name, reporter):
            groups.setdefault(model.path, []).append(model)
    table, started = gates_of(None, gates), time.perf_counter()
    packs, examined = [], []
    for models in groups.values():
        first = models[0]
        if first.path.suffix not in RUNTIMES[INTEGER].suffixes or guess_quantization(first.path) != "int8":
            theirs = " ".join(map(shlex.quote, names)) if len(names) > 1 else f"theirs.onnx {shlex.quote(names[0])}"
            raise UsageError(
                f"{first.artifact} is no full-int8 TFLite file, and nothing is named to compare it with",
                hint=f"Name what to compare with first: edgemnist verify --reference {theirs}",
            )
        judged = {model.name: model for model in models if model.runtime != INTEGER}
        if not judged:
            raise UsageError(
                f"{first.artifact} is compared with the runtime {INTEGER}, and with nothing else here",
                hint="Name another runtime, such as FILE@native.",
            )
        packs.append(pack := _pack(replace(first, runtime=INTEGER), inputs_for(first, data, reporter), reporter))
        named = f"integer reference of {first.artifact}"
        doubts = reference_question(pack, reference=named)
        gate = table.of(first.path.stem, "int8", numbers=pack.task.numbers).by_itself()
        examined += [
            examine(_subject(pack, model, "int8", logits=True, doubts=doubts), pack, gate, reporter,
                    rounding=rounding, why=explain_flips if why else None, by_itself=True)
            for model in judged.values()
        ]  # fmt: skip
    warnings = list(dict.fromkeys(words for pack in packs for words in _said_of(pack)))
    alone = len(packs) == 1
    named = named if alone else "integer reference of each file"
    result = joint_result(examined, packs[0], started, reference=named, warnings=warnings)
    nothing = {"model_sha256": "", "reference_accuracy": None, "vote": None}
    return result if alone else msgspec.structs.replace(result, **nothing)


def _said_of(pack: GoldenPack) -> list[str]:
    said = "These inputs have no labels that are classes of the reference: nothing is known of the accuracy."
    return [] if pack.task.numbers or pack.truth is not None else [said]


def _pack(reference: Model, evaluation: Evaluation, reporter: Reporter) -> GoldenPack:
    """Return what a reference answers. Raises ArtifactError for other classes, and for what is not finite."""
    classifier = replace(reference, labels=None).load() if evaluation.class_labels is None else reference.load()
    names = evaluation.class_labels
    if names is not None and len(classifier.classes_) != len(names):
        raise ArtifactError(
            f"{reference.artifact} knows {len(classifier.classes_)} classes, but the images have {len(names)}"
        )
    labels = evaluation.labels
    if labels is not None and names is None and labels.max(initial=0) >= (number := len(classifier.classes_)):
        from_one = np.array_equal(np.unique(labels), np.arange(1, number + 1))
        labels = labels - 1 if from_one else None
        if from_one:
            ends = f"{classifier.labels[0]} to {classifier.labels[-1]}"
            reporter.notice(f"Labels 1 to {number} are taken for the classes {ends} of {reference.artifact}.")
    answers = classifier.answer(evaluation.images)
    check_finite(answers, reference.artifact, "Make another with: edgemnist verify --reference ANOTHER")
    task = reference.task or unnamed_task()
    return GoldenPack(
        images=evaluation.images,
        truth=labels,
        probabilities=answers,
        class_labels=tuple(names if names is not None else classifier.labels),
        data=evaluation.identity,
        model_sha256=reference.sha256,
        task=task if evaluation.class_labels is None else unnamed_task(),
    )


def verify_files(
    reference: str,
    files: Sequence[str],
    evaluation: Evaluation,
    *,
    gates: GateTable | None = None,
    quantization: str | None = None,
    why: bool = False,
    reporter: Reporter = SILENT,
) -> VerifyResult:
    """Compare model files with a reference file, each `FILE[@RUNTIME]`, over all images of an evaluation.

    `quantization` says whose gate applies; by default each file tells, see `guess_quantization`. Any file will do that
    some runtime takes, that reads what the evaluation has, and that answers with as much as the reference. In which
    range a file takes pixels is found by what it answers, where nothing says it and the classes are known.

    Raises ArtifactError where a file cannot be used or the reference answers with numbers that are not finite,
    DataError where the manifest beside a file says that it was trained on the images, UsageError where files read
    something else, and MissingDependencyError where its runtime is not installed.
    """
    named_models = [file_model(file) for file in (reference, *files)]
    if evaluation.labels is not None and evaluation.class_labels is not None:
        shown, truth, names = evaluation.images, evaluation.labels, evaluation.class_labels
        ranged = {
            sha256: in_its_range(model, shown, truth, reporter, names=names, noun="evaluation images")
            for sha256, model in {one.sha256: one for one in named_models}.items()
        }
        named_models = [replace(model, spec=ranged[model.sha256].spec) for model in named_models]
    yardstick_model, *models = (understood(model, reporter) for model in named_models)
    quantizations = [quantization or _quantization_of(model.path, reporter) for model in models]
    table, task = gates_of(None, gates), yardstick_model.task or unnamed_task()
    limited = [
        table.of(model.path.stem, name, numbers=task.numbers) for model, name in zip(models, quantizations, strict=True)
    ]
    if evaluation.identity.source == RANDOM_INPUTS:
        limited = [gate.on_random_inputs(name) for gate, name in zip(limited, quantizations, strict=True)]
    seen = {}
    for model in (yardstick_model, *models):
        spec = model.spec or default_input()
        if spec.shape != evaluation.images.shape[1:]:
            raise UsageError(
                f"{model.artifact} reads {spec.words()}, and the inputs are of {list(evaluation.images.shape[1:])}",
                hint=f"All files must read the same. Name inputs of {list(spec.shape)} with --data.",
            )
        seen[model.artifact] = _check_unseen(model, evaluation.images)
        model.entry.load()
    started = time.perf_counter()
    pack = _pack(yardstick_model, evaluation, reporter)
    noun, questions = pack.task.input.noun, reference_question(pack, reference=f"reference ({reference})")

    def doubts(model: Model) -> list[str]:
        # The answers of either may be remembered ones.
        known = (seen[one.artifact] or 0 for one in (model, yardstick_model))
        return [*doubts_of(max(known), evaluation.images, noun), *questions]

    logits = yardstick_model.load().answers_logits
    explain = partial(explain_flips, source=yardstick_model.path, reads=yardstick_model.spec) if why else None
    examined = [
        examine(_subject(pack, model, name, logits=logits, doubts=doubts(model)), pack, gate, reporter, why=explain)
        for model, name, gate in zip(models, quantizations, limited, strict=True)
    ]  # fmt: skip
    warnings = _said_of(pack)
    warnings += [words for name, number in seen.items() for words in seen_question(number, len(pack), noun, name)]
    return joint_result(examined, pack, started, reference=reference, warnings=warnings)


def _check_unseen(model: Model, images: Images) -> int | None:
    """Return how many of the images, [N, ...], a model was trained on; None if that is unknown.

    Raises DataError if the manifest beside the file says that they are more than a few.
    """
    manifest, record = recorded_beside(model.path, model.sha256) or (None, None)
    if manifest is None or record is None or manifest.model is None:
        return None
    made_from = record.model_sha256 if isinstance(record, Artifact) else record.sha256
    # What an artifact of an earlier model was trained on is not known any more.
    return check_unseen(model.path.parent, manifest, images) if manifest.model.sha256 == made_from else None


def _quantization_of(file: Path, reporter: Reporter) -> str:
    """Return the quantization whose limits hold for a file: the strictest ones, with a notice, where it tells none."""
    if found := guess_quantization(file):
        return found
    strictest = next(iter(GATES))
    reporter.notice(
        f"{file} does not say how it is quantized, so the limits of {strictest} hold. Name others with --as."
    )
    return strictest


def guess_quantization(file: Path) -> str | None:
    """Return the quantization of a model file, from its operators and the types of its weights; None if it has neither.

    Of a file that mixes several it is the one that most weights have, the strictest of those that equally many have.
    Raises ArtifactError where the file cannot be read. A Keras file is float32.
    """
    if file.suffix in RUNTIMES["onnxruntime"].suffixes:
        kind, weights_of = "an ONNX", _of_onnx
    elif file.suffix in RUNTIMES["litert"].suffixes:
        kind, weights_of = "a TFLite", _of_tflite
    else:
        # A format of one quantization says it by its ending.
        offered = [entry.quantizations for entry in FORMATS.values() if entry.suffix == file.suffix]
        return offered[0][0] if offered else "float32"
    weights = Counter[str]()
    try:
        for quantization, size in weights_of(read_file(file)):
            weights[quantization] += size
    except ValueError as error:
        raise ArtifactError(f"{file} is not {kind} file: {error}") from error
    # Gates are listed from the strictest on.
    return max((name for name in GATES if weights[name]), key=lambda name: weights[name], default=None)


_INTEGER: Final = frozenset({"int8", "uint8"})
_WEIGHTS: Final = {"bfloat16": "float16", "uint4": "int4"} | {one: one for one in ("float32", "float16", "int4")}


def _quantization(weight: str, *, integer_inputs: bool) -> str:
    """Return the quantization of a weight, empty for a type that no weight has."""
    if weight in _INTEGER:
        return "int8" if integer_inputs else "dynamic"
    return _WEIGHTS.get(weight, "")


def _of_tflite(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the quantization of each weight, which has two dimensions or more, and its size."""
    graph = read_graph(data)
    # A float16 file turns its weights into float32 by an operator before the layer.
    dequantized = {one.outputs[0]: one.inputs[0] for one in graph.operators if one.kind == "DEQUANTIZE"}
    for operator in graph.operators:
        inputs = [graph.tensors[dequantized.get(one, one)] for one in operator.inputs if one >= 0]
        integers = any(one.dtype in _INTEGER for one in inputs if not one.constant)
        for one in inputs:
            if one.constant and len(one.shape) > 1 and operator.kind != "DEQUANTIZE":
                yield _quantization(one.dtype, integer_inputs=integers), math.prod(one.shape)


_IN_INTEGERS: Final = frozenset({"QLinearConv", "QLinearMatMul", "QGemm"})
"""Layers that take and give integers."""
_PASSING: Final = frozenset({"DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Reshape", "Identity"})
"""What a weight may pass through on its way to the layer that it is a part of."""


def _of_onnx(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the same of an ONNX file."""
    graph = onnxgraph.read_graph(data)
    # Where a tensor comes from, and what it has passed through; each step comes after those that make its inputs.
    origins: dict[str, tuple[str, frozenset[str]]] = {}
    for node in graph.operators:
        ways = [origins.get(name, (name, frozenset[str]())) for name in node.inputs if name]
        if node.kind in _PASSING and ways:
            name, passed = ways[0]
            origins |= dict.fromkeys(node.outputs, (name, passed | {node.kind}))
            continue
        integers = node.kind in _IN_INTEGERS or any(
            "DequantizeLinear" in passed for name, passed in ways if name not in graph.constants
        )
        for name, passed in ways:
            weight = graph.constants.get(name)
            if weight is None or len(weight.shape) < 2:  # noqa: PLR2004 - a vector is a bias
                continue
            dtype = "int8" if "QuantizeLinear" in passed else "int4" if node.bits in range(1, 5) else weight.dtype
            yield _quantization(dtype, integer_inputs=integers), weight.size


def _subject(pack: GoldenPack, model: Model, quantization: str, *, logits: bool, doubts: Sequence[str]) -> Subject:
    """Return a file to compare with a reference, which answers with logits or not."""
    # Another number of classes than a manifest beside it names is a finding, and no reason to stop.
    classifier = replace(model, labels=None).load()
    misfit = pack.misfit(classifier)
    mistakes = [misfit] if misfit else []
    beside = recorded_beside(model.path, model.sha256)
    on_purpose = beside is not None and isinstance(beside[1], Artifact) and beside[1].logits
    if not misfit and classifier.answers_logits and not logits and not on_purpose:
        mistakes.append("it answers with logits where the reference answers with probabilities: its softmax is missing")
    known = Basis(artifact=model.sha256, model=pack.model_sha256, golden=pack.data.sha256, images=len(pack))
    return Subject(
        model=model,
        classifier=classifier,
        format=model.path.suffix.lstrip("."),
        quantization=quantization,
        rests_on=basis_of(model.runtime, known),
        misfit=misfit,
        mistakes=mistakes,
        doubts=doubts,
        output_scale=_output_scale(model) if pack.task.numbers else None,
    )


def _output_scale(model: Model) -> float | None:
    """Return the step of a quantized output of a TFLite file; None for any other."""
    if model.path.suffix not in RUNTIMES[INTEGER].suffixes:
        return None
    graph = read_graph_file(model.path)
    scales = graph.tensors[graph.outputs[0]].scales
    return float(scales[0]) if scales.size else None
