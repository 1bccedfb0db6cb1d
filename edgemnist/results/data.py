"""What `edgemnist data` and `edgemnist runtimes` print, and which images anything was made from."""

from __future__ import annotations

import msgspec

from edgemnist.results import Part, Result


class DataIdentity(Part, frozen=True, kw_only=True):
    """Which images a model or a golden pack was made from."""

    source: str
    """A description for people, such as `MNIST, IDX files in data/`."""
    train: int
    """How many training images."""
    test: int
    """How many evaluation images."""
    sha256: str
    """Hash of all images and labels, whatever file format held them."""
    reduced: bool = False
    """True for the small embedded set that stands in where the full one was not available."""


class SplitSummary(Part, frozen=True, kw_only=True):
    """One split of a data set."""

    images: int
    per_class: dict[str, int]
    """Images by class label."""
    minimum: int
    maximum: int
    """Range of the pixels, 0 to 255."""
    mean: float
    sha256: str


class DataResult(Result, frozen=True, kw_only=True):
    """`edgemnist data`."""

    data: DataIdentity
    labels: list[str]
    train: SplitSummary
    test: SplitSummary
    sheet: str | None = None
    """The PNG that `--sheet` wrote."""
    exports: str | None = None
    """The export directory that was compared; None if nothing has been exported yet."""
    exported: DataIdentity | None = None
    """Which images the model there was made from."""
    seen: int | None = None
    """Evaluation images of this data set that the model there was trained on; None if that is unknown."""


class RuntimeStatus(Part, frozen=True, kw_only=True):
    """One runtime, and whether it can be used here."""

    name: str
    summary: str
    suffixes: list[str]
    installed: bool
    versions: dict[str, str]
    install: str | None
    """The pip line that installs what is missing."""


class FormatStatus(Part, frozen=True, kw_only=True):
    """One export format, and whether it can be written here."""

    name: str
    summary: str
    suffix: str
    quantizations: list[str]
    """The first is the default."""
    installed: bool
    versions: dict[str, str]
    install: str | None


class ArtifactSupport(Part, frozen=True, kw_only=True):
    """One model of an export directory, and whether it can run here."""

    name: str
    runtime: str
    installed: bool
    """Whether its runtime is installed."""
    status: str = "current"
    """State of its file: `current`, `outdated` (of an earlier model), `damaged` or `missing`."""
    flash_bytes: int | None = None
    """For a C file, flash of a microcontroller: weights, tables, and the most the engine takes; None for others."""
    ram_bytes: int | None = None
    """For a C file, RAM of a microcontroller, not counting the stack; None for others."""


class RuntimesResult(Result, frozen=True, kw_only=True):
    """`edgemnist runtimes`."""

    formats: list[FormatStatus]
    runtimes: list[RuntimeStatus]
    exports: str | None = None
    """The export directory that was examined; None where it cannot be read."""
    artifacts: list[ArtifactSupport] = msgspec.field(default_factory=list)
