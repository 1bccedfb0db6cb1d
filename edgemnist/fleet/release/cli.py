"""`edgemnist release`: its commands, their options and their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED, EXIT_INTERRUPTED, check_range
from edgemnist.ground.console import command_app, err, options, show, show_interrupted
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.verdict import UNKNOWN

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.ground.results.boards import PromoteResult, ReleasesResult

app = command_app()


@app.callback(no_args_is_help=True)
def release() -> None:
    """List the releases on a board, promote the one in the shadow, or roll back to an older one."""


@app.command("list", epilog="Example: edgemnist release list --to pi@raspberrypi.local")
def list_releases(*, to: options.ToOne, json: options.Json = False) -> None:
    """List the releases on a board, and which one serves, after the board has checked every file."""
    from edgemnist.fleet.deploy.run import releases_on

    target = options.only("--to", to)
    result = releases_on(target)
    show(result, lambda: releases_page(result, target.words), json=json)


@app.command(epilog="Example: edgemnist release promote --to pi@raspberrypi.local")
def promote(
    *,
    to: options.ToOne,
    samples: str = option("--samples DIR", "Samples that --collect keeps on the board.", "samples"),
    least: int | None = option("--least N", "Images that the release must have answered in the shadow.", shown="100"),
    max_differing: float | None = option(
        "--max-differing SHARE", "Answers that may differ.", shown="0.02, or 0.2 if labels say it is better"
    ),
    drop: bool = flag("--drop", "End the shadow instead: the release stays on the board, but no longer answers."),
    wait: options.Wait = 60.0,
    json: options.Json = False,
) -> None:
    """Switch to the release from `edgemnist deploy --shadow`, in one atomic step, if its answers justify it.

    It must have answered enough images, and either differ on few or be better on labelled samples that it has not
    learnt from. Then it tests itself on the board once more. Exit 1 if it does not pass, or that is unknown; the old
    release keeps serving. `release rollback` undoes it.
    """
    from edgemnist.fleet.release.run import PromoteConfig, promote_on

    config = PromoteConfig(samples=samples, least=least, max_differing=max_differing, wait_s=wait)
    target = options.only("--to", to)
    result = promote_on(target, config, drop=drop, on_step=lambda step: _tell(target, step))
    show(result, lambda: promote_page(result, target.words), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


@app.command(epilog="Example: edgemnist release rollback --to pi@raspberrypi.local")
def rollback(
    *,
    to: options.ToOne,
    name: str | None = option(
        "--release NAME", "A name that `edgemnist release list` shows.", shown="the last one before that has served"
    ),
    wait: options.Wait = 60.0,
    json: options.Json = False,
) -> None:
    """Let an older release serve again, by one atomic switch, once it has passed its self-test on the board.

    Exit 1 if the self-test or the service fails; the present release then keeps serving. Without --release, a release
    that only answered in the shadow is passed over. Ctrl-C stops it, unless the switch has begun: that is then
    completed.
    """
    from edgemnist.fleet.deploy.run import MOST_WAIT_S, rollback_on

    check_range("--wait", wait, least=0, most=MOST_WAIT_S)
    target = options.only("--to", to)
    result = rollback_on(target, name, wait, lambda step: _tell(target, step))
    before = result.previous or "nothing"
    verdict = f"{result.host} is serving {result.release} again (previously: {before})."
    show(result, lambda: closing(verdict, f"edgemnist release list --to {target.words}"), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)


def _tell(board: Board, step: str) -> None:
    err().print(f"{board.name}: {step}")


def releases_page(result: ReleasesResult, to: str) -> RenderableType:
    """Draw the releases, the newest last, and what is unfinished; `to` is what names the board behind `--to`."""
    from edgemnist.fleet.doctor.checks import exposed_note

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
    step = deploy if damaged or result.releases[0].current else f"edgemnist release rollback --to {to}"
    return Group(page, *notes, closing(verdict, step, passed=not damaged))


def promote_page(result: PromoteResult, to: str) -> RenderableType:
    """Draw the evidence, and what became of it; `to` is what names the board behind `--to`."""
    releases = f"edgemnist release list --to {to}"
    if result.dropped:
        served = result.previous or "nothing"
        return closing(f"{result.release} no longer answers beside {served} on {result.host}.", releases)
    page = table("", "inputs", "", prose=[""])
    page.add_row("answered in the shadow", f"{result.compared:,}", "")
    share = percent(result.differing / result.compared) if result.compared else ""
    page.add_row("answers that differ", f"{result.differing:,}", share)
    if result.labelled:
        p_value = "" if result.p_value is None else f", p = {result.p_value:.2g}"
        found = f"{result.before:,} right before, {result.after:,} after: "
        found += f"{result.fixed:,} fixed, {result.broken:,} broken"
        page.add_row("samples with a label", f"{result.labelled:,}", found + p_value)
    if result.left_out:
        page.add_row("labels left out", f"{result.left_out:,}", "a release has learnt from these samples, or may have")
    if not result.passed:
        unknown = result.verdict is not None and result.verdict.outcome == UNKNOWN
        reasons = [Text(f"{'Unknown' if unknown else 'Gate missed'}. {reason}") for reason in result.reasons]
        step = f"edgemnist release promote --to {to}" + " --drop" * (not unknown)
        return Group(page, *reasons, closing(f"{result.host} serves what it served before.", step, passed=False))
    before = result.previous or "it serves already"
    return Group(page, closing(f"{result.host} is serving {result.release} (previously: {before}).", releases))
