"""Take `docs/images/learn.png`: a wrong answer on a phone, its digit in the review, and the answer of what has learnt.

python -m benchmarks.learn.picture

The writer is that of the tests: 20 digits are drawn and corrected, labelled in the review, and learnt from.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks.learn.writing import MISREAD, Writer, confirm, correct_wrong, drawn, open_pad, running
from benchmarks.photograph import photograph, save_side_by_side
from tests.browser import chromium, show


def main() -> None:
    """Draw, correct, review, learn, draw once more, and photograph."""
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        directory = Path(place)
        writer = Writer()
        with running(["serve", "--collect", "samples", "--port", "0", "--json"], directory, {}) as started:
            open_pad(browser, started["url"])
            drawn(browser, writer.draws(MISREAD))
            browser.execute_script("document.getElementById('correct').scrollIntoView({block: 'end'})")
            time.sleep(1)
            shots = [photograph(browser)]
            correct_wrong(browser, writer)
        with running(["review", "samples", "--as", "anna", "--port", "0", "--json"], directory, {}) as started:
            show(browser, started["url"], "phone")
            WebDriverWait(browser, 60).until(lambda found: found.find_element(By.ID, "sample").is_displayed())
            time.sleep(1)
            shots.append(photograph(browser))
            confirm(browser, started["url"])
        command = [sys.executable, "-m", "edgemnist", "learn", "--exports", "reference"]
        subprocess.run(command, cwd=directory, check=True)
        with running(["serve", "--exports", "learned", "--port", "0", "--json"], directory, {}) as started:
            open_pad(browser, started["url"])
            drawn(browser, writer.draws(MISREAD), corrected=False)
            browser.execute_script("window.scrollTo(0, 0)")
            time.sleep(1)
            shots.append(photograph(browser))
    save_side_by_side(shots, "learn.png")


if __name__ == "__main__":
    main()
