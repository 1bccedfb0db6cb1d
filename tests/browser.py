"""A real Chromium, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.needs import require

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

WINDOWS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """A headless Chromium that keeps what pages write to its console."""
    require("chromium")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    # No sandbox: tests may run as root, and the pages are our own.
    # No network: Chromium's own errands would wait for it, and be told on the console.
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    for argument in quiet:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()


def show(browser: Chrome, address: str, window: str = "desktop", scheme: str = "light") -> None:
    """Open a page in a window, in the colours for the day or the night."""
    width, height = WINDOWS[window]
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": window == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)


def console(browser: Chrome) -> list[dict[str, Any]]:
    """Return what the page has written to its console since the last time."""
    found: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # as Selenium has it
    return found
