"""OpenVINO computes in float32, where its own default is whatever is fastest; `verify` would notice."""

from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports
from edgemnist.model.runtimes import load, openvino
from edgemnist.pipeline.verify.run import verify


def precision_of(exports: Path) -> Any:
    classifier: Any = openvino.OpenVINOClassifier.load(exports / "onnx-float32.onnx")
    return classifier._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").to_string()


def test_float32_is_what_is_compiled_with_and_what_verify_lets_pass(made_exports: Path) -> None:
    assert precision_of(made_exports) == "f32"
    assert verify(Exports.open(made_exports), ["onnx-float32@openvino"]).passed


def test_an_operator_that_openvino_lacks_is_named(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 13]) for name in "xy"]
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=sets, ir_version=8)
    save(model, tmp_path / "scaled.onnx")
    with pytest.raises(ArtifactError, match=r"No conversion rule found for operations: ai\.onnx\.ml\.Scaler"):
        load(tmp_path / "scaled.onnx", runtime="openvino")
