"""Packages that making the likeness network needs beside edgemnist itself."""

from __future__ import annotations

from typing import Final

from edgemnist.registry import Entry, Package

TRAINER: Final = Entry(
    target="edgemnist.train_likeness.run:train_likeness",
    summary="Training the likeness network",
    requires=(
        Package("tensorflow", "tensorflow"),
        Package("opencv-python-headless", "cv2"),
        Package("matplotlib", "matplotlib"),
    ),
    extra="train,vision",
)
