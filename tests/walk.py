"""The walk of the guide about learning: from wrong answers on a board to a release that gives the right ones.

Its writer begins a 1 far down, as many in Europe do, and the model of the package takes it for a 4 or a 7. The writer's
7 has a bar, and stays a 7. Every step is a command or a finger on a page, as the guide has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError

import numpy as np
from PIL import Image, ImageDraw
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.exports import REFERENCE, Exports
from edgemnist.samples.store import SampleStore
from edgemnist.shadow import read_tally
from tests.browser import draw, show, tap
from tests.conftest import run_edgemnist
from tests.deploy.answering import ask, wait_for
from tests.serve.service import first_document, png

Stroke = list[tuple[float, float]]
"""Points from the middle of the pad, as shares of its side."""

DIGITS: Final[dict[str, list[list[Stroke]]]] = {
    "1": [[[(-0.34, 0.15), (0.12, -0.32), (0.12, 0.32)]], [[(-0.3, 0), (0.1, -0.3), (0.1, 0.32)]]],
    "7": [[[(-0.22, -0.18), (-0.2, -0.3), (0.22, -0.3), (-0.05, 0.32)], [(-0.15, 0.02), (0.2, 0.02)]]],
}
"""The strokes of each digit, in all forms that the writer gives it."""
MISREAD: Final = "1"
WRONG: Final = 20
"""Wrong answers to correct."""
PATIENCE_S: Final = 60
"""For an answer: the board may be an emulated one."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A board that serves, and how commands reach it."""

    name: str
    words: Sequence[str]
    """Options of every command that does."""
    address: str
    samples: Path
    """Where its service keeps samples."""
    directory: Path
    """Where commands run."""
    environment: Mapping[str, str]
    once_more: str = ""
    """What an emulator does to a process now and then; a command that ends with it runs once more."""

    def run(self, *words: str | Path) -> dict[str, Any]:
        """Run a command that has to succeed, and return its document."""
        for _ in range(2):
            done = run_edgemnist(*words, "--json", cwd=self.directory, env=dict(self.environment), timeout=1800)
            if not self.once_more or self.once_more not in done.stdout + done.stderr:
                break
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document


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


def walk(board: Reached, browser: Chrome, writer: Writer) -> None:
    """Go the whole way, and see that the board reads what it had not read before."""
    asked = open_pad(browser, board.address)
    assert asked == "tflite-int8"
    correct_twenty(browser, writer)
    assert kept(board) == [MISREAD] * WRONG
    review(board, browser)
    learnt = board.run(
        "learn", "--on", board.name, *board.words, "--samples", str(board.samples), "--exports", REFERENCE
    )
    assert learnt["passed"]
    assert board.run("verify", "--exports", "learned")["passed"]
    board.run("bundle", "tflite-int8", "--serve", "--exports", "learned", "--output", "learned.zip")
    before = ask(f"{board.address}/healthz")["release"]
    shadowed = board.run("deploy", "learned.zip", "--shadow", "--to", board.name, *board.words)["boards"][0]["release"]
    assert ask(f"{board.address}/healthz")["release"] == before
    meet_digits(board)
    promoted = board.run("promote", "--to", board.name, *board.words, "--samples", str(board.samples))
    assert (promoted["passed"], promoted["release"], promoted["previous"]) == (True, shadowed, before)
    wait_for(lambda: ask(f"{board.address}/healthz")["release"] == shadowed)
    open_pad(browser, board.address)
    for label in "11171117":
        drawn(browser, writer.draws(label))
        assert browser.find_element(By.ID, "digit").text == label
        assert "no digit" not in status(browser)
    assert read_page(browser, board.directory / "page.png", writer, "1711") == "1711"


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
            # An answer to the strokes so far is none to the digit.
            browser.execute_script("document.getElementById('status').textContent = ''")
            draw(browser, stroke, finger=True)
            WebDriverWait(browser, PATIENCE_S, 0.05).until(answered)
        if not alert.is_displayed():
            return
    raise AssertionError(alert.text)


def status(browser: Chrome) -> str:
    """Return what the page has told screen readers last."""
    return str(browser.find_element(By.ID, "status").get_attribute("textContent"))


def correct_twenty(browser: Chrome, writer: Writer) -> None:
    """Draw until twenty answers were wrong, and say with a finger what each digit is."""
    for _ in range(WRONG):
        drawn(browser, writer.draws(MISREAD))
        keys = browser.find_elements(By.CSS_SELECTOR, "#correct-keys button")
        # The answer itself has no key.
        tap(browser, next(key for key in keys if key.text == MISREAD))
        WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: f"Kept as {MISREAD}" in status(browser))


def kept(board: Reached) -> list[str]:
    """Return the labels of the samples on the board."""
    with SampleStore.open(board.samples) as store:
        return [one.label for one in store.samples() if one.label is not None]


def review(board: Reached, browser: Chrome) -> None:
    """Confirm every correction with a finger, on a page of this machine; the labels go back to the board."""
    words = ["review", str(board.samples), "--on", board.name, *board.words, "--as", "ann", "--port", "0", "--json"]
    with running(words, board.directory, board.environment) as started:
        show(browser, started["url"], "phone")
        confirm(browser, started["url"])


def confirm(browser: Chrome, address: str) -> None:
    """Give each sample of the review that is open the label that it has, with a finger."""
    for number, one in enumerate(ask(f"{address}v1/samples")["samples"]):
        progress = browser.find_element(By.ID, "progress")
        WebDriverWait(browser, PATIENCE_S, 0.05).until(begins(progress, f"{number} of"))
        (given,) = {label["label"] for label in one["labels"]} or {one["answer"]}
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
        _, errors = process.communicate(timeout=300)
        assert process.returncode in {0, 130}, errors


def meet_digits(board: Reached) -> None:
    """Let others send digits until the release in the shadow has answered a hundred of them, too."""
    images = Exports.open(REFERENCE).read_golden().images

    def enough() -> bool:
        tally = read_tally(board.samples)
        return tally is not None and tally.compared >= 100

    for image in images:
        if enough():
            return
        # One that an emulated board has no process for is missed.
        with contextlib.suppress(HTTPError):
            ask(f"{board.address}/v1/predict", png(Image.fromarray(255 - image)))
    wait_for(enough)


def read_page(browser: Chrome, path: Path, writer: Writer, digits: str) -> str:
    """Write digits on paper, hand their picture to the page, and return what it reads, without blanks."""
    side, margin = 120, 80
    page = Image.new("L", (side * len(digits) + 2 * margin, side + 2 * margin), 235)
    pen = ImageDraw.Draw(page)
    for place, label in enumerate(digits):
        centre = np.array([margin + (place + 0.5) * side, margin + side / 2])
        for stroke in writer.draws(label):
            points = [tuple(centre + np.array(point) * side) for point in stroke]
            pen.line(points, fill=40, width=9, joint="curve")
            for x, y in points:
                pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=40)
    page.save(path)
    tap(browser, browser.find_element(By.ID, "tab-read"))
    browser.find_element(By.ID, "file").send_keys(str(path))
    lines = WebDriverWait(browser, PATIENCE_S).until(lambda found: found.find_elements(By.CSS_SELECTOR, "#lines li"))
    return "".join("".join(line.text.split()) for line in lines)
