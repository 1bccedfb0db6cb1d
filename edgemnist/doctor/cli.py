"""`edgemnist doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import closing, table
from edgemnist.errors import EXIT_GATE_MISSED

if TYPE_CHECKING:
    from edgemnist.results.boards import DoctorResult

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
    """Check this machine or a board: what was found, what it means, and how to fix it.

    The board need not have edgemnist yet. Exit 1 if something keeps edgemnist from working.
    """
    from edgemnist.deploy.remote import doctor_on
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.doctor.checks import doctor as run
    from edgemnist.exports import REFERENCE, find_exports, reference_directory
    from edgemnist.exports.manifest import command

    reporter = TerminalReporter()
    if on:
        options.refuse_with_on(context, "exports")
        target = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config)
        result = doctor_on(target)
        step = f"edgemnist deploy bundle.zip --to {target.words}"
    else:
        place = find_exports(exports, reporter)
        result = run(place, reporter)
        step = command("bench", Path(REFERENCE) if place == reference_directory() else place)
    show(result, lambda: doctor_page(result, step), json=json)
    if not result.healthy:
        raise typer.Exit(EXIT_GATE_MISSED)


def doctor_page(result: DoctorResult, step: str = "") -> RenderableType:
    """Draw a line for each check, and below them how to fix what is not as it should be.

    `step` is the command that comes next where nothing has to be fixed.
    """
    from edgemnist.results.boards import Level

    marks = {
        Level.OK: Text("ok", "green"),
        Level.WARNING: Text("warning", "yellow"),
        Level.FAILURE: Text("FAIL", "bold red"),
    }
    page = table("what", "", "found", "which means", left=[""], prose=["found", "which means"])
    for check in result.findings:
        page.add_row(check.name, marks[check.level], check.value, check.meaning)
    fixes = [
        Text.assemble((f"{check.name}: ", "bold"), check.fix)
        for check in result.findings
        if check.level is not Level.OK and check.fix
    ]
    verdict = "fit" if result.healthy else "not fit"
    last = closing(f"{result.host} is {verdict} for edgemnist.", step if result.healthy else "", passed=result.healthy)
    return Group(page, *fixes, last)
