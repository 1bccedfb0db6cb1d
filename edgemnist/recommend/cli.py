"""`edgemnist recommend`."""

from __future__ import annotations

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

app = command_app()


@app.command(epilog="Example: edgemnist recommend --json")
def recommend(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """Say which artifact to ship to this board and why. Exit 1 where there is none.

    It weighs what `edgemnist verify` and `edgemnist bench` found out: run both first, on the board itself.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.directory import Exports
    from edgemnist.recommend.screen import recommend_page
    from edgemnist.recommend.weigh import recommend as weigh

    opened = Exports.open(exports, TerminalReporter())
    result = weigh(opened)
    step = opened.command(f"bundle {result.recommended} --output bundle.zip")
    show(result, lambda: recommend_page(result, step if result.recommended else ""), json=json)
    if result.recommended is None:
        raise typer.Exit(EXIT_GATE_MISSED)
