"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from edgemnist.errors import UsageError

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
    list[str] | None,
    typer.Option(
        "--hidden", metavar="UNITS", show_default="512", help="Units of the hidden layers, such as 512 or 128,64."
    ),
]

Epochs: TypeAlias = Annotated[
    int | None, typer.Option("--epochs", show_default="the recipe's", help="Passes over the data.")
]

Threads: TypeAlias = Annotated[int, typer.Option("--threads", help="Threads a runtime may use for one call.")]

ThreadRange: TypeAlias = Annotated[
    str, typer.Option("--threads", metavar="N|N-M", help="Threads a runtime may use for one call; 1-4 measures each.")
]


To: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--to", metavar="HOST", help="A board as for ssh: user@host:port, or an alias of your SSH configuration."
    ),
]

ToOne: TypeAlias = Annotated[
    list[str], typer.Option("--to", metavar="HOST", help="One board as for ssh: user@host:port.")
]
"""A list, as `On` is, so that a second board is refused by `only` and not taken for the only one."""

On: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="HOST", help="Run on a board's current release, over ssh; the report comes back."),
]

Root: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="DIR",
        envvar="EDGEMNIST_ROOT",
        show_default=".local/share/edgemnist",
        help="Where edgemnist is on the board; a relative path starts at the home directory.",
    ),
]

SshConfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ssh-config", metavar="FILE", envvar="EDGEMNIST_SSH_CONFIG", help="SSH configuration instead of your own."
    ),
]

Wait: TypeAlias = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Wait for another deployment there.")]


def units(hidden: Sequence[str] | None, option: str = "--hidden") -> tuple[int, ...]:
    """Return the units of the hidden layers that an option names: at once, `128,64`, or one option for each.

    Raises UsageError for what is no whole number.
    """
    try:
        return tuple(int(part) for text in hidden or ["512"] for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} {' '.join(hidden or ())} makes no sense", hint="Name whole numbers, such as 512 or 128,64."
        ) from None


def limit_numpy_threads() -> None:
    """Keep NumPy's BLAS to one thread, unless the user says otherwise; before NumPy is imported.

    For a page's few small matrices its threads only wait for one another: on a busy board 40 ms instead of 0.1 ms.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def only(option: str, hosts: Sequence[str]) -> str:
    """Return the one board that an option names. Raises UsageError for several."""
    if len(hosts) != 1:
        raise UsageError(
            f"{option} names {len(hosts)} boards: {', '.join(hosts)}", hint="Name one, and run the command for each."
        )
    return hosts[0]


def refuse_with_on(values: Mapping[str, object]) -> None:
    """Raise UsageError where an option was given that means nothing on a board: None is one that was not."""
    given = [name for name, value in values.items() if value is not None]
    if given:
        raise UsageError(
            f"--on does not go with {', '.join(given)}", hint="What runs there is the board's current release."
        )


def words(values: Mapping[str, object]) -> list[str]:
    """Return options as the words of a command line for a board; those that are None are left out."""
    return [word for name, value in values.items() if value is not None for word in (name, str(value))]
