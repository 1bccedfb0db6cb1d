"""`edgemnist rollback`: an older release of a board serves again."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.console import command_app, options, show
from edgemnist.console.tables import closing
from edgemnist.errors import EXIT_INTERRUPTED, check_range

app = command_app()


@app.command(epilog="Example: edgemnist rollback --to pi@raspberrypi.local")
def rollback(
    *,
    to: options.ToOne,
    release: Annotated[
        str | None,
        typer.Option(
            "--release", metavar="NAME", show_default="the one before", help="A name that `edgemnist releases` lists."
        ),
    ] = None,
    wait: options.Wait = 60.0,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Let an older release serve again, by one atomic switch.

    Ctrl-C stops it, unless the switch has begun: that is then completed.
    """
    from edgemnist.console import err, show_interrupted
    from edgemnist.deploy.remote import rollback_on
    from edgemnist.deploy.run import MOST_WAIT_S
    from edgemnist.deploy.target import BoardAddress

    check_range("--wait", wait, least=0, most=MOST_WAIT_S)
    target = BoardAddress.of(options.only("--to", to), root=root, ssh_config=ssh_config)
    result = rollback_on(target, release, wait, lambda step: err().print(f"{target.host.name}: {step}"))
    before = result.previous or "nothing"
    verdict = f"{result.host} is serving {result.release} again (previously: {before})."
    show(result, lambda: closing(verdict, f"edgemnist releases --to {target.words}"), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
