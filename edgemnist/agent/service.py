"""The service that answers with the current release, if there is one: restart it, and wait until it is healthy."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgemnist.errors import DeployError, GateMissedError

if TYPE_CHECKING:
    from pathlib import Path


UNIT = "edgemnist.service"
HEALTH = "http://127.0.0.1:8000/healthz"
TIMEOUT_S = 30.0
_MOST_TIMEOUT_S = 86_400.0
"""A day: with much more the system's own clocks overflow, and that is noticed after the switch."""
_POLL_S = 0.1
_REQUEST_S = 5.0
_MOST_BYTES = 1 << 16
"""Of a health answer; `edgemnist serve` answers with less than 1 KB."""
_MOST_CHARACTERS = 200
"""Of what a message repeats from elsewhere."""
_SCHEMES = ("http://", "https://", "file://")


@dataclass(frozen=True)
class BoardService:
    """How to restart the service and how to see that it is healthy."""

    restart: list[str]
    """The command; empty if there is no service."""
    health: str = HEALTH
    """Address that answers 200 when the service is healthy."""
    timeout_s: float = TIMEOUT_S
    """For the restart and the health together."""

    def activate(self, release: str) -> None:
        """Restart the service and wait until it answers; do nothing if there is none.

        If the answer is JSON and names its `release`, it must be this one: an old process that never went away would
        answer as well. Raises GateMissedError, and nothing else, if the service does not come up.
        """
        if not self.restart:
            return
        deadline = time.monotonic() + self.timeout_s
        try:
            done = subprocess.run(
                self.restart, check=False, capture_output=True, timeout=self.timeout_s, stdin=subprocess.DEVNULL
            )
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            raise GateMissedError(f"The service cannot be restarted: {error}") from error
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            raise GateMissedError(f"The service cannot be restarted: {lines[-1] if lines else done.returncode}")
        while reason := self._why_unhealthy(release, deadline):
            if time.monotonic() >= deadline:
                raise GateMissedError(f"The service did not come up within {self.timeout_s:g} s: {reason}")
            time.sleep(_POLL_S)

    def _why_unhealthy(self, release: str, deadline: float) -> str:
        """Return why the service is not healthy; empty if it is."""
        # A service that sends a byte a second never runs into a timeout of its socket: only a clock ends the wait.
        wait = max(_POLL_S, min(_REQUEST_S, deadline - time.monotonic()))
        answer: list[str] = []
        asking = threading.Thread(target=lambda: answer.append(self._ask(release, wait)), daemon=True)
        asking.start()
        asking.join(wait)
        return answer[0] if answer else f"{self.health} did not answer within {wait:.1f} s"

    def _ask(self, release: str, timeout_s: float) -> str:
        try:
            with urllib.request.urlopen(self.health, timeout=timeout_s) as response:  # noqa: S310 - the board's owner names it
                body = response.read(_MOST_BYTES + 1)
                # What is missing raises nothing where only a part was asked for.
                missing = len(body) <= _MOST_BYTES and getattr(response, "length", None)
                # One that is no number is to the library as if there were none.
                missing = missing or not re.fullmatch("[0-9]{1,18}", response.headers.get("Content-Length", "0"))
                # In a body that was encoded, which nobody asked for, no release can be read.
                encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
                broken = any("\0" in value for value in response.headers.values())
                wrong = "the answer is encoded" if encoded else "a header has a NUL" if broken else ""
            document = None
            # A service may answer what is not JSON, too.
            with contextlib.suppress(ValueError):
                document = json.loads(body)
        except urllib.error.HTTPError as error:
            return f"{self.health} answers {error.code}"
        except Exception as error:  # noqa: BLE001 - whatever a broken answer makes of the library, the service is not healthy
            return f"{self.health}: {str(error)[:_MOST_CHARACTERS] or type(error).__name__}"
        if missing or wrong:
            return f"{self.health}: {wrong or 'the answer is cut short'}"
        if len(body) > _MOST_BYTES:
            return f"{self.health} answers with more than {_MOST_BYTES:,} bytes"
        if isinstance(document, dict) and document.get("release", release) != release:
            return f"{self.health} still answers from release {str(document['release'])[:_MOST_CHARACTERS]}"
        return ""


def find_service(settings: Path) -> BoardService:
    """Return the service that `board.toml` describes, else the systemd unit `edgemnist`, the user's own first.

    Raises DeployError if `board.toml` cannot be used.
    """
    if settings.is_file():
        return _configured(settings)
    for scope in (["--user"], []):
        command = ["systemctl", *scope]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            enabled = subprocess.run(
                [*command, "is-enabled", UNIT], check=False, capture_output=True, timeout=_REQUEST_S
            )
            if enabled.returncode == 0:
                return BoardService([*command, "restart", UNIT])
    return BoardService([])


def _configured(settings: Path) -> BoardService:
    import tomllib

    try:
        return _checked(tomllib.loads(settings.read_text(encoding="utf-8")).get("service", {}))
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise DeployError(
            f"{settings} on the board cannot be used: {error}",
            hint='It should read: [service]  restart = ["systemctl", "restart", "edgemnist"]',
        ) from error


def _checked(table: dict[str, Any]) -> BoardService:
    """Return the service of a table of settings. Raises ValueError for what could not work after the switch."""
    if unknown := set(table) - {"restart", "health", "timeout"}:
        raise ValueError(f"[service] has no setting {min(unknown)}")
    restart, health = table.get("restart", []), table.get("health", HEALTH)
    timeout = table.get("timeout", TIMEOUT_S)
    if not isinstance(restart, list) or not all(isinstance(word, str) and "\0" not in word for word in restart):
        raise ValueError("restart must be a list of words")
    if not isinstance(health, str) or not health.startswith(_SCHEMES) or not health.isprintable() or " " in health:
        raise ValueError(f"health must be an address that begins with http:// (got {str(health)[:_MOST_CHARACTERS]!r})")
    # Raises ValueError for an address or a port that is none.
    _ = urllib.parse.urlsplit(health).port
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= _MOST_TIMEOUT_S:
        raise ValueError(
            f"timeout must be a number of seconds above 0, {_MOST_TIMEOUT_S:,.0f} at most "
            f"(got {str(timeout)[:_MOST_CHARACTERS]})"
        )
    return BoardService(restart, health, float(timeout))
