"""`edgemnist scenario`: its options and its pages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, drawn, options, show
from edgemnist.console.tables import closing, closing_of_boards, fault_line, host_line, quality, table, throttle_note
from edgemnist.errors import DeployError
from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.results.bench import ScenarioResult
    from edgemnist.results.boards import FleetScenarioResult

app = command_app()


@app.command(epilog="Example: edgemnist scenario server tflite-int8 --p99-limit 0.5 · edgemnist scenario offline")
def scenario(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="In MLPerf's terms: single-stream (p90 with its early-stopping bound), offline (batches of 1 to "
            "1,024), server (the highest rate within a p99 limit); and duty-cycle (asleep between calls).",
        ),
    ],
    models: options.Models = None,
    *,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="R",
            show_default="1 for duty-cycle",
            help="duty-cycle: calls a second. server: try this many queries a second, too.",
        ),
    ] = None,
    p99_limit: Annotated[
        float | None,
        typer.Option(
            "--p99-limit", metavar="MS", show_default="1", help="server: how long 99 % of the queries may take."
        ),
    ] = None,
    threads: options.ThreadRange = "1",
    samples: options.Samples = 1000,
    seconds: options.Seconds = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", help="single-stream: rounds, each in fresh processes.")] = 3,
    repeats: options.Repeats = 1,
    save: options.Save = None,
    on: options.OnEach = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Put models under load, each in a process of its own, and say what they sustain."""
    from edgemnist.bench.config import BenchConfig
    from edgemnist.exports import Exports
    from edgemnist.exports.outputs import JSON, check_output
    from edgemnist.exports.questions import question
    from edgemnist.scenario.run import ScenarioConfig, run_scenario

    played = ScenarioConfig(name=name, rate=rate, p99_limit_ms=p99_limit)
    check_output("--save", save, JSON)
    if on:
        options.refuse_with_on(context, "exports")
        from edgemnist.deploy.remote import scenario_on
        from edgemnist.deploy.target import BoardAddress
        from edgemnist.storage import write_file

        words = options.given_words(context, without=options.HERE)
        fleet = scenario_on([BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in on], words)
        # A file that holds figures is not replaced by one of failures.
        if save is not None and any(board.result is not None for board in fleet.boards):
            write_file(save, fleet.to_json().encode())
        show(fleet, lambda: fleet_scenario_page(fleet), json=json)
        if codes := [board.fault.exit_code for board in fleet.boards if board.fault is not None]:
            raise typer.Exit(max(codes))
        return
    first, last = BenchConfig.parse_threads(threads)
    config = BenchConfig(
        threads=first, threads_to=last, samples=samples, seconds=seconds, rounds=rounds, repeats=repeats, keras=False
    )
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter)
    question(opened, reporter)
    result = run_scenario(opened, models, config, played, save=save, reporter=reporter)
    opened.findings.save_scenario(result, reporter)
    show(result, lambda: scenario_page(result, opened.command("report")), json=json)


def scenario_page(result: ScenarioResult, step: str = "") -> RenderableType:
    """Draw what a scenario measured for each artifact."""
    from edgemnist.scenario.run import run_name, scenario_table

    found = scenario_table(result)
    page = table(*found.columns)
    for row in found.rows:
        page.add_row(*(Text(cell.text, style="bold" if cell.strong else "") for cell in row))
    warned = (f"{run_name(one)}: {'; '.join(one.warnings)}" for one in result.results if one.warnings)
    last = closing(f"{count(len(result.results), 'model')} measured.", step)
    heading = Text(f"{found.title}: {found.text}")
    return Group(heading, page, host_line(result.host), *quality([*result.warnings, *warned]), last)


def fleet_scenario_page(result: FleetScenarioResult) -> RenderableType:
    """Draw what a scenario measured on each board, one below the other."""
    parts: list[RenderableType] = []
    for board in result.boards:
        if board.fault is not None:
            parts.append(fault_line(board.host, board.host, board.fault))
        if board.result is not None:
            parts.append(Text(board.host, style="bold"))
            try:
                parts.append(drawn(board.host, partial(scenario_page, board.result)))
            except DeployError as error:
                # One board must not cost the results of the others.
                parts.append(Text(f"{error.message}. {error.hint}"))
        parts += [throttle_note(board.host, board.throttled)] if board.throttled else []
    done = [board.host for board in result.boards if board.fault is None]
    failed = [board.host for board in result.boards if board.fault is not None]
    return Group(*parts, closing_of_boards(done, failed, f"edgemnist releases --to {(done or failed)[0]}"))
