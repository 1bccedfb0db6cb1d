"""Results as tables, bars and JSON. Beside `cli`, the only package that prints."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType

from edgemnist.render.terminal import out
from edgemnist.results import Result


def show(result: Result, page: Callable[[], RenderableType], *, json: bool) -> None:
    """Print a result on stdout: as one JSON document, or as the page that `page` draws."""
    if json:
        out().print(result.to_json(), markup=False, soft_wrap=True)
    else:
        # A table may be wider than the terminal, which then breaks its lines and loses nothing.
        out().print(page(), crop=False)
