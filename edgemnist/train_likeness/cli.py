"""`edgemnist train-likeness`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from edgemnist.console import command_app, options
from edgemnist.console.tables import table
from edgemnist.formatting import count, percent
from edgemnist.registry import Entry, Package

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.train_likeness.run import TrainLikenessResult

app = command_app()

TRAINER: Final = Entry(
    target="edgemnist.train_likeness.run:train_likeness",
    summary="Training the likeness network",
    requires=(
        Package("tensorflow", "tensorflow"),
        Package("opencv-python-headless", "cv2"),
        Package("matplotlib", "matplotlib"),
    ),
    extra="train,vision",
)
"""What makes the likeness network, and the packages that it needs beside edgemnist itself."""


@app.command(epilog="Example: edgemnist train-likeness --out likeness")
def train_likeness(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where likeness.tflite, likeness.json and calibration.json go.")
    ] = Path("likeness"),
    seed: Annotated[int, typer.Option("--seed", help="The same seed on the same machine gives the same network.")] = 21,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the pictures.")] = 18,
    artifact: Annotated[
        Path | None,
        typer.Option(
            "--artifact", metavar="FILE", show_default="the reference", help="Classifier that the threshold is for."
        ),
    ] = None,
    only_calibrate: Annotated[
        bool, typer.Option("--only-calibrate", help="Keep the package's network, and find only the threshold.")
    ] = False,
    data: options.Data = None,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Train the network that tells digits from everything else, and find the threshold of `read`."""
    from edgemnist.console import TerminalReporter, quiet_libraries, show
    from edgemnist.data.sources import find_dataset

    with quiet_libraries():
        run = TRAINER.load()
        from edgemnist.train_likeness.pictures import LikenessConfig

        config = LikenessConfig(seed=seed, epochs=epochs)
        reporter = TerminalReporter()
        dataset = find_dataset(data, download=not offline, reporter=reporter)
        result = run(dataset, config, out, reporter, artifact=artifact, keep_network=only_calibrate)
    show(result, lambda: train_likeness_page(result), json=json)


def train_likeness_page(result: TrainLikenessResult) -> RenderableType:
    """Draw what was made, of what, and what it refuses."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    network, calibration = result.network, result.calibration
    page.add_row(
        "network", f"seed {network.recipe.seed}, {count(network.recipe.epochs, 'epoch')}, {network.fit_seconds:.0f} s"
    )
    page.add_row("learned from", f"{network.digits:,} digits and {network.others:,} other drawings")
    page.add_row("calibrated for", calibration.artifact)
    page.add_row("threshold", Text(f"{calibration.min_confidence:.2f}", "bold"))
    page.add_row("  digits answered", percent(calibration.answered))
    page.add_row("  answered right", percent(calibration.right_of_answered))
    page.add_row("  letters refused", percent(calibration.letters_refused))
    page.add_row("  scribbles refused", percent(calibration.scribbles_refused))
    page.add_row("files", f"{', '.join(result.files)} in {result.directory}")
    return page
