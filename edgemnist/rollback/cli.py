"""`edgemnist rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import check_range

app = command_app()


@app.command(epilog="Example: edgemnist rollback --to pi@raspberrypi.local")
def rollback(
    *,
    to: options.ToOne,
    release: Annotated[
        str | None,
        typer.Option(
            "--release", metavar="NAME", show_default="the one before", help="As `edgemnist releases` lists it."
        ),
    ] = None,
    wait: options.Wait = 60.0,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Let an older release serve again, by one atomic switch."""
    from edgemnist.console import show
    from edgemnist.deploy.remote import rollback_on
    from edgemnist.deploy.target import BoardAddress

    # The board would wait for ever for what is not a number.
    check_range("--wait", wait, least=0)
    result = rollback_on(BoardAddress.of(options.only("--to", to), root=root, ssh_config=ssh_config), release, wait)
    before = result.previous or "nothing"
    show(result, lambda: f"{result.host} serves {result.release} again (before: {before}).", json=json)
