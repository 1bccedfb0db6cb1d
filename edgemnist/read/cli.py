"""`edgemnist read`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist read form.jpg --csv form.csv --boxes boxes.png")
def read(
    page: Annotated[
        Path,
        # As with `predict`: what cannot be read is told when it is read.
        typer.Argument(
            metavar="PAGE", help="A picture with any number of digits, or - for standard input.", readable=False
        ),
    ],
    *,
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            metavar="FILE",
            help="Write a PNG or JPEG of the page with a box around each digit and each cell.",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write the table to a CSV file; several to FILE-1.csv, FILE-2.csv, and so on."
        ),
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Print the tables of the page instead of its lines.")] = False,
    min_confidence: options.MinConfidence = None,
    artifact: options.Model = None,
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read every digit on a page, line by line, and the numbers and tables that they form."""
    options.limit_numpy_threads()
    from edgemnist.console import TerminalReporter, quiet_libraries, show
    from edgemnist.exports import open_for_answers
    from edgemnist.exports.outputs import CSV, PICTURE, check_output
    from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE, ReadConfig
    from edgemnist.read.run import read_file
    from edgemnist.read.screen import read_page_view

    for option, output, kind in (("--boxes", boxes, PICTURE), ("--csv", csv, CSV)):
        check_output(option, output, kind, inputs=[page])
    reporter = TerminalReporter()
    config = ReadConfig(min_confidence=DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence)
    samples = options.collecting(collect, collect_max)
    opened = open_for_answers(exports, artifact, reporter)
    with quiet_libraries():
        result = read_file(
            opened,
            page,
            config,
            artifact=artifact,
            threads=threads,
            boxes=boxes,
            csv=csv,
            collect=samples,
            reporter=reporter,
        )
    show(result, lambda: read_page_view(result, tables=table), json=json)
