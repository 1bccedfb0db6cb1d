"""What the commands share: options, tables and the two streams that reach the user."""

from __future__ import annotations

from collections.abc import Callable

import typer
from rich.console import RenderableType

from edgemnist.console.terminal import out
from edgemnist.results.base import Result


def command_app() -> typer.Typer:
    """Return the Typer application of one command, to which its function is added."""
    return typer.Typer(
        add_completion=False, rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]}
    )


def show(result: Result, page: Callable[[], RenderableType], *, json: bool) -> None:
    """Print a result on stdout: as one JSON document, or as the page that `page` draws.

    Raises StorageError where it cannot be written: the reader has gone, or the disk is full.
    """
    if json:
        out().print(result.to_json(), markup=False, soft_wrap=True)
    else:
        # A table may be wider than the terminal, which then breaks its lines and loses nothing.
        out().print(page(), crop=False)
