"""The answers of a board in numbers: counts of confidence, classes and ink in a few windows of time, in one JSON file.

It takes less than 10 KB. Counts add up, so those of a fleet are the sum of its boards'. The digits themselves are never
in it. Ink is described by what all digits have: stroke width, slant, size, place and contrast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.errors import StorageError, UsageError, upgrade_line
from edgemnist.results import UNREADABLE
from edgemnist.samples import DOUBT_BELOW
from edgemnist.storage import sha256

HALF: Final = 127
"""Pixels above are ink, as in `edgemnist.images`."""


class Feature(NamedTuple):
    """A number that is counted in bins of equal width; values outside are counted in the first or the last."""

    name: str
    unit: str
    low: float
    high: float


BINS: Final = 24
FEATURES: Final = (
    Feature("stroke width", "px", 1.0, 5.0),
    Feature("slant", "px/px", -0.8, 0.8),
    Feature("size", "px", 3.5, 9.5),
    Feature("position, x", "px", 10.0, 18.0),
    Feature("position, y", "px", 10.0, 18.0),
    Feature("contrast", "grey", 120.0, 255.0),
)
"""MNIST fills the middle of each range, which leaves room for digits that differ from it."""


def ink_of(images: Images) -> npt.NDArray[np.float64]:
    """Return the `FEATURES` of images, uint8 [N, 28, 28], as float64 [N, features].

    Stroke width is twice the ink's area by the length of its outline. Slant is how far its top leans to the right,
    size its root mean square distance from the centre of mass, position that centre, counted from 0. Contrast is how
    much brighter ink is than paper. An image without ink has the lowest value of each.
    """
    inside = images > HALF
    core = np.zeros_like(inside)
    core[:, 1:-1, 1:-1] = (
        inside[:, 1:-1, 1:-1] & inside[:, :-2, 1:-1] & inside[:, 2:, 1:-1] & inside[:, 1:-1, :-2] & inside[:, 1:-1, 2:]
    )
    area = inside.sum(axis=(1, 2))
    outline = np.maximum(1, area - core.sum(axis=(1, 2)))
    flat = images.reshape(len(images), -1).astype(np.float64)
    mass = np.maximum(1.0, flat.sum(axis=1))
    moments = flat @ _COORDINATES / mass[:, None]
    y, x = moments[:, 0], moments[:, 1]
    yy, xx, xy = moments[:, 2] - y**2, moments[:, 3] - x**2, moments[:, 4] - x * y
    ink = inside.reshape(len(images), -1)
    strong = (flat * ink).sum(axis=1) / np.maximum(1, area)
    weak = (flat * ~ink).sum(axis=1) / np.maximum(1, IMAGE_SIDE**2 - area)
    found = np.column_stack([
        2 * area / outline,
        -xy / np.maximum(yy, 1e-9),
        np.sqrt(np.maximum(0.0, yy + xx)),
        x,
        y,
        strong - weak,
    ])  # fmt: skip
    found[area == 0] = [one.low for one in FEATURES]
    return found


def _coordinates() -> npt.NDArray[np.float64]:
    y, x = np.indices((IMAGE_SIDE, IMAGE_SIDE), np.float64).reshape(2, -1)
    return np.column_stack([y, x, y * y, x * x, x * y])


_COORDINATES: Final = _coordinates()


def bins_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bins of features, float64 [N, features], as int64 [N, features]."""
    lows, highs = np.array([[one.low, one.high] for one in FEATURES]).T
    shares = (values - lows) / (highs - lows)
    return np.asarray(np.clip(np.floor(shares * BINS), 0, BINS - 1), np.int64)


