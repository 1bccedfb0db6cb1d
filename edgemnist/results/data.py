"""What `edgemnist data` prints, and which images anything was made from."""

from __future__ import annotations

from edgemnist.results.base import Part, Result


class DataIdentity(Part, frozen=True, kw_only=True):
    """Which images a model or a golden pack was made from."""

    source: str
    """Words for a person, such as `MNIST, IDX files in data/`."""
    train: int
    """How many training images."""
    test: int
    """How many evaluation images."""
    sha256: str
    """Hash of all images and labels, whatever file format held them."""
    reduced: bool = False
    """True for the small embedded set that stands in where the full one could not be had."""


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
    """The export directory that was compared; None where nothing was exported yet."""
    exported: DataIdentity | None = None
    """Which images the model there was made from."""
