"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

Exports: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--exports",
        metavar="DIR",
        show_default="exports",
        help="Directory of the model, the artifacts and their manifest.",
    ),
]

Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="EDGEMNIST_DATA",
        help="Four IDX files, or class-named folders of images; else the cache, a download, or the embedded 5,000.",
    ),
]

Offline: TypeAlias = Annotated[
    bool, typer.Option("--offline", envvar="EDGEMNIST_OFFLINE", help="Do not try to download the full data set.")
]

Artifacts: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ARTIFACT]...", help="Names such as tflite-int8; all that are there by default.", show_default=False
    ),
]

Hidden: TypeAlias = Annotated[
    list[int] | None,
    typer.Option(
        "--hidden", metavar="UNITS", show_default="512", help="Units of a hidden layer; repeat for more layers."
    ),
]

Epochs: TypeAlias = Annotated[
    int | None, typer.Option("--epochs", show_default="the recipe's", help="Passes over the data.")
]

Threads: TypeAlias = Annotated[int, typer.Option("--threads", help="Threads a runtime may use for one call.")]

ThreadRange: TypeAlias = Annotated[
    str, typer.Option("--threads", metavar="N|N-M", help="Threads a runtime may use for one call; 1-4 measures each.")
]
