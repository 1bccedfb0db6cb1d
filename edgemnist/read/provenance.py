"""Where the likeness network and the threshold of `read` come from, as recorded beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edgemnist.errors import ArtifactError
from edgemnist.results import Part, Result
from edgemnist.results.data import DataIdentity

WEIGHTS_NAME: Final = "likeness.tflite"
RECORD_NAME: Final = "likeness.json"
CALIBRATION_NAME: Final = "calibration.json"
HERE: Final = Path(__file__).parent
WEIGHTS_FILE: Final = HERE / WEIGHTS_NAME
RECORD_FILE: Final = HERE / RECORD_NAME
CALIBRATION_FILE: Final = HERE / CALIBRATION_NAME

REINSTALL: Final = "Install edgemnist again."


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


RecordT = TypeVar("RecordT", bound=Result)


def read_record(path: Path, kind: type[RecordT]) -> RecordT:
    """Read a record that ships with the package. Raises ArtifactError if it is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}", hint=REINSTALL) from error
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path} is damaged: {error}", hint=REINSTALL) from error
