"""`edgemnist verify`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import flag, option

app = command_app()


@app.command(
    epilog="Example: edgemnist verify tflite-int8 --max-flips 0.1 · "
    "edgemnist verify --reference theirs.onnx mine.tflite · edgemnist verify --show-gate > gate.toml"
)
def verify(  # noqa: PLR0915 - four ways to ask, each in turn
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL|FILE]...",
            help="Names such as tflite-int8 or tflite-int8@integer, by default all; or model files.",
            show_default=False,
        ),
    ] = None,
    *,
    max_flips: float | None = option("--max-flips PERCENT", "Labels that may change.", shown="by quantization"),
    max_drop: float | None = option("--max-drop POINTS", "Accuracy that may be lost.", shown="by quantization"),
    max_diff: float | None = option("--max-diff P", "How far off probabilities may be.", shown="by quantization"),
    gate: Path | None = option(
        "--gate FILE",
        "Limits in TOML; the options above override them.",
        shown="gate.toml in the export directory, or edgemnist.toml here",
    ),
    show_gate: bool = flag("--show-gate", "Print the limits as a gate file, and verify nothing."),
    flips: bool = flag("--flips", "List every image whose label changed."),
    rounding: bool = flag(
        "--rounding", "Say which rounding rule the runtime of each int8 artifact uses.", panel=options.ADVANCED
    ),
    why: bool = flag("--why", "Explain flips of int8 files: the cause that, repaired, gives the label back."),
    junit: Path | None = option("--junit FILE", "Write the result as JUnit XML, for CI.", panel=options.ADVANCED),
    reference: str | None = option("--reference FILE", "Compare model files with this one; no manifest is needed."),
    quantization: str | None = option(
        "--as QUANTIZATION",
        "Quantization whose limits apply to the files.",
        shown="what each file says",
        panel=options.ADVANCED,
    ),
    data: options.Data = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    on: options.On = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Check every artifact against the Keras model, on every evaluation image. Exit 1 if a gate is missed."""
    from edgemnist.ground.results.verify import GateResult, VerifyResult
    from edgemnist.ground.storage import write_file
    from edgemnist.model.exports import find_exports
    from edgemnist.model.exports.models import is_file
    from edgemnist.model.exports.outputs import XML, check_output
    from edgemnist.pipeline.verify.gate import ABS_DIFF, DROP, FLIPS, GATES, GateTable, gate_toml, gates_of, read_gates
    from edgemnist.pipeline.verify.screen import bench_step, board_step, files_step, junit_xml, next_words, verify_page

    check_output("--junit", junit, XML)
    limits = {FLIPS: max_flips, DROP: max_drop, ABS_DIFF: max_diff}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    table = GateTable() if gate is None else read_gates(gate)
    if show_gate:
        # Text wraps nothing away.
        table = gates_of(find_exports(exports, fall_back=False), table)
        show(GateResult(gate=table.document()), lambda: Text(gate_toml(table).rstrip()), json=json)
        return
    gates = replace(table, options=given)
    reporter = TerminalReporter()
    step = ""
    if on:
        options.refuse_with_on(context, "reference", "quantization", "exports")
        words = options.given_words(
            context, without=options.HERE | {"gate", "junit", "data", "offline", "skip_broken", "flips"}
        )
        target = options.only("--on", on)
        files = {} if gate is None else {"gate.toml": gate.read_bytes()}
        words += ["--gate", *files] if files else []
        result = target.answer(["verify", *words], VerifyResult, files).result
        step = board_step(result, target.words, flips=flips)
    elif reference is not None:
        options.refuse(context, "rounding", reason="--reference compares model files")
        if not artifacts:
            hint = "For example: edgemnist verify --reference a.onnx b.tflite"
            raise UsageError("Name a model file to compare with the reference", hint=hint)
        if quantization is not None:
            _ = GATES[quantization]
        with quiet_libraries():
            from edgemnist.pipeline.verify.files import evaluation_for, verify_files

            place = find_exports(exports, fall_back=False)
            named = options.named_data(context, data)
            evaluation = evaluation_for(
                reference, place, named, usual=data, download=not offline, skip_broken=skip_broken, reporter=reporter
            )
            result = verify_files(
                reference, artifacts, evaluation, gates=gates, quantization=quantization, why=why, reporter=reporter
            )
            compared = {"--reference": reference, "--data": named, "--as": quantization, "--exports": exports}
            step = files_step(result, compared, flips=flips)
    elif artifacts and all(map(is_file, artifacts)):
        options.refuse(context, "quantization", "exports", reason="Files are checked by themselves")
        with quiet_libraries():
            from edgemnist.pipeline.verify.files import verify_alone

            named = options.named_data(context, data)
            result = verify_alone(artifacts, named, gates=gates, rounding=rounding, why=why, reporter=reporter)
            step = bench_step(result, artifacts)
    else:
        options.refuse(context, "quantization", "data", reason="Artifacts are checked against the golden pack")
        _refuse_files(artifacts or ())
        with quiet_libraries():
            from edgemnist.model.exports import Exports
            from edgemnist.pipeline.verify.run import keep_verdict
            from edgemnist.pipeline.verify.run import verify as run

            opened = Exports.open(exports, reporter)
            result = run(opened, artifacts, reporter, gates=gates, rounding=rounding, why=why)
            keep_verdict(opened, result, reporter)
            step = opened.command(next_words(result, flips=flips))
    if junit is not None:
        write_file(junit, junit_xml(result))
    show(result, lambda: verify_page(result, flips=flips, step=step), json=json, host=on[0].name if on else "")
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def _refuse_files(names: Sequence[str]) -> None:
    """Raise UsageError if a name is that of a file: the others are artifacts."""
    from edgemnist.model.exports.models import is_file

    if files := [name for name in names if is_file(name)]:
        raise UsageError(
            f"{files[0]} is a file, and {next(name for name in names if not is_file(name))} is none",
            hint=f"Compare it with another file, or verify it alone: edgemnist verify {files[0]}",
        )
