"""What is recorded of the likeness network and of the threshold, in files that ship beside it."""

from __future__ import annotations

from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.data import DataIdentity


class Calibration(Result, frozen=True, kw_only=True):
    """The threshold below which digits are refused, and what was measured at it, in shares."""

    min_confidence: float
    artifact: str
    """Name of the classifier's file."""
    artifact_sha256: str
    likeness_sha256: str
    """Of the weights of the likeness network."""
    digits: int
    """Photographed and bent digits, held out from training."""
    answered: float
    right_of_answered: float
    letters_refused: float
    scribbles_refused: float


class Recipe(Part, frozen=True, kw_only=True):
    """How the pictures were made and the network trained."""

    seed: int
    epochs: int
    jobs: int
    pages: int
    drawings: int
    copies: int


class LikenessParity(Part, frozen=True, kw_only=True):
    """What int8 changed, on digits and drawings that gave the ranges of its numbers."""

    images: int
    same_class: int
    largest_difference: float
    """Of a probability of any class."""


class LikenessRecord(Result, frozen=True, kw_only=True):
    """Origin of the likeness network."""

    file: str
    bytes: int
    sha256: str
    """Of `file`; checked whenever it is loaded."""
    parity: LikenessParity
    recipe: Recipe
    data: DataIdentity
    """Data set whose training digits it learned from."""
    held_out: int
    """Last training digits, kept for the threshold."""
    digits: int
    """Pictures of digits that it learned from."""
    others: int
    """Pictures of everything else."""
    font_packages: list[str]
    """Debian packages that have the fonts."""
    fonts: dict[str, str]
    """SHA-256 of the file of each font; OpenCV's have none."""
    versions: dict[str, str]
    fit_seconds: float