FILE: Final = "health.json"
"""Name of the file in a directory of samples."""
APPLICATION: Final = "edgemnist-health"
VERSION: Final = 1
MOST_BYTES: Final = 1 << 16
"""Most bytes of the file: one of ten classes has about 4 KB."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e3)]


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counts of the images of a stretch of time."""

    since: str = ""
    """In UTC; empty if there were none."""
    until: str = ""
    images: Count = 0
    refused: Count = 0
    """Images among these without an answer."""
    doubtful: Count = 0
    """Answers with a confidence below `DOUBT_BELOW`."""
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1e300)] = 0.0
    """Sum over the answers: the number of right ones that the model expects."""
    classes: list[Count]
    """Answers of each class."""
    ink: list[list[Count]]
    """Images in each bin, [features][BINS]."""

    @classmethod
    def empty(cls, classes: int) -> Window:
        """Return a window without images."""
        return cls(classes=[0] * classes, ink=[[0] * BINS for _ in FEATURES])

    @property
    def answered(self) -> int:
        """Images with an answer."""
        return self.images - self.refused

    def __add__(self, other: Window) -> Window:
        """Return the counts of both."""
        return Window(
            since=min(filter(None, (self.since, other.since)), default=""),
            until=max(self.until, other.until),
            images=self.images + other.images,
            refused=self.refused + other.refused,
            doubtful=self.doubtful + other.doubtful,
            confidence=self.confidence + other.confidence,
            classes=[one + two for one, two in zip(self.classes, other.classes, strict=True)],
            ink=np.add(self.ink, other.ink).tolist(),
        )

    def problem(self) -> str:
        """Return how the counts contradict one another; empty if they do not."""
        if len(self.ink) != len(FEATURES) or any(len(bins) != BINS for bins in self.ink):
            return "there are other bins than this version has"
        if any(sum(bins) != self.images for bins in self.ink):
            return "the bins do not add up to the images"
        if self.refused > self.images or sum(self.classes) != self.answered:
            return "the classes do not add up to the answers"
        if self.doubtful > self.answered or self.confidence > self.answered * (1 + 1e-6):
            return "there is more confidence or doubt than answers"
        return ""


def count(
    images: Images, confidences: npt.NDArray[np.float64], answers: npt.NDArray[np.int64], classes: int, at: str = ""
) -> Window:
    """Return the counts of images, uint8 [N, 28, 28], and their answers.

    `answers` are classes, int64 [N], -1 for a refusal; `confidences` are float64 [N].
    """
    bins = bins_of(ink_of(images))
    answered = answers >= 0
    return Window(
        since=at,
        until=at,
        images=len(images),
        refused=int((~answered).sum()),
        doubtful=int((confidences[answered] < DOUBT_BELOW).sum()),
        confidence=float(confidences[answered].sum()),
        classes=np.bincount(answers[answered], minlength=classes).tolist(),
        ink=[np.bincount(one, minlength=BINS).tolist() for one in bins.T],
    )


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: what answers, and the counts of its golden pack, of its first week, and of late."""

    application: str = APPLICATION
    version: int = VERSION
    artifact: str
    sha256: str
    """Hash of the model file."""
    release: str | None = None
    labels: list[str]
    golden: Window | None = None
    """What the model answers to the golden pack; None if it has none."""
    golden_errors: Count = 0
    """How many of these answers are wrong."""
    first: Window
    """Its first week."""
    first_complete: bool = False
    before: Window
    """The block of images before the latest; empty before there is one."""
    lately: Window
    """The latest block, which grows."""
    evidence: dict[str, list[Finite]]
    """Logarithms of evidence for a change of each watched quantity, one for each size of the change."""
    checksum: str = ""

    @property
    def recent(self) -> Window:
        """The two latest blocks."""
        return self.before + self.lately

    def problem(self) -> str:
        """Return how the counts contradict one another; empty if they do not."""
        for window in (self.golden, self.first, self.before, self.lately):
            reason = "" if window is None else window.problem()
            if window is not None and len(window.classes) != len(self.labels):
                reason = "there are other classes than labels"
            if reason:
                return reason
        if self.golden is not None and not self.golden.images:
            return "the golden pack is empty"
        if self.golden_errors > (0 if self.golden is None else self.golden.images):
            return "there are more errors than images in the golden pack"
        if self.first_complete and not self.first.images:
            return "the first week is complete without an image"
        return ""

    def encode(self) -> bytes:
        """Return the contents of the file."""
        body = msgspec.structs.replace(self, checksum="")
        return msgspec.json.encode(msgspec.structs.replace(body, checksum=_checksum(body)))


def _checksum(record: Record) -> str:
    return sha256(msgspec.json.encode(record))[:16]


class _Kind(msgspec.Struct, frozen=True):
    application: str = ""
    version: int = 0


def decode_record(data: bytes, name: str) -> Record:
    """Read the contents of a file that is called `name` in messages.

    Raises StorageError if it is not such a file, was cut or edited, or is of a newer version.
    """
    damaged = "Move the file away: counting then starts from zero."
    if len(data) > MOST_BYTES:
        raise StorageError(f"{name} has no counts of answers: it is too large")
    try:
        kind = msgspec.json.decode(data, type=_Kind)
    except UNREADABLE as error:
        raise StorageError(f"{name} is damaged: {error}", hint=damaged) from error
    if kind.application != APPLICATION:
        raise StorageError(
            f"{name} has no counts of answers", hint="Name a file that `edgemnist serve --health FILE` wrote."
        )
    if kind.version > VERSION:
        raise StorageError(
            f"{name} has version {kind.version}, and this edgemnist reads up to {VERSION}",
            hint=f"Install a newer edgemnist with: {upgrade_line()}",
        )
    try:
        record = msgspec.json.decode(data, type=Record)
    except UNREADABLE as error:
        raise StorageError(f"{name} is damaged: {error}", hint=damaged) from error
    if record.checksum != _checksum(msgspec.structs.replace(record, checksum="")):
        raise StorageError(f"{name} was changed after it was written", hint=damaged)
    if reason := record.problem():
        raise StorageError(f"{name} is damaged: {reason}", hint=damaged)
    return record


def read_record(path: Path) -> Record:
    """Read a file. Raises UsageError if there is none, and StorageError as `decode_record` does."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist",
            hint="Count answers with `edgemnist serve` or `watch`, with --collect DIR or --health FILE.",
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    return decode_record(data, str(path))


