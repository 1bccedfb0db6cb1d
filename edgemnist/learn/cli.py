"""`edgemnist learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist learn --samples samples --out learned")
def learn(
    *,
    samples: Annotated[
        Path, typer.Option("--samples", metavar="DIR", help="Directory of samples, labelled with `edgemnist review`.")
    ] = Path("samples"),
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The new export directory; it must not exist.")
    ] = Path("learned"),
    forget: Annotated[
        str | None,
        typer.Option("--forget", metavar="WRITER", help="Delete this writer's labels and corrections first, for good."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed on the same machine gives the same weights.")] = 0,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Let the model learn from labelled samples, and write a new export directory if that made it better.

    It is compared with the present model on samples that it has not learnt from, and on the golden pack. If it is not
    better there, or worse here, the exit code is 1 and nothing is written. Without --data, what is replayed are the
    images of the training, if their directory is still there.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.data.sources import find_dataset
    from edgemnist.errors import EXIT_GATE_MISSED, check_range
    from edgemnist.exports.directory import Exports
    from edgemnist.exports.training import source_of_training
    from edgemnist.learn.run import LearnConfig
    from edgemnist.learn.run import learn as run
    from edgemnist.learn.screen import learn_page
    from edgemnist.samples.store import SampleStore

    check_range("--seed", seed, least=0, most=2**32 - 1)
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter, fall_back=True)
    with SampleStore.open(samples) as store:
        dataset = find_dataset(data or source_of_training(opened.directory), download=not offline, reporter=reporter)
        with quiet_libraries():
            result = run(opened, store, dataset, LearnConfig(out=out, forget=forget, seed=seed), reporter)
    show(result, lambda: learn_page(result), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
