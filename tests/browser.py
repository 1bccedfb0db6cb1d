"""A real Chromium, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.needs import require
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.remote.webelement import WebElement

WINDOWS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """A headless Chromium that keeps what pages write to its console."""
    require("chromium")
    with chromium() as chrome:
        yield chrome


@contextlib.contextmanager
def chromium() -> Iterator[Chrome]:
    """Open it for as long as the body runs."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    # No sandbox: tests may run as root, and the pages are our own.
    # No network: Chromium's own errands would wait for it, and be told on the console.
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    # A camera that shows a pattern, which pages may use unasked.
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    for argument in (*quiet, *camera):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield chrome
    finally:
        chrome.quit()


def show(
    browser: Chrome, address: str, window: str = "desktop", scheme: str = "light", *, height: int | None = None
) -> None:
    """Open a page in a window, or in a higher one, in the colours for the day or the night."""
    width, usual = WINDOWS[window]
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    metrics = {"width": width, "height": height or usual, "deviceScaleFactor": 1, "mobile": window == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)


def text(browser: Chrome, name: str) -> str:
    """Return what an element says, also to screen readers only."""
    return str(browser.find_element("id", name).get_attribute("textContent"))


def until(browser: Chrome, claim: Callable[[], object]) -> None:
    """Wait until a claim about the page is true."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: claim())


def draw(browser: Chrome, stroke: list[tuple[float, float]], *, finger: bool = False) -> None:
    """Draw on a page's pad with the mouse or a finger, as a person would: press, move, let go.

    Points are counted from the middle of the pad, as shares of its side.
    """
    from selenium.webdriver.common.by import By

    pad = browser.find_element(By.ID, "pad")
    side = pad.size["width"]
    (left, top), *rest = [(round(x * side), round(y * side)) for x, y in stroke]
    actions = hand(browser, "touch" if finger else "mouse")
    actions.move_to_element_with_offset(pad, left, top).click_and_hold()
    for x, y in rest:
        actions.move_to_element_with_offset(pad, x, y)
    # A finger comes to rest: one that leaves while it moves flings the page, and Chromium ignores the next tap.
    actions.pause(0.15).release().perform()


def tap(browser: Chrome, element: WebElement) -> None:
    """Touch an element with a finger, wherever on the page it is."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    hand(browser, "touch").move_to_element(element).click_and_hold().pause(0.05).release().perform()


def hand(browser: Chrome, pointer: str) -> ActionChains:
    """Return what moves the mouse, or touches with one finger."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    return ActionChains(browser, duration=20, devices=[PointerInput(pointer, pointer)])  # type: ignore[no-untyped-call]  # as Selenium has it


def console(browser: Chrome) -> list[dict[str, Any]]:
    """Return what the page has written to its console since the last time."""
    found: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # as Selenium has it
    return found
