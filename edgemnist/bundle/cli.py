"""`edgemnist bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import closing, table
from edgemnist.errors import UsageError
from edgemnist.formatting import count, kilobytes

if TYPE_CHECKING:
    from edgemnist.results.boards import BundleResult

app = command_app()


@app.command(epilog="Example: edgemnist bundle tflite-int8 --output digits.zip")
def bundle(
    artifacts: options.Models = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = Path(
        "bundle.zip"
    ),
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEY", help="Sign with an SSH key, or the .pub of one in the agent."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Include what `edgemnist serve` needs beyond the runtimes.")
    ] = False,
    wheels: Annotated[bool, typer.Option("--wheels", help="Include all wheels, for boards without a network.")] = False,
    python: Annotated[
        list[str] | None,
        typer.Option(
            "--python", metavar="VERSION", show_default="3.11 and 3.13", help="Python versions of the boards."
        ),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", show_default="aarch64", help="Processor of the boards, for the wheels.")
    ] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Pack artifacts, golden pack and the package itself into one file for `edgemnist deploy`.

    The same export directory and package give the same bytes.
    """
    from edgemnist.bundle.pack import BundleConfig, make_bundle
    from edgemnist.bundle.package import RASPBERRY_PI_MACHINE, RASPBERRY_PI_PYTHONS, WheelsConfig
    from edgemnist.exports import Exports
    from edgemnist.exports.outputs import ZIP, check_output

    for option, given in (("--python", python), ("--machine", machine)):
        if given and not wheels:
            raise UsageError(f"{option} needs --wheels", hint="Add --wheels.")
    check_output("--output", output, ZIP, inputs=[sign] if sign else [])
    reporter = TerminalReporter()
    boards = WheelsConfig(machine=machine or RASPBERRY_PI_MACHINE, pythons=tuple(python or RASPBERRY_PI_PYTHONS))
    config = BundleConfig(artifacts=tuple(artifacts or ()), wheels=boards if wheels else None, key=sign, serve=serve)
    opened = Exports.open(exports, reporter)
    result = make_bundle(opened, output, config, reporter)
    show(result, lambda: bundle_page(result, opened.command("recommend")), json=json)


def bundle_page(result: BundleResult, instead: str = "") -> RenderableType:
    """Draw what is in the bundle. `instead` is the command that comes next if boards will refuse it."""
    import shlex

    wheels = f"{result.machine}, Python {', '.join(result.pythons)}" if result.pythons else "fetched by the board"
    rows = {
        "file": f"{result.bundle}, {kilobytes(result.bytes)}",
        "artifacts": ", ".join(result.artifacts),
        "package": f"edgemnist {result.edgemnist} with {', '.join(result.extras)}",
        "wheels": wheels,
        "signed": "yes" if result.signed else "no",
        "identity": result.identity[:12],
    }
    page = table("bundle", "", left=[""])
    for name, value in rows.items():
        page.add_row(name, value)
    if result.refused:
        last = closing(f"A board will refuse it: {', '.join(result.refused)} missed the gate.", instead, passed=False)
    else:
        packed = count(len(result.artifacts), "artifact")
        last = closing(f"Packed {packed}.", f"edgemnist deploy {shlex.quote(result.bundle)} --to USER@BOARD")
    return Group(page, last)
