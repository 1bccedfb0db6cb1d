"""One verdict for each image: which digit it is, and how surely it is one.

A softmax over ten digits gives a letter to the digit that is least unlike it, often with confidence. So a second
opinion comes from a small convolutional network that knows an eleventh class: everything else. Like the digit model, it
is an int8 file. The engine executes it, or NumPy if the engine is not installed, with the same bits. It comes with the
package; `tools/likeness` made it, `likeness.json` records how, and `calibration.json` where the threshold comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part
from edgemnist.ground.storage import sha256
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.interface import Classifier, check_answers
from edgemnist.model.task import task_of

HERE: Final = Path(__file__).parent
WEIGHTS_FILE: Final = HERE / "likeness.tflite"
RECORD_FILE: Final = HERE / "likeness.json"
CALIBRATION_FILE: Final = HERE / "calibration.json"

REINSTALL: Final = "Install edgemnist again."


class ShippedNetwork(Part, frozen=True, kw_only=True):
    """What is checked of the likeness network; `tools.likeness.records` has all that is recorded."""

    sha256: str


class ShippedThreshold(Part, frozen=True, kw_only=True):
    """The threshold below which digits are refused."""

    min_confidence: float


RecordT = TypeVar("RecordT", bound=msgspec.Struct)


def read_record(path: Path, kind: type[RecordT]) -> RecordT:
    """Read a record that ships with the package. Raises ArtifactError if it is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}", hint=REINSTALL) from error
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path} is damaged: {error}", hint=REINSTALL) from error


CLASSES: Final = (*"0123456789", "no digit")
EXACT: Final = ("native", "integer")
"""Runtimes that give the same bits, the fastest first; the last one needs NumPy alone."""


def open_network(file: Path, shape: Sequence[int]) -> Classifier:
    """Return a network that answers bytes of this shape with numbers. Raises ArtifactError if its file is damaged."""
    runtime = next(name for name in EXACT if not RUNTIMES[name].missing())
    return load(file, runtime=runtime, spec=InputSpec.of_range(shape), numbers=True)


class LikenessNetwork:
    """The network in a file."""

    def __init__(self, path: Path) -> None:
        """Raises ArtifactError for anything but a full-int8 TFLite file with these classes."""
        runtime = next(name for name in EXACT if not RUNTIMES[name].missing())
        self._classifier = load(path, runtime=runtime, labels=CLASSES)

    def digit_likeness(self, images: Images) -> npt.NDArray[np.float32]:
        """Return the probability that each image, uint8 [N, 28, 28], is each of the ten digits: float32 [N, 10].

        What is missing to 1 is the probability that it is no digit at all.
        """
        return self._classifier.predict_proba(images)[:, :-1]


@cache
def shipped_network(weights: Path = WEIGHTS_FILE, record: Path = RECORD_FILE) -> LikenessNetwork:
    """Return the network that comes with the package.

    Raises ArtifactError if a file of it is missing, damaged, or not the recorded one.
    """
    checked(weights, read_record(record, ShippedNetwork))
    return LikenessNetwork(weights)


def checked(weights: Path, recorded: ShippedNetwork) -> None:
    """Raise ArtifactError if the file of a network is missing, damaged, or not the recorded one."""
    try:
        data = weights.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{weights} cannot be read: {error.strerror}", hint=REINSTALL) from error
    if sha256(data) != recorded.sha256:
        raise ArtifactError(f"{weights} is damaged: its SHA-256 is not the recorded one", hint=REINSTALL)


TEMPER: Final = np.float32(1 / 3)
"""Power of the classifier's probabilities: it has seen one kind of handwriting, and is too sure of all others."""
LEAST: Final = np.float32(1 / 512)
"""An int8 softmax has steps of 1/256, so that what is less than half a step is not told from nothing."""
SHARPNESS: Final = 4
"""Power of the share of the most probable digit. Among digits, those that lie between two are wrong more often than
those that look odd: refused are as many, and fewer answers are wrong."""


@dataclass(frozen=True)
class Verdicts:
    """Answers for N images."""

    classes: Labels
    """int64 [N]."""
    confidences: npt.NDArray[np.float32]
    """float32 [N]."""
    probabilities: npt.NDArray[np.float32]
    """float32 [N]: that of the class as the classifier alone sees it, which supposes a digit."""
    runners_up: Labels
    """int64 [N]: the most probable of the others."""


def verdicts_of(classifier: Classifier, images: Images, network: LikenessNetwork | None = None) -> Verdicts:
    """Return the most probable class of each image, uint8 [N, 28, 28], and how surely it is of this class.

    A classifier that reads digits supposes that what it sees is a digit, and says which. `network`, which is the one of
    the package by default, says how much of a digit it is, and which; what both say decides, and what lies between two
    digits is less sure than it is a digit. A classifier of other things is taken at its word. Raises ArtifactError if
    the package's network is damaged, or an answer is not finite.
    """
    alone = check_answers(classifier.predict_proba(images))
    if not task_of(classifier).refuser:
        others = np.argsort(-alone, axis=1, kind="stable")[:, 1]
        return Verdicts(alone.argmax(axis=1), alone.max(axis=1), alone.max(axis=1), others)
    likeness = (network or shipped_network()).digit_likeness(images)
    weighed = np.maximum(alone, LEAST) ** TEMPER * likeness
    classes, others = np.argsort(-weighed, axis=1, kind="stable")[:, :2].T
    share = weighed.max(axis=1) / np.maximum(weighed.sum(axis=1), np.finfo(np.float32).tiny)
    confidences = likeness.sum(axis=1) * share**SHARPNESS
    return Verdicts(classes, confidences, np.take_along_axis(alone, classes[:, None], axis=1)[:, 0], others)


DEFAULT_MIN_CONFIDENCE: Final = read_record(CALIBRATION_FILE, ShippedThreshold).min_confidence
"""What `tools/likeness` found on held-out training digits, for the reference model."""


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """Options of reading. Raises UsageError for values out of range."""

    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    """Below this a digit is refused, 0 to 1."""
    max_side: int = 2048
    """Longer side, in pixels, to which larger pictures are scaled first: an A4 sheet at 175 dots per inch."""
    join_gap: float = 0.6
    """Digits of a line belong to one number where the gap between them is at most this share of their height."""
    signs: bool = True
    """Whether points, commas, slashes, colons and minuses are told as well."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(
                f"--min-confidence {self.min_confidence} is not a probability", hint="Give a number from 0 to 1."
            )
        if self.max_side < 1 or self.join_gap < 0:
            raise UsageError("max_side must be at least 1, and join_gap at least 0")
