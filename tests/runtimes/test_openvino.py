"""OpenVINO computes in float32, where its own default is whatever is fastest; `verify` would notice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports
from edgemnist.model.runtimes import RUNTIMES, load, openvino
from edgemnist.model.runtimes.integer import Rounding
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.pipeline.verify import run
from edgemnist.pipeline.verify.run import verify
from tests.runtimes.test_operators import DRAWN, Operators, computed, inputs_of
from tests.shapes.graphs import write_tflite


def precision_of(exports: Path) -> Any:
    classifier: Any = openvino.OpenVINOClassifier.load(exports / "onnx-float32.onnx")
    return classifier._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").to_string()


def test_float32_is_what_is_compiled_with_and_what_verify_lets_pass(made_exports: Path) -> None:
    assert precision_of(made_exports) == "f32"
    assert verify(Exports.open(made_exports), ["onnx-float32@openvino"]).passed


def test_an_operator_that_openvino_lacks_is_named_and_misses_no_gate(
    made_exports: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 13]) for name in "xy"]
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=sets, ir_version=8)
    save(model, tmp_path / "scaled.onnx")
    with pytest.raises(ArtifactError, match=r"No conversion rule found for operations: ai\.onnx\.ml\.Scaler"):
        load(tmp_path / "scaled.onnx", runtime="openvino")
    opened, data = openvino.OpenVINOClassifier._open, (tmp_path / "scaled.onnx").read_bytes()
    monkeypatch.setattr(openvino.OpenVINOClassifier, "_open", lambda self, _, threads: opened(self, data, threads))
    result = verify(Exports.open(made_exports))
    assert result.passed
    assert any("onnx-float32@openvino is left out: " in words for words in result.warnings)
    monkeypatch.setattr(run, "LACKS_OPERATORS", "other words")
    assert not verify(Exports.open(made_exports)).passed


pytestmark = pytest.mark.skipif(bool(RUNTIMES["tflm"].missing()), reason=RUNTIMES["tflm"].install_line())


def test_its_rounding_rule_is_found_to_the_last_bit(made_exports: Path) -> None:
    names = ["tflite-int8", "tflite-int8@tflm", "tflite-int8@integer"]
    result = verify(Exports.open(made_exports), names, rounding=True)
    rules = {one.name: one.rules for one in result.rounding}
    assert set(rules) == set(names)
    assert all(len(found) == 6 for found in rules.values())
    differing = {
        name: {(rule.rescaling, rule.softmax): rule.differing for rule in found} for name, found in rules.items()
    }
    # LiteRT's optimized kernels, TFLM's default and the reference itself.
    assert differing["tflite-int8"]["single", "float"] == 0
    assert differing["tflite-int8@integer"]["single", "integer"] == 0
    tflm = rules["tflite-int8@tflm"]
    assert (tflm[0].rescaling, tflm[0].softmax, tflm[0].differing) == ("double", "integer", 0)
    assert differing["tflite-int8@tflm"]["single", "integer"] > 0


def test_a_file_of_floats_is_refused_with_what_it_takes(made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="not quantized to 8 bits") as caught:
        load(made_exports / "tflite-float32.tflite", runtime="tflm")
    assert "tflite-int8" in caught.value.hint


UNKNOWN = {"GELU", "RELU_N1_TO_1"}
"""To TFLM."""


@pytest.mark.parametrize("kind", sorted(DRAWN.keys() - UNKNOWN))
def test_an_operator_has_its_bits_under_its_rule(kind: str, tmp_path: Path) -> None:
    from tflite_micro import runtime

    compared = 0
    for seed in range(30):
        sketch = Operators(seed)
        made = write_tflite(sketch.ending_in(DRAWN[kind](sketch, kind)), tmp_path / "model.tflite").read_bytes()
        graph = read_graph(made)
        inputs = inputs_of(graph)
        scales = [tensor.scales[0] for tensor in graph.tensors if tensor.scales.size]
        # It has no forms in uint8 but for a few, and goes beyond its 32 bits where scales are.
        if any(tensor.dtype == "uint8" for tensor in graph.tensors) or not 1e-9 < min(scales) <= max(scales) < 1e9:
            continue
        found = computed(graph, inputs, Rounding("double"))[graph.outputs[0]]
        interpreter = runtime.Interpreter.from_bytes(made, arena_size=1 << 20)
        for one, wanted in zip(inputs, found, strict=True):
            interpreter.set_input(one[None], 0)
            interpreter.invoke()
            np.testing.assert_array_equal(wanted.reshape(-1), interpreter.get_output(0).reshape(-1), err_msg=str(seed))
        compared += 1
    assert compared > 5
