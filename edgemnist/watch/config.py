"""How a source is watched."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgemnist.errors import UsageError
from edgemnist.read.config import ReadConfig


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Options of watching. Raises UsageError for values that make no sense."""

    read: ReadConfig = field(default_factory=ReadConfig)
    steady: int = 3
    """A number counts when so many of the latest `2 × steady - 1` frames agree on it; 1 takes each at its word."""
    every: bool = False
    """Read every frame, whether or not anything changed."""
    once: bool = False
    """Read what is in the directory now, and end."""
    give_up_s: float = 60.0
    """A source that was away for so long is given up."""
    stall_s: float = 5.0
    """A live source that sends nothing for so long is opened anew."""
    poll_s: float = 0.25
    """How often a directory is looked at."""

    def __post_init__(self) -> None:
        if self.steady < 1:
            raise UsageError(f"--steady {self.steady} is no number of frames", hint="Give 1 or more.")
        # So written, nothing that is not a number passes.
        if not (self.give_up_s >= 0 and self.stall_s > 0 and self.poll_s > 0):
            raise UsageError("--give-up has to be at least 0 seconds")
