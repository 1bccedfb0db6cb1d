"""ONNX files of other people's tools, PyTorch's for example, give the answers of the network they hold."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.onnxruntime import decode_labels
from edgemnist.model.task import default_input
from tests.messages import Told

KERNEL = np.random.default_rng(0).normal(0, 0.1, (784, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(1).integers(0, 256, (20, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(images: Images) -> Probabilities:
    return softmax(images.reshape(-1, 784) / np.float32(255) @ KERNEL)


def write(
    path: Path,
    *,
    shape: tuple[int | str | None, ...] = ("n", 28, 28),
    dtype: str = "FLOAT",
    softmaxed: bool = True,
    properties: dict[str, str] | None = None,
    outputs: int = 1,
    labelled: bool = False,
) -> Path:
    """Write a network of one layer. Integers come as pixels, and the network divides them by 255 itself."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    kind = getattr(TensorProto, dtype)
    nodes = [helper.make_node("Cast", ["x"], ["pixels"], to=TensorProto.FLOAT)]
    constants: dict[str, Any] = {"shape": np.array([-1, 784]), "kernel": KERNEL}
    if dtype in {"UINT8", "INT8"}:
        constants["whole"] = np.float32(255)
        constants["black"] = np.float32(-128 if dtype == "INT8" else 0)
        nodes += [helper.make_node("Sub", ["pixels", "black"], ["positive"])]
        nodes += [helper.make_node("Div", ["positive", "whole"], ["scaled"])]
    nodes += [
        helper.make_node("Reshape", [nodes[-1].output[0], "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
    ]
    if softmaxed:
        nodes += [helper.make_node("Softmax", ["logits"], ["probabilities"])]
    nodes += [helper.make_node("Identity", [nodes[-1].output[0]], [f"y{index}"]) for index in range(outputs)]
    labels = []
    if labelled:
        nodes += [helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)]
        labels = [helper.make_tensor_value_info("label", TensorProto.INT64, [shape[0]])]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", kind, shape)],
        [
            *labels,
            *(
                helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, [shape[0], 10])
                for index in range(outputs)
            ),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    helper.set_model_props(model, properties or {})
    checker.check_model(model, full_check=True)
    save(model, path)
    return path


def test_labels_beside_scores_are_left_out(images: Images, expected: Probabilities, tmp_path: Path) -> None:
    """As scikit-learn's converter writes them."""
    path = write(tmp_path / "labelled.onnx", labelled=True)
    np.testing.assert_allclose(load(path).predict_proba(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "softmaxed"),
    [
        (("n", 28, 28), "FLOAT", True),
        ((None, 1, 28, 28), "FLOAT16", False),
        (("n", 784), "DOUBLE", True),
        ((1, 28, 28, 1), "UINT8", False),
        ((8, 1, 28, 28), "INT8", True),
        ((8, 1, 28, 28), "FLOAT", False),
    ],
    ids=str,
)
def test_every_input_and_output_gives_the_probabilities(
    shape: tuple[Any, ...], dtype: str, *, softmaxed: bool, images: Images, expected: Probabilities, tmp_path: Path
) -> None:
    classifier = load(write(tmp_path / "foreign.onnx", shape=shape, dtype=dtype, softmaxed=softmaxed), trusted=True)
    # Half precision has 11 bits.
    tolerance = 2e-3 if dtype == "FLOAT16" else 1e-5
    for count in (0, 1, 7, 20):
        answers = classifier.predict_proba(images[:count])
        assert answers.dtype == np.float32
        np.testing.assert_allclose(answers, expected[:count], atol=tolerance)


def test_small_logits_are_logits(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.runtimes.test_foreign_onnx.KERNEL", KERNEL / 100)
    answers = load(write(tmp_path / "untrained.onnx", softmaxed=False)).predict_proba(images)
    assert np.allclose(answers.sum(axis=1), 1)


def test_the_file_may_name_its_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "named.onnx", properties={"labels": '["a","b","c","d","e","f","g","h","i","ü"]'})
    assert load(path).labels == (*"abcdefghi", "ü")
    assert load(path, labels="0123456789").labels == tuple("0123456789")

    for labels in (["only one"], [str(index) for index in range(11)]):
        with pytest.raises(ArtifactError, match="10 scores"):
            load(path, labels=labels, trusted=True)


@pytest.mark.parametrize(
    "text", ["", "a,b,c", "{}", "[1, 2]", json.dumps(["0" * 256, *"123456789"]), json.dumps(["a\nb", *"123456789"])]
)
def test_labels_of_another_kind_are_passed_over(text: str) -> None:
    assert decode_labels(text) is None


def test_a_model_of_something_else_is_refused_with_the_reason(tmp_path: Path, told: Told) -> None:
    shapes = (("n", 28, 29), ("n", 3, 28, 28), ("n", "height", "width"), (0, 28, 28))
    several: list[dict[str, Any]] = [*({"shape": shape} for shape in shapes), {"dtype": "INT32"}, {"outputs": 2}]
    for options in several:
        with told():
            load(write(tmp_path / "other.onnx", **options), spec=default_input(), trusted=True)
    # Without a record nothing is said of digits.
    with told():
        load(write(tmp_path / "other.onnx", outputs=2), trusted=True)
