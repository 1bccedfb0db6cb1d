"""`edgemnist read`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist read page.jpg --boxes boxes.png")
def read(
    page: Annotated[
        Path,
        # As with `predict`: what cannot be read is told when it is read.
        typer.Argument(metavar="PAGE", help="A picture with any number of digits.", readable=False),
    ],
    *,
    boxes: Annotated[
        Path | None,
        typer.Option("--boxes", metavar="FILE", help="Write a PNG or JPEG of the page with a box around each digit."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence", metavar="P", show_default="calibrated", help="Below this a digit is refused with a ?."
        ),
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(
            "--artifact",
            metavar="NAME|FILE",
            show_default="the fastest verified one",
            help="An artifact of the export directory, or any model file.",
        ),
    ] = None,
    threads: options.Threads = 1,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read every digit on a page, line by line, and the numbers that neighbours form."""
    options.limit_numpy_threads()
    from edgemnist.exports import find_exports
    from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE, ReadConfig
    from edgemnist.read.run import read_file
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.read import read_page_view
    from edgemnist.render.terminal import quiet_libraries

    reporter = TerminalReporter()
    config = ReadConfig(min_confidence=DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence)
    directory = find_exports(exports, reporter, artifact=artifact)
    with quiet_libraries():
        result = read_file(directory, page, config, artifact=artifact, threads=threads, boxes=boxes, reporter=reporter)
    show(result, lambda: read_page_view(result), json=json)
