"""Pages as `edgemnist export --format web` writes them, opened in a browser on this machine and asked."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgemnist.errors import ArtifactError
from edgemnist.native.webassembly import describe_page
from edgemnist.runtimes.files import WEB_PAGE, read_model
from edgemnist.runtimes.interface import PROBES, ChunkedClassifier, as_images
from edgemnist.runtimes.pixels import Numbers, dequantize_scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgemnist.arrays import Images, Probabilities

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Programs with the options of Chromium, in the order in which they are looked for."""

_OPTIONS: Final = (
    *("--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
)
_SECONDS: Final = 120
"""That a browser may take for an answer: 10,000 images take it a few."""
_LINGER_S: Final = 3.0
_OPEN: Final = """
(async () => {
  while (!globalThis.edgemnist) {
    if (!(document.getElementById("alert")?.hidden ?? true)) throw new Error("the page gives up");
    await new Promise((go) => setTimeout(go, 5));
  }
  return "open";
})()
"""
_ASK: Final = """
const asked = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
Array.from(globalThis.edgemnist.answer(asked), (score) => score.toString(16).padStart(2, "0")).join("")
"""


def find_browser() -> str | None:
    """Return the program of a browser, or None if there is none that this system lets us talk to."""
    if os.name != "posix":
        return None
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def browser_name() -> str | None:
    """Return the name of the browser, or None if there is none."""
    found = find_browser()
    return None if found is None else Path(found).name


class BrowserClassifier(ChunkedClassifier):
    """The page of a network, as a phone opens it, in a browser on this machine.

    The browser starts, without a window, when the page is loaded, and ends with the classifier. Calls from several
    threads take turns.
    """

    def __init__(self, page: bytes, path: Path, *, labels: Sequence[str] | None = None) -> None:
        """`page` is the contents of the file, `path` names it in messages."""
        self._path, self._lock = path, threading.Lock()
        about = describe_page(page)
        if about is None:
            raise ArtifactError(
                f"{path} is not a page written by edgemnist", hint="Make one with: edgemnist export --format web"
            )
        self._decoded = dequantize_scores(Numbers(np.dtype(np.uint8), about.scale, about.zero_point))
        self._classes = len(about.labels)
        try:
            self._browser = _Browser()
            weakref.finalize(self, self._browser.close)
            self._browser.open(page)
        except (OSError, ValueError) as error:
            raise self._silent(error) from error
        self._set_up(path, about.labels if labels is None else labels, self._scores(PROBES))

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
    ) -> BrowserClassifier:
        """Open a page; see `Classifier.load`.

        One thread executes it, whatever `threads` is, and what its pixels mean is part of it.
        """
        del threads, input_range
        return cls(read_model(path, WEB_PAGE), path, labels=labels)

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return the class probabilities; see `Classifier.predict_proba`."""
        images = as_images(images)
        return self._answer(images) if len(images) else np.empty((0, self._classes), dtype=np.float32)

    def _scores(self, images: Images) -> Probabilities:
        asked = _ASK % base64.b64encode(images.tobytes()).decode()
        try:
            with self._lock:
                answered = self._browser.evaluate("{" + asked + "}")
            scores = np.frombuffer(bytes.fromhex(answered), dtype=np.uint8).reshape(len(images), self._classes)
        except (OSError, ValueError) as error:
            raise self._silent(error) from error
        return self._decoded.take(scores)

    def _silent(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"{self._path} does not answer in a browser: {error}",
            hint="Open it there, and see what it says. It needs WebAssembly with SIMD.",
        )


def remove_in_use(directory: Path) -> None:
    """Remove a directory into which the helpers of a browser that has ended write for a moment more."""
    until = time.monotonic() + _LINGER_S
    shutil.rmtree(directory, ignore_errors=True)
    while directory.exists() and time.monotonic() < until:
        time.sleep(_LINGER_S / 100)
        shutil.rmtree(directory, ignore_errors=True)


class _Browser:
    """A browser without a window, told what to do by messages of the Chrome DevTools Protocol through two pipes."""

    def __init__(self) -> None:
        program = find_browser()
        if program is None:
            raise OSError("there is none. Install one with: sudo apt install chromium")
        self._directory = tempfile.TemporaryDirectory(prefix="edgemnist-web-", ignore_cleanup_errors=True)
        # A browser refuses to be root unless it need not guard us from what it opens, which is our own.
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        (commands, self._commands), (self._answers, tells) = _pipe(), _pipe()
        # It reads what it is told from descriptor 3, and answers to 4.
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, commands, 3), (os.POSIX_SPAWN_DUP2, tells, 4)]
        actions += [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        try:
            arguments = [program, *_OPTIONS, *root, f"--user-data-dir={self._directory.name}/profile"]
            self._process = os.posix_spawn(program, arguments, os.environ, file_actions=actions)
        finally:
            os.close(commands)
            os.close(tells)
        self._number, self._session, self._read = 0, "", b""

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError):
            os.kill(self._process, signal.SIGTERM)
            os.waitpid(self._process, 0)
        os.close(self._commands)
        os.close(self._answers)
        remove_in_use(Path(self._directory.name))
        self._directory.cleanup()

    def open(self, page: bytes) -> None:
        """Open a page from disk, and wait until it is ready. Raises ValueError where it says that it cannot be."""
        file = Path(self._directory.name) / "digit.html"
        file.write_bytes(page)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")
        self._ask("Page.navigate", url=file.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.evaluate(_OPEN)

    def evaluate(self, expression: str) -> str:
        """Return what an expression of JavaScript comes to on the page.

        Raises ValueError if that is not text, and OSError if the browser has gone.
        """
        found = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        value = found["result"].get("value")
        if not isinstance(value, str):
            thrown = found.get("exceptionDetails", {}).get("exception", {})
            raise ValueError(thrown.get("description", "it says nothing").splitlines()[0])  # noqa: TRY004
        return value

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        left = memoryview(json.dumps(message).encode() + b"\0")
        while left:
            left = left[os.write(self._commands, left) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ValueError(answer["error"]["message"])
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        """Return the next message; they end in a zero byte."""
        parts = [self._read]
        while b"\0" not in parts[-1]:
            if not select.select([self._answers], [], [], _SECONDS)[0]:
                raise OSError(f"it has said nothing for {_SECONDS} seconds")
            part = os.read(self._answers, 2**20)
            if not part:
                raise OSError("it has ended")
            parts.append(part)
        message, _, self._read = b"".join(parts).partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded


def _pipe() -> tuple[int, int]:
    """Return a pipe's two ends, both beyond the descriptors 3 and 4."""
    import fcntl

    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
