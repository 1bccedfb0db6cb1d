"""Model files of any origin, compared with each other without a manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import Images, Labels
from edgemnist.data.sources import find_dataset
from edgemnist.errors import ArtifactError
from edgemnist.exports import Exports
from edgemnist.exports.golden import GoldenPack
from edgemnist.exports.manifest import MANIFEST_FILE, Artifact
from edgemnist.exports.models import Model, file_model, recorded_beside
from edgemnist.exports.questions import chance_question, check_unseen
from edgemnist.formats import FORMATS
from edgemnist.formatting import count
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.data import DataIdentity
from edgemnist.results.verify import ArtifactParity, VerifyResult
from edgemnist.runtimes import RUNTIMES
from edgemnist.runtimes.tflite import Graph, read_graph
from edgemnist.verify.gate import Gate, LimitOverrides
from edgemnist.verify.gatefile import GateTable
from edgemnist.verify.run import ask_both, assess
from edgemnist.verify.statistics import load_statistics
from edgemnist.verify.vote import explaining_rescaling


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Images with known classes, that no model was trained on."""

    images: Images
    """uint8 [N, 28, 28]."""
    labels: Labels
    """int64 [N]."""
    class_labels: Sequence[str]
    identity: DataIdentity


def find_evaluation(
    exports: Path, data: Path | None = None, *, download: bool = True, reporter: Reporter = SILENT
) -> Evaluation:
    """Return the test images of a data set that was named, else those of the golden pack, else those of MNIST.

    Raises DataError if there are none, ManifestError and ArtifactError where the golden pack is damaged.
    """
    if data is None and (exports / MANIFEST_FILE).exists():
        opened = Exports.open(exports)
        if opened.manifest.golden is not None:
            pack = opened.read_golden()
            return Evaluation(
                images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data
            )
    dataset = find_dataset(data, download=download, reporter=reporter)
    return Evaluation(
        images=dataset.test.images, labels=dataset.test.labels, class_labels=dataset.labels, identity=dataset.identity
    )


_LAYERS: Final = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL"})


def verify_files(
    reference: str,
    files: Sequence[str],
    evaluation: Evaluation,
    *,
    limits: LimitOverrides | None = None,
    gates: GateTable | None = None,
    quantization: str | None = None,
    reporter: Reporter = SILENT,
) -> VerifyResult:
    """Compare model files with a reference file, each `FILE[@RUNTIME]`, over all images of an evaluation.

    `quantization` says whose gate applies; by default each file tells, see `guess_quantization`. Any file will do that
    some runtime takes and that maps 28×28 images to as many classes as the evaluation has.

    Raises ArtifactError where a file cannot be used or the reference answers with numbers that are not finite,
    DataError where the manifest beside a file says that it was trained on the images, and MissingDependencyError where
    its runtime is not installed.
    """
    yardstick_model, *models = (file_model(file) for file in (reference, *files))
    names = [quantization or guess_quantization(model.path) for model in models]
    table, overrides = gates or GateTable(), limits or LimitOverrides()
    limited = [overrides.apply(table.of(model.path.stem, name)) for model, name in zip(models, names, strict=True)]
    for model in (yardstick_model, *models):
        _check_unseen(model, evaluation.images)
        model.entry.load()
    load_statistics()
    started = time.perf_counter()
    yardstick = yardstick_model.load()
    if len(yardstick.classes_) != len(evaluation.class_labels):
        raise ArtifactError(
            f"{reference} knows {len(yardstick.classes_)} classes, but the images have {len(evaluation.class_labels)}"
        )
    answers = yardstick.predict_proba(evaluation.images)
    if odd := int(np.count_nonzero(~np.isfinite(answers).all(axis=1))):
        raise ArtifactError(
            f"{reference} answers {odd:,} of {count(len(answers), 'image')} with numbers that are not finite, "
            "so nothing can be compared with it",
            hint="Name another reference, or train and convert this one again.",
        )
    pack = GoldenPack(
        images=evaluation.images,
        labels=evaluation.labels,
        probabilities=answers,
        class_labels=tuple(evaluation.class_labels),
        data=evaluation.identity,
        model_sha256=yardstick_model.sha256,
    )
    found = [
        _verify_file(pack, model, name, gate, reporter)
        for model, name, gate in zip(models, names, limited, strict=True)
    ]
    return VerifyResult(
        passed=all(parity.passed for parity in found),
        images=len(evaluation.images),
        reference_accuracy=pack.accuracy(),
        data=evaluation.identity,
        model_sha256=pack.model_sha256,
        artifacts=found,
        reference=reference,
        warnings=chance_question(
            pack.accuracy(), len(pack.class_labels), len(pack.labels), reference=f"reference ({reference})"
        ),
        seconds=time.perf_counter() - started,
    )


