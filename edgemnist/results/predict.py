"""What `edgemnist predict` prints."""

from __future__ import annotations

from edgemnist.results.base import Part, Result


class Prediction(Part, frozen=True, kw_only=True):
    """The answer for one picture."""

    source: str
    digit: int | str
    """The label: a number where the labels are numbers, as in MNIST."""
    confidence: float
    probabilities: list[float]
    """In the order of `labels`."""
    inverted: bool = False
    """True where a dark digit on a light ground was turned round for the model."""
    label: int | str | None = None
    """The true label, where the image is one of the evaluation images."""
    image: list[list[int]] | None = None
    """28 rows of 28 pixels, 0 to 255: what the model was given; only with `--show`."""


class PredictResult(Result, frozen=True, kw_only=True):
    """`edgemnist predict`."""

    artifact: str
    runtime: str
    labels: list[str]
    predictions: list[Prediction]
