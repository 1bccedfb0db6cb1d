"""What the tests of gates share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgemnist.ground.results.verdict import Basis, judge
from edgemnist.ground.results.verify import IntegerCheck, Replay
from edgemnist.model.exports.models import Model, Subject
from edgemnist.pipeline.verify.gate import Gate, measurements
from edgemnist.pipeline.verify.parity import Parity
from edgemnist.pipeline.verify.vote import replay_measurements


def missed(gate: Gate, parity: Parity, integer: IntegerCheck | None = None) -> list[str]:
    """Return why a gate is not passed."""
    return judge(measurements(gate, parity, integer)).reasons


def missed_replay(gate: Gate, found: Replay) -> list[str]:
    """Return why an artifact answers otherwise than where it was exported."""
    return judge(replay_measurements(gate, found)).reasons


def subject(quantization: str = "int8", runtime: str = "litert", **more: Any) -> Subject:
    """Return a TFLite file that was never loaded, to compare answers of."""
    name = f"tflite-{quantization}"
    model = Model(artifact=name, runtime=runtime, path=Path(f"{name}.tflite"), bytes=0, sha256="0")
    basis: dict[str, Any] = {"classifier": None, "rests_on": Basis(), "format": "tflite"}
    return Subject(model=model, quantization=quantization, **basis, **more)
