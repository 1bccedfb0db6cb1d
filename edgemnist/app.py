"""The command line: every command by name, and the one place where errors become a message and an exit code.

A command is imported when it is asked for. `--help` imports all of them.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from edgemnist.errors import EXIT_INTERRUPTED, EdgemnistError, UsageError, explained

_GROUPS = {
    "Pipeline": "all data train train-likeness export verify bench compare scenario recommend search frontier report",
    "Pictures": "predict read watch serve",
    "Samples": "review learn health",
    "Boards": "bundle deploy promote rollback releases doctor runtimes",
}
COMMANDS: Final = {name: group for group, names in _GROUPS.items() for name in names.split()}
"""The commands in the order in which `--help` lists them, each with the group that it stands in.

Each is a folder with its options in `cli.py`, or one module: `edgemnist/<name>.py`."""


def folder_of(command: str) -> str:
    """Return the name of a command's folder, or of its module."""
    return command.replace("-", "_")


class Commands(TyperGroup):
    """Imports the command that was asked for, and turns errors into a message, a hint and an exit code."""

    _is_listing = False

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the commands in the order of the pipeline, not of the alphabet."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Import a command; None for one that does not exist."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        place = importlib.import_module(f"edgemnist.{folder_of(cmd_name)}")
        options = importlib.import_module(f"{place.__name__}.cli") if hasattr(place, "__path__") else place
        if self._is_listing:
            command: Any = TyperCommand(cmd_name, help=options.app.registered_commands[0].callback.__doc__)
        else:
            command = typer.main.get_command(options.app)
        command.name = cmd_name
        command.rich_help_panel = COMMANDS[cmd_name]
        # Typer keeps the line breaks of the source in all paragraphs but the first.
        command.help = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
        return command

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """Write the help, which lists commands without their options: to make those takes a fifth of the time."""
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:  # type: ignore[override]
        """Return the command that was asked for, and its words. Raises UsageError for what is given twice."""
        name, command, words = super().resolve_command(ctx, args)
        if command is not None:
            require_once(command.params, words)
        return name, command, words

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401 - as Typer declares it
        """Run the command that was asked for."""
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except (EdgemnistError, OSError) as error:
            failure = error if isinstance(error, EdgemnistError) else explained(error)
            # Whatever else the operating system refuses is a defect of ours.
            if failure is None:
                raise
            from edgemnist.console import show_error

            show_error(failure)
            if debug:
                traceback.print_exc()
            raise typer.Exit(failure.exit_code) from None
        except KeyboardInterrupt:
            from edgemnist.console import show_interrupted

            show_interrupted()
            raise typer.Exit(EXIT_INTERRUPTED) from None


def require_once(params: Sequence[Any], words: Sequence[str]) -> None:
    """Raise UsageError if an option that takes one value is given two: the first would be silently dropped."""
    single = {opt: one.opts[0] for one in params if takes_one(one) for opt in one.opts}
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        if word == "--":
            break
        opt, equals, value = word.partition("=")
        if (name := single.get(opt)) is None:
            continue
        value = value if equals else "".join(words[place + 1 : place + 2])
        if given.setdefault(name, value) != value:
            raise UsageError(f"{name} is given twice: {given[name]} and {value}", hint="Give it once.")


def takes_one(param: Any) -> bool:  # noqa: ANN401 - Typer's own click has no public types
    """Return whether a parameter is an option with one value: no flag, and not repeatable."""
    return param.param_type_name == "option" and not (param.is_flag or param.multiple or param.count)


app = typer.Typer(
    cls=Commands,
    name="edgemnist",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it
    if wanted:
        from edgemnist import __version__
        from edgemnist.console import out

        out().print(f"edgemnist {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done · 1 a gate was missed · 2 wrong usage or input · 3 a dependency is missing · "
    "130 interrupted."
)
def edgemnist(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take a digit classifier from Keras to a Raspberry Pi, quantized, and prove that nothing was lost.

    Start with `edgemnist all`, which does everything once and says which artifact to ship, or with
    `edgemnist predict digit.png`, which reads a digit with the artifact that comes with the package.
    """
    del debug, version


def main() -> None:
    """Run the command line."""
    from edgemnist.console import prepare_streams, show_error

    try:
        prepare_streams()
        # By its name however it was started: the shell's completion asks for it by that.
        app(prog_name="edgemnist")
    except EdgemnistError as error:
        # While the command line was read: help and the version are shown there.
        show_error(error)
        sys.exit(error.exit_code)