def health_file(collect: Path | None, named: Path | None) -> Path | None:
    """Return the file that `--health` names, else that of the samples' directory; None without either."""
    return named if named is not None or collect is None else collect / FILE


def kept_words(collect: Path | None, health: Path | None) -> tuple[list[str], list[PurePosixPath]]:
    """Return the options that make a service keep samples and counts, for its unit, and the directories to write."""
    samples = None if collect is None else collect.absolute()
    words = [] if samples is None else ["--collect", str(samples)]
    writes = [] if samples is None else [PurePosixPath(samples)]
    if health is not None and health != health_file(collect, None):
        file = health.absolute()
        words += ["--health", str(file)]
        # It is replaced, for which its directory is written to.
        writes += [PurePosixPath(file.parent)] if file.parent != samples else []
    return words, writes


def read_place(place: Path) -> Record:
    """Read the counts of a directory of samples, or of a file; raises what `read_record` raises."""
    return read_record(place / FILE if place.is_dir() else place)


def merge(records: Sequence[tuple[str, Record]]) -> Record:
    """Return the counts of several boards together; the name of each is for messages.

    Evidence is averaged, and remains evidence: a mean of e-values is an e-value (V. Vovk and R. Wang, "E-values:
    Calibration, combination and applications", 2021). The average leaves out boards whose first week is not complete.

    Raises UsageError if they are of different models.
    """
    (first_name, first), *others = records
    for name, other in others:
        hint = "Name only boards with the same model."
        if other.sha256 != first.sha256:
            raise UsageError(
                f"{name} has counts of a different model from {first_name}: {_model(other)} and {_model(first)}",
                hint=hint,
            )
        if other.labels != first.labels:
            raise UsageError(f"{name} has counts of classes whose names differ from those of {first_name}", hint=hint)
    found = [record for _, record in records]
    total = found[0]
    for other in found[1:]:
        total = msgspec.structs.replace(
            total,
            first=total.first + other.first,
            before=total.before + other.before,
            lately=total.lately + other.lately,
        )
    complete = [record for record in found if record.first_complete]
    return msgspec.structs.replace(
        total,
        release=first.release if all(one.release == first.release for one in found) else None,
        golden=next((one.golden for one in found if one.golden is not None), None),
        first_complete=len(complete) == len(found),
        evidence=_mean_evidence(found),
    )


def _mean_evidence(records: Sequence[Record]) -> dict[str, list[float]]:
    names = {name: values for record in records for name, values in record.evidence.items()}
    found = {}
    for name, sizes in names.items():
        nothing = [-math.inf] * len(sizes)
        # As in `Detector`: of another version, which looks for changes of other sizes.
        rows = [row if len(row := record.evidence.get(name, nothing)) == len(sizes) else nothing for record in records]
        found[name] = [float(np.logaddexp.reduce(column)) - math.log(len(rows)) for column in zip(*rows, strict=True)]
    return found


def _model(record: Record) -> str:
    release = f" of release {record.release}" if record.release else ""
    return f"{record.artifact}{release} ({record.sha256[:12]})"
