"""`edgemnist runtimes`."""

from __future__ import annotations

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist runtimes --json")
def runtimes(*, json: options.Json = False) -> None:
    """List the formats, quantizations and runtimes: which are installed, and how to get the others."""
    from edgemnist.availability import availability
    from edgemnist.render import show
    from edgemnist.render.runtimes import runtimes_page

    result = availability()
    show(result, lambda: runtimes_page(result), json=json)
