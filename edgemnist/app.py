"""The command line: every command by name, and the one place where errors become a message and an exit code.

A command is imported when it is asked for. `--help` imports all of them.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from edgemnist.errors import EXIT_INTERRUPTED, EdgemnistError, UnknownNameError, UsageError, explained

_TABLE: Final = (
    ("Pipeline", "pipeline", "all data train export verify bench search report"),
    ("Pictures", "digits", "predict read watch"),
    ("Pictures", "", "serve"),
    ("Samples", "field", "review learn health"),
    ("Boards", "fleet", "bundle deploy release doctor"),
)
COMMANDS: Final = {
    name: (panel, ".".join(filter(None, (wing, name)))) for panel, wing, names in _TABLE for name in names.split()
}
"""The commands in the order in which `--help` lists them, each with its panel and its place in the package: a folder
with its options in `cli.py`, or one module."""


class Subcommands(TyperGroup):
    """Finds a command by its name, and lets each option be given once."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:  # type: ignore[override]  # as typer vendors Click
        """Return the command that was asked for, and its words.

        Raises UnknownNameError for no command, and UsageError for what is given twice.
        """
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], names)
        name, command, words = super().resolve_command(ctx, args)
        if command is not None:
            require_once(command.params, words)
        return name, command, words


class Commands(Subcommands):
    """Imports the command that was asked for, and turns errors into a message, a hint and an exit code."""

    _is_listing = False

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # as typer vendors Click
        """Return the commands in the order of the pipeline, not of the alphabet."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # as typer vendors Click  # noqa: ANN401 - its own class
        """Import a command; None for one that does not exist."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        from edgemnist.ground.console.options import ADVANCED

        panel, name = COMMANDS[cmd_name]
        place = importlib.import_module(f"edgemnist.{name}")
        options = importlib.import_module(f"{place.__name__}.cli") if hasattr(place, "__path__") else place
        if self._is_listing:
            function = (options.app.registered_callback or options.app.registered_commands[0]).callback
            command: Any = TyperCommand(cmd_name, help=function.__doc__)
        else:
            options.app.info.cls = Subcommands
            command = typer.main.get_command(options.app)
        command.name = cmd_name
        command.rich_help_panel = panel
        for one in (command, *getattr(command, "commands", {}).values()):
            for named in {"on", "to"} & {option.name for option in one.params}:
                _hand_over_boards(one, named)
            # Typer keeps the line breaks of the source in all paragraphs but the first.
            one.help = "\n\n".join(" ".join(part.split()) for part in (one.help or "").split("\n\n"))
            for rare in (option for option in one.params if option.rich_help_panel == ADVANCED):
                rare.hidden = True
        return command

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # as typer vendors Click  # noqa: ANN401 - its own class
        """Write the help, which lists commands without their options: to make those takes a fifth of the time."""
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401 - as Typer declares it
        """Run the command that was asked for."""
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except (EdgemnistError, OSError, ImportError) as error:
            failure = error if isinstance(error, EdgemnistError) else explained(error)
            # Whatever else the operating system or an import refuses is a defect of ours.
            if failure is None:
                raise
            from edgemnist.ground.console import show_error

            show_error(failure)
            if debug:
                traceback.print_exc()
            raise typer.Exit(failure.exit_code) from None
        except KeyboardInterrupt:
            from edgemnist.ground.console import show_interrupted

            show_interrupted()
            raise typer.Exit(EXIT_INTERRUPTED) from None


def _hand_over_boards(command: Any, option: str) -> None:  # noqa: ANN401 - Typer's own click has no public types
    """Have a command get boards to ask, instead of the words that name them and say where edgemnist is there."""
    from edgemnist.ground.console.options import WHERE

    run = command.callback

    def called(**given: Any) -> Any:  # noqa: ANN401 - what the options hold
        # Typer makes paths of them only for the function itself.
        root, ssh_config = given.pop("root"), _path(given.pop("ssh_config"))
        hosts, inventory = given[option] or [], _path(given.get("inventory"))
        if hosts or inventory is not None or option == "to":
            from edgemnist.fleet.deploy.run import named_boards

            given[option] = named_boards(hosts, inventory, root=root, ssh_config=ssh_config)
        return run(**given)

    command.params += typer.main.get_command(WHERE).params
    command.callback = called


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


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
        from edgemnist.ground.built import built_from
        from edgemnist.ground.console import out

        found = built_from(Path(__file__).parent)
        source = found and f" (commit {found.commit}{', with changes' * found.changed})"
        out().print(f"edgemnist {__version__}{source or ''}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done · 1 a gate was missed · 2 wrong usage or input · 3 a dependency is missing · "
    "130 interrupted. Options that few need are in the reference of commands only."
)
def edgemnist(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version, and the commit it is built from.",
        ),
    ] = False,
) -> None:
    """Take a small classifier from training to the edge, quantized, and prove that nothing was lost.

    Start with `edgemnist all`, which does everything once and says which artifact to ship, or with
    `edgemnist predict digit.png`, which reads a digit with the artifact that comes with the package.
    """
    del debug, version


def main() -> None:
    """Run the command line."""
    from edgemnist.ground.console import prepare_streams, show_error

    try:
        prepare_streams()
        # By its name however it was started: the shell's completion asks for it by that.
        app(prog_name="edgemnist")
    except EdgemnistError as error:
        # While the command line was read: help and the version are shown there.
        show_error(error)
        sys.exit(error.exit_code)
