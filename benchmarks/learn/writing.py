"""A writer whose digits the model of the package misreads, and a finger that corrects them on the pages.

The writer begins a 1 far down, as many in Europe do, and the model of the package takes it for a 4 or a 7. The writer's
7 has a bar, and stays a 7.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.field.samples import OBJECTOR
from tests.browser import draw, show, tap
from tests.deploy.answering import ask
from tests.patience import PATIENCE_S
from tests.serve.service import first_document

Stroke = list[tuple[float, float]]
"""Points from the middle of the pad, as shares of its side."""

DIGITS: Final[dict[str, list[list[Stroke]]]] = {
    "1": [[[(-0.34, 0.15), (0.12, -0.32), (0.12, 0.32)]], [[(-0.3, 0), (0.1, -0.3), (0.1, 0.32)]]],
    "7": [[[(-0.22, -0.18), (-0.2, -0.3), (0.22, -0.3), (-0.05, 0.32)], [(-0.15, 0.02), (0.2, 0.02)]]],
}
"""The strokes of each digit, in all forms that the writer gives it."""
MISREAD: Final = "1"
WRONG: Final = 22
"""Wrong answers to correct: twenty are learnt from at least, and two may have the same pixels."""


class Writer:
    """A hand that draws each digit a little differently."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def draws(self, label: str) -> list[Stroke]:
        """Return the strokes of a digit."""
        slant, size = self._rng.normal(0, 0.05), self._rng.uniform(0.85, 1)
        forms = DIGITS[label]
        strokes = []
        for stroke in forms[self._rng.integers(len(forms))]:
            dx, dy = self._rng.normal(0, 0.012, 2)
            strokes.append([(float((x + slant * y) * size + dx), float(y * size + dy)) for x, y in stroke])
        return strokes


def open_pad(browser: Chrome, address: str) -> str:
    """Open the service's page on a phone, and return the artifact that answers."""
    show(browser, address, "phone")
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: browser.find_element(By.ID, "artifact").is_enabled())
    return browser.find_element(By.ID, "artifact").text


def drawn(browser: Chrome, strokes: list[Stroke], *, corrected: bool = True) -> None:
    """Draw a digit with a finger on an empty pad, and wait until it has been answered, and can be `corrected`.

    Whoever is told that it went wrong draws again: an emulated board loses a process now and then.
    """
    clear, pad, panel, alert = (browser.find_element(By.ID, name) for name in ("clear", "pad", "correct", "alert"))

    def answered(_: Chrome) -> bool:
        return alert.is_displayed() or (status(browser).startswith("Read as") and panel.is_displayed() == corrected)

    for _ in range(3):
        if clear.is_enabled():
            tap(browser, clear)
        WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: not panel.is_displayed())
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", pad)
        for stroke in strokes:
            # What was answered while the pen was still moving does not count.
            browser.execute_script("document.getElementById('status').textContent = ''")
            draw(browser, stroke, finger=True)
            WebDriverWait(browser, PATIENCE_S, 0.05).until(answered)
        if not alert.is_displayed():
            return
    raise AssertionError(alert.text)


def status(browser: Chrome) -> str:
    """Return what the page has told screen readers last."""
    return str(browser.find_element(By.ID, "status").get_attribute("textContent"))


def correct_wrong(browser: Chrome, writer: Writer) -> None:
    """Draw until enough answers were wrong, and say with a finger what each digit is."""
    for _ in range(WRONG):
        drawn(browser, writer.draws(MISREAD))
        keys = browser.find_elements(By.CSS_SELECTOR, "#correct-keys button")
        # The answer itself has no key.
        tap(browser, next(key for key in keys if key.text == MISREAD))
        WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: f"Kept as {MISREAD}" in status(browser))


def confirm(browser: Chrome, address: str) -> None:
    """Give each sample of the review that is open the label that people gave it, with a finger."""
    for number, one in enumerate(ask(f"{address}v1/samples")["samples"]):
        progress = browser.find_element(By.ID, "progress")
        WebDriverWait(browser, PATIENCE_S, 0.05).until(begins(progress, f"{number} of"))
        people = [label["label"] for label in one["labels"] if label["writer"] != OBJECTOR]
        (given,) = set(people) or {one["answer"]}
        keys = browser.find_elements(By.CSS_SELECTOR, "#keys button")
        tap(browser, next(key for key in keys if key.text == given))
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda found: found.find_element(By.ID, "done").is_displayed())


def begins(element: WebElement, words: str) -> Callable[[Chrome], bool]:
    """Return whether the text of an element begins with these words, as a thing to wait for."""
    return lambda _: element.text.startswith(words)


@contextlib.contextmanager
def running(words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a command that serves a page until the body ends, then stop it with Ctrl-C; give what it says first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgemnist", *words],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield first_document(process)
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
        if process.returncode not in {0, 130}:
            raise RuntimeError(errors)
