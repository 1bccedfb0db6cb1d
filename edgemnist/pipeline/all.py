"""`edgemnist all`: train → export → verify → bench, and what to ship."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.tables import decision_lines, disturbed, outcome, table
from edgemnist.ground.formatting import kilobytes, microseconds, percent, ratio
from edgemnist.ground.progress import SILENT, Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.ground.results.pipeline import PipelineResult
    from edgemnist.pipeline.bench.run import BenchConfig
    from edgemnist.pipeline.data.dataset import Dataset
    from edgemnist.pipeline.export.interface import ExportConfig
    from edgemnist.pipeline.train.recipes import TrainConfig

app = command_app()

BENCH_SECONDS: Final = 20.0
"""`edgemnist bench` takes longer, and its intervals are narrower."""


@app.command(epilog="Example: edgemnist all --recipe baseline --seed 1")
def all_(
    *,
    recipe: options.Recipe = "standard",
    hidden: options.Hidden = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    data: options.Data = None,
    shape: options.Input = None,
    prepare: options.Prepare = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Train, export to every format, verify, bench, and say which artifact to ship and how sure that is."""
    from edgemnist.model.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.pipeline.bench.run import BenchConfig
    from edgemnist.pipeline.data.sources import find_dataset
    from edgemnist.pipeline.export.interface import ExportConfig
    from edgemnist.pipeline.train.recipes import TrainConfig

    train_config = TrainConfig(recipe=recipe, hidden=options.units(hidden), epochs=epochs, seed=seed)
    reporter = TerminalReporter()
    read = partial(find_dataset, shape=options.input_shape(shape), prepare=prepare, skip_broken=skip_broken)
    dataset = read(data, download=not offline, reporter=reporter)
    directory = exports or DEFAULT_EXPORTS
    with quiet_libraries():
        result = run_pipeline(
            dataset,
            directory,
            train_config=train_config,
            export_config=ExportConfig.of(),
            bench_config=BenchConfig(seconds=BENCH_SECONDS),
            reporter=reporter,
        )
    show(result, lambda: pipeline_page(result, directory), json=json)
    if not result.verify.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def run_pipeline(
    dataset: Dataset,
    exports: Path,
    *,
    train_config: TrainConfig,
    export_config: ExportConfig,
    bench_config: BenchConfig,
    reporter: Reporter = SILENT,
) -> PipelineResult:
    """Run every stage on `dataset`, leaving its files in `exports`.

    A missed parity gate does not stop it: the result says which artifacts passed. Raises what the stages raise.
    """
    from edgemnist.ground.results.pipeline import PipelineResult
    from edgemnist.model.exports import Exports
    from edgemnist.pipeline.bench.run import bench
    from edgemnist.pipeline.export.run import export_model
    from edgemnist.pipeline.train.run import train
    from edgemnist.pipeline.verify.run import verify

    trained = train(dataset, train_config, exports, reporter)
    exported = export_model(export_config, dataset, exports, reporter)
    opened = Exports.open(exports)
    verified = verify(opened, reporter=reporter)
    opened.findings.save_verification(verified, reporter)
    benched = bench(opened, None, bench_config, reporter)
    opened.findings.save_bench(benched, reporter)
    return PipelineResult(
        train=trained,
        export=exported,
        verify=verified,
        bench=benched,
        decision=opened.findings.decision(benched),
    )


def pipeline_page(result: PipelineResult, exports: Path) -> RenderableType:
    """Draw the one table that the whole run was for, and what to ship."""
    from edgemnist.model.exports.manifest import command

    page = table("artifact", "size", "accuracy", "flips", "p50", "vs Keras", "gate", left=["gate"])
    latencies = {(one.name, one.sha256): one for one in result.bench.results}
    for parity in result.verify.artifacts:
        if (found := latencies.get((parity.name, parity.sha256))) is None:
            continue
        page.add_row(
            Text(parity.name, "bold green" if parity.name == result.decision.name else ""),
            kilobytes(found.bytes),
            percent(parity.accuracy),
            str(parity.flips),
            microseconds(found.p50_us, tainted=found.disturbed),
            ratio(found.speedup.ratio) if found.speedup else "–",
            outcome(parity.verdict.outcome),
        )
    keras = next((latency for latency in result.bench.results if latency.runtime == "keras"), None)
    if keras is not None:
        page.add_section()
        page.add_row(
            "Keras model(x)",
            kilobytes(keras.bytes),
            percent(result.verify.reference_accuracy),
            "",
            microseconds(keras.p50_us, tainted=keras.disturbed),
            "1×",
            "",
        )
    data = result.train.data
    heading = f"{data.source}: {data.train:,} {result.export.noun}s to train, {data.test:,} to test."
    return Group(
        Text(heading),
        page,
        *disturbed(latency.disturbed for latency in result.bench.results),
        *decision_lines(result.decision, command("report", exports)),
    )
