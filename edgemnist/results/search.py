"""What `edgemnist search` prints and saves."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results.base import Part, Result
from edgemnist.results.data import DataIdentity


class SearchLimits(Part, frozen=True, kw_only=True):
    """The limits that were asked for; null means no limit."""

    accuracy: float | None
    """Least share of the test images that the network gets right."""
    bytes: int | None
    """Largest size of the weights and biases."""
    ram_bytes: int | None
    """Largest static memory of the C file."""
    p50_us: float | None
    """Largest median latency of one image."""


class SearchTrial(Part, frozen=True, kw_only=True):
    """A network that was tried."""

    network: str
    """As `edgemnist train --network` takes it."""
    bytes: int
    ram_bytes: int
    """Static memory of its C file."""
    multiplications: int
    """For one image, if none is skipped."""
    p50_us: float | None
    """Latency of an untrained network of this shape; null where no latency was asked for."""
    accuracy: float
    """On the selection images, after a short training."""
    stopped: bool
    """Whether its training was stopped early: a network that costs no more had been more accurate by then."""


class SearchRow(Part, frozen=True, kw_only=True):
    """One of the best networks, trained to the end."""

    network: str
    """As `edgemnist train --network` takes it."""
    directory: str
    """Its export directory, within that of the search."""
    best: list[str]
    """What it is chosen for, such as `accuracy` and `bytes`."""
    name: str
    """Name of the artifact that the figures describe: the fastest that passed its gate."""
    parameters: int
    bytes: int
    """Size of the weights and biases, packed in their bits."""
    file_bytes: int
    """Size of the artifact's file."""
    ram_bytes: int
    """Static memory of its C file."""
    multiplications: int
    p50_us: float
    """Latency of one image, on this machine or on the board."""
    selection_accuracy: float
    """On the selection images, after the short training of the search."""
    accuracy: float
    """On the test images."""
    flips: int
    """Test images whose label differs from the Keras model's."""
    passed: bool
    """Whether it passed its parity gate."""
    misses: list[str]
    """Limits and gates that it misses, in words; empty for a network that fits."""


class SearchResult(Result, frozen=True, kw_only=True):
    """`edgemnist search`, and the contents of `search.json`."""

    limits: SearchLimits
    recipe: str
    seed: int
    data: DataIdentity
    selection_images: int
    """The last of the training images, by which networks were chosen."""
    images: int
    """Test images that the accuracies of the rows are based on; they were used for these rows alone."""
    trained: int
    """Networks that were tried, those that were stopped early included."""
    stopped: int
    rejected: int
    """Networks that exceeded a limit and were not trained."""
    rows: list[SearchRow]
    """The best networks, the most accurate first; where nothing fits, the nearest miss."""
    trials: list[SearchTrial]
    """In the order in which they were tried."""
    picture: str
    """PNG file of accuracy against bytes and against latency."""
    measured_on: str
    """Where the latencies were measured: a board, or `this machine`."""
    host: dict[str, Any]
    """This machine."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons not to rely on the figures, in words."""

    @property
    def fits(self) -> bool:
        """Whether a network is within all limits."""
        return any(not row.misses for row in self.rows)
