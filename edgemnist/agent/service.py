"""The service that answers with the current release, if there is one: restart it, and wait until it is healthy."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgemnist.errors import DeployError, GateMissedError

if TYPE_CHECKING:
    from pathlib import Path


UNIT = "edgemnist.service"
HEALTH = "http://127.0.0.1:8000/healthz"
TIMEOUT_S = 30.0
_POLL_S = 0.1
_REQUEST_S = 5


@dataclass(frozen=True)
class BoardService:
    """How to restart the service and how to see that it is well."""

    restart: list[str]
    """The command; empty where there is no service."""
    health: str = HEALTH
    """Address that answers 200 when the service is well."""
    timeout_s: float = TIMEOUT_S
    """For the restart, and again for the health."""

    def activate(self, release: str) -> None:
        """Restart the service and wait until it answers; do nothing where there is none.

        Where the answer is JSON and names its `release`, it has to be this one: an old process that never went away
        would answer as well. Raises GateMissedError where the service does not come up.
        """
        if not self.restart:
            return
        try:
            done = subprocess.run(
                self.restart, check=False, capture_output=True, text=True, timeout=self.timeout_s,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (subprocess.TimeoutExpired, OSError) as error:
            raise GateMissedError(f"The service cannot be restarted: {error}") from error
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise GateMissedError(f"The service cannot be restarted: {lines[-1] if lines else done.returncode}")
        deadline = time.monotonic() + self.timeout_s
        while reason := self._why_unhealthy(release):
            if time.monotonic() >= deadline:
                raise GateMissedError(f"The service did not come up within {self.timeout_s:g} s: {reason}")
            time.sleep(_POLL_S)

    def _why_unhealthy(self, release: str) -> str:
        """Return why the service is not well, or nothing."""
        try:
            with urllib.request.urlopen(self.health, timeout=_REQUEST_S) as response:  # noqa: S310 - the board's owner names it
                body = response.read()
        except urllib.error.HTTPError as error:
            return f"{self.health} answers {error.code}"
        except OSError as error:
            return f"{self.health}: {error}"
        with contextlib.suppress(ValueError):
            document = json.loads(body)
            if isinstance(document, dict) and document.get("release", release) != release:
                return f"{self.health} still answers from release {document['release']}"
        return ""


def find_service(settings: Path) -> BoardService:
    """Return the service that `board.toml` describes, else the systemd unit `edgemnist`, the user's own first.

    Raises DeployError where `board.toml` cannot be used.
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
        table = tomllib.loads(settings.read_text(encoding="utf-8")).get("service", {})
        known = {"restart", "health", "timeout"}
        if unknown := set(table) - known:
            raise ValueError(f"[service] has no setting {min(unknown)}")  # noqa: TRY301 - all end in one message
        restart = table.get("restart", [])
        if not isinstance(restart, list) or not all(isinstance(word, str) for word in restart):
            raise ValueError("restart is not a list of words")  # noqa: TRY301 - as above
        return BoardService(restart, str(table.get("health", HEALTH)), float(table.get("timeout", TIMEOUT_S)))
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise DeployError(
            f"{settings} on the board cannot be used: {error}",
            hint='It reads: [service]  restart = ["systemctl", "restart", "edgemnist"]',
        ) from error
