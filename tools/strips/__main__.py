"""`python -m tools.strips`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgemnist.errors import EdgemnistError
from edgemnist.ground.console import TerminalReporter, quiet_libraries, show_error
from edgemnist.pipeline.data.sources import find_dataset
from tools.strips.make import make


def main() -> int:
    """Make the files, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.strips", description="Train the network that reads strips.")
    parser.add_argument("--data", metavar="DIR", type=Path, help="data set of digits; MNIST is downloaded without it")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("strips"), help="where the files go")
    options = parser.parse_args()
    reporter = TerminalReporter()
    try:
        with quiet_libraries():
            print(make(find_dataset(options.data, reporter=reporter), options.out, reporter).to_json())
    except EdgemnistError as error:
        show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
