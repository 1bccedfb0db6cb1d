"""`edgemnist releases`: what is on a board, and what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import command_app, options, show
from edgemnist.console.tables import closing, table
from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.results.boards import ReleasesResult

app = command_app()


@app.command(epilog="Example: edgemnist releases --to pi@raspberrypi.local")
def releases(
    *, to: options.ToOne, root: options.Root = None, ssh_config: options.SshConfig = None, json: options.Json = False
) -> None:
    """List the releases on a board, and which one serves, after the board has checked every file."""
    from edgemnist.deploy.remote import releases_on
    from edgemnist.deploy.target import BoardAddress

    target = BoardAddress.of(options.only("--to", to), root=root, ssh_config=ssh_config)
    result = releases_on(target)
    show(result, lambda: releases_page(result, target.words), json=json)


def releases_page(result: ReleasesResult, to: str) -> RenderableType:
    """Draw the releases, the newest last, and what is unfinished; `to` is what names the board behind `--to`."""
    from edgemnist.doctor.checks import exposed_note

    deploy = f"edgemnist deploy bundle.zip --to {to}"
    if not result.releases:
        return closing(f"{result.host} has no releases.", deploy, passed=False)
    page = table("release", "", "edgemnist", "artifacts", "signed", "deployed", "files",
                 left=["", "edgemnist", "signed"], prose=["artifacts", "deployed", "files"])  # fmt: skip
    for row in result.releases:
        page.add_row(
            row.release,
            Text("serves", "green") if row.current else "shadow" if row.shadow else "",
            row.edgemnist or "",
            ", ".join(row.artifacts),
            "yes" if row.signed else "no",
            (row.deployed_at or "").replace("T", " "),
            Text("damaged", "bold red") if row.problems else "intact",
        )
    notes = [
        Text.assemble((f"{row.release}: ", "bold red"), problem) for row in result.releases for problem in row.problems
    ]
    if result.pending:
        notes.append(Text(f"The switch to {result.pending} was cut short; the next deployment completes or undoes it."))
    if result.busy:
        notes.append(Text(f"A deployment is running there (process {result.busy})."))
    if result.exposed is not None:
        notes.append(Text.assemble(("notice: ", "yellow"), exposed_note(result.exposed)))
    serving = next((row.release for row in result.releases if row.current), "none of them")
    damaged = sum(bool(row.problems) for row in result.releases)
    verdict = f"{result.host} has {count(len(result.releases), 'release')} and serves {serving}."
    step = deploy if damaged or len(result.releases) == 1 else f"edgemnist rollback --to {to}"
    return Group(page, *notes, closing(verdict, step, passed=not damaged))
