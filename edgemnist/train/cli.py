"""`edgemnist train`: its options and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.console.tables import closing, table
from edgemnist.errors import EXIT_INTERRUPTED, UsageError
from edgemnist.formatting import count, percent

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.results.pipeline import TrainResult

app = command_app()


@app.command(epilog="Example: edgemnist train --recipe standard --hidden 128 --seed 7")
def train(
    *,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="baseline: the classic five epochs of RMSprop. "
            "standard: affine and elastic distortion, cosine schedule, weight averaging. "
            "best: distilled from a convolutional teacher, and trained for int8 and int4; takes minutes.",
        ),
    ] = "standard",
    hidden: options.Hidden = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="SPEC",
            help="A smaller network: family, side of the image, layers and bits per weight, such as "
            "mlp:14:40-20:4bit or cnn:28:c8s2-c16-mean:4bit.",
        ),
    ] = None,
    epochs: options.Epochs = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", show_default="the recipe's", help="Images per step.")
    ] = None,
    seed: options.Seed = 0,
    teacher_seed: Annotated[
        int | None,
        typer.Option(
            "--teacher-seed", show_default="the seed", help="Seed of the teacher, so that several seeds can share one."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoint of an interrupted training.")
    ] = False,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Train a Keras model, an MLP or a small CNN, and write model.keras, training.json and the curves."""
    from edgemnist.data.sources import find_dataset
    from edgemnist.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.train.network import Network
    from edgemnist.train.recipes import TrainConfig

    if network is not None and hidden:
        raise UsageError("--hidden and --network both name a network", hint="Leave one of them out.")
    config = TrainConfig(
        recipe=recipe,
        hidden=options.units(hidden),
        network=None if network is None else Network.parse(network),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        teacher_seed=teacher_seed,
    )
    reporter = TerminalReporter()
    dataset = find_dataset(data, download=not offline, reporter=reporter)
    directory = exports or DEFAULT_EXPORTS
    with quiet_libraries():
        from edgemnist.train.run import train as run

        result = run(dataset, config, directory, reporter, resume=resume)
    show(result, lambda: train_page(result, directory), json=json)
    if result.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def train_page(result: TrainResult, exports: Path) -> RenderableType:
    """Draw what was trained, on what, and how well it does."""
    from edgemnist.exports.manifest import command

    page = table("", " ", prose=[" "])
    page.show_header = False
    epochs = count(result.epochs, "epoch")
    stopped = " (interrupted)" if result.interrupted else ""
    page.add_row("network", f"{result.short_network}, {result.parameters:,} parameters")
    page.add_row("recipe", f"{result.recipe}, {epochs}{stopped}, seed {result.seed}")
    page.add_row("data", f"{result.data.source}: {result.data.train:,} to train, {result.data.test:,} to test")
    page.add_row("test accuracy", Text(percent(result.test_accuracy), "bold"))
    page.add_row("train accuracy", percent(result.train_accuracy))
    for condition, accuracy in result.robustness.items():
        page.add_row(f"  {condition}", percent(accuracy))
    page.add_row("fit", f"{result.fit_seconds:.1f} s")
    page.add_row("model", str(exports / result.model))
    if result.teacher:
        page.add_row("teacher", result.teacher)
    for what, file in result.pictures.items():
        page.add_row(what, str(exports / file))
    if result.interrupted:
        last = closing(f"Stopped after {epochs}.", "", passed=False)
    else:
        last = closing(f"{percent(result.test_accuracy)} of the test images are right.", command("export", exports))
    return Group(page, last)
