"""The page in a real Chromium: keys, thumbs, undo, labels that differ, and two reviews at once."""

from __future__ import annotations

import contextlib
import itertools
import os
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
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.samples import CORRECTION, DOUBTFUL, NOT_A_DIGIT, UNIFORM, Label, Sample, now
from edgemnist.samples.store import FILE, SampleStore
from tests.browser import WINDOWS, console, show
from tests.samples.making import image_of, sample_of
from tests.serve.service import TOKEN, Service, first_document

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def reviewing(directory: Path, *options: str) -> Iterator[Service]:
    """Run the command for as long as the body runs, and see that SIGTERM ends it cleanly."""
    command = [sys.executable, "-m", "edgemnist", "review", str(directory), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Service(process, first_document(process))
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
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
    WebDriverWait(browser, 10, 0.05).until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, "#keys button")) == 10)


def text(browser: Chrome, name: str) -> str:
    return str(browser.find_element(By.ID, name).get_attribute("textContent"))


def wait_for(browser: Chrome, name: str, said: str) -> None:
    WebDriverWait(browser, 10, 0.05).until(lambda _: said in text(browser, name))


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
        press(browser, "n", "Labelled not a digit")
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
        "2": NOT_A_DIGIT,
        "4": "9",
        "1": "1",
        "3": "3",
    }
    assert {label.writer for one in found.values() for label in one.labels} == {"ann", "client 192.0.2.7"}


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


def test_a_thumb_on_a_phone_does_as_well(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service, "phone")
        browser.find_elements(By.CSS_SELECTOR, "#keys button")[5].click()
        wait_for(browser, "progress", "1 of 5")
        browser.find_element(By.ID, "none").click()
        wait_for(browser, "progress", "2 of 5")
    assert stored(kept)["8"].label == "5"
    assert stored(kept)["2"].label == NOT_A_DIGIT


def test_a_label_that_contradicts_another_is_shown_again_with_both(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as service:
        open_page(browser, service)
        press(browser, "6", "shown again")
        assert stored(kept)["8"].disputed
        for _ in range(4):
            press(browser, "1", "Labelled 1")
        assert np.array_equal(shown(browser), image_of(8))
        assert text(browser, "differ") == "The labels differ: 5 (client 192.0.2.7), 6 (ann). What is it?"
        press(browser, "6", "Labelled 6")
        wait_for(browser, "done-words", "All 6 are done.")
    assert stored(kept)["8"].label == "6"


def test_two_reviews_at_once_lose_nothing(kept: Path, browser: Chrome) -> None:
    with reviewing(kept, "--as", "ann") as ann, reviewing(kept, "--as", "bob") as bob:
        open_page(browser, ann)
        press(browser, "5", "Labelled 5")
        queue = bob.ask("/v1/samples").document["samples"]
        assert [one["answer"] for one in queue] == ["2", "4", "1", "3"]
        for one in queue:
            assert bob.ask(f"/v1/samples/{one['id']}", b'{"label": "0"}', kind="application/json").status == 200
        for digit in ("2", "0", "0", "0"):
            press(browser, digit, "Labelled")
        found = stored(kept)
        assert found["2"].disputed
        assert [one.label for one in found["2"].labels] == ["0", "2"]
        assert all(found[answer].label == "0" for answer in ("4", "1", "3"))


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/v1/samples/1", b'{"label": "x"}', "application/json", 400),
        ("/v1/samples/1", b'{"label": 7}', "application/json", 400),
        ("/v1/samples/1", b'{"label": "7", "writer": "eve"}', "application/json", 400),
        ("/v1/samples/1", b"[", "application/json", 400),
        ("/v1/samples/1", b'{"label": "\xff"}', "application/json", 400),
        ("/v1/samples/1", b'{"label": "7"}', "text/plain", 400),
        ("/v1/samples/99", b'{"label": "7"}', "application/json", 404),
        ("/v1/samples/x", b'{"label": "7"}', "application/json", 404),
        ("/v1/samples/" + "9" * 40, b'{"label": "7"}', "application/json", 404),
        ("/v1/samples/1", b'{"label": "7"}' + b" " * 2**25, "application/json", 413),
    ],
)
def test_what_is_no_label_is_refused(path: str, body: bytes, kind: str, status: int, kept: Path) -> None:
    with reviewing(kept) as service:
        answer = service.ask(path, body, kind=kind)
        assert answer.status == status
        assert answer.document["message"]
    assert stored(kept)["3"].labels == ()


def test_a_store_that_can_no_longer_be_used_is_told(kept: Path) -> None:
    with reviewing(kept) as service:
        path = kept / FILE
        # As a disk that loses what it was given.
        os.truncate(path.with_name(f"{FILE}-wal"), 0)
        path.write_bytes(b"lost" * 4096)
        answer = service.ask("/v1/samples/1", b'{"label": "7"}', kind="application/json")
        assert (answer.status, answer.document["error"]) == (503, "unusable-samples")
        assert answer.document["message"] == "The samples cannot be read or written; the log says why"
        # The log is not for everybody on the network.
        assert str(kept) not in answer.body.decode()


def test_another_name_another_site_and_no_token_are_refused(kept: Path, tmp_path: Path) -> None:
    with reviewing(kept) as service:
        assert service.ask("/v1/samples", host="evil.example").status == 421
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with reviewing(kept, "--token-file", str(token)) as service:
        assert service.ask("/v1/samples").status == 401
        assert service.ask("/").status == 200
        assert service.ask("/v1/samples", authorization=f"Bearer {TOKEN}").status == 200
