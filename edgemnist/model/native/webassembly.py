"""The engine for web pages: WebAssembly, which comes compiled with the package, and a network as it takes it.

Pages as `edgemnist export --format web` writes them are opened in a browser on this machine and asked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import shutil
import signal
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.layout import Rows, lay_out
from edgemnist.model.native.network import Network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW
from edgemnist.model.runtimes import WEB_PAGE
from edgemnist.model.runtimes.interface import ChunkedClassifier, not_a_classifier
from edgemnist.model.runtimes.pixels import Numbers, dequantize_scores
from edgemnist.model.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgemnist.ground.arrays import Images, Probabilities

ENGINE: Final = Path(__file__).with_name("engine.wasm")
"""Made by `python -m edgemnist.model.native wasm`, always the same bytes from the same sources and compiler."""
GROUP: Final = 2
SMALL_BLOCK: Final = 16
BLOCK: Final = 32
"""As in `kernel_wasm.c`."""

_MODEL: Final = MODEL.packed()
_LAYER: Final = LAYER.packed()
_WINDOW: Final = WINDOW.packed()
_ALIGNMENT: Final = 16


@dataclass(frozen=True, kw_only=True)
class About:
    """What a page says of itself, in the element `carried-about`."""

    version: str
    """Of edgemnist."""
    name: str
    """Of the artifact."""
    labels: list[str]
    """Of its classes; none where it answers with numbers."""
    scale: float
    zero_point: int
    """What a step of an answer is worth, and the one that stands for 0."""
    logits: bool
    """Whether a softmax makes probabilities of the scores."""
    sigmoids: bool = False
    """Whether the scores divided by their sum are the probabilities."""
    model_sha256: str
    tflite_sha256: str
    """Of the TFLite file that answers the same bits."""
    inputs: int = 0
    """How many numbers one input has; 0 in an early page that does not say it."""
    outputs: int = 0
    """How many numbers it answers with; 0 for as many as there are labels."""
    task: Task | None = None
    """What it is for; None for the default task."""
    step: float = 1.0
    zero: int = 0
    """The same of its input, where numbers become bytes first."""
    away: bool = False
    """Whether halves become bytes away from zero, as in QUANTIZE, and not up."""
    rounding: str = "single"
    """The rule of its network."""


def describe_page(page: bytes) -> About | None:
    """Return what a page of ours says of itself, or None for another file."""
    found = re.search(rb'<script type="application/json" id="carried-about">(.*?)</script>', page)
    try:
        return msgspec.json.decode(found[1], type=About) if found else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def pack_network(network: Network) -> bytes:
    """Return a network as `edgemnist_open` takes it: structures and tables, with offsets in the place of pointers."""
    laid = lay_out(network, group=GROUP, block=BLOCK, small_block=SMALL_BLOCK, rows=Rows.WHOLE, alignment=_ALIGNMENT)
    layers_at = _aligned(_MODEL.size)
    windows_at = layers_at + len(laid.layers) * _LAYER.size
    # What leads to the tables comes before them.
    data = bytearray(windows_at + len(laid.windows) * _WINDOW.size)

    def add(table: npt.NDArray[Any] | None) -> int:
        """Add a table; return where it begins, or 0 for none."""
        if table is None:
            return 0
        data.extend(bytes(_aligned(len(data)) - len(data)))
        start = len(data)
        data.extend(table.astype(table.dtype.newbyteorder("<"), copy=False).tobytes())
        return start

    pixel_map = add(laid.pixel_map)
    layers = b"".join(_LAYER.pack(*map(add, layer.tables.values()), *layer.numbers.values()) for layer in laid.layers)
    windows = b"".join(_WINDOW.pack(*window.values()) for window in laid.windows)
    head = _MODEL.pack(pixel_map, layers_at, windows_at if windows else 0, *laid.numbers.values())
    data[: len(head)] = head
    data[layers_at : layers_at + len(layers + windows)] = layers + windows
    return bytes(data)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Programs with the options of Chromium, in the order in which they are looked for."""

_OPTIONS: Final = (
    *("--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
)
_SECONDS: Final = 120
"""That a browser may take for an answer: 10,000 images take it a few."""
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
const takes = globalThis.edgemnist.about.task?.input.dtype === "float32" ? new Float32Array(asked.buffer) : asked;
Array.from(globalThis.edgemnist.answer(takes), (score) => score.toString(16).padStart(2, "0")).join("")
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

    formats = (WEB_PAGE,)

    def _take(self, source: bytes, spec: InputSpec | None) -> Callable[[], str]:
        self._lock, about = threading.Lock(), describe_page(source)
        if about is None:
            raise ArtifactError(
                f"{self._file} is not a page written by edgemnist", hint="Make one with: edgemnist export --format web"
            )
        self._decoded = dequantize_scores(Numbers(np.dtype(np.uint8), about.scale, about.zero_point))
        self._classes = about.outputs or len(about.labels)
        self.spec = spec or (about.task.input if about.task else self.spec)
        if about.inputs not in {self.spec.size, 0}:
            raise not_a_classifier(self._file, f"its input has {about.inputs:,} numbers", self.spec)
        if self._is_numbers is None:
            self._is_numbers = not about.labels
        try:
            self._browser = _Browser()
            weakref.finalize(self, self._browser.close)
            self._browser.open(source)
        except (OSError, ValueError) as error:
            raise self._silent(error) from error
        if self._labels is None and not self._is_numbers:
            self._labels = about.labels
        return lambda: "sigmoid"  # the last of one number for two classes

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
            f"{self._file} does not answer in a browser: {error}",
            hint="Open it there, and see what it says. It needs WebAssembly with SIMD.",
        )


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
            self._process = os.posix_spawn(program, arguments, os.environ, file_actions=actions, setpgroup=0)
        finally:
            os.close(commands)
            os.close(tells)
        self._number, self._session, self._read = 0, "", b""

    def close(self) -> None:
        """End the browser, with its helpers, which would write to its directory a moment longer."""
        with contextlib.suppress(OSError):
            os.killpg(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self._commands)
        os.close(self._answers)
        self._directory.cleanup()

    def open(self, page: bytes) -> None:
        """Open a page from disk, and wait until it is ready. Raises ValueError where it says that it cannot be."""
        file = Path(self._directory.name) / "page.html"
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
            raise ValueError(thrown.get("description", "it says nothing").splitlines()[0])  # noqa: TRY004 - the page is at fault
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
