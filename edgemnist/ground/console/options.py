"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import typer

from edgemnist.errors import UsageError
from edgemnist.ground.console import command_app

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board

BoardT = TypeVar("BoardT", bound="Board")

ADVANCED: Final = "Advanced"
"""The panel of options that few need: the reference has them, and `--help` has not."""
_SAMPLES: Final = "Samples"


def option(
    words: str,
    text: str,
    default: Any = None,  # noqa: ANN401 - of the parameter's type
    *,
    shown: bool | str = True,
    panel: str | None = None,
    env: str | None = None,
    parser: Callable[[str], Any] | None = None,
) -> Any:  # noqa: ANN401 - Typer's, which stands for a value of the parameter's type
    """Return an option, by its flags and what stands for its value, such as `--output -o FILE`, and what it means.

    `shown` is the default in words, `panel` the part of the help that lists it, and `env` the environment variable that
    gives it, too.
    """
    flags = [word for word in words.split() if word.startswith("-")]
    metavar = words.split()[len(flags) :]
    return typer.Option(
        default,
        *flags,
        metavar=metavar[0] if metavar else None,
        help=text,
        show_default=shown,
        rich_help_panel=panel,
        envvar=env,
        parser=parser,
    )


def flag(words: str, text: str, *, panel: str | None = None) -> Any:  # noqa: ANN401 - as above
    """Return an option without a value, which is off by default."""
    return option(words, text, default=False, panel=panel)


def shared(words: str, text: str, **more: Any) -> Any:  # noqa: ANN401 - as above
    """Return an option of several commands, for `Annotated`; each command says what its default is."""
    return option(words, text, ..., **more)


Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Names such as tflite-int8, or tflite-int8@integer for another runtime; by default all that can run here.",
        show_default=False,
    ),
]
Exports: TypeAlias = Annotated[
    Path | None,
    shared(
        "--exports DIR",
        "Directory of the model, artifacts and manifest; `reference` is the one that comes with the package.",
        shown="exports",
    ),
]
Json: TypeAlias = Annotated[bool, shared("--json", "Print one JSON document on stdout.")]
Model: TypeAlias = Annotated[
    str | None,
    shared(
        "--artifact NAME|FILE",
        "An artifact of the export directory, or any model file; add @RUNTIME for another runtime.",
        shown="the fastest verified one",
    ),
]
MinConfidence: TypeAlias = Annotated[
    float | None, shared("--min-confidence P", "Below this, an answer is refused and shown as ?.", shown="calibrated")
]

Data: TypeAlias = Annotated[
    Path | None,
    shared(
        "--data PATH",
        "A folder of pictures by class, IDX files, .npz, .npy or .csv; else the cache, a download, or the embedded "
        "5,000.",
        env="EDGEMNIST_DATA",
    ),
]
Input: TypeAlias = Annotated[
    str | None,
    shared(
        "--input SHAPE",
        "What a model reads: 32x20 or 32x20x3 of pictures (height, width, colours), or 13 numbers.",
        shown="as the data are",
    ),
]
Prepare: TypeAlias = Annotated[
    str | None,
    shared(
        "--prepare NAME",
        "How pictures become what a model reads: resize, crop, letterbox, none, or one that a task adds.",
        shown="by what they look like",
    ),
]
SkipBroken: TypeAlias = Annotated[
    bool, shared("--skip-broken", "Leave out pictures of the data set that cannot be read.")
]
Offline: TypeAlias = Annotated[
    bool, shared("--offline", "Do not try to download the full data set.", env="EDGEMNIST_OFFLINE")
]

Recipe: TypeAlias = Annotated[str, shared("--recipe", "See edgemnist train.")]
Hidden: TypeAlias = Annotated[
    list[str] | None, shared("--hidden UNITS", "Units of the hidden layers, such as 512 or 128,64.", shown="the task's")
]
Epochs: TypeAlias = Annotated[int | None, shared("--epochs", "Passes over the data.", shown="the recipe's")]
Seed: TypeAlias = Annotated[int, shared("--seed", "The same seed on the same machine gives the same weights.")]

Threads: TypeAlias = Annotated[int, shared("--threads", "Threads a runtime may use for one call.")]

