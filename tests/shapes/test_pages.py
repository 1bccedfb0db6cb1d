"""The pages of models of other shapes in a real Chromium: what is asked, corrected and reviewed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from edgemnist.field.samples.store import SampleStore
from tests.browser import console, show, text, until
from tests.patience import PATIENCE_S
from tests.serve.service import first_document, serving
from tests.shapes.made import LABELS, make_exports


def find(browser: Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


@contextmanager
def reviewing(samples: Path) -> Iterator[str]:
    """Run the review for as long as the body runs."""
    command = [sys.executable, "-m", "edgemnist", "review", str(samples), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield str(first_document(process)["url"])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def ask(browser: Chrome, name: str, inputs: list[object], picture: Path) -> None:
    """Ask about the first input of a golden pack as a person would: with a file, or with numbers."""
    if name == "meter":
        find(browser, "ask-file").send_keys(str(picture))
    else:
        find(browser, "ask-numbers").send_keys(json.dumps(inputs))
        find(browser, "ask-form").find_element(By.TAG_NAME, "button").click()


@pytest.mark.parametrize(("name", "window"), [("meter", "desktop"), ("row", "phone"), ("numbers", "desktop")])
def test_a_picture_or_numbers_are_asked_corrected_and_reviewed(
    name: str, window: str, browser: Chrome, tmp_path: Path
) -> None:
    numbers = name == "numbers"
    exports = make_exports(tmp_path / "made", "long" if numbers else name, numbers=numbers)
    golden, picture = exports.read_golden(), tmp_path / "picture.png"
    if name == "meter":
        Image.fromarray(golden.images[0]).save(picture)
    samples = tmp_path / "samples"
    with serving(exports.directory, "--rate", "0", *([] if numbers else ["--collect", str(samples)])) as service:
        show(browser, service.url, window)
        until(browser, lambda: browser.find_elements(By.ID, "panel-ask"))
        assert not browser.find_elements(By.ID, "pad")
        ask(browser, name, golden.images[0].tolist(), picture)
        until(browser, lambda: "Answered" in text(browser, "status"))
        assert find(browser, "seen").is_displayed()
        assert Axe().run(browser)["violations"] == []
        if numbers:
            assert text(browser, "answer") == "5 numbers"
            return
        expected = LABELS[int(golden.probabilities[0].argmax())]
        assert text(browser, "answer") == expected
        bars = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#bars .label")]
        assert bars == [LABELS[index] for index in golden.probabilities[0].argsort()[::-1]]
        (other, *_, none) = find(browser, "correct-keys").find_elements(By.TAG_NAME, "button")
        assert none.text == "none of these"
        corrected = other.text
        other.click()
        until(browser, lambda: f"Kept as {corrected}" in text(browser, "correct-words"))
    with reviewing(samples) as url:
        show(browser, url, window)
        until(browser, lambda: find(browser, "review").is_displayed())
        keys = [one.text.split()[-1] for one in find(browser, "keys").find_elements(By.TAG_NAME, "button")]
        assert keys == [label.split()[-1] for label in LABELS]
        assert Axe().run(browser)["violations"] == []
        find(browser, "reveal").click()
        assert f"answered {expected}" in text(browser, "answer")
        browser.find_element(By.TAG_NAME, "body").send_keys("3")
        until(browser, lambda: f"Labelled {LABELS[2]}" in text(browser, "status"))
    with SampleStore.open(samples) as store:
        (sample,) = store.samples()
    assert sample.pixels == golden.images[0].tobytes()
    assert {label.label for label in sample.labels} == {corrected, LABELS[2]}
    assert not console(browser)
