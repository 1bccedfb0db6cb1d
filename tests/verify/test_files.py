"""Any two classifiers of 28×28 images can be compared, ours or not, without a manifest."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, DataError
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model.exports.golden import GoldenPack, read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.verify.files import Evaluation, guess_quantization, verify_files
from tests.notices import Notices
from tests.verify import damage


@pytest.fixture(scope="module")
def pack(made_exports: Path) -> GoldenPack:
    return read_golden(made_exports, read_manifest(made_exports))


def compared(pack: GoldenPack, reference: Path, *files: Path, quantization: str | None = None) -> VerifyResult:
    evaluation = Evaluation(images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data)
    return verify_files(str(reference), [str(file) for file in files], evaluation, quantization=quantization)


@pytest.mark.parametrize("fixture", ["made_exports", pytest.param("every_export", marks=pytest.mark.all)])
def test_a_file_tells_its_quantization(fixture: str, request: pytest.FixtureRequest) -> None:
    exports: Path = request.getfixturevalue(fixture)
    for artifact in read_manifest(exports).artifacts:
        assert guess_quantization(exports / artifact.file) == artifact.quantization


LAYERS = {
    "float32": ["MatMul x,w"],
    "float16": ["Cast w f", "MatMul x,f"],
    "dynamic": ["DynamicQuantizeLinear x q,s,z", "MatMulInteger q,w,z i", "Cast i y"],
    "weights alone": ["DequantizeLinear w,s d", "Transpose d t", "MatMul x,t"],
    "int8": ["QuantizeLinear x,s,z q", "DequantizeLinear q,s,z a", "DequantizeLinear w,s,z d", "MatMul a,d"],
    "QLinear": ["QLinearMatMul x,s,z,w,s,z,s,z"],
    "int4": ["DequantizeLinear w,s d", "MatMul x,d"],
}
"""A layer of each kind: operators, inputs and outputs; `x` is its input, `w` its weights."""


def onnx_file(path: Path, layers: list[tuple[str, int]]) -> Path:
    """Write an ONNX file with layers of as many weights, and with words in its texts that are names of operators."""
    from onnx import TensorProto, helper, save

    types = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int4": TensorProto.INT4}
    nodes, constants = [], [helper.make_tensor("s", TensorProto.FLOAT, [], [0.1])]
    constants.append(helper.make_tensor("z", TensorProto.INT8, [], [0]))
    for layer, (kind, size) in enumerate(layers):
        weights = helper.make_tensor(f"w{layer}", types.get(kind, TensorProto.INT8), [size, 10], [1] * (10 * size))
        constants.append(weights)
        for step in LAYERS[kind]:
            name, inputs, outputs = f"{step} y".split()[:3]
            named = [
                [one if one in "sz" else f"{one}{layer}" for one in names.split(",")] for names in (inputs, outputs)
            ]
            nodes.append(helper.make_node(name, *named))
    graph = helper.make_graph(nodes, "QuantizeLinear", [], [], constants, doc_string="DynamicQuantizeLinear QLinear")
    save(helper.make_model(graph, doc_string="MatMulInteger"), path)
    return path


@pytest.mark.parametrize(
    ("layers", "quantization"),
    [
        ([("float32", 100)], "float32"),
        ([("float16", 100)], "float16"),
        ([("dynamic", 100)], "dynamic"),
        ([("weights alone", 100)], "dynamic"),
        ([("int8", 100)], "int8"),
        ([("QLinear", 100)], "int8"),
        ([("int4", 100)], "int4"),
        # What most weights have, and the strictest of what equally many have.
        ([("float32", 100), ("int4", 10)], "float32"),
        ([("int8", 100), ("int4", 10), ("float32", 50)], "int8"),
        ([("int4", 100), ("float32", 100), ("int8", 100)], "float32"),
        ([("int4", 101), ("float32", 100)], "int4"),
        ([], None),
    ],
)
def test_an_onnx_file_has_the_gate_of_most_of_its_weights_whatever_words_are_in_it(
    layers: list[tuple[str, int]], quantization: str | None, tmp_path: Path
) -> None:
    assert guess_quantization(onnx_file(tmp_path / "x.onnx", layers)) == quantization


@pytest.mark.parametrize(
    ("layers", "quantization"),
    [
        (["type 17", "float32"], "float32"),
        (["int8", "float32", "float32"], "float32"),
        (["float16", "int8", "int8"], "dynamic"),
        (["int32"], None),
    ],
)
def test_a_tflite_file_has_the_gate_of_most_of_its_weights(
    layers: list[str], quantization: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    none: dict[str, Any] = {"scales": np.zeros(0, np.float32), "zero_points": np.zeros(0, np.int64), "channel_axis": 0}
    pixels = Tensor(name="x", dtype="float32", shape=(1, 784), content=np.zeros(0, np.uint8), **none)
    weights = [Tensor(name="w", dtype=one, shape=(10, 784), content=np.ones(9, np.uint8), **none) for one in layers]
    steps = [
        Operator(kind="FULLY_CONNECTED", inputs=(0, place, -1), outputs=(0,), options=None)
        for place in range(1, len(layers) + 1)
    ]
    graph = Graph(tensors=(pixels, *weights), operators=tuple(steps), inputs=(0,), outputs=(0,))
    monkeypatch.setattr("edgemnist.pipeline.verify.files.read_graph", lambda _: graph)
    (tmp_path / "x.tflite").write_bytes(b"")
    assert guess_quantization(tmp_path / "x.tflite") == quantization


def test_a_file_that_does_not_tell_is_held_to_the_strictest_limits_with_a_notice(
    made_exports: Path, pack: GoldenPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, told = made_exports / "tflite-int8.tflite", Notices()
    monkeypatch.setattr("edgemnist.pipeline.verify.files.guess_quantization", lambda _: None)
    evaluation = Evaluation(images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data)
    result = verify_files(str(file), [str(file)], evaluation, reporter=told)
    assert result.artifacts[0].quantization == "float32"
    assert told.messages[0].endswith("so the limits of float32 hold. Name others with --as.")


def test_files_of_two_formats_are_compared_each_by_its_gate(
    made_exports: Path, tmp_path: Path, pack: GoldenPack
) -> None:
    theirs, ours, half = (tmp_path / name for name in ("theirs.onnx", "ours.tflite", "half.tflite"))
    for file, name in ((theirs, "onnx-float32.onnx"), (ours, "tflite-int8.tflite"), (half, "tflite-float16.tflite")):
        shutil.copy(made_exports / name, file)
    result = compared(pack, theirs, ours, half)
    assert result.passed
    assert result.reference == str(theirs)
    assert result.reference_accuracy == pytest.approx(pack.accuracy(), abs=0.001)
    assert [(parity.name, parity.quantization, parity.runtime) for parity in result.artifacts] == [
        (str(ours), "int8", "litert"),
        (str(half), "float16", "litert"),
    ]
    assert result.artifacts[0].integer is not None
    assert result.artifacts[0].flips == len(result.artifacts[0].flipped)


def test_images_that_a_model_has_seen_are_refused_by_its_manifest(
    exports: Path, tmp_path: Path, pack: GoldenPack
) -> None:
    stranger, ours = tmp_path / "stranger.onnx", exports / "onnx-float32.onnx"
    shutil.copy(ours, stranger)
    train = find_dataset(download=False).train
    seen = dataclasses.replace(pack, images=train.images[:200], truth=train.labels[:200])
    for pair in ((ours, stranger), (stranger, ours)):
        with pytest.raises(DataError, match="was trained on 200 of 200 evaluation images"):
            compared(seen, *pair)
    # Of a file whose origin nobody knows nothing can be said, nor of an earlier model than the manifest's.
    assert compared(seen, stranger, stranger).passed
    manifest = read_manifest(exports)
    earlier = [msgspec.structs.replace(one, model_sha256="0" * 64) for one in manifest.artifacts]
    (exports / "manifest.json").write_bytes(msgspec.structs.replace(manifest, artifacts=earlier).encode())
    assert compared(seen, ours, ours).passed


def test_labels_from_1_on_are_taken_for_classes_in_order_which_is_told(made_exports: Path, pack: GoldenPack) -> None:
    file, told = str(made_exports / "onnx-float32.onnx"), Notices()
    for first, accuracy in ((1, pack.accuracy()), (2, None)):
        evaluation = Evaluation(pack.images, pack.labels + first, None, pack.data)
        result = verify_files(file, [file], evaluation, reporter=told)
        assert result.reference_accuracy == (accuracy and pytest.approx(accuracy, abs=0.001))
    assert [one for one in told.messages if "taken for" in one] == [
        f"Labels 1 to 10 are taken for the classes 0 to 9 of {file}."
    ]


def test_the_limits_of_another_quantization_can_be_asked_for(made_exports: Path, pack: GoldenPack) -> None:
    reference, file = made_exports / "onnx-float32.onnx", made_exports / "tflite-int8.tflite"
    assert not compared(pack, reference, file, quantization="float32").passed


def test_a_wrong_file_is_caught(made_exports: Path, tmp_path: Path, pack: GoldenPack) -> None:
    file, reference = tmp_path / "wrong.onnx", made_exports / "onnx-float32.onnx"
    for wrong, said in ((damage.swap_onnx_outputs, "labels changed"), (damage.forget_a_class, "knows 9 classes")):
        file.write_bytes(wrong(reference.read_bytes()))
        result = compared(pack, reference, file)
        assert not result.passed
        assert any(said in reason for reason in result.artifacts[0].reasons)
    with pytest.raises(ArtifactError, match=said):
        compared(pack, file, reference)
