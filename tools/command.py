"""What the commands that make networks have in common: their options, a data set, and errors as one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from edgemnist.errors import EdgemnistError
from edgemnist.ground.console import TerminalReporter, quiet_libraries, show_error
from edgemnist.ground.progress import Reporter
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.sources import find_dataset

Make = Callable[[Dataset, Path, Reporter, argparse.Namespace], str]
"""Makes the files in a directory, and returns what is printed."""


def options_of(tool: str, about: str) -> argparse.ArgumentParser:
    """Return the options of `python -m tools.TOOL`."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.{tool}", description=about)
    parser.add_argument("--data", metavar="DIR", type=Path, help="data set of digits; MNIST is downloaded without it")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(tool), help="where the files go")
    return parser


def run(parser: argparse.ArgumentParser, make: Make) -> int:
    """Make the files, and return the exit code."""
    options, reporter = parser.parse_args(), TerminalReporter()
    try:
        with quiet_libraries():
            print(make(find_dataset(options.data, reporter=reporter), options.out, reporter, options))
    except EdgemnistError as error:
        show_error(error)
        return error.exit_code
    return 0
