"""`edgemnist verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.errors import EXIT_GATE_MISSED, UsageError

app = command_app()


@app.command(
    epilog="Example: edgemnist verify tflite-int8 --max-flips 0.1 · "
    "edgemnist verify --reference theirs.onnx mine.tflite · edgemnist verify --show-gate > gate.toml"
)
def verify(  # noqa: PLR0915 - three ways to ask, each in turn
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL|FILE]...",
            help="Names such as tflite-int8 or tflite-int8@integer, by default all; with --reference, model files.",
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
        Path | None, typer.Option("--gate", metavar="FILE", help="Limits in TOML; the options above override them.")
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
    rounding: Annotated[
        bool, typer.Option("--rounding", help="Say which rounding rule the runtime of each int8 artifact uses.")
    ] = False,
    junit: Annotated[
        Path | None,
        typer.Option(
            "--junit", metavar="FILE", help="Write the result as JUnit XML, for CI.", rich_help_panel=options.ADVANCED
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="FILE", help="Compare model files with this one; no manifest is needed."),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="QUANTIZATION",
            show_default="what each file says",
            help="Quantization whose limits apply to the files.",
            rich_help_panel=options.ADVANCED,
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
    """Check every artifact against the Keras model, on every evaluation image. Exit 1 if a gate is missed."""
    from edgemnist.exports.outputs import PNG, XML, check_output
    from edgemnist.results.verify import GateResult
    from edgemnist.storage import write_file
    from edgemnist.verify.gate import LimitOverrides, gate_for
    from edgemnist.verify.gatefile import GateTable, read_gates
    from edgemnist.verify.screen import board_step, files_step, gate_page, next_words, verify_page
    from edgemnist.verify.written import junit_xml

    options.check_png(sheet)
    check_output("--sheet", sheet, PNG)
    check_output("--junit", junit, XML)
    gates = read_gates(gate) if gate is not None else GateTable()
    if show_gate:
        show(GateResult(gate=gates.document()), lambda: gate_page(gates), json=json)
        return
    limits = LimitOverrides(max_flips_percent=max_flips, max_drop_points=max_drop, max_abs_diff=max_diff)
    reporter = TerminalReporter()
    step = ""
    if on:
        from edgemnist.deploy.remote import verify_on
        from edgemnist.deploy.target import BoardAddress

        options.refuse_with_on(context, "reference", "quantization", "sheet", "exports")
        words = options.given_words(context, without=options.HERE | {"gate", "junit", "data", "offline", "flips"})
        target = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config)
        result = verify_on(target, words, gate=gate)
        step = board_step(result, target.words, flips=flips)
    elif reference is not None:
        options.refuse(context, "layers", "rounding", reason="--reference compares model files")
        if not artifacts:
            raise UsageError(
                "Name a model file to compare with the reference",
                hint="For example: edgemnist verify --reference a.onnx b.tflite",
            )
        if quantization is not None:
            gate_for(quantization)
        with quiet_libraries():
            from edgemnist.exports import find_exports
            from edgemnist.verify.files import find_evaluation, verify_files
            from edgemnist.verify.run import write_flips

            place = find_exports(exports, fall_back=False)
            evaluation = find_evaluation(place, data, download=not offline, reporter=reporter)
            result = verify_files(
                reference, artifacts, evaluation, limits=limits, gates=gates, quantization=quantization,
                reporter=reporter,
            )  # fmt: skip
            if sheet is not None:
                result = write_flips(result, evaluation.images, sheet)
            step = files_step(result, reference, flips=flips)
    else:
        options.refuse(context, "quantization", "data", reason="Artifacts are checked against the golden pack")
        _refuse_files(artifacts or ())
        with quiet_libraries():
            from edgemnist.exports import Exports
            from edgemnist.verify.run import keep_verdict, write_flips
            from edgemnist.verify.run import verify as run

            opened = Exports.open(exports, reporter)
            result = run(opened, artifacts, limits, reporter, gates=gates, layers=layers, rounding=rounding)
            keep_verdict(opened, result, reporter)
            step = opened.command(next_words(result, flips=flips))
            if sheet is not None:
                result = write_flips(result, opened.read_golden().images, sheet)
    if junit is not None:
        write_file(junit, junit_xml(result))
    show(result, lambda: verify_page(result, flips=flips, step=step), json=json, host=on[0] if on else "")
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def _refuse_files(names: Sequence[str]) -> None:
    """Raise UsageError if a name is that of a file."""
    if files := [name for name in names if Path(name).suffix and Path(name).is_file()]:
        raise UsageError(
            f"{files[0]} is a file, and there is none to compare it with",
            hint=f"Name the other one: edgemnist verify --reference theirs.onnx {files[0]}",
        )
