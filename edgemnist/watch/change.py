"""Which frames show something new."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edgemnist.images.grey import Grey

CELLS: Final = (64, 48)
"""Columns and rows of cells that a frame is compared by: their means are free of the sensor's noise."""
LEAST_CHANGE: Final = 4.0
"""Grey levels by which a cell differs where something moved. The mean of the 100 pixels of a cell of a 640×480 frame
varies by less than 1 with the noise of a dim room; a pen's stroke changes it by 10 and more."""


class ChangeDetector:
    """Compares each frame with the latest that was read."""

    def __init__(self) -> None:
        self._seen: Grey | None = None
        self._shape: tuple[int, ...] = ()

    def changed(self, grey: Grey) -> bool:
        """Tell whether a frame, uint8 [h, w], differs from the latest that did, and remember it if so."""
        cells = np.asarray(cv2.resize(grey, CELLS, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if self._seen is not None and grey.shape == self._shape:
            difference = cells.astype(np.float32) - self._seen
            # The camera's own exposure makes all cells brighter or darker alike.
            difference -= np.median(difference)
            if np.abs(difference).max() < LEAST_CHANGE:
                return False
        self._seen, self._shape = cells, grey.shape
        return True
