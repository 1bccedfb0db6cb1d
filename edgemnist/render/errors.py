"""What a failure looks like: one sentence, then what to do."""

from __future__ import annotations

from rich.markup import escape

from edgemnist.errors import EdgemnistError
from edgemnist.render.terminal import err


def show_error(error: EdgemnistError) -> None:
    """Print the message and the hint on stderr."""
    stop = "" if error.message.endswith("?") else "."
    err().print(f"[bold red]error:[/] {escape(error.message)}{stop}")
    if error.hint:
        err().print(f"       {escape(error.hint)}")


def show_interrupted() -> None:
    """Print that the user stopped the command."""
    err().print("[bold]interrupted[/]")
