"""`python -m tools.likeness`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgemnist.errors import EdgemnistError
from edgemnist.ground.console import TerminalReporter, quiet_libraries, show_error
from edgemnist.pipeline.data.sources import find_dataset
from tools.likeness.make import make
from tools.likeness.pictures import LikenessConfig


def main() -> int:
    """Make the files, and return the exit code."""
    about = "Train the network that tells digits from everything else, and find the threshold of read."
    parser = argparse.ArgumentParser(prog="python -m tools.likeness", description=about)
    parser.add_argument("--data", metavar="DIR", type=Path, help="data set of digits; MNIST is downloaded without it")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("likeness"), help="where the files go")
    parser.add_argument("--only-calibrate", action="store_true", help="keep the network, and find only its threshold")
    options = parser.parse_args()
    reporter = TerminalReporter()
    try:
        with quiet_libraries():
            dataset = find_dataset(options.data, reporter=reporter)
            network, calibration = make(
                dataset, LikenessConfig(), options.out, reporter, keep_network=options.only_calibrate
            )
    except EdgemnistError as error:
        show_error(error)
        return error.exit_code
    print(f"Learned from {network.digits:,} digits and {network.others:,} other drawings.")
    print(calibration.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
