"""`edgemnist releases`."""

from __future__ import annotations

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist releases --to pi@raspberrypi.local")
def releases(
    *,
    to: options.ToOne,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """List what is on a board and what serves, after the board has checked every file of it."""
    from edgemnist.console import show
    from edgemnist.deploy.remote import releases_on
    from edgemnist.deploy.target import Target
    from edgemnist.releases.screen import releases_page

    result = releases_on(Target.of(options.only("--to", to), root=root, ssh_config=ssh_config))
    show(result, lambda: releases_page(result), json=json)
