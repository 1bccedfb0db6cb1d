"""`edgemnist data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist data --sheet digits.png")
def data(
    *,
    directory: options.Data = None,
    offline: options.Offline = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Write a PNG sheet of digits.")] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Find the images, say where they came from, and look at them.

    And whether they are those that the export directory was made from.
    """
    import msgspec

    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.data.screen import data_page
    from edgemnist.data.sheet import sheet_png, terminal_rows
    from edgemnist.data.sources import find_dataset
    from edgemnist.data.summary import describe
    from edgemnist.exports.directory import peek
    from edgemnist.storage import write_file

    options.check_png(sheet)
    reporter = TerminalReporter()
    dataset = find_dataset(directory, download=not offline, reporter=reporter)
    result = describe(dataset)
    opened = peek(exports, reporter)
    # The reference is of interest to those who ask for it: nobody here made it.
    if opened is not None and (exports is not None or not opened.is_reference):
        result = msgspec.structs.replace(result, exports=str(opened.directory), exported=opened.manifest.data)
    if sheet is not None:
        write_file(sheet, sheet_png(dataset.train, dataset.labels))
        result = msgspec.structs.replace(result, sheet=str(sheet))
    show(result, lambda: data_page(result, terminal_rows(dataset.test.images[:8])), json=json)
