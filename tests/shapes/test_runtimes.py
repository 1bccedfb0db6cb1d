"""Every runtime answers models of every shape, with what their inputs stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports.golden import ask_one_at_a_time
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.pixels import Numbers, encoder, quantize_pixels
from tests.shapes import SPECS
from tests.shapes.made import LABELS, weights, write

CLASSES = len(LABELS)
EACH = pytest.mark.parametrize("name", SPECS)


@EACH
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_model_of_any_shape_answers_any_number_of_inputs(name: str, runtime: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    path = write(tmp_path / "model.onnx", spec.shape, weights(spec))
    classifier = load(path, runtime=runtime, spec=spec, trusted=True)
    assert (classifier.spec, len(classifier.labels), classifier.answers_logits) == (spec, CLASSES, True)
    inputs = spec.random(3)
    expected = softmax(spec.real(inputs).reshape(3, -1) @ weights(spec))
    for given in (inputs, np.asfortranarray(inputs), inputs.reshape(3, -1), [*inputs]):
        np.testing.assert_allclose(classifier.predict_proba(given), expected, atol=1e-5)
    for index in range(3):
        np.testing.assert_allclose(classifier.answer(inputs[index : index + 1])[0], expected[index], atol=1e-5)
    assert classifier.answer(inputs[:0]).shape == (0, CLASSES)
    with pytest.raises(ValueError, match=r"must be \[N, .*, not"):
        classifier.predict_proba(np.zeros((2, spec.size + 1)))
    if spec.dtype == "float32":
        inputs[1].flat[0] = np.nan
        for bad in (inputs, inputs[1:2]):
            with pytest.raises(ValueError, match="finite"):
                classifier.predict_proba(bad)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["colour", "meter"])
def test_channels_may_come_first_in_a_file(name: str, runtime: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    height, width, channels = spec.shape
    path = write(tmp_path / "model.onnx", (channels, height, width), weights(spec))
    inputs = spec.random(2)
    turned = spec.real(inputs).transpose(0, 3, 1, 2)
    expected = softmax(turned.reshape(2, -1) @ weights(spec))
    classifier = load(path, runtime=runtime, spec=spec, trusted=True)
    np.testing.assert_allclose(classifier.predict_proba(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(inputs[1:])[0], expected[1], atol=1e-5)


def test_a_model_of_another_shape_is_refused_by_what_it_should_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", (32, 32, 3), weights(SPECS["colour"]))
    with pytest.raises(ArtifactError, match="does not map 20×32 images in colour to class scores") as error:
        load(path, spec=SPECS["meter"], trusted=True)
    assert "[N, 32, 20, 3]" in error.value.hint


def test_what_a_stranger_wrote_is_tried_with_what_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", (13,), weights(SPECS["row"]))
    assert load(path, spec=SPECS["row"]).answer(np.zeros(13)).shape == (1, CLASSES)


@EACH
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_inputs_are_quantized_to_the_nearest_step(name: str, dtype: type[np.integer[Any]]) -> None:
    spec = SPECS[name]
    limits = np.iinfo(dtype)
    numbers = Numbers(np.dtype(dtype), 4 / 255, int(limits.min) + 128)
    inputs = spec.random(4)
    written = np.empty(inputs.shape, np.uint8)
    encoder(numbers, spec)(inputs, written)
    real = np.clip(spec.real(inputs), -128 * 4 / 255, 127 * 4 / 255)
    found = 4 / 255 * (written.view(dtype).astype(np.float64) - numbers.zero_point)
    assert np.abs(found - real).max() <= 2 / 255 * 1.001
    if spec.dtype == "uint8":
        channels = len(spec.ends)
        assert quantize_pixels(numbers, spec).shape == ((256,) if channels == 1 else (channels, 256))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_model_may_answer_with_numbers(runtime: str, trusted: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    spec = SPECS["long"]
    path = write(tmp_path / "model.onnx", (640,), weights(spec))
    classifier = load(path, runtime=runtime, spec=spec, numbers=True, trusted=trusted)
    assert (classifier.answers_numbers, classifier.labels, len(classifier.classes_)) == (True, (), 0)
    inputs = spec.random(3)
    expected = spec.real(inputs) @ weights(spec)
    np.testing.assert_allclose(classifier.answer(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(ask_one_at_a_time(classifier, inputs), expected, atol=1e-5)
    for ask in (classifier.predict_proba, classifier.predict):
        with pytest.raises(ValueError, match=r"use answer\(\)"):
            ask(inputs[:1])
    with pytest.raises(ArtifactError, match="answers with numbers, but there are 5 labels"):
        load(path, runtime=runtime, spec=spec, numbers=True, labels="abcde", trusted=True)
