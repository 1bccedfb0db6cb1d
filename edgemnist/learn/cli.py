"""`edgemnist learn`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist learn --samples samples --out learned")
def learn(
    context: typer.Context,
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
    on: Annotated[
        list[str] | None,
        typer.Option("--on", metavar="HOST", help="Learn from the samples of a board; repeatable."),
    ] = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed on the same machine gives the same weights.")] = 0,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Let the model learn from labelled samples, and write a new export directory if that made it better.

    It is compared with the present model on samples that it has not learnt from, and on the golden pack. If it is not
    better on the former, or is worse on the latter, the exit code is 1 and nothing is written. Without --data, the
    images of the training are replayed, if their directory is still there. With --on, the samples of one or more boards
    are fetched, and DIR is where they are on each.
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
    if on:
        options.refuse_with_on(context, "forget")
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter)
    with ExitStack() as stack:
        if on:
            place = Path(stack.enter_context(TemporaryDirectory(prefix="edgemnist-")))
            from edgemnist.learn.fetch import fetch

            fetch(on, samples, place, root=root, ssh_config=ssh_config)
        store = stack.enter_context(SampleStore.open(place if on else samples))
        dataset = find_dataset(data or source_of_training(opened.directory), download=not offline, reporter=reporter)
        with quiet_libraries():
            result = run(opened, store, dataset, LearnConfig(out=out, forget=forget, seed=seed), reporter)
    show(result, lambda: learn_page(result), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
