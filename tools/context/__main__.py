"""`python -m tools.context`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgemnist.errors import EdgemnistError
from edgemnist.ground.console import TerminalReporter, quiet_libraries, show_error
from edgemnist.pipeline.data.sources import find_dataset
from tools.context.make import make


def main() -> int:
    """Make the files, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.context", description="Train the network that judges a digit by what is around it."
    )
    parser.add_argument("--data", metavar="DIR", type=Path, help="data set of digits; MNIST is downloaded without it")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("context"), help="where the files go")
    options = parser.parse_args()
    reporter = TerminalReporter()
    try:
        with quiet_libraries():
            print(make(find_dataset(options.data, reporter=reporter), options.out, reporter=reporter).to_json())
    except EdgemnistError as error:
        show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
