"""`edgemnist learn`: its options and its page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.console.tables import table
from edgemnist.errors import EXIT_GATE_MISSED, check_range
from edgemnist.formatting import percent

if TYPE_CHECKING:
    from edgemnist.results.samples import LearnResult, Paired
    from edgemnist.results.verify import Interval

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
    seed: options.Seed = 0,
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
    from edgemnist.data.sources import find_dataset
    from edgemnist.exports import Exports
    from edgemnist.exports.questions import source_of_training
    from edgemnist.learn.run import LearnConfig
    from edgemnist.learn.run import learn as run
    from edgemnist.samples.store import SampleStore

    check_range("--seed", seed, least=0, most=2**32 - 1)
    if on:
        options.refuse_with_on(context, "forget")
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter)
    with ExitStack() as stack:
        if on:
            place = Path(stack.enter_context(TemporaryDirectory(prefix="edgemnist-")))

            fetch(on, samples, place, root=root, ssh_config=ssh_config)
        store = stack.enter_context(SampleStore.open(place if on else samples))
        dataset = find_dataset(data or source_of_training(opened.directory), download=not offline, reporter=reporter)
        with quiet_libraries():
            result = run(opened, store, dataset, LearnConfig(out=out, forget=forget, seed=seed), reporter)
    show(result, lambda: learn_page(result), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


SHOWN: Final = 10
"""Most contradictions to show."""


def learn_page(result: LearnResult) -> RenderableType:
    """Draw how the present model and the new one compare."""
    page = table("", "images", "before", "after", "fixed", "broken", "p")
    page.add_row("samples, not learnt from", *_cells(result.held_out))
    page.add_row("golden pack", *_cells(result.golden))
    learnt = sum(result.per_class.values())
    left_out = [f"{result.not_a_digit} that are no digit"] if result.not_a_digit else []
    left_out += [f"{result.disputed} whose labels differ"] if result.disputed else []
    lines: list[RenderableType] = [page]
    said = f"Learnt from {learnt:,} samples in {result.seconds:.0f} s"
    lines.append(Text(f"{said}; left out: {', '.join(left_out)}." if left_out else f"{said}."))
    if result.forgotten is not None:
        lines.append(Text(f"Forgotten: {result.forgotten:,} labels."))
    if result.contradictions:
        count = len(result.contradictions)
        words = "1 label contradicts its" if count == 1 else f"{count} labels contradict their"
        lines.append(Text(f"{words} neighbours. Look again in the review:"))
        found = table("sample", "label", "neighbours", "writer", prose=["writer"])
        for one in result.contradictions[:SHOWN]:
            found.add_row(str(one.sample), one.label, one.neighbours, ", ".join(one.writers))
        lines.append(found)
    if len(result.per_writer) > 1 or result.contradictions:
        lines.append(_writers(result))
    lines += [Text(f"Gate missed. {reason}") for reason in result.reasons]
    if result.out is not None:
        out = shlex.quote(result.out)
        loss = f" int8 loses {result.int8_loss * 100:.2f} points." if result.int8_loss is not None else ""
        lines.append(Text(f"Written: {out}.{loss} Next: edgemnist verify --exports {out}"))
    else:
        lines.append(Text(f"{result.exports} stays as it is."))
    return Group(*lines)


def _writers(result: LearnResult) -> RenderableType:
    """Draw how many labels each writer gave, and how many of them look wrong, the most first."""
    wrong = Counter(writer for one in result.contradictions for writer in one.writers)
    page = table("writer", "labels", "contradicting", prose=["writer"])
    for writer, labels in Counter(result.per_writer).most_common(SHOWN):
        page.add_row(writer, f"{labels:,}", f"{wrong[writer]:,}")
    if (more := len(result.per_writer) - SHOWN) > 0:
        page.add_row(f"{more:,} more", "", "")
    return page


def _cells(one: Paired) -> list[str]:
    return [
        f"{one.images:,}",
        _share(one.before, one.images, one.before_interval),
        _share(one.after, one.images, one.after_interval),
        str(one.fixed),
        str(one.broken),
        "" if one.p_value is None else f"{one.p_value:.2g}",
    ]


def _share(right: int, images: int, interval: Interval | None) -> str:
    within = "" if interval is None else f" ({interval.low * 100:.1f}–{interval.high * 100:.1f})"
    return f"{percent(right / images)}{within}"


def fetch(hosts: Sequence[str], directory: Path, place: Path, *, root: str | None, ssh_config: Path | None) -> None:
    """Fetch the samples of boards, in a directory on each, into one store at `place`.

    Raises UsageError if a board is named twice, and DeployError if one cannot be reached or has no samples.
    """
    from edgemnist.deploy.remote import samples_on
    from edgemnist.deploy.target import BoardAddress, require_distinct
    from edgemnist.samples.store import SampleStore

    targets = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in hosts]
    require_distinct(targets)
    with SampleStore.open(place, create=True) as store:
        for target in targets:
            store.merge(samples_on(target, str(directory)))
