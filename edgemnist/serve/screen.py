"""`edgemnist serve`: that it answers, what goes wrong while it does, and its units."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.text import Text

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


def show_started(result: ServeResult, *, json: bool) -> None:
    """Say where to ask."""
    if json:
        out().print(result.to_json(), markup=False, soft_wrap=True)
        return
    release = f", release {result.release}" if result.release else ""
    token = ", with your token" if result.token else ""
    err().print(Text(f"{result.artifact}{release} answers at {result.url}{token}. Stop it with Ctrl-C."))


def show_unit(service: Unit, *, socket: bool, json: bool) -> None:
    """Print a unit as a file that can be installed."""
    text = socket_unit(service) if socket else service_unit(service)
    file = f"{service.name}.{'socket' if socket else 'service'}"
    if json:
        text = UnitResult(file=file, text=text).to_json()
    out().print(text, markup=False, soft_wrap=True, end="" if not json else "\n")


def log_to_stderr() -> None:
    """Let what goes wrong while the service runs be read where its notices are."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            err().print(self.format(record), markup=False, soft_wrap=True)

    handler = Handler(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
