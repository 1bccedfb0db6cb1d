"""`edgemnist train`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_INTERRUPTED

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
    epochs: options.Epochs = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", show_default="the recipe's", help="Images a step.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed on the same machine gives the same weights.")] = 0,
    teacher_seed: Annotated[
        int | None,
        typer.Option("--teacher-seed", show_default="the seed", help="Of the teacher, so that seeds can share one."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint that an interrupted training left.")
    ] = False,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Train the Keras MLP, and write model.keras, training.json and the curves."""
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.data.sources import find_dataset
    from edgemnist.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.train.recipes import TrainConfig
    from edgemnist.train.screen import train_page

    config = TrainConfig(
        recipe=recipe,
        hidden=options.units(hidden),
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
