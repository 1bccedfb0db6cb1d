"""`edgemnist runtimes`."""

from __future__ import annotations

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist runtimes --json")
def runtimes(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """List the formats, quantizations and runtimes: which are installed, and how to get the others.

    And which artifacts of the export directory can run here.
    """
    from edgemnist.availability import availability
    from edgemnist.exports import peek
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.runtimes import runtimes_page

    result = availability(*peek(exports, TerminalReporter()))
    show(result, lambda: runtimes_page(result), json=json)
