"""Real artifacts with everything known about them, and a browser to look at the report."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.conftest import run_edgemnist

INSTALL = Path(__file__).with_name("install-chromium.sh")


@pytest.fixture(scope="session")
def known_exports(made_exports: Path, shared_directory: Path) -> Path:
    """Artifacts that have been trained, exported, verified layer by layer and measured. Read only."""
    exports = shared_directory / "known"
    with FileLock(shared_directory / "known.lock"):
        if not (exports / "bench.json").exists():
            shutil.copytree(made_exports, exports, dirs_exist_ok=True)
            bench = ["bench", "--no-keras", "--samples", "100", "--seconds", "0", "--rounds", "1", "--repeats", "0"]
            for command in (["verify", "--layers"], bench):
                done = run_edgemnist(*command, "--exports", exports, cwd=shared_directory)
                # A network this small may miss a gate, and that is worth showing, too.
                assert done.returncode in {0, 1}, done.stderr
                assert (exports / f"{command[0]}.json").exists(), done.stderr
    return exports


@pytest.fixture(scope="session")
def browser(shared_directory: Path) -> Iterator[Chrome]:
    """A headless Chromium that keeps what pages write to its console."""
    with FileLock(shared_directory / "chromium.lock"):
        subprocess.run([INSTALL], check=True)
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
