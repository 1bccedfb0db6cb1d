"""`edgemnist predict`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.digits.results import Prediction, PredictResult
from edgemnist.digits.task import NO_DIGIT, SEVERAL
from edgemnist.errors import EXIT_BAD_INPUT
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries
from edgemnist.ground.console import show as show_result
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.formatting import answered_by, count, percent

if TYPE_CHECKING:
    from edgemnist.model.answers import Observing

app = command_app()


@app.command(epilog="Example: edgemnist predict digit.png --show · edgemnist predict --index 0 --index 1")
def predict(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        # What cannot be read is told when it is read: asking beforehand is wrong on network and emulated file systems.
        typer.Argument(
            metavar="[SOURCE]...",
            help="Pictures, directories of them, or - for standard input; .npy or .csv files of numbers.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    *,
    index: list[int] | None = option("--index N", "Evaluation image or row N, in place of a SOURCE; repeatable."),
    artifact: options.Model = None,
    show: bool = flag("--show", "Draw what the model was given, which explains nearly every wrong answer."),
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    on: options.On = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Classify pictures, or rows of numbers: the class, its confidence, and a bar for each class.

    The packaged model reads digits, and any picture of one will do: a photograph, a scan, a drawing. If it shows no
    digit, or several, the answer says so; to read several, see `edgemnist read`. A model of other things answers with
    its own classes or numbers; for one that reads numbers, name a .npy, .npz or .csv file with one row or many.
    """
    options.limit_numpy_threads()
    from edgemnist.model.exports import open_for_answers

    if on:
        from edgemnist.digits.predict.run import predict_on

        options.refuse_with_on(context, "exports", "collect", "collect_max")
        words = options.given_words(context, without=options.HERE | {"sources"})
        result = predict_on(options.only("--on", on), sources or [], words, TerminalReporter())
    else:
        from edgemnist.digits.predict.run import predict_sources

        if index:
            options.refuse(context, "collect", "collect_max", reason="Evaluation images are not kept as samples")
        observers: list[Observing] = []
        # What nobody asked for is not imported: it starts in a quarter of a second.
        if collect is not None or collect_max is not None:
            from edgemnist.model.answers import observing

            observers = observing(collect, collect_max)
        reporter = TerminalReporter()
        # The evaluation images are the directory's, whoever answers.
        opened = open_for_answers(exports, None if index else artifact, reporter)
        with quiet_libraries():
            result = predict_sources(
                opened,
                sources or [],
                index or [],
                artifact=artifact,
                threads=threads,
                show=show,
                observing=observers,
                reporter=reporter,
            )
    show_result(result, lambda: predict_page(result), json=json, host=on[0].name if on else "")
    if result.unread:
        raise typer.Exit(EXIT_BAD_INPUT)


BAR_CELLS = 30
MOST_BARS = 20
"""Classes that all have a bar; of more, the most probable `BARS` have."""
BARS = 10
MOST_VALUES = 8
"""Numbers that are shown one by one; of more, the first ones."""
MOST_COLUMNS = 96
"""Pixels across that a terminal shows of a picture."""
GREY, COLOURED = 2, 3
"""Axes of a picture."""
_SHADES = " ░▒▓█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def predict_page(result: PredictResult) -> RenderableType:
    """Draw one answer with a bar for each class, or several with a line each.

    Where the pictures that the model was given are to be seen, each answer is drawn.
    """
    model = Text(answered_by(result.artifact, result.runtime), style="dim")
    if len(result.predictions) == 1 or any(one.image is not None for one in result.predictions):
        return Group(*(_answer(prediction, result.labels) for prediction in result.predictions), model)
    width = max(cell_len(one.source) for one in result.predictions)
    return Group(*(_line(one, width) for one in result.predictions), model)


def _line(prediction: Prediction, width: int) -> Text:
    padding = " " * (width - cell_len(prediction.source) + 2)
    # A long path makes a long line, and not two.
    return Text(f"{prediction.source}{padding}", no_wrap=True, overflow="ignore").append_text(_said(prediction))


