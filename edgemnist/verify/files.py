"""Model files of any origin against each other, without a manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgemnist.arrays import Images, Labels
from edgemnist.errors import ArtifactError
from edgemnist.golden import GoldenPack
from edgemnist.manifest import sha256
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import ArtifactParity, DataIdentity, VerifyResult
from edgemnist.runtimes import RUNTIMES, load, runtime_for
from edgemnist.runtimes.tflite_graph import Graph, read_graph
from edgemnist.verify.answers import ask, no_answers
from edgemnist.verify.gate import Gate, LimitOverrides
from edgemnist.verify.gatefile import GateTable
from edgemnist.verify.judge import judge
from edgemnist.verify.statistics import load_statistics
from edgemnist.verify.vote import integer_answers

_LAYERS: Final = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL"})


def verify_files(
    reference: Path,
    files: Sequence[Path],
    *,
    images: Images,
    labels: Labels,
    class_labels: Sequence[str],
    data: DataIdentity,
    limits: LimitOverrides | None = None,
    gates: GateTable | None = None,
    quantization: str | None = None,
    reporter: Reporter = SILENT,
) -> VerifyResult:
    """Hold model files against a reference file, over all `images`, uint8 [N, 28, 28], with true classes int64 [N].

    `quantization` says whose gate applies; by default each file tells, see `guess_quantization`. Any file will do that
    some runtime takes and that maps 28×28 images to as many classes as `class_labels` has.

    Raises ArtifactError where a file cannot be used, and MissingDependencyError where its runtime is not installed.
    """
    names = [quantization or guess_quantization(file) for file in files]
    table, overrides = gates or GateTable(), limits or LimitOverrides()
    limited = [overrides.apply(table.of(file.stem, name)) for file, name in zip(files, names, strict=True)]
    for file in (reference, *files):
        RUNTIMES[runtime_for(file)].load()
    load_statistics()
    started = time.perf_counter()
    yardstick = load(reference)
    if len(yardstick.classes_) != len(class_labels):
        raise ArtifactError(
            f"{reference} knows {len(yardstick.classes_)} classes, and the images have {len(class_labels)}"
        )
    pack = GoldenPack(
        images=images,
        labels=labels,
        probabilities=yardstick.predict_proba(images),
        class_labels=tuple(class_labels),
        data=data,
        model_sha256=sha256(reference.read_bytes()),
    )
    found = [
        _verify_file(pack, file, name, gate, reporter) for file, name, gate in zip(files, names, limited, strict=True)
    ]
    return VerifyResult(
        passed=all(parity.passed for parity in found),
        images=len(images),
        reference_accuracy=pack.accuracy(),
        data=data,
        model_sha256=pack.model_sha256,
        artifacts=found,
        reference=str(reference),
        seconds=time.perf_counter() - started,
    )


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
        return "float32"
    try:
        return _of_tflite(read_graph(data))
    except ValueError as error:
        raise ArtifactError(f"{file} is no TFLite file: {error}") from error


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


def _verify_file(pack: GoldenPack, file: Path, quantization: str, gate: Gate, reporter: Reporter) -> ArtifactParity:
    classifier = load(file)
    count, classes = pack.probabilities.shape
    mistakes: list[str] = []
    integer = None
    if len(classifier.classes_) == classes:
        with reporter.task(f"Verifying {file.name}", total=count) as task:
            answers = ask(classifier, pack, task)
        if quantization == "int8":
            integer = integer_answers(file, pack, reporter)
    else:
        answers = no_answers(count, classes)
        mistakes.append(f"it knows {len(classifier.classes_)} classes where the reference has {classes}")
    return judge(
        pack,
        answers,
        name=str(file),
        format=file.suffix.lstrip("."),
        quantization=quantization,
        runtime=runtime_for(file),
        sha256=sha256(file.read_bytes()),
        gate=gate,
        mistakes=mistakes,
        integer=integer,
    )
