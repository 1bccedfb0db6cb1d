"""How the service is run, beside where it listens and who may ask."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.errors import check_range
from edgemnist.ground.web.config import Limits, SiteConfig
from edgemnist.model.task import default_input

if TYPE_CHECKING:
    from edgemnist.field.samples.collector import CollectConfig


@dataclass(frozen=True, kw_only=True)
class PictureLimits(Limits):
    """What pictures may take as well. Raises UsageError for a limit that is too low."""

    max_pixels: int = 2**25
    """Of all pictures of a request: 33 megapixels, which take 100 MB as RGB."""
    max_images: int = 256
    """Of a batch."""
    concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Large pictures that are worked on at the same time."""
    waiting: int = 16
    """Large pictures that may wait for that."""
    work_timeout_s: float = 10.0
    """Of the processor, for decoding and reading the pictures of a request."""
    wait_timeout_s: float = 60.0
    """Of the clock, for the same on a machine that is busy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("--max-pixels", self.max_pixels, least=default_input().size)
        check_range("--concurrency", self.concurrency, least=1)

    @property
    def decoded_bytes(self) -> int:
        """Return how much memory pictures may take at once while they are decoded.

        It is enough for one in colour that has all the pixels, and its copy.
        """
        return 8 * self.max_pixels


@dataclass(frozen=True, kw_only=True)
class ServeConfig(SiteConfig):
    """Options of the service. Raises UsageError for those that cannot be combined."""

    artifact: str | None = None
    """Name or model file; the fastest verified one by default."""
    threads: int = 1
    collect: CollectConfig | None = None
    """Where samples and corrections are kept; None for nowhere."""
    health: Path | None = None
    """The file in which answers are counted; None for none."""
    limits: PictureLimits = field(default_factory=PictureLimits)
