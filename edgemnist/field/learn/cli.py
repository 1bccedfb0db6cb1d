"""`edgemnist learn`: its options and its page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED, check_range
from edgemnist.field.samples import OBJECTOR, merge_samples_on, samples_on
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import table
from edgemnist.ground.formatting import count, percent

if TYPE_CHECKING:
    from edgemnist.field.samples import Sample
    from edgemnist.field.samples.store import SampleStore
    from edgemnist.ground.boards import Board
    from edgemnist.ground.results.samples import LearnResult, LeftOut, Paired
    from edgemnist.ground.results.verify import Interval

app = command_app()


@app.command(epilog="Example: edgemnist learn --samples samples --out learned")
def learn(
    context: typer.Context,
    *,
    samples: Path = option("--samples DIR", "Directory of samples, labelled with `edgemnist review`.", Path("samples")),
    out: Path = option("--out DIR", "The new export directory; it must not exist.", Path("learned")),
    forget: str | None = option("--forget WRITER", "Delete this writer's labels and corrections first, for good."),
    trust: list[str] | None = option(
        "--trust WRITER", "Learn from this client's corrections although no person has confirmed them; repeatable."
    ),
    on: list[Any] | None = option("--on HOST", "Learn from the samples of a board; repeatable.", parser=str),
    seed: options.Seed = 0,
    data: options.Data = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Let the model learn from labelled samples, and write a new export directory if that made it better.

    It is compared with the present model on samples that it has not learnt from, and on the golden pack. If it is not
    better on the former, is worse on the latter, or labels look wrong that nobody has looked at again, the exit code is
    1 and nothing is written. Corrections of clients count once a person has confirmed them in the review. Without
    --data, the images of the training are replayed, if their directory is still there. With --on, the samples of one or
    more boards are fetched, and DIR is where they are on each.
    """
    from edgemnist.field.learn.run import LearnConfig
    from edgemnist.field.learn.run import learn as run
    from edgemnist.field.samples.store import SampleStore
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.questions import source_of_training
    from edgemnist.pipeline.data.sources import find_dataset

    check_range("--seed", seed, least=0, most=2**32 - 1)
    if on:
        options.refuse_with_on(context, "forget")
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter, fall_back=True)
    with ExitStack() as stack:
        if on:
            place = Path(stack.enter_context(TemporaryDirectory(prefix="edgemnist-")))
            fetched = fetch(on, samples, place)
        store = stack.enter_context(SampleStore.open(place if on else samples, spec=opened.task.input))
        dataset = find_dataset(
            data or source_of_training(opened.directory),
            task=opened.task,
            download=not offline,
            skip_broken=skip_broken,
            reporter=reporter,
        )
        with quiet_libraries():
            config = LearnConfig(out=out, forget=forget, trusted=tuple(trust or ()), seed=seed)
            result = run(opened, store, dataset, config, reporter)
        review = " ".join(["edgemnist review", shlex.quote(str(samples)), *(f"--on {one.words}" for one in on or ())])
        show(result, lambda: learn_page(result, review), json=json)
        # Once it is told: a board that has gone meanwhile costs no answer.
        if on and result.contradictions:
            send_objections(store, fetched, str(samples))
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


SHOWN: Final = 10
"""Most contradictions to show."""


def learn_page(result: LearnResult, review: str) -> RenderableType:
    """Draw how the present model and the new one compare; `review` is the command that shows what to look at."""
    page = table("", "inputs", "before", "after", "fixed", "broken", "p")
    page.add_row("samples, not learnt from", *_cells(result.held_out))
    page.add_row("golden pack", *_cells(result.golden))
    lines: list[RenderableType] = [page, Text(_learnt(result))]
    if left_out := _left_out(result.left_out):
        lines.append(Text(f"Left out: {left_out}."))
    if result.forgotten is not None:
        lines.append(Text(f"Forgotten: {result.forgotten:,} labels."))
    if result.contradictions:
        found = table("sample", "label", "reads as", "writer", prose=["writer"])
        for one in result.contradictions[:SHOWN]:
            found.add_row(str(one.sample), one.label, one.neighbours, ", ".join(one.writers))
        if (more := len(result.contradictions) - SHOWN) > 0:
            found.add_row(f"{more:,} more", "", "", "")
        lines += [Text("Labels that look wrong:"), found]
    if len(result.per_writer) > 1 or result.contradictions:
        lines.append(_writers(result))
    lines.append(Text(f"Of 10 labels changed at random, {round(10 * result.found)} would have been named."))
    lines += [Text(f"Gate missed. {reason}") for reason in result.reasons]
    if result.out is not None:
        out = shlex.quote(result.out)
        loss = f" int8 loses {result.int8_loss * 100:.2f} points." if result.int8_loss is not None else ""
        lines.append(Text(f"Written: {out}.{loss} Next: edgemnist verify --exports {out}"))
    else:
        following = f" Next: {review}" if result.doubted or result.left_out.unconfirmed else ""
        lines.append(Text(f"{result.exports} stays as it is.{following}"))
    return Group(*lines)


def _learnt(result: LearnResult) -> str:
    """Say how well the new model reads the samples."""
    learnt, held_out = sum(result.per_class.values()), result.held_out
    reads = f"It reads {percent(held_out.after / held_out.images, 1)} of samples that it has not learnt from"
    return f"Learnt from {count(learnt, 'sample')} in {result.seconds:.0f} s. {reads}."


def _left_out(one: LeftOut) -> str:
    said = {
        "of none of the classes": one.none_of_these,
        "with labels that differ": one.disputed,
        "corrected by clients, and confirmed by nobody": one.unconfirmed,
        "with the same pixels as another": one.duplicates,
        "of a client who gave more than all others": one.beyond_share,
    }
    return ", ".join(f"{number:,} {why}" for why, number in said.items() if number)


def _writers(result: LearnResult) -> RenderableType:
    """Draw how many labels each writer gave, and how many of them look wrong, the most first."""
    wrong = Counter(writer for one in result.contradictions for writer in one.writers)
    page = table("writer", "labels", "look wrong", prose=["writer"])
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


Fetched: TypeAlias = "list[tuple[Board, list[Sample]]]"
"""The samples of each board."""


def fetch(boards: Sequence[Board], directory: Path, place: Path) -> Fetched:
    """Fetch the samples of boards, in a directory on each, into one store at `place`, and return them.

    Raises DeployError if one cannot be reached or has no samples.
    """
    from edgemnist.field.samples.store import SampleStore

    fetched = [(board, samples_on(board, str(directory))) for board in boards]
    spec = next((one.spec for _, samples in fetched for one in samples), None)
    with SampleStore.open(place, create=True, spec=spec) as store:
        for _, samples in fetched:
            store.merge(samples)
    return fetched


def send_objections(store: SampleStore, fetched: Fetched, directory: str) -> None:
    """Send what contradicts labels to the boards that have the samples. Raises DeployError as `fetch` does."""
    doubted = {(one.pixels, one.at): one for one in store.samples() if any(row.writer == OBJECTOR for row in one.rows)}
    for board, samples in fetched:
        if own := [doubted[key] for one in samples if (key := (one.pixels, one.at)) in doubted]:
            merge_samples_on(board, directory, own)
