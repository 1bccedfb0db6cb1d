"""The page of `edgemnist predict`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.console.tables import percent
from edgemnist.results.pictures import Prediction, PredictResult

BAR_CELLS = 30
_SHADES = " ░▒▓█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def predict_page(result: PredictResult) -> RenderableType:
    """Draw the answer to each picture, and a bar for each class."""
    answers = [_answer(prediction, result.labels) for prediction in result.predictions]
    return Group(*answers, Text(f"{result.artifact}, {result.runtime}", style="dim"))


def _answer(prediction: Prediction, labels: list[str]) -> RenderableType:
    heading = Text.assemble(
        (f"{prediction.source}: ", ""), (str(prediction.digit), "bold"), f"  {percent(prediction.confidence, 1)}"
    )
    if prediction.inverted:
        heading.append("  (dark on light, inverted for the model)", style="dim")
    if prediction.label is not None and prediction.label != prediction.digit:
        heading.append(f"  labelled {prediction.label}", style="yellow")
    parts: list[RenderableType] = [heading]
    if prediction.image is not None:
        parts.append(Text("\n".join(picture_rows(prediction.image))))
    bars = Table.grid(padding=(0, 1))
    for label, probability in zip(labels, prediction.probabilities, strict=True):
        style = "bold green" if str(prediction.digit) == label else "dim"
        bars.add_row(Text(label, style), Text(bar(probability), style), Text(percent(probability, 1), style))
    return Group(*parts, bars)


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
    eighths = max(round(share * BAR_CELLS * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR_CELLS)
