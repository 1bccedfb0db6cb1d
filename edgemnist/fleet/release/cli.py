"""`edgemnist release`: its commands, their options and their pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED, EXIT_INTERRUPTED, check_range
from edgemnist.ground.console import command_app, err, options, show, show_interrupted
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.console.tables import closing, fault_line, table
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.registry import Entry, Package
from edgemnist.ground.results.verdict import UNKNOWN

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.ground.results.boards import PromoteResult, PublishResult, ReleasesResult

_PACKAGES = tuple(Package(name, name) for name in ("tuf", "securesystemslib", "cryptography"))
CHANNEL = Entry(target="edgemnist.fleet.channel.run", summary="A channel", requires=_PACKAGES, extra="channel")
_ROOT = Path(".local/share/edgemnist")

app = command_app()


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


@app.callback(no_args_is_help=True)
def release() -> None:
    """List the releases on a board, promote or roll back; publish for boards behind a router, which pull."""


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


@app.command(epilog="Example: edgemnist release publish bundle.zip --channel /var/www/models --share 10%")
def publish(
    bundle: Annotated[Path | None, typer.Argument(metavar="[BUNDLE]", help="What `edgemnist bundle` wrote.")] = None,
    *,
    channel: str = option("--channel DIR", "Folder for any web server, or a place of rclone's: NAME:PATH.", ...),
    share: float | None = option("--share SHARE", "Part of the boards to offer the newest to: 10%.", parser=_share),
    max_failures: int = option("--max-failures N", "Halt the newest once it has failed on more boards than this.", 0),
    rotate: str = option("--rotate KEY", "Replace a key by a new one: root, targets or online.", "", shown=False),
    keys: Path | None = option("--keys DIR", "Where the keys are.", shown="~/.config/edgemnist/NAME of the channel"),
    json: options.Json = False,
) -> None:
    """Publish a bundle for boards that fetch it from a web server: `edgemnist release pull`.

    The first time, this makes the keys. Without BUNDLE it renews what expires after 14 days, and halts a bundle that
    boards report to have failed: run it daily, where only the online key is.
    """
    check_range("--share", share, least=0, most=1)
    keys = keys or Path.home() / ".config" / "edgemnist" / Path(channel.replace(":", "/")).name
    result = CHANNEL.load().publish(channel, keys, bundle, share, most=max_failures, key=rotate)
    show(result, lambda: publish_page(result, keys), json=json)


def publish_page(result: PublishResult, keys: Path) -> RenderableType:
    """Draw what boards report, and what the channel offers them."""
    page = table("board", "", "bundle", "release", left=["", "release"])
    notes = []
    for report in result.boards:
        one = report.board
        page.add_row(one.host, one.status, str(report.sequence), one.release or "")
        notes += [] if one.fault is None else [fault_line(one.host, one.host, one.fault)]
    share = "no further board, as it failed on boards" if result.halted else f"{percent(result.share, 0)} of the boards"
    verdict = f"{result.bundle or 'Nothing'} is offered to {share} until {result.expires}. The keys are in {keys}."
    step = f"edgemnist release pull --channel URL#{result.fingerprint}"
    return Group(*[page][: len(result.boards)], *notes, closing(verdict, step, passed=not result.halted))


@app.command(epilog="Example: edgemnist release pull --channel https://example.org/models#FINGERPRINT")
def pull(
    *,
    channel: str = option("--channel URL", "Its address, and the fingerprint that `release publish` shows.", ...),
    name: str | None = option("--name NAME", "Of this board; it decides about shares.", shown="host and serial number"),
    report: str | None = option("--report URL", "Where to PUT a report."),
    root: Path = option("--root DIR", "Where edgemnist is.", _ROOT, panel=options.ADVANCED, env="EDGEMNIST_ROOT"),
    json: options.Json = False,
) -> None:
    """On a board, fetch the newest bundle that a channel has for it, and do what `edgemnist deploy` does.

    Exit 1 if its self-test or its service fails; the old release keeps serving, and that bundle is not tried again.
    """
    channel_of = CHANNEL.load()
    board, place = name or channel_of.board_name(), Path.home() / root.expanduser()
    result = channel_of.pull(channel, place, board, report, lambda step: err().print(f"{board}: {step}"))
    one, fault = result.board, result.board.fault
    there = f"at release {one.release}" if one.release else "without a release"
    verdict = f"{board} {'is' if fault is None else 'stays'} {there} ({one.status})."
    last = closing(verdict, "", passed=fault is None)
    show(result, lambda: Group(*[fault_line(board, board, fault)] if fault else [], last), json=json)
    raise typer.Exit(0 if fault is None else fault.exit_code)


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
