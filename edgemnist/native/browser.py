"""Pages as `edgemnist export --format web` writes them, opened in a browser on this machine and asked."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from edgemnist.errors import ArtifactError
from edgemnist.native.webassembly import describe_page
from edgemnist.runtimes.files import WEB_PAGE, read_model
from edgemnist.runtimes.interface import PROBES, ChunkedClassifier, as_images

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
"""That a browser may take for a call: 10,000 images take it two."""
_ASK: Final = """
(async () => {
  while (!globalThis.edgemnist) {
    if (!(document.getElementById("alert")?.hidden ?? true)) return document.getElementById("alert").textContent;
    await new Promise((go) => setTimeout(go, 5));
  }
  const images = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
  return Array.from(globalThis.edgemnist.answer(images), (score) => score.toString(16).padStart(2, "0")).join("");
})()
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

    Each call starts the browser, which takes about a second, however many images it brings.
    """

    def __init__(self, page: bytes, path: Path, *, labels: Sequence[str] | None = None) -> None:
        """`page` is the contents of the file, `path` names it in messages."""
        self._page, self._path = page, path
        about = describe_page(page)
        if about is None:
            raise ArtifactError(
                f"{path} is no page that edgemnist has written", hint="Make one with: edgemnist export --format web"
            )
        self._decoded = np.float32(about.scale) * (np.arange(256, dtype=np.float32) - np.float32(about.zero_point))
        self._classes = len(about.labels)
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
        with tempfile.TemporaryDirectory(prefix="edgemnist-web-", ignore_cleanup_errors=True) as directory:
            page = Path(directory) / "digit.html"
            page.write_bytes(self._page)
            try:
                with _Browser(Path(directory) / "profile") as browser:
                    answered = browser.evaluate(page.as_uri(), asked)
                scores = np.frombuffer(bytes.fromhex(answered), dtype=np.uint8).reshape(len(images), self._classes)
            except (OSError, ValueError) as error:
                raise ArtifactError(
                    f"{self._path} does not answer in a browser: {error}",
                    hint="Open it there, and see what it says. It needs WebAssembly with SIMD.",
                ) from error
        return self._decoded.take(scores)


class _Browser:
    """A browser without a window, told what to do by messages of the Chrome DevTools Protocol through two pipes."""

    def __init__(self, profile: Path) -> None:
        program = find_browser()
        if program is None:
            raise OSError("there is none. Install one with: sudo apt install chromium")
        # A browser refuses to be root unless it need not guard us from what it opens, which is our own.
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        (commands, told), (answers, tells) = _pipe(), _pipe()
        # It reads what it is told from descriptor 3, and answers to 4.
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, commands, 3), (os.POSIX_SPAWN_DUP2, tells, 4)]
        actions += [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        try:
            arguments = [program, *_OPTIONS, *root, f"--user-data-dir={profile}"]
            self._process = os.posix_spawn(program, arguments, os.environ, file_actions=actions)
        finally:
            os.close(commands)
            os.close(tells)
        self._commands, self._answers = os.fdopen(told, "wb"), os.fdopen(answers, "rb")
        self._number = 0
        self._timer = threading.Timer(_SECONDS, self._kill)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A browser that hangs is ended by the timer.
        with contextlib.suppress(OSError, ValueError):
            self._ask("Browser.close")
        os.waitpid(self._process, 0)
        self._timer.cancel()
        self._answers.close()
        with contextlib.suppress(OSError):
            self._commands.close()

    def _kill(self) -> None:
        os.kill(self._process, signal.SIGKILL)

    def evaluate(self, address: str, expression: str) -> str:
        """Open a page, and return what an expression of JavaScript comes to there.

        Raises ValueError where that is no text, and OSError where the browser is gone.
        """
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable", session)
        self._ask("Page.navigate", session, url=address)
        while self._next().get("method") != "Page.loadEventFired":
            pass
        options = {"awaitPromise": True, "returnByValue": True}
        found = self._ask("Runtime.evaluate", session, expression=expression, **options)
        value = found["result"].get("value")
        if not isinstance(value, str):
            raise ValueError(found.get("exceptionDetails", {}).get("text", "it says nothing"))  # noqa: TRY004
        return value

    def _ask(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ValueError(answer["error"]["message"])
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        """Return the next message; they end in a zero byte."""
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\0"):
            part = self._answers.peek()
            end = part.find(b"\0")
            part = self._answers.read(end + 1 if end >= 0 else len(part))
            if not part:
                raise OSError("the browser has ended")
            parts.append(part)
        message: dict[str, Any] = json.loads(b"".join(parts)[:-1])
        return message


def _pipe() -> tuple[int, int]:
    """Return a pipe's two ends, both beyond the descriptors 3 and 4."""
    import fcntl

    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
