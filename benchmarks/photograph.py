"""Pages in Chromium, photographed for the book."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Final

from PIL import Image
from selenium.webdriver import Chrome

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
GAP: Final = 20
COLOURS: Final = 128
"""That a picture is reduced to: text and few hues need no more."""


def photograph(browser: Chrome) -> Image.Image:
    """Return what the window shows."""
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")


def save_side_by_side(shots: list[Image.Image], name: str) -> None:
    """Write photographs of the same height as one of the book's images."""
    sheet = Image.new("RGB", (sum(shot.width + GAP for shot in shots) - GAP, shots[0].height), "white")
    left = 0
    for shot in shots:
        sheet.paste(shot, (left, 0))
        left += shot.width + GAP
    reduced = sheet.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    reduced.save(IMAGES / name, optimize=True)
