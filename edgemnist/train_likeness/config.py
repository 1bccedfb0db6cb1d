"""How the likeness network is made."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.errors import check_range
from edgemnist.train_likeness.drawings import COPIES, FONTS


@dataclass(frozen=True, kw_only=True)
class LikenessConfig:
    """The recipe. Its defaults made the files that ship; smaller numbers are for tests. Raises UsageError below 1."""

    seed: int = 21
    epochs: int = 18
    jobs: int = 18
    """Number of pieces, each with its own seed, that the making of pictures is cut into."""
    pages: int = 100
    """Small pages of each job."""
    drawings: int = 400
    """Scribbles, blots, pairs and pieces of each job, each; and twice as many hard digits."""
    copies: int = COPIES
    """How often each character of each font is drawn."""
    fonts: tuple[str, ...] = FONTS

    def __post_init__(self) -> None:
        for name in ("epochs", "jobs", "pages", "drawings", "copies"):
            check_range(f"--{name}", getattr(self, name), least=1)
        check_range("--seed", self.seed, least=0)
