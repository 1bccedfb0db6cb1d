"""What the commands share: options, tables and the two streams that reach the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer
from rich.console import RenderableType
from rich.text import Text

from edgemnist.console.terminal import err, out
from edgemnist.errors import DeployError
from edgemnist.results import Result

PageT = TypeVar("PageT")


def command_app() -> typer.Typer:
    """Return the Typer application of one command, to which its function is added."""
    return typer.Typer(
        add_completion=False, rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]}
    )


def show(result: Result, page: Callable[[], RenderableType], *, json: bool, host: str = "") -> None:
    """Print a result on stdout: as one JSON document, or as the page that `page` draws.

    `host` is the board that sent it, if one did; see `drawn`. Raises StorageError where it cannot be written: the
    reader has gone, or the disk is full.
    """
    if json:
        out().print(result.to_json(), soft_wrap=True)
    else:
        # A table may be wider than the terminal, which then breaks its lines and loses nothing.
        out().print(drawn(host, page), crop=False)


def show_listening(result: Result, sentence: str, address: str | None, token: str | None, *, json: bool) -> None:
    """Say that a page can be opened: as JSON, or in a sentence; on a terminal, with a link for a phone, token included.

    `address` is where other devices find the page, if they do.
    """
    if json:
        out().print(result.to_json(), soft_wrap=True)
        return
    from urllib.parse import quote

    err().print(Text(f"{sentence} Stop it with Ctrl-C."), soft_wrap=True)
    if address is not None and err().is_terminal:
        # Behind the #, it reaches no server and no log.
        link = f"{address}#token={quote(token)}" if token else address
        err().print(Text(f"On a phone in the same network, open {link}"), soft_wrap=True)


def drawn(host: str, page: Callable[[], PageT]) -> PageT:
    """Return the page, or the picture, of a result; `host` is the board that sent it, if one did.

    Each part of an answer is of its kind, and may still contradict another one, as a label without a probability does.
    Raises DeployError where that is so.
    """
    try:
        return page()
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        if not host:
            raise
        raise DeployError(
            f"{host} sent an answer that contradicts itself ({type(error).__name__})", hint="See all of it with --json."
        ) from error
