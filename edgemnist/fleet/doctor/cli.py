"""`edgemnist doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.tables import closing, table

if TYPE_CHECKING:
    from edgemnist.ground.results.boards import DoctorResult

app = command_app()


@app.command(epilog="Example: edgemnist doctor --on pi@raspberrypi.local")
def doctor(
    context: typer.Context, *, on: options.On = None, exports: options.Exports = None, json: options.Json = False
) -> None:
    """Check this machine or a board: what was found, what it means, and how to fix it.

    The board need not have edgemnist yet. Exit 1 if something keeps edgemnist from working.
    """
    from edgemnist.board.agent.facts import collect_facts, probe_all
    from edgemnist.fleet.deploy.run import doctor_on
    from edgemnist.fleet.doctor.artifacts import examine_artifacts
    from edgemnist.fleet.doctor.checks import examine
    from edgemnist.model.exports import REFERENCE, find_exports, reference_directory
    from edgemnist.model.exports.manifest import command

    reporter = TerminalReporter()
    if on:
        options.refuse_with_on(context, "exports")
        target = options.only("--on", on)
        result = doctor_on(target)
        step = f"edgemnist deploy bundle.zip --to {target.words}"
    else:
        place = find_exports(exports, reporter)
        with reporter.task("Importing the runtimes"):
            probes = probe_all(Path(sys.executable))
        with reporter.task("Testing the artifacts"):
            result = examine("this machine", collect_facts(place), probes, examine_artifacts(place))
        step = command("bench", Path(REFERENCE) if place == reference_directory() else place)
    show(result, lambda: doctor_page(result, step), json=json)
    if not result.healthy:
        raise typer.Exit(EXIT_GATE_MISSED)


def doctor_page(result: DoctorResult, step: str = "") -> RenderableType:
    """Draw a line for each check, and how to fix what is wrong, or `step`, the command that comes next."""
    from edgemnist.ground.results.boards import Level

    words = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.FAILURE: ("FAIL", "bold red")}
    page = table("what", "", "found", "which means", left=[""], prose=["found", "which means"])
    for check in result.findings:
        page.add_row(check.name, Text(*words[check.level]), check.value, check.meaning)
    fixes = [
        Text.assemble((f"{check.name}: ", "bold"), check.fix)
        for check in result.findings
        if check.level is not Level.OK and check.fix
    ]
    verdict = "fit" if result.healthy else "not fit"
    last = closing(f"{result.host} is {verdict} for edgemnist.", step if result.healthy else "", passed=result.healthy)
    return Group(page, *fixes, last)
