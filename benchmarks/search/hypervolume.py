"""The search against random search at equal budget, by the hypervolume of what each has found.

    python -m benchmarks.search.hypervolume [--data MNIST]

With --data every network is trained, for one epoch of the standard recipe, and judged by the last 5,000 training
images; one that several searches try is trained once. Without it nothing is trained. The accuracy of a network is
then a formula with the shape that trainings have: the error falls with the number of weights by a power law, faster
for convolutions than for dense layers, levels off, rises with fewer bits, and with more layers than there is data
for; 5 % of it are noise that depends on the network alone. So five seeds of both take minutes, and say how well the
sampler uses what it is told, not how accurate networks are. Both searches begin with the same few networks that are
known to be good.

The hypervolume is that of objectives that the search minimizes, the logarithms of error, bytes and RAM, against the
corner of 50 % error and the limits.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from optuna._hypervolume import compute_hypervolume

from edgemnist.pipeline.search.limits import Limits, Space
from edgemnist.pipeline.search.study import Asked, Study, objectives
from edgemnist.pipeline.train.network import CNN, Network

RESULTS = Path(__file__).with_suffix(".json")
TRIALS = {"formula": 64, "trained": 32}
"""Of each search, by where accuracies come from."""
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


def trained_on(data: Path) -> Callable[[Network], float]:
    """Return what trains a network for an epoch, and gives its accuracy, 0 to 1."""
    from edgemnist.pipeline.data.sources import find_dataset
    from edgemnist.pipeline.search.trials import Job, Trainer, TrialData, split_for_selection

    dataset = find_dataset(data)
    train, selection = split_for_selection(dataset)
    trainer = Trainer(TrialData(train=train, selection=selection, classes=len(dataset.labels)))

    @functools.cache
    def accuracy(network: Network) -> float:
        return trainer.run(Job(network=str(network), recipe="standard", epochs=1, seed=0)).accuracies[-1]

    return accuracy


class AtRandom(Study):
    """Proposes at random."""

    def ask(self) -> Asked | None:
        """Return what to train next."""
        self._learning = self._random  # type: ignore[assignment]  # another sampler
        return super().ask()


def hypervolume(seed: int, trials: int, accuracy: Callable[[Network], float], *, random: bool) -> float:
    """Return what a search of this many networks has found."""
    with tempfile.TemporaryDirectory() as directory:
        kind = AtRandom if random else Study
        study = kind(Path(directory), {}, limits=LIMITS, space=Space(), classes=10, seed=seed)
        while len(study.tried) < trials and (asked := study.ask()) is not None:
            study.tell(asked, (accuracy(asked.network),), stopped=False, seconds=1.0)
        found = np.array([objectives(one) for one in study.tried])
    return float(compute_hypervolume(found[(found < CORNER).all(axis=1)], CORNER))


def main() -> None:
    """Compare both for each seed, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="directory with MNIST")
    data = parser.parse_args().data
    how, accuracy = ("formula", accuracy_of) if data is None else ("trained", trained_on(data))
    rows = []
    for seed in SEEDS:
        ours, theirs = (hypervolume(seed, TRIALS[how], accuracy, random=random) for random in (False, True))
        rows.append({"seed": seed, "search": ours, "random": theirs})
        print(f"seed {seed}: search {ours:.4f}, random {theirs:.4f}, {ours / theirs:.3f}×", flush=True)
    won = sum(row["search"] > row["random"] for row in rows)
    print(f"the search is ahead in {won} of {len(rows)} seeds")
    found = json.loads(RESULTS.read_text())
    RESULTS.write_text(json.dumps({**found, how: {"trials": TRIALS[how], "seeds": rows}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
