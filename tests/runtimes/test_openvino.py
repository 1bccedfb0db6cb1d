"""OpenVINO computes in float32, where its own default is whatever is fastest; `verify` would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.exports import Exports
from edgemnist.runtimes import openvino
from edgemnist.verify.run import verify

FEWER_BITS = {"amx_bf16", "avx512_bf16", "avx512_fp16", "amx_fp16"}
"""CPU flags with which OpenVINO computes in 16 bits unless it is told not to."""


def cpu_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


def precision_of(exports: Path) -> Any:
    _, compiled = openvino._compile((exports / "onnx-float32.onnx").read_bytes(), Path("x.onnx"), 1)
    return compiled.get_property("INFERENCE_PRECISION_HINT").to_string()


def test_float32_is_what_is_compiled_with_and_what_verify_lets_pass(made_exports: Path) -> None:
    assert precision_of(made_exports) == "f32"
    assert verify(Exports.open(made_exports), ["onnx-float32@openvino"]).passed


@pytest.mark.skipif(not FEWER_BITS & cpu_flags(), reason="this CPU has nothing with fewer than 32 bits to compute in")
def test_what_openvino_computes_in_by_default_misses_the_gate(
    made_exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {name: value for name, value in openvino._SETTINGS.items() if name != "INFERENCE_PRECISION_HINT"}
    monkeypatch.setattr(openvino, "_SETTINGS", settings)
    assert precision_of(made_exports) != "f32"
    exports = Exports.open(made_exports)
    (parity,) = verify(exports, ["onnx-float32@openvino"]).artifacts
    assert not parity.passed
    assert any("a probability is off by" in reason for reason in parity.reasons)
    there = exports.reference_answers(exports.model("onnx-float32"))
    assert there is None or parity.replay is not None
    assert np.isfinite(parity.max_abs_diff)
