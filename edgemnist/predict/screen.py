"""The page of `edgemnist predict`."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.formatting import answered_by, percent
from edgemnist.results.pictures import NO_DIGIT, SEVERAL, Prediction, PredictResult

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
