"""What a file without a record reads and answers with is guessed from its tensors, and told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import UNIT, InputSpec
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import infer_numbers, infer_spec, softmax
from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.task import default_input, task_of
from tests.shapes import SPECS
from tests.shapes.made import weights, write

REAL, BYTES, PIXELS = Numbers(np.dtype("f4")), Numbers(np.dtype("u1")), Numbers(np.dtype("i1"), 1 / 255, -128)
LEVELS = Numbers(np.dtype("i1"), 1.0, -128)
SENSOR = Numbers(np.dtype("i1"), 0.58, 83)
"""Ends at -122 and 26: no range of pixels."""


def numbers(*shape: int) -> InputSpec:
    return InputSpec(shape=shape, dtype="float32", scale=(1.0,))


def pictures(*shape: int, name: str = UNIT) -> InputSpec:
    return InputSpec.of_range(shape, name)


@pytest.mark.parametrize(
    ("shape", "held", "expected", "guess"),
    [
        ((784,), REAL, default_input(), None),
        ((1, 28, 28), SENSOR, default_input(), None),
        ((28, 28, 1), LEVELS, default_input("0..255"), None),
        ((32, 32, 3), LEVELS, pictures(32, 32, 3, name="0..255"), "32×32 images in colour in 0..255, or else numbers"),
        ((3, 32, 20), REAL, pictures(32, 20, 3), "20×32 images in colour in 0..1, or else 0..255"),
        ((1, 96, 96), REAL, pictures(96, 96), "96×96 images in 0..1, or else numbers as they are"),
        ((17, 23), PIXELS, pictures(17, 23), "23×17 images in 0..1, or else numbers as they are"),
        ((8, 9, 4), BYTES, pictures(8, 9, 4), "9×8 images in colour"),
        ((49, 10, 1), SENSOR, numbers(49, 10), "49×10 numbers as they are, or else pixels"),
        ((32, 32, 3), SENSOR, numbers(32, 32, 3), "32×32×3 numbers"),
        ((30, 1, 40), PIXELS, numbers(30, 1, 40), "30×1×40 numbers"),
        ((1, 13), REAL, numbers(1, 13), "1×13 numbers"),
        ((13,), REAL, numbers(13), "13 numbers"),
        ((2, 3, 4, 5), REAL, numbers(2, 3, 4, 5), "2×3×4×5 numbers"),
    ],
)
def test_what_a_file_reads_is_guessed_from_its_tensor(
    shape: tuple[int, ...], held: Numbers, expected: InputSpec, guess: str | None
) -> None:
    spec, guesses = infer_spec(shape, held)
    assert spec == expected
    spec.axes(shape)
    assert [one.startswith(f"reads {guess}") for one in guesses] == [True] * (guess is not None)


def test_the_range_that_a_file_says_is_no_guess() -> None:
    assert infer_spec((8, 8, 3), REAL, "-1..1")[0] == pictures(8, 8, 3, name="-1..1")


@pytest.mark.parametrize("shape", [(), (None, 13), (0, 3), (1,) * 5, (1 << 21,), ("height", 8, 3)])
def test_a_tensor_of_no_input_is_refused_in_words(shape: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"it takes|an input has"):
        infer_spec(shape, REAL)


SCORES = np.random.default_rng(0).normal(size=(5, 2000)).astype(np.float32)


@pytest.mark.parametrize(
    ("scores", "spec", "expected"),
    [
        (SCORES[:, :10], SPECS["row"], ""),
        (SCORES[:, :1], SPECS["row"], "answers with 1 number"),
        (SCORES[:, :6].reshape(5, 2, 3), SPECS["row"], "answers with 2×3 numbers"),
        (SCORES[:, :640], SPECS["long"], "answers with 640 numbers, or else as many classes"),
        (SCORES[:, :1000], SPECS["row"], ""),
        (SCORES[:, :1001], SPECS["row"], "answers with 1,001 numbers, or else as many classes"),
        (softmax(SCORES[:, :1001]), SPECS["row"], ""),
        (softmax(SCORES[:, :640]), SPECS["long"], ""),
        (np.full((0, 10), np.nan, np.float32), SPECS["row"], ""),
    ],
)
def test_whether_answers_are_classes_is_guessed_from_their_number(
    scores: np.ndarray, spec: InputSpec, expected: str
) -> None:
    assert infer_numbers(scores, spec) == expected


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_one_sigmoid_is_two_classes_and_one_number_is_a_number(runtime: str, tmp_path: Path) -> None:
    spec, column = SPECS["row"], weights(SPECS["row"])[:, :1]
    plain = numbers(13)
    inputs = plain.random(3)
    found = inputs @ column
    sigmoid = load(write(tmp_path / "s.onnx", (13,), column, "Sigmoid"), runtime=runtime, trusted=True)
    second = 1 / (1 + np.exp(-found))
    np.testing.assert_allclose(sigmoid.predict_proba(inputs), np.hstack([1 - second, second]), atol=1e-5)
    np.testing.assert_allclose(sigmoid.predict_proba(inputs[:1])[0], [1 - second[0, 0], second[0, 0]], atol=1e-5)
    assert (sigmoid.labels, sigmoid.answers_logits, len(sigmoid.guesses)) == (("0", "1"), False, 2)
    assert sigmoid.guesses[1].startswith("answers with the probability of the second of two classes")
    named = load(tmp_path / "s.onnx", runtime=runtime, labels=["no", "yes"], spec=spec, trusted=True)
    assert (named.labels, named.guesses) == (("no", "yes"), ())
    told = load(tmp_path / "s.onnx", runtime=runtime, spec=plain, numbers=True, trusted=True)
    np.testing.assert_allclose(told.answer(inputs), second, atol=1e-5)
    plainly = load(write(tmp_path / "n.onnx", (13,), column), runtime=runtime)
    assert (plainly.answers_numbers, task_of(plainly).answers) == (True, "numbers")
    np.testing.assert_allclose(plainly.answer(inputs), found, atol=1e-5)
    with pytest.raises(ArtifactError, match="does not map 13 numbers to class scores"):
        load(tmp_path / "n.onnx", runtime=runtime, numbers=False, trusted=True)


def test_a_keras_file_without_a_record_is_understood(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    for name, shape, units, activation, expected in (
        ("yes", (13,), 1, "sigmoid", 2),
        ("sum", (13,), 1, None, 0),
        ("code", (13,), 13, "tanh", 0),
        ("signs", (8, 9, 3), 5, "softmax", 5),
    ):
        layers = [keras.layers.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units, activation)]
        keras.Sequential(layers).save(tmp_path / f"{name}.keras")
        found = load(tmp_path / f"{name}.keras", trusted=True)
        assert (len(found.labels), found.answers_numbers) == (expected, expected == 0), name
        assert task_of(found).input == (pictures(*shape) if len(shape) > 1 else numbers(*shape))
        assert found.answer(found.spec.random(2)).shape == (2, expected or units)
