"""Take `docs/images/learn.png`: an answer is corrected on a phone, and the digit comes up in the review.

python -m benchmarks.learn.picture
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks.photograph import photograph, save_side_by_side
from tests.browser import chromium, draw, show

ONE = [(-0.28, 0.1), (0.1, -0.3), (0.1, 0.3)]
"""A 1 with a long upstroke, which MNIST's writers do not make: points from the middle of the pad, as shares of its
side."""


def main() -> None:
    """Draw, correct, review, and photograph each."""
    with tempfile.TemporaryDirectory() as samples, chromium() as browser:
        with running("serve", "--collect", samples) as page:
            show(browser, page, "phone")
            wait(browser, "artifact")
            draw(browser, ONE)
            wait(browser, "correct")
            browser.execute_script("document.getElementById('correct').scrollIntoView({block: 'end'})")
            time.sleep(1)
            shots = [photograph(browser)]
            browser.find_element(By.XPATH, "//*[@id='correct-keys']/button[text()='1']").click()
            time.sleep(1)
        with running("review", samples, "--as", "anna") as page:
            show(browser, page, "phone")
            wait(browser, "sample")
            time.sleep(1)
            shots.append(photograph(browser))
    save_side_by_side(shots, "learn.png")


@contextlib.contextmanager
def running(*command: str) -> Iterator[str]:
    """Run a command that serves a page, and give the page's address."""
    line = [sys.executable, "-m", "edgemnist", *command, "--port", "0", "--json"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    decoder, text = json.JSONDecoder(), ""
    try:
        while process.stdout is not None and (more := process.stdout.readline()):
            text += more
            with contextlib.suppress(json.JSONDecodeError):
                yield str(decoder.decode(text)["url"])
                break
    finally:
        process.terminate()
        process.wait()


def wait(browser: Chrome, name: str) -> None:
    """Wait until an element is there to be used."""

    def ready(driver: Chrome) -> bool:
        element = driver.find_element(By.ID, name)
        return element.is_displayed() and element.is_enabled()

    WebDriverWait(browser, 60).until(ready)


if __name__ == "__main__":
    main()
