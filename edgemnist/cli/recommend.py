"""`edgemnist recommend`."""

from __future__ import annotations

import typer

from edgemnist.cli import app, options
from edgemnist.errors import EXIT_GATE_MISSED


@app.command(epilog="Example: edgemnist recommend --json")
def recommend(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """Say which artifact to ship to this board and why. Exit 1 where there is none.

    It weighs what `edgemnist verify` and `edgemnist bench` found out: run both first, on the board itself.
    """
    from edgemnist.exports import find_exports
    from edgemnist.recommend import recommend_artifact
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.recommend import recommend_page

    result = recommend_artifact(find_exports(exports, TerminalReporter()))
    show(result, lambda: recommend_page(result), json=json)
    if result.recommended is None:
        raise typer.Exit(EXIT_GATE_MISSED)
