"""The handwritten digits that synthetic pictures are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Digits:
    """Handwritten digits with their labels."""

    images: npt.NDArray[np.uint8]
    """uint8 [N, 28, 28], white on black."""
    labels: npt.NDArray[np.int64]
    """int64 [N]."""

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, rng: np.random.Generator) -> Digits:
        """Return `count` of them, each at most once if there are enough."""
        chosen = rng.choice(len(self), size=count, replace=count > len(self))
        return Digits(self.images[chosen], self.labels[chosen])
