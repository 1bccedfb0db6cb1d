"""How a source is watched."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgemnist.errors import check_range
from edgemnist.read.config import ReadConfig


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Options of watching. Raises UsageError for values out of range."""

    read: ReadConfig = field(default_factory=ReadConfig)
    steady: int = 3
    """A number counts when so many of the latest `2 × steady - 1` frames agree on it; 1 believes each frame."""
    every: bool = False
    """Read every frame, whether or not anything changed."""
    once: bool = False
    """Read what is in the directory now, and end."""
    give_up_s: float = 60.0
    """A source that has been away for that long is given up."""
    stall_s: float = 5.0
    """A live source that sends nothing for that long is opened again."""
    poll_s: float = 0.25
    """How often a directory is looked at."""

    def __post_init__(self) -> None:
        check_range("--steady", self.steady, least=1)
        check_range("--give-up", self.give_up_s, least=0)
        check_range("stall_s", self.stall_s, above=0)
        check_range("poll_s", self.poll_s, above=0)
