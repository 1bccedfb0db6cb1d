"""The page in a real Chromium: keys, thumbs, undo, and labels that differ."""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from edgemnist.field.samples import CORRECTION, DOUBTFUL, NONE_OF_THESE, OBJECTOR, UNIFORM, Label, Sample, now
from edgemnist.field.samples.store import SampleStore
from tests.browser import WINDOWS, console, show, text, until
from tests.patience import PATIENCE_S
from tests.samples.making import image_of, sample_of
from tests.serve.service import Service, first_document

pytestmark = pytest.mark.all


@contextlib.contextmanager
def reviewing(directory: Path, *options: str) -> Iterator[Service]:
    """Run the command for as long as the body runs, and see that SIGTERM ends it cleanly."""
    command = [sys.executable, "-m", "edgemnist", "review", str(directory), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Service(process, first_document(process))
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with five samples, the second of which is the most suspicious."""
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(3, reason=UNIFORM, confidence=0.99))
        given = Label("5", "client 192.0.2.7", now(), settles=False)
        store.add(sample_of(8, reason=CORRECTION, confidence=0.97, labels=(given,)))
        for digit, confidence in ((1, 0.7), (2, 0.3), (4, 0.5)):
            store.add(sample_of(digit, reason=DOUBTFUL, confidence=confidence))
    return tmp_path


def stored(directory: Path) -> dict[str | None, Sample]:
    """Return the samples by what was answered."""
    with SampleStore.open(directory) as store:
        return {one.answer: one for one in store.samples()}


def open_page(browser: Chrome, service: Service, window: str = "desktop", scheme: str = "light") -> None:
    show(browser, service.url, window, scheme)
    until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "#keys button")) == 10)


def wait_for(browser: Chrome, name: str, said: str) -> None:
    until(browser, lambda: said in text(browser, name))


def press(browser: Chrome, key: str, said: str) -> None:
    browser.execute_script("document.getElementById('status').textContent = ''")
    ActionChains(browser).send_keys(key).perform()
    wait_for(browser, "status", said)


def shown(browser: Chrome) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the pixels of the canvas, uint8 [28, 28]."""
    script = (
        "const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });"
        "copy.drawImage(document.getElementById('sample'), 0, 0);"
        "return Array.from(copy.getImageData(0, 0, 28, 28).data)"
    )
    pixels = browser.execute_script(script)
    return np.array(pixels, np.uint8).reshape(28, 28, 4)[:, :, 0]


@pytest.mark.parametrize(("window", "scheme"), list(itertools.product(WINDOWS, ("light", "dark"))))
def test_the_page_fits_and_everybody_can_use_it(window: str, scheme: str, kept: Path, browser: Chrome) -> None:
    with reviewing(kept) as service:
        open_page(browser, service, window, scheme)
        found = Axe().run(browser)
        assert found["violations"] == []
        inner = "return [document.documentElement.scrollWidth, window.innerWidth]"
        wide, screen = browser.execute_script(inner)
        assert wide <= screen
        for button in browser.find_elements(By.CSS_SELECTOR, "#review button"):
            assert button.size["height"] >= 44
            # Without scrolling: a thumb goes back and forth between these.
            assert button.location["y"] + button.size["height"] <= WINDOWS[window][1]
        assert console(browser) == []


def test_keys_label_the_most_suspicious_first_and_the_answer_stays_hidden(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service)
        assert np.array_equal(shown(browser), image_of(8))
        assert "97" not in browser.find_element(By.TAG_NAME, "main").text
        press(browser, "5", "Labelled 5")
        # By confidence, the lowest first.
        assert np.array_equal(shown(browser), image_of(2))
        ActionChains(browser).send_keys("a").perform()
        wait_for(browser, "answer", "answered 2, 30 %")
        press(browser, "n", "Labelled none of these")
        press(browser, "s", "Skipped")
        assert text(browser, "answer") == ""
        press(browser, "1", "Labelled 1")
        press(browser, "3", "Labelled 3")
        wait_for(browser, "done-words", "All 5 are done, 1 skipped.")
        browser.find_element(By.ID, "again").click()
        assert np.array_equal(shown(browser), image_of(4))
        press(browser, "9", "Labelled 9")
        wait_for(browser, "done-words", "All 5 are done.")
        # What is labelled is not shown again.
        browser.refresh()
        wait_for(browser, "done-words", "There is nothing to review.")
    found = stored(kept)
    assert {answer: one.label for answer, one in found.items()} == {
        "8": "5",
        "2": NONE_OF_THESE,
        "4": "9",
        "1": "1",
        "3": "3",
    }
    assert {label.writer for one in found.values() for label in one.labels} == {"ann", "client 192.0.2.7"}


def test_the_keys_that_are_named_label_and_none_of_them_does_something_else(browser: Chrome, tmp_path: Path) -> None:
    named = {"0129": ("0–9", "9"), "cex": ("c e x", "x"), "ans": ("1–3", "s"), "cd": ("c d", "d"), "01s": ("0 1", "1")}
    for labels, (words, said) in named.items():
        with SampleStore.open(tmp_path / labels, create=True) as store:
            for name in labels:
                store.add(sample_of(1, answer=name))
        with reviewing(tmp_path / labels) as service:
            show(browser, service.url, "desktop", "light")
            wait_for(browser, "key-words", words)
            press(browser, words[-1], f"Labelled {said}")


def test_a_label_and_a_skip_can_be_undone(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service)
        press(browser, "5", "Labelled 5")
        press(browser, "7", "Labelled 7")
        press(browser, "s", "Skipped")
        press(browser, "u", "Taken back")
        assert np.array_equal(shown(browser), image_of(4))
        press(browser, Keys.BACKSPACE, "Taken back")
        assert np.array_equal(shown(browser), image_of(2))
        assert stored(kept)["2"].labels == ()
        press(browser, "2", "Labelled 2")
        assert stored(kept)["2"].label == "2"
        assert text(browser, "progress") == "2 of 5"


def test_a_label_that_contradicts_another_is_shown_again_with_both(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service)
        with SampleStore.open(kept) as store:
            store.label(stored(kept)["8"].id, "5", "bob")
        press(browser, "6", "shown again")
        assert stored(kept)["8"].disputed
        for _ in range(4):
            press(browser, "1", "Labelled 1")
        assert np.array_equal(shown(browser), image_of(8))
        # What a client says no longer matters.
        said = "The labels differ: 5 (client 192.0.2.7), 5 (bob), 6 (ann). What is it?"
        assert text(browser, "differ") == said
        press(browser, "6", "Labelled 6")
        wait_for(browser, "done-words", "All 6 are done.")
    assert stored(kept)["8"].label == "6"


def test_one_key_decides_on_a_correction_and_on_a_label_that_learn_doubts(kept: Path, browser: Chrome) -> None:
    with SampleStore.open(kept) as store:
        doubted = stored(kept)["4"].id
        store.label(doubted, "4", "bob")
        store.label(doubted, "9", OBJECTOR)
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service)
        assert np.array_equal(shown(browser), image_of(4))
        assert text(browser, "differ") == "Labelled 4 (bob), but it reads like 9. What is it?"
        press(browser, "4", "Labelled 4")
        assert text(browser, "differ") == "Somebody corrected this one. What is it?"
        press(browser, "1", "Labelled 1")
        assert text(browser, "progress") == "2 of 5"
        assert text(browser, "differ") == ""
    found = stored(kept)
    assert (found["4"].label, found["4"].settled) == ("4", True)
    assert (found["8"].label, found["8"].confirmed) == ("1", True)
