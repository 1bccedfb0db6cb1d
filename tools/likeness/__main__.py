"""`python -m tools.likeness`: its options, and what it prints."""

import argparse
import sys
from pathlib import Path

from edgemnist.ground.progress import Reporter
from edgemnist.pipeline.data.dataset import Dataset
from tools.command import options_of, run
from tools.likeness.make import make
from tools.likeness.pictures import LikenessConfig


def _make(dataset: Dataset, out: Path, reporter: Reporter, options: argparse.Namespace) -> str:
    network, calibration = make(dataset, LikenessConfig(), out, reporter, keep_network=options.only_calibrate)
    learned = f"Learned from {network.digits:,} digits and {network.others:,} other drawings."
    return f"{learned}\n{calibration.to_json()}"


if __name__ == "__main__":
    parser = options_of(
        "likeness", "Train the network that tells digits from everything else, and find the threshold of read."
    )
    parser.add_argument("--only-calibrate", action="store_true", help="keep the network, and find only its threshold")
    sys.exit(run(parser, _make))
