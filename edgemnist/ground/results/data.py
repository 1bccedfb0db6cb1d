"""What `edgemnist data` prints, which images anything was made from, and what a C file takes."""

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


class Footprint(Part, frozen=True, kw_only=True):
    """What a C file takes of a microcontroller; None for other files."""

    flash_bytes: int | None = None
    """Weights, tables, and the most the engine takes."""
    ram_bytes: int | None = None
    """With the stack where `stack_bytes` is known."""
    stack_bytes: int | None = None
    """What a call takes of the stack at the most; None in an earlier export."""
