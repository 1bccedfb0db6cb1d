"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from edgemnist.errors import UsageError

if TYPE_CHECKING:
    from edgemnist.samples.collector import CollectConfig

ADVANCED: Final = "Advanced"
"""The panel of options that few need."""

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

Exports: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--exports",
        metavar="DIR",
        show_default="exports",
        help="Directory of the model, artifacts and manifest; `reference` is the one that comes with the package.",
    ),
]

Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="EDGEMNIST_DATA",
        help="Four IDX files, or one folder of images per class; else the cache, a download, or the embedded 5,000.",
    ),
]

Offline: TypeAlias = Annotated[
    bool, typer.Option("--offline", envvar="EDGEMNIST_OFFLINE", help="Do not try to download the full data set.")
]

Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Names such as tflite-int8, or tflite-int8@integer for another runtime; by default all that can run here.",
        show_default=False,
    ),
]

Model: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--artifact",
        metavar="NAME|FILE",
        show_default="the fastest verified one",
        help="An artifact of the export directory, or any model file; add @RUNTIME for another runtime.",
    ),
]

MinConfidence: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="P",
        show_default="calibrated",
        help="Below this, a digit is refused and shown as ?.",
    ),
]

_SAMPLES: Final = "Samples"

Collect: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--collect",
        metavar="DIR",
        help="Keep doubtful and refused digits, and a few drawn evenly, for `edgemnist review`.",
        rich_help_panel=_SAMPLES,
    ),
]

CollectMax: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--collect-max",
        metavar="N",
        show_default="500",
        help="Maximum number of samples to keep.",
        rich_help_panel=_SAMPLES,
    ),
]

Health: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--health",
        metavar="FILE",
        show_default="in DIR of --collect",
        help="Keep counts of answers and ink, but no images, for `edgemnist health`.",
        rich_help_panel=_SAMPLES,
    ),
]

Recipe: TypeAlias = Annotated[str, typer.Option("--recipe", help="See edgemnist train.")]

Hidden: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--hidden", metavar="UNITS", show_default="512", help="Units of the hidden layers, such as 512 or 128,64."
    ),
]

Epochs: TypeAlias = Annotated[
    int | None, typer.Option("--epochs", show_default="the recipe's", help="Passes over the data.")
]

Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", help="The same seed on the same machine gives the same weights.")
]

Threads: TypeAlias = Annotated[int, typer.Option("--threads", help="Threads a runtime may use for one call.")]

ThreadRange: TypeAlias = Annotated[
    str, typer.Option("--threads", metavar="N|N-M", help="Threads a runtime may use for one call; 1-4 measures each.")
]

Samples: TypeAlias = Annotated[int, typer.Option("--samples", help="Minimum number of timed calls.")]

Seconds: TypeAlias = Annotated[float, typer.Option("--seconds", help="Minimum number of timed seconds.")]

Repeats: TypeAlias = Annotated[
    int,
    typer.Option(
        "--repeats",
        help="How many times to repeat a disturbed round before marking it.",
        rich_help_panel=ADVANCED,
    ),
]

Save: TypeAlias = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", help="Write the result with its raw samples.")
]

OnEach: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="HOST", help="Run on a board over ssh; repeat the option to compare several."),
]

To: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--to", metavar="HOST", help="A board, as for ssh: user@host:port, or an alias from your SSH configuration."
    ),
]

ToOne: TypeAlias = Annotated[
    list[str], typer.Option("--to", metavar="HOST", help="One board, as for ssh: user@host:port.")
]
"""A list, as `On` is, so that a second board is refused by `only` and not taken for the only one."""

On: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="HOST", help="Run on a board over ssh, with its current release."),
]

Root: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="DIR",
        envvar="EDGEMNIST_ROOT",
        show_default=".local/share/edgemnist",
        help="Where edgemnist is on the board; a relative path starts at the home directory.",
        rich_help_panel=ADVANCED,
    ),
]

SshConfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ssh-config",
        metavar="FILE",
        envvar="EDGEMNIST_SSH_CONFIG",
        help="SSH configuration file to use instead of your own.",
        rich_help_panel=ADVANCED,
    ),
]

