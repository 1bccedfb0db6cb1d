"""What the tests of gates share."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import Basis, judge
from edgemnist.ground.results.verify import IntegerCheck, Replay
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.models import Model, Subject
from edgemnist.pipeline.verify.gate import Gate, measurements
from edgemnist.pipeline.verify.parity import Parity
from edgemnist.pipeline.verify.reference import replay_measurements


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


def golden_of(
    probabilities: Probabilities, truth: npt.NDArray[np.int64] | None = None, images: Images | None = None
) -> GoldenPack:
    """Return a golden pack with these answers, [N, C]: right unless there are labels, and to noise unless to images."""
    count, classes = probabilities.shape
    noise = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    return GoldenPack(
        images=noise if images is None else images,
        truth=probabilities.argmax(axis=1) if truth is None else truth,
        probabilities=probabilities,
        class_labels=tuple("abcdefghij"[:classes]),
        data=DataIdentity(source="made", train=0, test=count, sha256=""),
        model_sha256="",
    )
