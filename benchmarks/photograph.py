"""Pages in Chromium, photographed for the book."""

from __future__ import annotations

import base64
import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
WIDTHS: Final = {"desk": 1280, "phone": 390}
GAP: Final = 20
COLOURS: Final = 128
"""That a picture is reduced to: text and few hues need no more."""


@contextlib.contextmanager
def chromium() -> Iterator[Chrome]:
    """Open a browser, by day, for as long as the body runs. `tests/install-programs.sh` installs it and its driver."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        day = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", day)
        yield browser
    finally:
        browser.quit()


def open_page(browser: Chrome, page: str, window: str, height: int) -> None:
    """Open an address in a window of `WIDTHS`, `height` pixels high."""
    size = {"width": WIDTHS[window], "height": height, "deviceScaleFactor": 1, "mobile": window == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page)


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
