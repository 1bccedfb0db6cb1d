"""What `edgemnist frontier` was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgemnist.bench.config import BenchConfig
from edgemnist.errors import UsageError
from edgemnist.train.config import TrainConfig

DEFAULT_SIZES = ((16,), (32,), (64,), (128,), (256,), (512,))
"""Units of the hidden layers of each network."""
QUANTIZATIONS = ("int8", "int4")
"""What of each network is exported."""


@dataclass(frozen=True, kw_only=True)
class FrontierConfig:
    """The options of a frontier. Raises UsageError and UnknownNameError as `TrainConfig` does, and for no sizes."""

    sizes: tuple[tuple[int, ...], ...] = DEFAULT_SIZES
    recipe: str = "standard"
    epochs: int | None = None
    seed: int = 0
    bench: BenchConfig = field(default_factory=lambda: BenchConfig(keras=False))

    def __post_init__(self) -> None:
        if not self.sizes:
            raise UsageError("A frontier needs sizes", hint="Name some, such as --size 64 --size 128,64.")
        if len(set(self.sizes)) < len(self.sizes):
            raise UsageError("A size is named twice", hint="Name each --size once.")
        for hidden in self.sizes:
            self.training(hidden)

    def training(self, hidden: tuple[int, ...]) -> TrainConfig:
        """Return the training of one size."""
        return TrainConfig(recipe=self.recipe, hidden=hidden, epochs=self.epochs, seed=self.seed)
