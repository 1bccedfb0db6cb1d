"""Takes a command line as `edgemnist` does, and stops before the command runs: `python -m tests.parsing WORDS...`."""

import sys


def parse(words: list[str]) -> None:
    """Raise what a user would be told of a command that does not exist, or of an option that it does not take."""
    import typer
    import typer.main

    from edgemnist.app import app

    group = typer.main.get_group(app)
    context = typer.Context(group, info_name="edgemnist")
    _, command, rest = group.resolve_command(context, words)
    assert command is not None
    command.make_context(command.name, rest, parent=context)


if __name__ == "__main__":
    parse(sys.argv[1:])
