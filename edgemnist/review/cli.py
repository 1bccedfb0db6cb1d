"""`edgemnist review`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from edgemnist.console import TerminalReporter, command_app, options, show, show_listening
from edgemnist.console.tables import table
from edgemnist.errors import UsageError
from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.results.samples import ReviewResult

_DATA = "Data sets"

app = command_app()


@app.command(epilog="Example: edgemnist review samples · edgemnist review samples --export labelled")
def review(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Directory of samples, as --collect of other commands makes it.")
    ] = Path("samples"),
    *,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", show_default="your login", help="Name that your labels are stored under."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="DIR", help="Add the labelled images of a data set, and exit.", rich_help_panel=_DATA
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Write the labelled samples as class-named folders of PNG files, and exit.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    idx: Annotated[
        bool,
        typer.Option("--idx", help="With --export: write four IDX files instead.", rich_help_panel=_DATA),
    ] = False,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8001,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="File with the token that clients must send.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Label the samples on a page that shows one digit after the other, the most suspicious first.

    Keys: 0 to 9, n if it is not a digit, s to skip, u to undo, a to see what the model answered. It runs until you stop
    it, and stores every label at once. With --on, DIR is on the board: its samples are fetched, and the labels are sent
    back when you stop it.
    """
    import msgspec

    from edgemnist.review.run import run_page, summary, writer_named
    from edgemnist.samples.store import SampleStore
    from edgemnist.serve.config import ServeConfig, read_token

    if idx and export is None:
        raise UsageError("--idx needs --export", hint="Name a directory with --export DIR.")
    if import_ is not None or export is not None:
        options.refuse(context, "host", "port", "token_file", reason="No page is shown with --import or --export")
    reporter, writer = TerminalReporter(), writer_named(name)
    if on:
        from edgemnist.deploy.target import BoardAddress
        from edgemnist.review.run import review_on

        options.refuse_with_on(context, "import_", "export")
        config = ServeConfig(host=host, port=port, token=read_token(None, token_file, reporter))
        target = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config)

        def show_page(store: SampleStore) -> None:
            run_page(store, writer, config, lambda started: show_started(started, json=json, token=config.token))

        review_on(target, str(directory), show_page, reporter)
        return
    with SampleStore.open(directory, create=import_ is not None) as store:
        imported = exported = None
        if import_ is not None or export is not None:
            from edgemnist.review.transfer import export_labelled, import_labelled

            if import_ is not None:
                imported = import_labelled(store, import_, writer, reporter)
            if export is not None:
                exported = export_labelled(store.samples(), export, idx=idx)
            found = summary(store.samples(), writer)
            result = msgspec.structs.replace(found, imported=imported, exported=exported)
            show(result, lambda: summary_page(result, export), json=json)
            return
        config = ServeConfig(host=host, port=port, token=read_token(None, token_file, reporter))
        run_page(store, writer, config, lambda started: show_started(started, json=json, token=config.token))


def summary_page(result: ReviewResult, out_directory: Path | None) -> RenderableType:
    """Draw how many samples there are, and what was imported or exported."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    if result.imported is not None:
        page.add_row("imported", f"{result.imported:,} labels, as {result.writer}")
    if result.exported is not None:
        page.add_row("exported", f"{result.exported:,} labelled samples to {out_directory}")
    page.add_row("samples", f"{result.samples:,}")
    page.add_row("labelled", f"{result.labelled:,}")
    if result.disputed:
        page.add_row("disputed", f"{result.disputed:,}, shown again until somebody decides")
    page.add_row("to review", f"{result.to_review:,}")
    return page


def show_started(result: ReviewResult, *, json: bool, token: str | None) -> None:
    """Say where the page is; see `show_listening`."""
    where = result.address or result.url
    sentence = f"{result.to_review:,} of {count(result.samples, 'sample')} to review, as {result.writer}, at {where}."
    show_listening(result, sentence, result.address, token, json=json)
