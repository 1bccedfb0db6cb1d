"""OpenVINO computes in float32, where its own default is whatever is fastest; `verify` would notice."""

from pathlib import Path
from typing import Any

from edgemnist.model.exports import Exports
from edgemnist.model.runtimes import openvino
from edgemnist.pipeline.verify.run import verify


def precision_of(exports: Path) -> Any:
    classifier: Any = openvino.OpenVINOClassifier.load(exports / "onnx-float32.onnx")
    return classifier._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").to_string()


def test_float32_is_what_is_compiled_with_and_what_verify_lets_pass(made_exports: Path) -> None:
    assert precision_of(made_exports) == "f32"
    assert verify(Exports.open(made_exports), ["onnx-float32@openvino"]).passed
