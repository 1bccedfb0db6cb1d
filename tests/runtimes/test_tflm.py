"""TFLM, which runs on microcontrollers, judges the rule `double`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.integer import IntegerClassifier, Rounding
from edgemnist.model.runtimes.tflite import read_graph
from tests.runtimes.test_operators import DRAWN, Operators, computed, inputs_of
from tests.shapes.graphs import write_tflite

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro has wheels for Linux on x86-64 only").runtime


def answers_of(path: Path, levels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Return what TFLM's reference kernels answer to quantized inputs, int8 [N, ...]."""
    interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 23)
    answers = []
    for one in levels:
        interpreter.set_input(one[None], 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0).copy())
    return np.concatenate(answers)


@pytest.mark.needs("engine")
def test_the_rule_double_has_its_bits_in_reference_and_engine(made_exports: Path) -> None:
    path = made_exports / "tflite-int8.tflite"
    images = np.random.default_rng(3).integers(0, 256, (400, 28, 28)).astype(np.uint8)
    once, twice = (IntegerClassifier.load(path, rounding=Rounding(rule)) for rule in ("single", "double"))
    levels = np.empty(images.shape, np.uint8)
    twice._write(images, levels)
    answers = answers_of(path, levels.view(np.int8))
    np.testing.assert_array_equal(twice.quantized(images), answers)
    assert (once.quantized(images) != answers).any(), "inputs that both rules answer alike prove nothing"
    engine = load(path, runtime="native", rounding="double")
    np.testing.assert_array_equal(engine.predict_proba(images), twice.predict_proba(images))


UNKNOWN = {"GELU", "RELU_N1_TO_1"}
"""To TFLM."""


@pytest.mark.parametrize("kind", sorted(DRAWN.keys() - UNKNOWN))
def test_an_operator_has_its_bits_under_its_rule(kind: str, tmp_path: Path) -> None:
    compared = 0
    for seed in range(30):
        sketch = Operators(seed)
        path = write_tflite(sketch.ending_in(DRAWN[kind](sketch, kind)), tmp_path / "model.tflite")
        graph = read_graph(path.read_bytes())
        inputs = inputs_of(graph)
        scales = [tensor.scales[0] for tensor in graph.tensors if tensor.scales.size]
        # It has no forms in uint8 but for a few, and goes beyond its 32 bits where scales are.
        if any(tensor.dtype == "uint8" for tensor in graph.tensors) or not 1e-9 < min(scales) <= max(scales) < 1e9:
            continue
        found = computed(graph, inputs, Rounding("double"))[graph.outputs[0]]
        answers = answers_of(path, inputs)
        np.testing.assert_array_equal(found.reshape(answers.shape), answers, err_msg=str(seed))
        compared += 1
    assert compared > 5
