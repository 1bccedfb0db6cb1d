"""The search against random search at equal budget, by the hypervolume of what each has found.

Run: python -m benchmarks.search.hypervolume [JSON]

Nothing is trained. The accuracy of a network is a formula with the shape that trainings have: the error falls with the
number of weights by a power law, faster for convolutions than for dense layers, levels off, rises with fewer bits, and
with more layers than there is data for; 5 % of it are noise that depends on the network alone. So five seeds of both
take minutes, and say how well the sampler uses what it is told, not how accurate networks are. Both begin with the same
few networks that are known to be good.

The hypervolume is that of objectives that the search minimizes, the logarithms of error, bytes and RAM, against the
corner of 50 % error and the limits.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from optuna._hypervolume import compute_hypervolume

from edgemnist.search.limits import Limits
from edgemnist.search.space import Space
from edgemnist.search.study import WINDOW, Asked, Study, objectives
from edgemnist.train.network import CNN, Network

TRIALS = 64
SEEDS = (0, 1, 2, 3, 4)
LIMITS = Limits(bytes=16_000, ram_bytes=2_000)
CORNER = np.array([math.log10(0.5), math.log10(16_000), math.log10(2_000)])


def accuracy_of(network: Network) -> float:
    """Return the accuracy, 0 to 1, that the formula gives a network."""
    weights = network.parameters(10)
    steepness, least = (0.62, 0.004) if network.family == CNN else (0.48, 0.012)
    error: float = least + 1.5 * weights**-steepness
    error *= {8: 1.0, 4: 1.06, 2: 1.35}[network.bits] * {28: 1.0, 24: 0.98, 14: 1.02, 12: 1.0, 7: 1.9, 6: 2.1}[
        network.side
    ]
    error *= 1 + 0.04 * max(0, len(network.layers) - 4)
    noise = int.from_bytes(hashlib.sha256(str(network).encode()).digest()[:4], "big") / 2**32
    return 1 - min(0.9, error * (1 + 0.05 * noise))


def hypervolume(seed: int, *, random: bool) -> float:
    """Return what a search of `TRIALS` networks has found."""
    with tempfile.TemporaryDirectory() as directory:
        study = Study.open(Path(directory), {}, limits=LIMITS, space=Space(), classes=10, seed=seed, random=random)
        under_way: list[Asked] = []
        for ordinal in range(TRIALS + WINDOW):
            if len(under_way) == WINDOW or (ordinal >= TRIALS and under_way):
                asked = under_way.pop(0)
                study.tell(asked, (accuracy_of(asked.network),), stopped=False, seconds=1.0)
            if ordinal < TRIALS and (one := study.ask(ordinal, lambda _, costs: costs)) is not None:
                under_way.append(one)
        found = np.array([objectives(one, on_p50=False) for one in study.tried])
    return float(compute_hypervolume(found[(found < CORNER).all(axis=1)], CORNER))


def main() -> None:
    """Compare both for each seed, and write the figures."""
    rows = []
    for seed in SEEDS:
        ours, theirs = (hypervolume(seed, random=random) for random in (False, True))
        rows.append({"seed": seed, "search": ours, "random": theirs})
        print(f"seed {seed}: search {ours:.4f}, random {theirs:.4f}, {ours / theirs:.3f}×", flush=True)
    won = sum(row["search"] > row["random"] for row in rows)
    print(f"the search is ahead in {won} of {len(rows)} seeds")
    if len(sys.argv) > 1:
        document = {"command": "python -m benchmarks.search.hypervolume", "trials": TRIALS, "seeds": rows}
        Path(sys.argv[1]).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
