"""A real Firefox, told what to do in WebDriver BiDi, which it speaks itself: Debian has no geckodriver for Selenium."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocket, create_connection

from tests.needs import require
from tests.patience import PATIENCE_S

CALL = "async (given) => JSON.stringify((await (async function () {%s}).apply(null, JSON.parse(given))) ?? null)"


@pytest.fixture(scope="session")
def firefox() -> Iterator[Firefox]:
    """A headless Firefox that keeps what pages write to its console."""
    require("firefox")
    with open_firefox() as browser:
        yield browser


@contextlib.contextmanager
def open_firefox() -> Iterator[Firefox]:
    """Open it for as long as the body runs."""
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as home:
        profile = Path(home, "profile")
        profile.mkdir()
        command = ["firefox", "--headless", "--profile", str(profile), "--remote-debugging-port", "0"]
        # A home of its own: to root, Firefox refuses that of another user.
        environment = os.environ | {"HOME": home}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
            try:
                with contextlib.closing(connect(profile / "WebDriverBiDiServer.json", process)) as socket:
                    yield Firefox(socket)
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE_S)
                process.kill()


def connect(address: Path, process: subprocess.Popen[bytes]) -> WebSocket:
    """Wait until Firefox has written the file that says where it listens, and go there."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            at = json.loads(address.read_text())
            # Firefox turns away whatever names an origin: that would be a page.
            url = f"ws://{at['ws_host']}:{at['ws_port']}/session"
            return create_connection(url, timeout=PATIENCE_S, suppress_origin=True)
        time.sleep(0.05)
    raise OSError("Firefox does not start")


class Firefox:
    """One tab."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket, self._number = socket, 0
        self.console: list[str] = []
        """What pages have written there, and the exceptions that nobody caught."""
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self._tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **parameters: Any) -> Any:
        """Return the result of a command of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "log.entryAdded":
                self.console.append(f"{message['params']['level']}: {message['params']['text']}")
            if message.get("id") == self._number:
                assert message["type"] == "success", message
                return message["result"]

    def open(self, address: str) -> None:
        self.console.clear()
        self.ask("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what the body of a function in JavaScript returns, as Selenium's `execute_script` does."""
        given = [{"type": "string", "value": json.dumps(arguments)}]
        target = {"context": self._tab}
        found = self.ask(
            "script.callFunction", functionDeclaration=CALL % script, arguments=given, target=target, awaitPromise=True
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def wait(self, condition: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < until, f"not yet: {condition}; console: {self.console}"
            time.sleep(0.02)

    def draw(self, selector: str, stroke: list[tuple[float, float]], *, pointer: str = "mouse") -> None:
        """Press, move and let go on an element; points are shares of its width, counted from its middle."""
        locator = {"type": "css", "value": selector}
        (node,) = self.ask("browsingContext.locateNodes", context=self._tab, locator=locator)["nodes"]
        width = self.run("return document.querySelector(arguments[0]).clientWidth", selector)
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        first, *rest = [
            {"type": "pointerMove", "x": round(x * width), "y": round(y * width), "origin": origin, "duration": 20}
            for x, y in stroke
        ]
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        actions = [first, press[0], *rest, press[1]]
        hand = {"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}, "actions": actions}
        self.ask("input.performActions", context=self._tab, actions=[hand])
