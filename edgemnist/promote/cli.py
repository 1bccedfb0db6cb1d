"""`edgemnist promote`: its options and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import command_app, options, show
from edgemnist.console.tables import closing, table
from edgemnist.errors import EXIT_GATE_MISSED, EXIT_INTERRUPTED
from edgemnist.formatting import percent

if TYPE_CHECKING:
    from edgemnist.results.boards import PromoteResult

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
    from edgemnist.console import err, show_interrupted
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.promote.run import PromoteConfig, promote_on

    config = PromoteConfig(samples=samples, least=least, max_differing=max_differing, wait_s=wait)
    target = BoardAddress.of(options.only("--to", to), root=root, ssh_config=ssh_config)
    result = promote_on(target, config, drop=drop, on_step=lambda step: err().print(f"{target.host.name}: {step}"))
    show(result, lambda: promote_page(result, target.words), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def promote_page(result: PromoteResult, to: str) -> RenderableType:
    """Draw the evidence, and what became of it; `to` is what names the board behind `--to`."""
    releases = f"edgemnist releases --to {to}"
    if result.dropped:
        served = result.previous or "nothing"
        return closing(f"{result.release} no longer answers beside {served} on {result.host}.", releases)
    page = table("", "images", "", prose=[""])
    page.add_row("answered in the shadow", f"{result.compared:,}", "")
    share = percent(result.differing / result.compared) if result.compared else ""
    page.add_row("answers that differ", f"{result.differing:,}", share)
    if result.labelled:
        p_value = "" if result.p_value is None else f", p = {result.p_value:.2g}"
        found = f"{result.before:,} right before, {result.after:,} after: "
        found += f"{result.fixed:,} fixed, {result.broken:,} broken"
        page.add_row("samples with a label", f"{result.labelled:,}", found + p_value)
    if not result.passed:
        reasons = [Text(f"Gate missed. {reason}") for reason in result.reasons]
        drop = f"edgemnist promote --to {to} --drop"
        return Group(page, *reasons, closing(f"{result.host} serves what it served before.", drop, passed=False))
    before = result.previous or "it serves already"
    return Group(page, closing(f"{result.host} is serving {result.release} (previously: {before}).", releases))
