"""`edgemnist train`: its options and its page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count, percent

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.ground.results.pipeline import TrainResult
    from edgemnist.model.task import Task

app = command_app()


@app.command(epilog="Example: edgemnist train --recipe standard --hidden 128 --seed 7")
def train(
    *,
    recipe: str = option(
        "--recipe",
        "baseline: the classic RMSprop, of MNIST for five epochs. "
        "standard: pictures distorted, cosine schedule, weight averaging. "
        "best, of MNIST: distilled from a convolutional teacher, and trained for int8; takes minutes.",
        "standard",
    ),
    hidden: options.Hidden = None,
    network: str | None = option(
        "--network SPEC",
        "Another network: family, height of the input, layers and bits per weight, such as "
        "mlp:14:40-20:4bit or cnn:14:c8s2-c16-mean:4bit.",
    ),
    epochs: options.Epochs = None,
    batch_size: int | None = option("--batch-size", "Images per step.", shown="the recipe's"),
    seed: options.Seed = 0,
    teacher_seed: int | None = option(
        "--teacher-seed", "Seed of the teacher, so that several seeds can share one.", shown="the seed"
    ),
    data: options.Data = None,
    shape: options.Input = None,
    prepare: options.Prepare = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Train a Keras model, an MLP or a small CNN, and write model.keras and training.json."""
    from edgemnist.model.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.model.task import default_task
    from edgemnist.pipeline.data.sources import find_dataset
    from edgemnist.pipeline.train.network import Network
    from edgemnist.pipeline.train.recipes import TrainConfig

    if network is not None and hidden:
        raise UsageError("--hidden and --network both name a network", hint="Leave one of them out.")

    def configured(task: Task) -> TrainConfig:
        return TrainConfig(
            recipe=recipe,
            task=task,
            hidden=options.units(hidden),
            network=None if network is None else Network.parse(network, task.input.shape),
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            teacher_seed=teacher_seed,
        )

    if data is None:
        # What is wrong is said before anything is downloaded.
        configured(default_task())
    reporter = TerminalReporter()
    read = partial(find_dataset, shape=options.input_shape(shape), prepare=prepare, skip_broken=skip_broken)
    dataset = read(data, download=not offline, reporter=reporter)
    config, directory = configured(dataset.task), exports or DEFAULT_EXPORTS
    with quiet_libraries():
        from edgemnist.pipeline.train.run import train as run

        result = run(dataset, config, directory, reporter)
    show(result, lambda: train_page(result, directory), json=json)


def train_page(result: TrainResult, exports: Path) -> RenderableType:
    """Draw what was trained, on what, and how well it does."""
    from edgemnist.ground.inputs import InputSpec, noun_of
    from edgemnist.model.exports.manifest import command
    from edgemnist.pipeline.train.network import short_name_of

    page = table("", " ", prose=[" "])
    page.show_header = False
    epochs = count(result.epochs, "epoch")
    page.add_row("network", f"{short_name_of(result)}, {result.parameters:,} parameters")
    page.add_row("recipe", f"{result.recipe}, {epochs}, seed {result.seed}")
    if isinstance(result.input, InputSpec):
        page.add_row("inputs", result.input.words())
    page.add_row("data", f"{result.data.source}: {result.data.train:,} to train, {result.data.test:,} to test")
    page.add_row("test accuracy", Text(percent(result.test_accuracy), "bold"))
    page.add_row("train accuracy", percent(result.train_accuracy))
    page.add_row("fit", f"{result.fit_seconds:.1f} s")
    page.add_row("model", str(exports / result.model))
    if result.teacher:
        page.add_row("teacher", result.teacher)
    kind = f"{noun_of(result.input)}s"
    return Group(
        page, closing(f"{percent(result.test_accuracy)} of the test {kind} are right.", command("export", exports))
    )
