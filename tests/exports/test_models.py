"""A model file of unknown origin is given pixels in the range in which it reads digits."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports, model_for, reference_directory
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.task import default_input
from tests.notices import Notices


def write(path: Path, kernel: np.ndarray, bias: np.ndarray) -> Path:
    """Write a foreign ONNX file of one layer."""
    from onnx import TensorProto, helper, numpy_helper, save

    constants = {"shape": np.array([-1, 784]), "kernel": kernel, "bias": bias}
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["sums"]),
            helper.make_node("Add", ["sums", "bias"], ["y"]),
        ],
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)
    return path


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    """What most digits are known by: the mean of each class without the mean of all, float32 [784, 10]."""
    golden = Exports.open(reference_directory()).read_golden()
    pixels = golden.images.reshape(-1, 784) / 255
    means = np.stack([pixels[golden.labels == digit].mean(axis=0) for digit in range(10)], axis=1)
    means -= pixels.mean(axis=0)[:, None]
    return np.asarray(means / np.linalg.norm(means, axis=0), np.float32)


# Of ten scores up to 5 with pixels in 0..1, one is raised by 100: only with larger pixels do the others count.
LOPSIDED = np.eye(10, dtype=np.float32)[3] * 100


@pytest.mark.parametrize(
    ("bias", "expected"), [(np.zeros(10, np.float32), None), (LOPSIDED, "0..255")], ids=["0..1", "0..255"]
)
def test_the_range_of_a_foreign_file_is_found(
    bias: np.ndarray, expected: str | None, kernel: np.ndarray, tmp_path: Path
) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", kernel, bias)
    model, labels = model_for(None, str(path), notices)
    assert labels is None
    assert (model.spec and model.spec.range) == expected
    if expected is None:
        assert notices.messages == []
    else:
        (notice,) = notices.messages
        assert notice.startswith(f"{path} is given pixels in {expected}: ")
    golden = Exports.open(reference_directory()).read_golden()
    answers = model.load().predict_proba(golden.images[:200]).argmax(axis=1)
    assert np.mean(answers == golden.labels[:200]) > 0.5


def test_a_file_that_is_named_by_its_path_has_the_class_names_of_the_manifest_beside_it(old_exports: Path) -> None:
    manifest, letters = read_manifest(old_exports), list("abcdefghij")
    (old_exports / "manifest.json").write_bytes(msgspec.structs.replace(manifest, labels=letters).encode())
    notices = Notices()
    for name in ("tflite-int8.tflite", "onnx-float32.onnx"):
        model, labels = model_for(None, str(old_exports / name), notices)
        assert model.load(labels=labels).labels == tuple(letters), name
    assert notices.messages == []


def test_a_file_that_reads_no_digits_in_any_range_is_questioned(kernel: np.ndarray, tmp_path: Path) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", np.roll(kernel, 1, axis=1), np.zeros(10, np.float32))
    model, _ = model_for(None, str(path), notices)
    assert model.spec is None
    assert "hardly better than guessing" in notices.messages[0]


def test_a_file_that_is_no_classifier_of_images_is_refused_and_not_said_to_guess() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    notices = Notices()
    other = Path(onnxruntime.__file__).parent / "datasets" / "sigmoid.onnx"
    model, _ = model_for(None, str(other), notices)
    assert notices.messages == []
    assert model.load().answers_numbers
    with pytest.raises(ArtifactError, match=r"its input is an array of \[3, 4, 5\]"):
        replace(model, spec=default_input()).load()
