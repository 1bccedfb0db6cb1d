"""Export directories of models of every shape, made in milliseconds: a dense layer in an ONNX file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.field.samples import DOUBTFUL, Label, Sample, kind_of, now
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, GoldenPack, answer_all, encode_answers
from edgemnist.model.exports.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    Artifact,
    FileRecord,
    GoldenRecord,
    Manifest,
    ModelRecord,
    TensorSpec,
)
from edgemnist.model.task import Task, task_named
from tests.shapes import SPECS
from tests.shapes.graphs import graph_of, write_tflite

LABELS = ("stop", "yield", "bend", "no entry", "end")
NAME, INT8 = "onnx-float32", "tflite-int8"


def weights(spec: InputSpec, outputs: int = len(LABELS)) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, spec.size**-0.5, (spec.size, outputs)).astype(np.float32)


def write(
    path: Path,
    tensor: Sequence[int],
    weights: npt.NDArray[np.float32],
    last: str = "Identity",
    bias: npt.NDArray[np.float32] | float = 0,
) -> Path:
    """Write an ONNX file of one dense layer that takes a tensor of this shape, and ends with an operator."""
    from onnx import TensorProto, helper, numpy_helper, save

    constants = {"shape": np.array([-1, len(weights)]), "weights": weights, "bias": np.float32(bias)}
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
            helper.make_node("Add", ["sums", "bias"], ["all"]),
            helper.make_node(last, ["all"], ["y"]),
        ],
        "shape",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *tensor])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", weights.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)
    return path


def task_for(name: str, *, numbers: bool = False) -> Task:
    task = task_named("pictures" if SPECS[name].is_picture else "numbers", SPECS[name])
    return msgspec.structs.replace(task, answers="numbers" if numbers else "classes")


def make_exports(
    directory: Path,
    name: str,
    *,
    numbers: bool = False,
    labels: Sequence[str] = LABELS,
    images: int = 250,
    int8: bool = False,
) -> Exports:
    """Return an export directory of a model of this shape, right about every image of its golden pack.

    It is float32 in ONNX, or with `int8` a TFLite file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    spec, task = SPECS[name], task_for(name, numbers=numbers)
    names = [] if numbers else list(labels)
    output = TensorSpec(name="y", dtype="float32", shape=["n", len(labels)])
    if int8:
        graph = graph_of(spec, "numbers" if numbers else "dense", outputs=len(labels))
        model, last = write_tflite(graph, directory / f"{INT8}.tflite"), graph.tensors[graph.outputs[0]]
        output = TensorSpec(
            name="y",
            dtype="int8",
            shape=list(last.shape),
            scale=float(last.scales[0]),
            zero_point=int(last.zero_points[0]),
        )
    else:
        model = write(directory / f"{NAME}.onnx", spec.shape, weights(spec, len(labels)))
    (directory / "model.onnx").write_bytes(model.read_bytes())
    record = FileRecord.of("model.onnx", model.read_bytes())
    artifact = Artifact(
        **msgspec.structs.asdict(FileRecord.of(model.name, model.read_bytes())),
        name=model.stem,
        format=model.stem.partition("-")[0],
        quantization=model.stem.partition("-")[2],
        input=TensorSpec(name="x", dtype="float32", shape=["n", *spec.shape]),
        output=output,
        takes=spec,
        model_sha256=record.sha256,
        versions={},
    )
    inputs = spec.random(images)
    answers = answer_all(directory, [artifact], inputs, task)
    data = DataIdentity(source="random", train=images, test=images, sha256="0" * 64, reduced=False)
    answered = answers[artifact.sha256]
    pack = GoldenPack(
        images=inputs,
        truth=np.zeros(images, np.int64) if numbers else answered.argmax(axis=1).astype(np.int64),
        probabilities=answered,
        class_labels=tuple(names),
        data=data,
        model_sha256=record.sha256,
        task=task,
    )
    files = {GOLDEN_FILE: pack.encode(), ANSWERS_FILE: encode_answers(answers)}
    golden = FileRecord.of(GOLDEN_FILE, files[GOLDEN_FILE])
    manifest = Manifest(
        labels=names,
        task=task,
        data=data,
        model=ModelRecord(**msgspec.structs.asdict(record), parameters=1, takes=spec),
        golden=GoldenRecord(**msgspec.structs.asdict(golden), images=images, model_sha256=record.sha256),
        answers=FileRecord.of(ANSWERS_FILE, files[ANSWERS_FILE]),
        artifacts=[artifact],
    )
    for file, data_of in {**files, MANIFEST_FILE: manifest.encode()}.items():
        (directory / file).write_bytes(data_of)
    return Exports.open(directory)


def sample(spec: InputSpec, seed: int = 0, label: str | None = None) -> Sample:
    """Return a sample of random numbers, labelled or not."""
    (image,) = spec.random(1, seed)
    rows = () if label is None else (Label(label, "ada", now(), settles=False),)
    return Sample(
        id=seed,
        pixels=image.tobytes(),
        **kind_of(spec),
        at=now(),
        source="here",
        artifact=NAME,
        answer=LABELS[0],
        confidence=0.5,
        reason=DOUBTFUL,
        rows=rows,
    )
