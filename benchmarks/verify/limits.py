"""How far good artifacts are from their parity limits.

    python benchmarks/verify/limits.py exports [more export directories]

Prints, for each quantization, the largest value that any artifact of the directories shows, and the limit that
`edgemnist/pipeline/verify/gate.py` sets beside it. Those limits were chosen from such a table: about twice what was
measured.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from edgemnist.ground.results.verify import ArtifactParity
from edgemnist.model.exports import Exports
from edgemnist.pipeline.verify.gate import GATES
from edgemnist.pipeline.verify.run import verify

MEASURES: dict[str, Callable[[ArtifactParity, int], float]] = {
    "max_flips_percent": lambda parity, images: 100 * parity.flips / images,
    "max_drop_points": lambda parity, _: parity.accuracy_drop_points or 0.0,
    "max_abs_diff": lambda parity, _: parity.max_abs_diff,
    "max_mean_diff": lambda parity, _: parity.mean_abs_diff,
    "max_batch_flips_percent": lambda parity, images: 100 * parity.batch_flips / images,
    "max_batch_diff": lambda parity, _: parity.max_batch_diff,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, nargs="+")
    largest: dict[tuple[str, str], tuple[float, str]] = defaultdict(lambda: (0.0, ""))
    for directory in parser.parse_args().exports:
        result = verify(Exports.open(directory))
        for parity in result.artifacts:
            for name, measured in MEASURES.items():
                key = parity.quantization, name
                largest[key] = max(largest[key], (measured(parity, result.images), f"{directory.name}/{parity.name}"))
    print(f"{'quantization':<12} {'measure':<24} {'largest':>9} {'limit':>9}  where")
    for quantization, gate in GATES.items():
        for name in MEASURES:
            value, where = largest[quantization, name]
            print(f"{quantization:<12} {name:<24} {value:>9.2g} {gate[name]:>9.2g}  {where}")


if __name__ == "__main__":
    main()