def _check_unseen(model: Model, images: Images) -> None:
    """Raise DataError if the manifest beside a file says that it was trained on the images, uint8 [N, 28, 28]."""
    beside = recorded_beside(model.path, model.sha256)
    if beside is None:
        return
    manifest, record = beside
    made_from = record.model_sha256 if isinstance(record, Artifact) else record.sha256
    # What an artifact of an earlier model was trained on is not known any more.
    if manifest.model is not None and manifest.model.sha256 == made_from:
        check_unseen(model.path.parent, manifest, images)


def guess_quantization(file: Path) -> str:
    """Return which quantization a model file has, from its operators and the types of its weights.

    Raises ArtifactError where it cannot be read. A Keras file is float32.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error.strerror}") from error
    if file.suffix in RUNTIMES["onnxruntime"].suffixes:
        return _of_onnx(data)
    if file.suffix not in RUNTIMES["litert"].suffixes:
        # A format of one quantization says it by its ending.
        offered = [entry.quantizations for entry in FORMATS.values() if entry.suffix == file.suffix]
        return offered[0][0] if offered else "float32"
    try:
        return _of_tflite(read_graph(data))
    except ValueError as error:
        raise ArtifactError(f"{file} is not a TFLite file: {error}") from error


def _of_tflite(graph: Graph) -> str:
    layers = [operator for operator in graph.operators if operator.kind in _LAYERS]
    dequantized = {one.outputs[0]: one.inputs[0] for one in graph.operators if one.kind == "DEQUANTIZE"}
    # A float16 file turns its weights into float32 by an operator before the layer.
    weights = {graph.tensors[dequantized.get(one.inputs[1], one.inputs[1])].dtype for one in layers}
    activations = {graph.tensors[one.inputs[0]].dtype for one in layers}
    if weights & {"int8", "uint8"}:
        return "int8" if activations <= {"int8", "uint8"} else "dynamic"
    return next((name for name in ("int4", "float16") if name in weights), "float32")


def _of_onnx(data: bytes) -> str:
    # Operators are stored by name, and a weight of 400,000 bytes has none of these in it.
    if b"DynamicQuantizeLinear" in data or b"MatMulInteger" in data or b"ConvInteger" in data:
        return "dynamic"
    return "int8" if b"QuantizeLinear" in data or b"QLinear" in data else "float32"


def _verify_file(pack: GoldenPack, model: Model, quantization: str, gate: Gate, reporter: Reporter) -> ArtifactParity:
    # Another number of classes than a manifest beside it names is a finding, and no reason to stop.
    classifier = replace(model, labels=None).load()
    answers, integer = ask_both(model, classifier, pack, reporter, is_int8=quantization == "int8")
    known, classes = len(classifier.classes_), pack.probabilities.shape[1]
    mistakes = [] if known == classes else [f"it knows {known} classes where the reference has {classes}"]
    return assess(
        pack,
        answers,
        name=model.name,
        format=model.path.suffix.lstrip("."),
        quantization=quantization,
        runtime=model.runtime,
        sha256=model.sha256,
        gate=gate,
        mistakes=mistakes,
        integer=integer,
        explain=partial(explaining_rescaling, model, golden=pack, reporter=reporter),
    )
