"""`edgemnist verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options
from edgemnist.errors import EXIT_GATE_MISSED


@app.command(
    epilog="Example: edgemnist verify tflite-int8 --max-flips 0.1 · "
    "edgemnist verify --reference theirs.onnx mine.tflite · edgemnist verify --show-gate > gate.toml"
)
def verify(
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARTIFACT|FILE]...",
            help="Names such as tflite-int8, all that are there by default; with --reference, model files.",
            show_default=False,
        ),
    ] = None,
    *,
    max_flips: Annotated[
        float | None,
        typer.Option("--max-flips", metavar="PERCENT", show_default="by quantization", help="Labels that may change."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="POINTS", show_default="by quantization", help="Accuracy that may be lost."),
    ] = None,
    max_diff: Annotated[
        float | None,
        typer.Option(
            "--max-diff", metavar="P", show_default="by quantization", help="How far off probabilities may be."
        ),
    ] = None,
    gate: Annotated[
        Path | None, typer.Option("--gate", metavar="FILE", help="Limits in TOML; options above take their place.")
    ] = None,
    show_gate: Annotated[
        bool, typer.Option("--show-gate", help="Print the limits as a gate file, and verify nothing.")
    ] = False,
    flips: Annotated[bool, typer.Option("--flips", help="List every image whose label changed.")] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write a PNG with every such image.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Compare each TFLite file with tflite-float32, layer by layer.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the result as JUnit XML, for CI.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            show_default="by artifact",
            help="Execute with this; `integer` needs NumPy only.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="FILE", help="Compare model files with this one; no manifest is needed."),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="QUANTIZATION", show_default="what each file tells", help="Whose limits hold for files."
        ),
    ] = None,
    data: options.Data = None,
    offline: options.Offline = False,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Hold every artifact against the Keras model, over every evaluation image. Exit 1 where a gate is missed."""
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.terminal import quiet_libraries
    from edgemnist.render.verify import gate_page, verify_page
    from edgemnist.results import GateResult
    from edgemnist.verify.command import Request, run_request
    from edgemnist.verify.gate import LimitOverrides
    from edgemnist.verify.gatefile import GateTable, read_gates

    source = context.get_parameter_source("data")
    if reference is None and source is not None and source.name == "ENVIRONMENT":
        # It is there for other commands: artifacts are held against the golden pack.
        data = None
    gates = read_gates(gate) if gate is not None else GateTable()
    if show_gate:
        show(GateResult(gate=gates.document()), lambda: gate_page(gates), json=json)
        return
    request = Request(
        artifacts=artifacts or [],
        limits=LimitOverrides.of(max_flips_percent=max_flips, max_drop_points=max_drop, max_abs_diff=max_diff),
        gates=gates,
        exports=exports,
        runtime=runtime,
        layers=layers,
        reference=reference,
        quantization=quantization,
        data=data,
        download=not offline,
        sheet=sheet,
        junit=junit,
    )
    if on:
        from edgemnist.deploy.remote import verify_on
        from edgemnist.deploy.target import Target
        from edgemnist.storage import write_file
        from edgemnist.verify.junit import junit_xml

        options.refuse_with_on({
            "--reference": reference, "--as": quantization, "--sheet": sheet, "--exports": exports,
        })  # fmt: skip
        words = options.words({
            "--max-flips": max_flips, "--max-drop": max_drop, "--max-diff": max_diff, "--runtime": runtime,
        })  # fmt: skip
        words = [*(artifacts or ()), *words, *(["--layers"] if layers else [])]
        result = verify_on(Target.of(options.only("--on", on), root=root, ssh_config=ssh_config), words, gate=gate)
        if junit is not None:
            write_file(junit, junit_xml(result))
    else:
        with quiet_libraries():
            result = run_request(request, TerminalReporter())
    show(result, lambda: verify_page(result, flips=flips), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
