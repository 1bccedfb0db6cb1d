"""`edgemnist releases`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist releases --to pi@raspberrypi.local")
def releases(
    *,
    to: Annotated[str, typer.Option("--to", metavar="HOST", help="A board as for ssh: user@host:port.")],
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """List what is on a board and what serves, after the board has checked every file of it."""
    from edgemnist.deploy.remote import releases_on
    from edgemnist.deploy.target import Target
    from edgemnist.render import show
    from edgemnist.render.deploy import releases_page

    result = releases_on(Target.of(to, root=root, ssh_config=ssh_config))
    show(result, lambda: releases_page(result), json=json)
