"""What `edgemnist frontier` found out."""

from __future__ import annotations

from typing import Any

from edgemnist.results import DataIdentity, Part, Result


class FrontierRow(Part, frozen=True, kw_only=True):
    """One artifact of one network."""

    hidden: list[int]
    """Units of each hidden layer."""
    parameters: int
    name: str
    """Of the artifact, such as `tflite-int8`."""
    directory: str
    """Where it lies, within that of the frontier."""
    bytes: int
    accuracy: float
    reference_accuracy: float
    """Of the Keras model."""
    flips: int
    """Images with another label than the Keras model's."""
    passed: bool
    """Whether it passed its parity gate."""
    p50_us: float
    smallest: bool
    """No artifact is both as small and as accurate, and better in one of the two."""
    fastest: bool
    """The same of its p50."""


class FrontierResult(Result, frozen=True, kw_only=True):
    """`edgemnist frontier`, and the contents of `frontier.json`."""

    recipe: str
    seed: int
    data: DataIdentity
    images: int
    """Evaluation images that the accuracies stand on."""
    rows: list[FrontierRow]
    """From the smallest file to the largest."""
    picture: str
    """PNG file of accuracy against bytes and against p50."""
    host: dict[str, Any]
    warnings: list[str]
    """Reasons to doubt the latencies, in words."""