Collect: TypeAlias = Annotated[
    Path | None,
    shared(
        "--collect DIR",
        "Keep doubtful and refused answers, and a few drawn evenly, for `edgemnist review`.",
        panel=_SAMPLES,
    ),
]
CollectMax: TypeAlias = Annotated[
    int | None, shared("--collect-max N", "Maximum number of samples to keep.", shown="500", panel=_SAMPLES)
]
Health: TypeAlias = Annotated[
    Path | None,
    shared(
        "--health FILE",
        "Keep counts of answers and ink, but no images, for `edgemnist health`.",
        shown="in DIR of --collect",
        panel=_SAMPLES,
    ),
]

Host: TypeAlias = Annotated[str, shared("--host ADDRESS", "Where to listen; all but loopback addresses need a token.")]
Port: TypeAlias = Annotated[int, shared("--port N", "Port to listen on; 0 takes a free one.")]

# The words are exchanged for boards where the command is dispatched, in `edgemnist.app`.
On: TypeAlias = Annotated[
    list[Any] | None, shared("--on HOST", "Run on a board over ssh, with its current release.", parser=str)
]
OnEach: TypeAlias = Annotated[
    list[Any] | None, shared("--on HOST", "Run on a board over ssh; repeat the option to compare several.", parser=str)
]
To: TypeAlias = Annotated[
    list[Any] | None,
    shared(
        "--to HOST",
        "A board, as for ssh: user@host:port, or an alias from your SSH configuration.",
        shown="this machine",
        parser=str,
    ),
]
Wait: TypeAlias = Annotated[float, shared("--wait SECONDS", "How long to wait for another deployment.")]

WHERE: Final = command_app()
"""Options that every command with `--on` or `--to` is given."""


@WHERE.command()
def where(
    *,
    root: str | None = option(
        "--root DIR",
        "Where edgemnist is on the board; a relative path starts at the home directory.",
        shown=".local/share/edgemnist",
        panel=ADVANCED,
        env="EDGEMNIST_ROOT",
    ),
    ssh_config: Path | None = option(
        "--ssh-config FILE",
        "SSH configuration file to use instead of your own.",
        panel=ADVANCED,
        env="EDGEMNIST_SSH_CONFIG",
    ),
) -> None:
    """Say where edgemnist is on a board, and how to log in."""
    del root, ssh_config


HERE: Final = frozenset({"on", "root", "ssh_config", "exports", "json", "save"})
"""Parameters that say where to run a command and what becomes of its answer: they are not for the board."""


def units(hidden: Sequence[str] | None) -> tuple[int, ...] | None:
    """Return the units of the hidden layers that `--hidden` names: at once, `128,64`, or one option for each.

    None where it names none. Raises UsageError for anything but whole numbers.
    """
    try:
        return tuple(int(part) for text in hidden for part in text.split(",")) if hidden else None
    except ValueError:
        raise UsageError(
            f"--hidden must be whole numbers, such as 512 or 128,64 (got {' '.join(hidden or ())})"
        ) from None


def input_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the shape that `--input` names, such as 32x20x3. Raises UsageError for what is none of an input."""
    from edgemnist.ground.inputs import InputSpec

    if text is None:
        return None
    try:
        shape = tuple(int(part) for part in text.lower().replace("×", "x").split("x"))
        # A picture with one channel is grey.
        return InputSpec(shape=shape[:2] if shape[2:] == (1,) else shape, dtype="float32").shape
    except ValueError as error:
        why = f": {error}" if str(error).startswith("an input") else ""
        raise UsageError(f"--input must be a shape such as 32x20x3 or 13 (got {text}){why}") from error


def limit_numpy_threads() -> None:
    """Keep NumPy's BLAS to one thread, unless the user says otherwise; before NumPy is imported.

    For a page's few small matrices its threads only wait for one another, on a busy board 40 ms instead of 0.1 ms, and
    to start them costs what a fifth of `predict` does.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def only(option: str, boards: Sequence[BoardT]) -> BoardT:
    """Return the one board that an option names. Raises UsageError for several."""
    if len(boards) != 1:
        names = ", ".join(board.name for board in boards)
        hint = "Name one, and run the command for each."
        raise UsageError(f"{option} names {len(boards)} boards: {names}", hint=hint)
    return boards[0]


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


def named_data(context: typer.Context, data: Path | None) -> Path | None:
    """Return `--data`, but not those of the environment: these stand for MNIST in every command of a shell."""
    source = context.get_parameter_source("data")
    return None if source is not None and source.name == "ENVIRONMENT" else data


def _is_given(context: typer.Context, parameter: Any) -> bool:  # noqa: ANN401 - Typer's own click has no public types
    source = context.get_parameter_source(parameter.name)
    return source is not None and source.name == "COMMANDLINE"
