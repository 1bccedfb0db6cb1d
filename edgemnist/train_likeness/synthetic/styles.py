"""The pages that reading is measured on, by what makes them hard."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edgemnist.train_likeness.synthetic.camera import Camera
from edgemnist.train_likeness.synthetic.page import PageStyle

STYLES: Final[dict[str, PageStyle]] = {
    "scan": PageStyle(row_slope=0.0, camera=Camera(shadow=0.0, blur=(0.3, 0.6), noise=1.5, jpeg_quality=92)),
    "photo": PageStyle(perspective=0.015),
    "slanted": PageStyle(row_slope=0.12, rows=8, columns=10),
    "ruled": PageStyle(ruled=True, row_slope=0.015, perspective=0.01),
    "squared": PageStyle(squared=True, row_slope=0.015, perspective=0.01),
    "show-through": PageStyle(show_through=0.3),
    "specks-holes": PageStyle(specks=120, punch_holes=True),
    "table": PageStyle(table=True, perspective=0.03, punch_holes=True),
    "touching": PageStyle(touching=0.35, row_slope=0.02),
    "pale": PageStyle(ink=(0.45, 0.6), camera=Camera(shadow=0.6)),
    "dark-shadow": PageStyle(camera=Camera(shadow=0.95, noise=5)),
    "small": PageStyle(digit=0.03, width=1200, height=1500),
    "blackboard": PageStyle(inverted=True),
    "everything": PageStyle(ruled=True, show_through=0.2, specks=60, punch_holes=True, table=True, perspective=0.02,
                            touching=0.1, row_slope=0.03),
}  # fmt: skip
"""Each has 100 digits on it, but for `slanted`, which has 80."""


def quarter(style: PageStyle) -> PageStyle:
    """Return a quarter of a page in a style: 24 digits, for tests that have to be quick."""
    return replace(style, width=900, height=700, rows=4, columns=6, digit=0.075)
