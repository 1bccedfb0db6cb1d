"""`edgemnist promote`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED, EXIT_INTERRUPTED

app = command_app()


@app.command(epilog="Example: edgemnist promote --to pi@raspberrypi.local")
def promote(
    *,
    to: options.ToOne,
    samples: Annotated[
        str, typer.Option("--samples", metavar="DIR", help="Samples that --collect keeps on the board.")
    ] = "samples",
    least: Annotated[
        int, typer.Option("--least", metavar="N", help="Images that the release must have answered in the shadow.")
    ] = 100,
    max_differing: Annotated[
        float,
        typer.Option(
            "--max-differing", metavar="SHARE", help="Answers that may differ, unless labels say it is better."
        ),
    ] = 0.02,
    drop: Annotated[
        bool,
        typer.Option("--drop", help="End the shadow instead: the release stays on the board, but no longer answers."),
    ] = False,
    wait: options.Wait = 60.0,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Switch to the release from `edgemnist deploy --shadow`, in one atomic step, if its answers speak for it.

    It must have answered enough images, and either differ on few or be better on samples with a label. Then it tests
    itself on the board once more. Exit 1 if it does not pass; the old release keeps serving. `rollback` undoes it.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import err, show_interrupted
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.promote.gate import PromoteConfig
    from edgemnist.promote.run import promote_on
    from edgemnist.promote.screen import promote_page

    config = PromoteConfig(samples=samples, least=least, max_differing=max_differing, wait_s=wait)
    target = BoardAddress.of(options.only("--to", to), root=root, ssh_config=ssh_config)
    result = promote_on(target, config, drop=drop, on_step=lambda step: err().print(f"{target.host.name}: {step}"))
    show(result, lambda: promote_page(result, target.words), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
