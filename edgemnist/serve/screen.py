"""`edgemnist serve`: that it answers, what goes wrong while it does, and its units."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

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


def show_started(result: ServeResult, *, json: bool, token: str | None = None) -> None:
    """Say where the service answers; on a terminal, with a link that brings its token along for a phone."""
    if json:
        out().print(result.to_json(), soft_wrap=True)
        return
    release = f", release {result.release}" if result.release else ""
    secured = ", with your token" if result.token else ""
    where = result.address or result.url
    err().print(Text(f"{result.artifact}{release} answers at {where}{secured}. Stop it with Ctrl-C."), soft_wrap=True)
    if result.address is not None and err().is_terminal:
        # Behind the #, it reaches no server and no log.
        link = f"{result.address}#token={quote(token)}" if token else result.address
        err().print(Text(f"On a phone in the same network, open {link}"), soft_wrap=True)


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
