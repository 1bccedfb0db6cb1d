"""The service that answers with the current release, if there is one: restart it, and wait until it is healthy."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
_ANSWER_S = 60.0
"""Of systemctl: a busy Pi Zero takes seconds."""
_MOST_BYTES = 1 << 16
"""Of a health answer; `edgemnist serve` answers with less than 1 KB."""
_SCHEMES = ("http://", "https://", "file://")


@dataclass(frozen=True)
class BoardService:
    """How to restart the service and how to see that it is healthy."""

    restart: list[str]
    """The command; empty if there is no service."""
    health: str = HEALTH
    """Address that answers 200, with the `release` in JSON, when the service is healthy."""
    timeout_s: float = TIMEOUT_S
    """For the restart and the health together."""

    def activate(self, release: str) -> None:
        """Restart the service and wait until it answers; do nothing if there is none.

        The answer is JSON and names this `release`: an old process that never went away would answer as well. Raises
        GateMissedError if the service does not come up.
        """
        if not self.restart:
            return
        deadline = time.monotonic() + self.timeout_s
        try:
            done = _run(self.restart, self.timeout_s)
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            raise GateMissedError(f"The service cannot be restarted: {error}") from error
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            reason = lines[-1].rstrip(".") if lines else done.returncode
            raise GateMissedError(f"The service cannot be restarted: {reason}")
        while reason := self._why_unhealthy(release, max(_POLL_S, min(_REQUEST_S, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise GateMissedError(f"The service did not come up within {self.timeout_s:g} s: {reason}")
            time.sleep(_POLL_S)

    def _why_unhealthy(self, release: str, timeout_s: float) -> str:
        """Return why the service is not healthy; empty if it is."""
        try:
            with urllib.request.urlopen(self.health, timeout=timeout_s) as response:  # noqa: S310 - the board's owner names it
                body = response.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            return f"{self.health} answers {error.code}"
        except Exception as error:  # noqa: BLE001 - whatever a broken answer makes of the library, the service is not healthy
            return f"{self.health}: {str(error) or type(error).__name__}"
        document = None
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(body)
        named = document.get("release") if isinstance(document, dict) else None
        if named is None:
            return f"{self.health} does not say which release answers"
        return "" if named == release else f"{self.health} still answers from release {named}"


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    # What a timer of the system started has no session, without which `systemctl --user` does not find its manager.
    env = {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **os.environ}
    return subprocess.run(
        command, check=False, env=env, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL
    )


def find_service(settings: Path) -> BoardService:
    """Return the service that `board.toml` describes, else the systemd unit `edgemnist`, the user's own first.

    Raises DeployError if `board.toml` cannot be used, or systemd does not say what there is.
    """
    if settings.is_file():
        return _configured(settings)
    for scope in (["--user"], []):
        command = ["systemctl", *scope]
        # Without systemd there is no unit. One that was started by hand answers as well.
        with contextlib.suppress(OSError):
            if any(_says_yes([*command, question, UNIT]) for question in ("is-enabled", "is-active")):
                return BoardService([*command, "restart", UNIT])
    return BoardService([])


def _says_yes(question: list[str]) -> bool:
    try:
        return _run(question, _ANSWER_S).returncode == 0
    except subprocess.TimeoutExpired as error:
        raise DeployError(
            f"systemctl on the board did not answer within {_ANSWER_S:g} s, so nobody knows which service to restart",
            hint="Try again when the board is less busy, or name the service in board.toml.",
        ) from error


def _configured(settings: Path) -> BoardService:
    import tomllib

    try:
        return _checked(tomllib.loads(settings.read_text(encoding="utf-8")).get("service", {}))
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise DeployError(
            f"{settings} on the board cannot be used: {error}",
            hint='It should read: [service]  restart = ["systemctl", "restart", "edgemnist"]',
        ) from error


def _checked(table: object) -> BoardService:
    """Return the service of a table of settings. Raises ValueError or TypeError for what could not work."""
    if not isinstance(table, dict):
        raise TypeError(f"service must be a table (got {table!r})")
    if unknown := set(table) - {"restart", "health", "timeout"}:
        raise ValueError(f"[service] has no setting {min(unknown)}")
    restart, health = table.get("restart", []), table.get("health", HEALTH)
    timeout = table.get("timeout", TIMEOUT_S)
    if not isinstance(restart, list) or not all(isinstance(word, str) for word in restart):
        raise ValueError("restart must be a list of words")
    if not isinstance(health, str) or not health.startswith(_SCHEMES):
        raise ValueError(f"health must be an address that begins with http:// (got {health!r})")
    # Reading the port raises ValueError if it is not a number from 0 to 65535.
    _ = urllib.parse.urlsplit(health).port
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= _MOST_TIMEOUT_S:
        raise ValueError(f"timeout must be a number of seconds above 0, {_MOST_TIMEOUT_S:,.0f} at most (got {timeout})")
    return BoardService(restart, health, float(timeout))
