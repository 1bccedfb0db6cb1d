"""`edgemnist review`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import RenderableType

from edgemnist.ground.console import TerminalReporter, command_app, options, show, show_listening
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import table
from edgemnist.ground.formatting import count

if TYPE_CHECKING:
    from edgemnist.ground.results.samples import ReviewResult

_DATA = "Data sets"

app = command_app()


@app.command(epilog="Example: edgemnist review samples · edgemnist review samples --export labelled")
def review(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Directory of samples, as --collect of other commands makes it.")
    ] = Path("samples"),
    *,
    name: str | None = option("--as NAME", "Name that your labels are stored under.", shown="your login"),
    import_: Path | None = option("--import DIR", "Add the labelled inputs of a data set, and exit.", panel=_DATA),
    export: Path | None = option(
        "--export DIR", "Write the labelled samples as class-named folders of PNG files, and exit.", panel=_DATA
    ),
    skip_broken: options.SkipBroken = False,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8001,
    on: options.On = None,
    token_file: Path | None = option("--token-file FILE", "File with the token that clients must send."),
    json: options.Json = False,
) -> None:
    """Label the samples on a page that shows one after the other, the most suspicious first.

    Keys: 0 to 9, or the key shown beside each class; n for none of them, s to skip, u to undo, a to see what the model
    answered. It runs until you stop it, and stores every label at once. With --on, DIR is on the board: its samples are
    fetched, and the labels are sent back when you stop it.
    """
    from edgemnist.field.review.run import review_on, run_page, summary, writer_named
    from edgemnist.field.samples.store import FILE, SampleStore
    from edgemnist.ground.web.config import SiteConfig, read_token

    if import_ is not None or export is not None:
        options.refuse(context, "host", "port", "token_file", reason="No page is shown with --import or --export")
    if import_ is None:
        options.refuse(context, "skip_broken", reason="Pictures are read with --import only")
    reporter, writer = TerminalReporter(), writer_named(name)
    if on:
        options.refuse_with_on(context, "import_", "export")
    if import_ is None and export is None:
        config = SiteConfig(host=host, port=port, token=read_token(None, token_file, reporter))

        def show_page(store: SampleStore) -> None:
            run_page(store, writer, config, lambda started: show_started(started, json=json, token=config.token))

        if on:
            review_on(options.only("--on", on), str(directory), show_page, reporter)
        else:
            with SampleStore.open(directory) as store:
                show_page(store)
        return
    from edgemnist.field.review.transfer import export_labelled, import_labelled, input_of

    spec = (
        input_of(import_, skip_broken=skip_broken) if import_ is not None and not (directory / FILE).exists() else None
    )
    with SampleStore.open(directory, create=import_ is not None, spec=spec) as store:
        taken = None if import_ is None else import_labelled(store, import_, writer, reporter, skip_broken=skip_broken)
        exported = None if export is None else export_labelled(store.samples(), export)
        found = summary(store.samples(), writer)
        result = msgspec.structs.replace(found, imported=taken, exported=exported)
        show(result, lambda: summary_page(result, export), json=json)


def summary_page(result: ReviewResult, out_directory: Path | None) -> RenderableType:
    """Draw how many samples there are, and what was imported or exported."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    if result.imported is not None:
        page.add_row("imported", f"{count(result.imported, 'label')}, as {result.writer}")
    if result.exported is not None:
        page.add_row("exported", f"{count(result.exported, 'labelled sample')} to {out_directory}")
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
