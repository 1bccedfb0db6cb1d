"""`edgemnist rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.cli import app, options
from edgemnist.errors import UsageError


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
    from edgemnist.deploy.remote import rollback_on
    from edgemnist.deploy.target import Target
    from edgemnist.render import show
    from edgemnist.render.deploy import rollback_page

    # The board would wait for ever for what is not a number.
    if not 0 <= wait < float("inf"):
        raise UsageError(f"--wait {wait:g} makes no sense", hint="It is 0 or more seconds.")
    result = rollback_on(Target.of(options.only("--to", to), root=root, ssh_config=ssh_config), release, wait)
    show(result, lambda: rollback_page(result), json=json)
