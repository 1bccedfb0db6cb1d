"""How far good artifacts are from their parity limits.

    python benchmarks/verify/limits.py exports [more export directories]

Prints, for each quantization, the largest value that any artifact of the directories shows, and the limit that
`edgemnist/verify/gate.py` sets beside it. Those limits were chosen from such a table: about twice what was measured.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from edgemnist.results.verify import ArtifactParity
from edgemnist.verify.gate import GATES, Gate
from edgemnist.verify.run import verify

MEASURES: dict[str, tuple[Callable[[ArtifactParity, int], float], Callable[[Gate], float]]] = {
    "flips": (lambda parity, images: parity.flips / images, lambda gate: gate.flips.share),
    "drop": (lambda parity, _: parity.accuracy_drop_points / 100, lambda gate: gate.drop.share),
    "abs_diff": (lambda parity, _: parity.max_abs_diff, lambda gate: gate.abs_diff),
    "mean_diff": (lambda parity, _: parity.mean_abs_diff, lambda gate: gate.mean_diff),
    "batch_flips": (lambda parity, images: parity.batch_flips / images, lambda gate: gate.batch_flips.share),
    "batch_diff": (lambda parity, _: parity.max_batch_diff, lambda gate: gate.batch_diff),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, nargs="+")
    largest: dict[tuple[str, str], tuple[float, str]] = defaultdict(lambda: (0.0, ""))
    for directory in parser.parse_args().exports:
        result = verify(directory)
        for parity in result.artifacts:
            for name, (measured, _) in MEASURES.items():
                key = parity.quantization, name
                largest[key] = max(largest[key], (measured(parity, result.images), f"{directory.name}/{parity.name}"))
    print(f"{'quantization':<12} {'measure':<12} {'largest':>9} {'limit':>9}  where")
    for quantization, gate in GATES.items():
        for name, (_, limit) in MEASURES.items():
            value, where = largest[quantization, name]
            print(f"{quantization:<12} {name:<12} {value:>9.2g} {limit(gate):>9.2g}  {where}")


if __name__ == "__main__":
    main()
