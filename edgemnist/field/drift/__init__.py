"""The answers of a board in numbers: counts of confidence, classes and ink in a few windows of time, in one JSON file.

It takes less than 10 KB. Counts add up, so those of a fleet are the sum of its boards'. What was answered is never in
it. Of the default task's pictures, the `ink` is counted as well: stroke width, slant, size, place and contrast.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import StorageError, UsageError, upgrade_line
from edgemnist.field.drift.ink import BINS, FEATURES, bins_of, ink_of
from edgemnist.field.samples import DOUBT_BELOW
from edgemnist.ground.arrays import Images
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.storage import sha256
from edgemnist.model.answers import HEALTH_FILE

APPLICATION: Final = "edgemnist-health"
VERSION: Final = 1
MOST_BYTES: Final = 1 << 20
"""Most bytes of the file: one of ten classes has about 4 KB, and one of 1,000 with long names 300 KB."""

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
    """Images in each bin, [features][BINS]; none where ink is not counted."""

    @classmethod
    def empty(cls, classes: int, *, with_ink: bool = True) -> "Window":
        """Return a window without images."""
        return cls(classes=[0] * classes, ink=[[0] * BINS for _ in FEATURES] if with_ink else [])

    @property
    def answered(self) -> int:
        """Images with an answer."""
        return self.images - self.refused

    def __add__(self, other: "Window") -> "Window":
        """Return the counts of both."""
        return Window(
            since=min(filter(None, (self.since, other.since)), default=""),
            until=max(self.until, other.until),
            images=self.images + other.images,
            refused=self.refused + other.refused,
            doubtful=self.doubtful + other.doubtful,
            confidence=self.confidence + other.confidence,
            classes=[one + two for one, two in zip(self.classes, other.classes, strict=True)],
            ink=np.add(np.array(self.ink, np.int64), np.array(other.ink, np.int64)).tolist(),
        )


def bins_in(images: Images, *, with_ink: bool) -> npt.NDArray[np.int64]:
    """Return the bins of the features of images, int64 [N, features], or [N, 0] without ink."""
    return bins_of(ink_of(images)) if with_ink else np.empty((len(images), 0), np.int64)


def count(
    images: Images,
    confidences: npt.NDArray[np.float64],
    answers: npt.NDArray[np.int64],
    classes: int,
    at: str = "",
    *,
    with_ink: bool = True,
) -> Window:
    """Return the counts of images, [N, ...], and their answers; `with_ink` they are pictures, uint8 [N, H, W].

    `answers` are classes, int64 [N], -1 for a refusal; `confidences` are float64 [N].
    """
    bins = bins_in(images, with_ink=with_ink)
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
    uncounted: Annotated[list[Count], msgspec.Meta(min_length=2, max_length=2)] | msgspec.UnsetType = msgspec.UNSET
    """Images that came too fast to be counted during `before` and `lately`. Not written where there were none: earlier
    versions read no other fields than theirs."""
    resumed: str | msgspec.UnsetType = msgspec.UNSET
    """When a model of no release answered again after another one; not written otherwise."""
    pack: str | msgspec.UnsetType = msgspec.UNSET
    """Hash of the golden pack, where no ink tells it from another one."""
    evidence: dict[str, list[Finite]]
    """Logarithms of evidence for a change of each watched quantity, one for each size of the change."""
    checksum: str = ""

    @property
    def recent(self) -> Window:
        """The two latest blocks."""
        return self.before + self.lately

    @property
    def with_ink(self) -> bool:
        """Whether the ink of images is counted, as it is of the default task's."""
        return bool(self.first.ink)

    @property
    def missed(self) -> list[int]:
        """Images that came too fast to be counted, beside those of `before` and of `lately`."""
        return [0, 0] if self.uncounted is msgspec.UNSET else list(self.uncounted)

    def problems(self) -> Iterator[str]:
        """Tell how the counts contradict one another; nothing if they do not."""
        for window in filter(None, (self.golden, self.first, self.before, self.lately)):
            if len(window.classes) != len(self.labels):
                yield "there are other classes than labels"
            if [len(bins) for bins in window.ink] != [BINS] * (len(FEATURES) if self.with_ink else 0):
                yield "there are other bins than this version has"
            if any(sum(bins) != window.images for bins in window.ink):
                yield "the bins do not add up to the images"
            if sum(window.classes) != window.answered:
                yield "the classes do not add up to the answers"
            if window.doubtful > window.answered or window.confidence > window.answered * (1 + 1e-6):
                yield "there is more confidence or doubt than answers"
        if self.golden is not None and not self.golden.images:
            yield "the golden pack is empty"
        if self.golden_errors > (0 if self.golden is None else self.golden.images):
            yield "there are more errors than images in the golden pack"
        if self.first_complete and not self.first.images:
            yield "the first week is complete without an image"

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
    if reason := next(record.problems(), ""):
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


