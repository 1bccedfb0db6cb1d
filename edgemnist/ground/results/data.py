"""What `edgemnist data` and `edgemnist runtimes` print, and which images anything was made from."""

import msgspec

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result


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
    minimum: int | float
    maximum: int | float
    """Range of the pixels, 0 to 255, or of the numbers."""
    mean: float
    sha256: str


class NumberSummary(Part, frozen=True, kw_only=True):
    """What one number of a row is in the training split."""

    name: str
    """Of its column, or its place, 1 for the first."""
    minimum: float
    mean: float
    maximum: float


class DataResult(Result, frozen=True, kw_only=True):
    """`edgemnist data`."""

    data: DataIdentity
    labels: list[str]
    train: SplitSummary
    test: SplitSummary
    task: str = ""
    """What the data were taken for, such as `pictures` or `numbers`; empty for others of the default task's shape."""
    input: InputSpec | None = None
    """What a model of them reads."""
    numbers: list[NumberSummary] = msgspec.field(default_factory=list)
    """Of rows of numbers."""
    sheet: str | None = None
    """The PNG that `--sheet` wrote."""
    exports: str | None = None
    """The export directory that was compared; None if nothing has been exported yet."""
    exported: DataIdentity | None = None
    """Which inputs the model there was made from."""
    seen: int | None = None
    """Evaluation images of this data set that the model there was trained on; None if that is unknown."""


class Support(Part, frozen=True, kw_only=True):
    """A runtime or a format, and whether it can be used here."""

    name: str
    summary: str
    installed: bool
    versions: dict[str, str]
    install: str | None
    """The pip line that installs what is missing."""


class RuntimeStatus(Support, frozen=True, kw_only=True):
    """One runtime, and whether it can be used here."""

    suffixes: list[str]


class FormatStatus(Support, frozen=True, kw_only=True):
    """One export format, and whether it can be written here."""

    suffix: str
    quantizations: list[str]
    """The first is the default."""


class Footprint(Part, frozen=True, kw_only=True):
    """What a C file takes of a microcontroller; None for other files."""

    flash_bytes: int | None = None
    """Weights, tables, and the most the engine takes."""
    ram_bytes: int | None = None
    """With the stack where `stack_bytes` is known."""
    stack_bytes: int | None = None
    """What a call takes of the stack at the most; None in an earlier export."""


class ArtifactSupport(Footprint, frozen=True, kw_only=True):
    """One model of an export directory, and whether it can run here."""

    name: str
    runtime: str
    installed: bool
    """Whether its runtime is installed."""
    status: str = "current"
    """State of its file: `current`, `outdated` (of an earlier model), `damaged` or `missing`."""


class RuntimesResult(Result, frozen=True, kw_only=True):
    """`edgemnist runtimes`."""

    formats: list[FormatStatus]
    runtimes: list[RuntimeStatus]
    exports: str | None = None
    """The export directory that was examined; None where it cannot be read."""
    artifacts: list[ArtifactSupport] = msgspec.field(default_factory=list)
