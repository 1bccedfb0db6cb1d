"""The two contracts that everything outside `runtimes/` speaks: images in, answers out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IMAGE_SIDE = 28

Images: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [N, 28, 28], white digit on black."""
Labels: TypeAlias = npt.NDArray[np.int64]
"""int64 [N], indices of classes."""
Probabilities: TypeAlias = npt.NDArray[np.float32]
"""float32 [N, C], each row adding up to 1."""


def as_digit(label: str) -> int | str:
    """Return a label as a number where it is one."""
    return int(label) if label.isdecimal() else label
