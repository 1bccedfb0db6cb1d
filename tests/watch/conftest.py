"""Videos that the tests make, and a model that reads them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.vision import classifier, digits
from tools.likeness.page import Digits

__all__ = ["classifier", "digits"]

Frame = npt.NDArray[np.uint8]
Show = Callable[[str], Frame]
Film = Callable[[Path, list[Frame]], Path]


@pytest.fixture(scope="session")
def show(digits: Digits) -> Show:
    """Return a camera's frame, uint8 [480, 640, 3] BGR, of a sheet with these digits in a row."""
    # The first of each class that is easy to read.
    first = {label: digits.images[np.flatnonzero(digits.labels == label)[2]] for label in range(10)}

    def draw(text: str) -> Frame:
        grey = np.full((480, 640), 210, dtype=np.uint8)
        for position, character in enumerate(text):
            large = cv2.resize(first[int(character)], (84, 84), interpolation=cv2.INTER_CUBIC)
            left = 80 + 60 * position
            patch = grey[200:284, left : left + 84]
            np.minimum(patch, 210 - (large * 0.75).astype(np.uint8), out=patch)
        return np.repeat(cv2.GaussianBlur(grey, (0, 0), 0.8)[..., None], 3, axis=2)

    return draw


@pytest.fixture(scope="session")
def film() -> Film:
    """Write frames as a video of 15 a second, with the sensor's noise in each."""

    def write(path: Path, frames: list[Frame]) -> Path:
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (width, height))
        assert writer.isOpened()
        noise = np.random.default_rng(0).normal(0, 3, (4, *frames[0].shape))
        for index, frame in enumerate(frames):
            writer.write(np.clip(frame + noise[index % 4], 0, 255).astype(np.uint8))
        writer.release()
        return path

    return write