def read_place(place: Path) -> Record:
    """Read the counts of a directory of samples, or of a file; raises what `read_record` raises."""
    return read_record(place / HEALTH_FILE if place.is_dir() else place)


def merge(records: Sequence[tuple[str, Record]]) -> Record:
    """Return the counts of several boards together, whatever their order; the name of each is for messages.

    Evidence is added up, so that no board hides what another one has seen: with each image, the evidence of a board
    that sees no change grows by one at most, on average, and so does the sum. It reaches `ALARM` without a change at
    most once in that many images of all boards together. A first week counts only once it is complete, and a golden
    pack only if it is that of all boards that have one.

    Raises UsageError if they are of different models.
    """
    ordered = sorted(((name, record, record.encode()) for name, record in records), key=lambda one: (one[0], one[2]))
    first_name, first, _ = ordered[0]
    for name, other, _ in ordered[1:]:
        hint = "Name only boards with the same model."
        if other.sha256 != first.sha256:
            raise UsageError(
                f"{name} has counts of a different model from {first_name}: {_model(other)} and {_model(first)}",
                hint=hint,
            )
        if other.labels != first.labels:
            raise UsageError(f"{name} has counts of classes whose names differ from those of {first_name}", hint=hint)
    found = [record for _, record, _ in ordered]
    complete = [record for record in found if record.first_complete]
    # Another runtime may get one more wrong: the best is what the model can do.
    tested = min((one for one in found if one.golden is not None), key=lambda one: one.golden_errors, default=None)
    tested = tested if count_packs(found) == 1 else None
    missed = [sum(some) for some in zip(*(one.missed for one in found), strict=True)]
    return msgspec.structs.replace(
        first,
        release=first.release if all(one.release == first.release for one in found) else None,
        golden=None if tested is None else tested.golden,
        golden_errors=0 if tested is None else tested.golden_errors,
        uncounted=missed if any(missed) else msgspec.UNSET,
        first=_added([record.first for record in complete or found]),
        before=_added([record.before for record in found]),
        lately=_added([record.lately for record in found]),
        first_complete=bool(complete),
        evidence=_added_evidence(found),
    )


def count_packs(records: Sequence[Record]) -> int:
    """Return how many different golden packs some boards have, which the ink in them tells, or else their hash."""
    packs = [(one.golden.ink, one.pack) for one in records if one.golden is not None]
    return sum(pack not in packs[:number] for number, pack in enumerate(packs))


def _added(windows: Sequence[Window]) -> Window:
    total = functools.reduce(Window.__add__, windows)
    # A sum of floats depends on their order; this one is exact.
    return msgspec.structs.replace(total, confidence=math.fsum(one.confidence for one in windows))


def _added_evidence(records: Sequence[Record]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name in sorted({name for record in records for name in record.evidence}):
        rows = [record.evidence[name] for record in records if name in record.evidence]
        # As in `Detector`: of another version, which looks for changes of other sizes.
        sizes = max(len(row) for row in rows)
        columns = zip(*(row for row in rows if len(row) == sizes), strict=True)
        found[name] = [float(np.logaddexp.reduce(sorted(column))) for column in columns]
    return found


def _model(record: Record) -> str:
    release = f" of release {record.release}" if record.release else ""
    return f"{record.artifact}{release} ({record.sha256[:12]})"