Host: TypeAlias = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; all but loopback addresses need a token.")
]

Port: TypeAlias = Annotated[int, typer.Option("--port", metavar="N", help="Port to listen on; 0 takes a free one.")]

Wait: TypeAlias = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for another deployment.")
]


HERE: Final = frozenset({"on", "root", "ssh_config", "exports", "json", "save"})
"""Parameters that say where to run a command and what becomes of its answer: they are not for the board."""


def units(hidden: Sequence[str] | None, option: str = "--hidden") -> tuple[int, ...]:
    """Return the units of the hidden layers that an option names: at once, `128,64`, or one option for each.

    Raises UsageError for anything but whole numbers.
    """
    try:
        return tuple(int(part) for text in hidden or ["512"] for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} must be whole numbers, such as 512 or 128,64 (got {' '.join(hidden or ())})"
        ) from None


def limit_numpy_threads() -> None:
    """Keep NumPy's BLAS to one thread, unless the user says otherwise; before NumPy is imported.

    For a page's few small matrices its threads only wait for one another, on a busy board 40 ms instead of 0.1 ms, and
    to start them costs what a fifth of `predict` does.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check_png(sheet: Path | None) -> None:
    """Raise UsageError where the file that `--sheet` names does not end in `.png`."""
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UsageError(f"--sheet writes a PNG, and {sheet} does not end in .png")


def collecting(directory: Path | None, most: int | None) -> CollectConfig | None:
    """Return what `--collect` and `--collect-max` ask for; None without them.

    Raises UsageError for a limit that is too low, or that comes without `--collect`.
    """
    if directory is None:
        if most is not None:
            raise UsageError("--collect-max needs --collect", hint="Name a directory with --collect DIR.")
        return None
    from edgemnist.samples.collector import CollectConfig
    from edgemnist.samples.quota import Quota

    return CollectConfig(directory=directory, quota=Quota() if most is None else Quota(most))


def only(option: str, hosts: Sequence[str]) -> str:
    """Return the one board that an option names. Raises UsageError for several."""
    if len(hosts) != 1:
        raise UsageError(
            f"{option} names {len(hosts)} boards: {', '.join(hosts)}", hint="Name one, and run the command for each."
        )
    return hosts[0]


def refuse_with_on(context: typer.Context, *names: str) -> None:
    """Raise UsageError where one of these parameters was given: it means nothing on a board."""
    if given := _given(context, names):
        raise UsageError(
            f"--on cannot be used with {', '.join(given)}", hint="What runs there is the board's current release."
        )


def refuse(context: typer.Context, *names: str, reason: str) -> None:
    """Raise UsageError where one of these parameters was given: it does not go with what was asked for."""
    if given := _given(context, names):
        raise UsageError(f"{reason}: {', '.join(given)} does not apply", hint=f"Leave out {', '.join(given)}.")


def given_words(context: typer.Context, *, without: Collection[str]) -> list[str]:
    """Return the words of the command line for another place: all that was given, but for the parameters in `without`.

    Arguments come first. What has its default value, or comes from an environment variable of this machine, is left
    out: the other place has its own.
    """
    arguments: list[str] = []
    options: list[str] = []
    for one in context.command.params:
        if one.name is None or one.name in without or not _is_given(context, one):
            continue
        value = context.params[one.name]
        values = value if isinstance(value, list | tuple) else [value]
        if one.param_type_name == "argument":
            arguments += map(str, values)
        elif isinstance(value, bool):
            options.append(one.opts[0] if value else one.secondary_opts[0])
        else:
            options += [word for each in values for word in (one.opts[0], str(each))]
    return [*arguments, *options]


def _given(context: typer.Context, names: Collection[str]) -> list[str]:
    return [str(one.opts[0]) for one in context.command.params if one.name in names and _is_given(context, one)]


def _is_given(context: typer.Context, parameter: Any) -> bool:  # noqa: ANN401 - Typer's own click has no public types
    source = context.get_parameter_source(parameter.name)
    return source is not None and source.name == "COMMANDLINE"
