"""`edgemnist release`: its commands, their options and their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_INTERRUPTED, check_range
from edgemnist.ground.console import command_app, err, options, show, show_interrupted
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count

if TYPE_CHECKING:
    from edgemnist.fleet.deploy.target import BoardAddress
    from edgemnist.ground.results.boards import ReleasesResult

app = command_app()


@app.callback(no_args_is_help=True)
def release() -> None:
    """List the releases on a board, or go back to an older one."""


@app.command("list", epilog="Example: edgemnist release list --to pi@raspberrypi.local")
def list_releases(*, to: options.To = None, json: options.Json = False) -> None:
    """List the releases on a board, and which one serves, after the board has checked every file.

    Without --to, the board is this machine.
    """
    from edgemnist.fleet.deploy.run import releases_on

    target = options.only("--to", to or [])
    result = releases_on(target)
    show(result, lambda: releases_page(result, target), json=json)


@app.command(epilog="Example: edgemnist release rollback --to pi@raspberrypi.local")
def rollback(
    *,
    to: options.To = None,
    name: str | None = option(
        "--release NAME", "A name that `edgemnist release list` shows.", shown="the one that served before"
    ),
    wait: options.Wait = 60.0,
    json: options.Json = False,
) -> None:
    """Let an older release serve again, by one atomic switch, once it has passed its self-test on the board.

    Exit 1 if the self-test or the service fails; the present release then keeps serving. Ctrl-C stops it, unless
    the switch has begun: that is then completed. Without --to, the board is this machine.
    """
    from edgemnist.fleet.deploy.run import MOST_WAIT_S, rollback_on

    check_range("--wait", wait, least=0, most=MOST_WAIT_S)
    target = options.only("--to", to or [])
    result = rollback_on(target, name, wait, lambda step: _tell(target, step))
    before = result.previous or "nothing"
    verdict = f"{result.host} is serving {result.release} again (previously: {before})."
    show(result, lambda: closing(verdict, f"edgemnist release list{target.named('--to')}"), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)


def _tell(board: BoardAddress, step: str) -> None:
    err().print(f"{board.name}: {step}")


def releases_page(result: ReleasesResult, target: BoardAddress) -> RenderableType:
    """Draw the releases of a board, the newest last, and what is unfinished."""
    from edgemnist.fleet.doctor.checks import exposed_note

    to = target.named("--to")
    deploy = f"edgemnist deploy bundle.zip{to}"
    if not result.releases:
        return closing(f"{result.host} has no releases.", deploy, passed=False)
    page = table("release", "", "edgemnist", "artifacts", "signed", "deployed", "files",
                 left=["", "edgemnist", "signed"], prose=["artifacts", "deployed", "files"])  # fmt: skip
    for row in result.releases:
        page.add_row(
            row.release,
            Text("serves", "green") if row.current else "",
            row.edgemnist or "",
            ", ".join(row.artifacts),
            "yes" if row.signed else "no",
            (row.deployed_at or "").replace("T", " "),
            Text("damaged", "bold red") if row.problems else "intact",
        )
    notes = [Text.assemble((f"{row.release}: ", "bold red"), one) for row in result.releases for one in row.problems]
    if result.pending:
        notes.append(Text(f"The switch to {result.pending} was cut short; the next deployment completes or undoes it."))
    if result.busy:
        notes.append(Text(f"A deployment is running there (process {result.busy})."))
    if result.exposed is not None:
        notes.append(Text.assemble(("notice: ", "yellow"), exposed_note(result.exposed)))
    serving = next((row.release for row in result.releases if row.current), "none of them")
    damaged = sum(bool(row.problems) for row in result.releases)
    verdict = f"{result.host} has {count(len(result.releases), 'release')} and serves {serving}."
    step = deploy if damaged or result.releases[0].current else f"edgemnist release rollback{to}"
    return Group(page, *notes, closing(verdict, step, passed=not damaged))
