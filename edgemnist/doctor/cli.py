"""`edgemnist doctor`."""

from __future__ import annotations

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

app = command_app()


@app.command(epilog="Example: edgemnist doctor --on pi@raspberrypi.local")
def doctor(
    context: typer.Context,
    *,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Examine this machine or a board: what is there, what it means, and what mends it.

    A board need not have edgemnist yet. Exit 1 where something keeps edgemnist from working.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.deploy.remote import doctor_on
    from edgemnist.deploy.target import Target
    from edgemnist.doctor.run import doctor as run
    from edgemnist.doctor.screen import doctor_page
    from edgemnist.exports.directory import find_exports

    reporter = TerminalReporter()
    if on:
        options.refuse_with_on(context, "exports")
        result = doctor_on(Target.of(options.only("--on", on), root=root, ssh_config=ssh_config))
    else:
        result = run(find_exports(exports, reporter), reporter)
    show(result, lambda: doctor_page(result), json=json)
    if not result.healthy:
        raise typer.Exit(EXIT_GATE_MISSED)