def _answer(prediction: Prediction, labels: list[str]) -> RenderableType:
    parts: list[RenderableType] = [Text.assemble(f"{prediction.source}: ", _said(prediction))]
    if prediction.image is not None:
        parts.append(Text("\n".join(picture_rows(prediction.image))))
    if isinstance(prediction.values, list):
        return Group(*parts, *([Text(_listed(prediction.values), style="dim")] if len(prediction.values) > 1 else []))
    bars = Table.grid(padding=(0, 1))
    rows = [*zip(labels, prediction.probabilities, strict=True)]
    if len(rows) > MOST_BARS:
        rows = sorted(rows, key=lambda row: -row[1])[:BARS]
    for label, probability in rows:
        is_answer = str(prediction.answer) == label and prediction.verdict not in {NO_DIGIT, SEVERAL}
        style = "bold green" if is_answer else "dim"
        bars.add_row(Text(label, style), Text(bar(probability), style), Text(percent(probability, 1), style))
    if others := len(labels) - len(rows):
        left_out = count(others, "less probable class", "less probable classes")
        return Group(*parts, bars, Text(f"and {left_out}", style="dim"))
    return Group(*parts, bars)


def _listed(values: list[float]) -> str:
    shown = "  ".join(f"{value:.4g}" for value in values[:MOST_VALUES])
    return f"{shown}  …" if len(values) > MOST_VALUES else shown


def _said(prediction: Prediction) -> Text:
    """Return what the picture shows, and what is remarkable about it."""
    if isinstance(values := prediction.values, list):
        if len(values) == 1:
            return Text(f"{values[0]:.4g}", "bold")
        mean = sum(values) / len(values)
        ends = f"{min(values):.4g} to {max(values):.4g}, mean {mean:.4g}"
        return Text.assemble((count(len(values), "number"), "bold"), f", {ends}")
    sure = percent(prediction.confidence, 1)
    guess = f"  (the model says {prediction.answer}  {sure})", "dim"
    if prediction.verdict == NO_DIGIT:
        said = Text.assemble(("no digit", "bold yellow"), guess)
    elif prediction.verdict == SEVERAL:
        said = Text.assemble(("several digits", "bold yellow"), "  read them with: edgemnist read", guess)
    else:
        said = Text.assemble((str(prediction.answer), "bold"), f"  {sure}")
    if prediction.inverted:
        said.append("  dark on light, inverted for the model", style="dim")
    if prediction.label is not None and prediction.label != prediction.answer:
        said.append(f"  labelled {prediction.label}", style="yellow")
    return said


def picture_rows(image: list[Any]) -> list[str]:
    """Return an input as rows of text: a picture in framed shades of grey, and any numbers as they are.

    A character is one pixel wide and two high, of a wide picture several.
    """
    import numpy as np

    pixels = np.array(image)
    if pixels.dtype.kind == "f" or not GREY <= pixels.ndim <= COLOURED:
        return [f"given {_listed(pixels.ravel().tolist())}"]
    if pixels.ndim == COLOURED:
        pixels = pixels[..., :3].mean(axis=2).astype(int)
    step = -(-pixels.shape[1] // MOST_COLUMNS)
    pixels = pixels[: pixels.shape[0] // step * step, : pixels.shape[1] // step * step]
    shape = (pixels.shape[0] // step, step, pixels.shape[1] // step, step)
    pixels = pixels.reshape(shape).sum(axis=(1, 3)) // step**2
    # A last row without another has black below it.
    below = np.concatenate([pixels[1::2], np.zeros_like(pixels[: len(pixels) % 2])])
    sums = (pixels[::2] + below) * (len(_SHADES) - 1) // 510
    rows = ["".join(_SHADES[level] for level in row) for row in sums.tolist()]
    edge = "─" * pixels.shape[1]
    return [f"┌{edge}┐", *(f"│{row}│" for row in rows), f"└{edge}┘"]


def bar(share: float) -> str:
    """Return a bar of `BAR_CELLS` cells, drawn to an eighth of a cell; any share above 0 shows."""
    eighths = max(round(min(share, 1.0) * BAR_CELLS * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR_CELLS)
