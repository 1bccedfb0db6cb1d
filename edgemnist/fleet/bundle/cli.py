"""`edgemnist bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType

from edgemnist.errors import EXIT_GATE_MISSED, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count, kilobytes

if TYPE_CHECKING:
    from edgemnist.ground.results.boards import BundleResult

app = command_app()


@app.command(epilog="Example: edgemnist bundle tflite-int8 --output board.zip")
def bundle(
    artifacts: options.Models = None,
    *,
    output: Path = option("--output -o FILE", "The file to write.", Path("bundle.zip")),
    sign: Path | None = option("--sign KEY", "Sign with an SSH key, or the .pub of one in the agent; has --wheels."),
    serve: bool = flag("--serve", "Include what `edgemnist serve` needs beyond the runtimes."),
    wheels: bool = flag("--wheels", "Include all wheels, for boards without a network."),
    python: list[str] | None = option("--python VERSION", "Python versions of the boards.", shown="3.11 and 3.13"),
    machine: str | None = option("--machine", "Processor of the boards, for the wheels.", shown="aarch64"),
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Pack artifacts, golden pack and the package itself into one file for `edgemnist deploy`.

    The same export directory and package give the same bytes.
    """
    from edgemnist.fleet.bundle import pack
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.outputs import ZIP, check_output

    for words, given in (("--python", python), ("--machine", machine)):
        if given and not wheels and sign is None:
            raise UsageError(f"{words} needs --wheels", hint="Add --wheels.")
    check_output("--output", output, ZIP, inputs=[sign] if sign else [])
    reporter = TerminalReporter()
    pythons = tuple(python or pack.RASPBERRY_PI_PYTHONS)
    boards = pack.WheelsConfig(machine=machine or pack.RASPBERRY_PI_MACHINE, pythons=pythons)
    # A board that asks for signatures installs nothing that no signature covers.
    packed = boards if wheels or sign is not None else None
    config = pack.BundleConfig(artifacts=tuple(artifacts or ()), wheels=packed, key=sign, serve=serve)
    opened = Exports.open(exports, reporter)
    result = pack.make_bundle(opened, output, config, reporter)
    show(result, lambda: bundle_page(result, opened.command("bench")), json=json)
    if result.refused:
        raise typer.Exit(EXIT_GATE_MISSED)


def bundle_page(result: BundleResult, instead: str = "") -> RenderableType:
    """Draw what is in the bundle. `instead` is the command that comes next if boards will refuse it."""
    import shlex

    from edgemnist.ground.results.verdict import listed

    rows = {
        "file": f"{result.bundle}, {kilobytes(result.bytes)}",
        "artifacts": ", ".join(result.artifacts),
        "package": f"edgemnist {result.edgemnist} with {', '.join(result.extras)}",
        "wheels": f"{result.machine}, Python {', '.join(result.pythons)}" if result.pythons else "fetched by the board",
        "signed": "yes" if result.signed else "no",
        "identity": result.identity[:12],
    }
    page = table("bundle", "", left=[""])
    for name, value in rows.items():
        page.add_row(name, value)
    if result.refused:
        it = f"A board will refuse it: {listed(result.refused)} did not pass the gate."
        last = closing(it, instead, passed=False)
    else:
        packed = count(len(result.artifacts), "artifact")
        last = closing(f"Packed {packed}.", f"edgemnist deploy {shlex.quote(result.bundle)} --to USER@BOARD")
    return Group(page, last)
