"""`edgemnist predict`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, drawn, options, quiet_libraries
from edgemnist.console import show as show_result
from edgemnist.errors import EXIT_BAD_INPUT
from edgemnist.formatting import answered_by, percent
from edgemnist.results.pictures import NO_DIGIT, SEVERAL, Prediction, PredictResult

app = command_app()


@app.command(epilog="Example: edgemnist predict digit.png --show · edgemnist predict --index 0 --index 1")
def predict(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        # What cannot be read is told when it is read: asking beforehand is wrong on network and emulated file systems.
        typer.Argument(
            metavar="[SOURCE]...",
            help="Pictures of one digit each, directories of them, or - for standard input.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    *,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", metavar="N", help="Evaluation image N; repeatable."),
    ] = None,
    artifact: options.Model = None,
    show: Annotated[
        bool, typer.Option("--show", help="Draw what the model was given, which explains nearly every wrong answer.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write what the model was given as a PNG.")
    ] = None,
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read a digit from each picture: digit, confidence, and a bar for each class.

    Any picture of one digit will do: a photograph, a scan, a drawing. If it shows no digit, or several,
    the answer says so; to read several, see `edgemnist read`.
    """
    options.limit_numpy_threads()
    from edgemnist.exports import open_for_answers

    if sheet is not None:
        from edgemnist.exports.outputs import PNG, check_output

        options.check_png(sheet)
        check_output("--sheet", sheet, PNG, inputs=sources or [])
    shown = show or sheet is not None
    if on:
        from edgemnist.deploy.target import BoardAddress
        from edgemnist.predict.run import predict_on

        options.refuse_with_on(context, "exports", "collect", "collect_max")
        words = options.given_words(context, without=options.HERE | {"sources", "sheet", "show"})
        target = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config)
        result = predict_on(target, sources or [], [*words, *(["--show"] if shown else [])], TerminalReporter())
    else:
        from edgemnist.predict.run import predict_sources

        samples = options.collecting(collect, collect_max)
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
                show=shown,
                collect=samples,
                reporter=reporter,
            )
    host = on[0] if on else ""
    if sheet is not None:
        from edgemnist.images.sheet import strip_png
        from edgemnist.storage import write_file

        rows = [prediction.image or [] for prediction in result.predictions]
        write_file(sheet, drawn(host, lambda: strip_png(rows)))
    show_result(result, lambda: predict_page(result), json=json, host=host)
    if result.unread:
        raise typer.Exit(EXIT_BAD_INPUT)


BAR_CELLS = 30
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
    line = Text(f"{prediction.source}{padding}", no_wrap=True, overflow="ignore").append_text(_said(prediction))
    return line.append("  ").append_text(remarks) if (remarks := _remarks(prediction)) else line


def _answer(prediction: Prediction, labels: list[str]) -> RenderableType:
    heading = Text.assemble(f"{prediction.source}: ", _said(prediction))
    if remarks := _remarks(prediction):
        heading.append("  ").append_text(remarks)
    parts: list[RenderableType] = [heading]
    if prediction.image is not None:
        parts.append(Text("\n".join(picture_rows(prediction.image))))
    bars = Table.grid(padding=(0, 1))
    for label, probability in zip(labels, prediction.probabilities, strict=True):
        is_answer = str(prediction.digit) == label and prediction.verdict not in {NO_DIGIT, SEVERAL}
        style = "bold green" if is_answer else "dim"
        bars.add_row(Text(label, style), Text(bar(probability), style), Text(percent(probability, 1), style))
    return Group(*parts, bars)


def _said(prediction: Prediction) -> Text:
    """Return what the picture shows."""
    guess = f"{prediction.digit}  {percent(prediction.confidence, 1)}"
    if prediction.verdict == NO_DIGIT:
        return Text.assemble(("no digit", "bold yellow"), (f"  (the model says {guess})", "dim"))
    if prediction.verdict == SEVERAL:
        return Text.assemble(
            ("several digits", "bold yellow"),
            "  read them with: edgemnist read",
            (f"  (the model says {guess})", "dim"),
        )
    return Text.assemble((str(prediction.digit), "bold"), f"  {percent(prediction.confidence, 1)}")


def _remarks(prediction: Prediction) -> Text:
    remarks = Text()
    if prediction.inverted:
        remarks.append("dark on light, inverted for the model", style="dim")
    if prediction.label is not None and prediction.label != prediction.digit:
        remarks.append("  " if remarks else "").append(f"labelled {prediction.label}", style="yellow")
    return remarks


def picture_rows(image: list[list[int]]) -> list[str]:
    """Return grey levels, 0 to 255, as framed rows of shades: a character is one pixel wide and two high."""
    rows = [
        "".join(_SHADES[(upper + lower) * (len(_SHADES) - 1) // 510] for upper, lower in zip(*pair, strict=True))
        for pair in zip(image[::2], image[1::2], strict=True)
    ]
    edge = "─" * len(image[0])
    return [f"┌{edge}┐", *(f"│{row}│" for row in rows), f"└{edge}┘"]


def bar(share: float) -> str:
    """Return a bar of `BAR_CELLS` cells, drawn to an eighth of a cell; any share above 0 shows."""
    eighths = max(round(min(share, 1.0) * BAR_CELLS * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR_CELLS)
