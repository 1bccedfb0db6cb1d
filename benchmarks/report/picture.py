"""Take `docs/images/report.png`, the picture of a report on a desk and on a phone.

    python benchmarks/report/picture.py exports/report.html

It needs Chromium and its driver, which `tests/install-programs.sh` installs.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "report.png"
HEIGHT = 1180
WIDTHS = {"desk": 1280, "phone": 390}
GAP = 20
COLOURS = 128
"""That the picture is reduced to: text and few hues need no more."""


def main() -> None:
    """Photograph the top of the page at both widths, and put the pictures side by side."""
    page = Path(sys.argv[1]).resolve().as_uri()
    shots = photograph(page)
    sheet = Image.new("RGB", (sum(WIDTHS.values()) + GAP, HEIGHT), "white")
    left = 0
    for shot in shots:
        sheet.paste(shot, (left, 0))
        left += shot.width + GAP
    sheet.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def photograph(page: str) -> list[Image.Image]:
    """Return the top of a page at each width, by day."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    shots = []
    try:
        day = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", day)
        for name, width in WIDTHS.items():
            window = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": name == "phone"}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)
            browser.get(page)
            taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
            shots.append(Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB"))
    finally:
        browser.quit()
    return shots


if __name__ == "__main__":
    main()
