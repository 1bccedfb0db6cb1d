"""`edgemnist serve`: that it answers, what goes wrong while it does, and its units."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgemnist.console import show_listening
from edgemnist.console.terminal import err, out
from edgemnist.results.base import Result
from edgemnist.systemd import service_unit, socket_unit

if TYPE_CHECKING:
    from edgemnist.results.serve import ServeResult
    from edgemnist.systemd import Unit


class UnitResult(Result, frozen=True, kw_only=True):
    """`edgemnist serve --systemd --json`."""

    file: str
    """Name of the unit."""
    text: str


def show_started(result: ServeResult, *, json: bool, token: str | None = None) -> None:
    """Say where the service answers; see `show_listening`."""
    release = f", release {result.release}" if result.release else ""
    secured = ", with your token" if result.token else ""
    where = result.address or result.url
    sentence = f"{result.artifact}{release} answers at {where}{secured}."
    show_listening(result, sentence, result.address, token, json=json)


def show_unit(service: Unit, *, socket: bool, json: bool) -> None:
    """Print a unit as a file that can be installed."""
    text = socket_unit(service) if socket else service_unit(service)
    file = f"{service.name}.{'socket' if socket else 'service'}"
    if json:
        text = UnitResult(file=file, text=text).to_json()
    out().print(text, soft_wrap=True, end="" if not json else "\n")


def log_to_stderr() -> None:
    """Log what goes wrong while the service runs where its notices are."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            err().print(self.format(record), soft_wrap=True)

    handler = Handler(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
