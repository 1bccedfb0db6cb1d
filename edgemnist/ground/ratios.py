"""Ratios of latencies, with intervals that say what chance, processes and a busy machine may have done to them."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.ground.results.bench import KERAS, Latency, Ratio

Floats = npt.NDArray[np.float64]

REPLICATES: Final = 2_000
"""Of the bootstrap: the ends of a 95 % interval then rest on 50 replicates each."""
SEED: Final = 0
"""The same measurements give the same interval."""
BETWEEN_PROCESSES: Final = 0.02
"""Standard deviation of the logarithm of a ratio between processes, each of which places its weights and code
afresh: few processes cannot show it. Measured on an x86 server, see `benchmarks/latency/busy.py`."""
BETWEEN_RUNS: Final = 0.025
"""The same between two runs on one quiet machine, which no run can know of itself."""
OF_LOAD: Final = 0.03
"""The same where other processes have the CPU all the time: they share its caches, which costs some models more than
others. It grows with their share of the time."""


def times_as_long(ours: Latency, theirs: Latency) -> Ratio:
    """Return how many times as long a call of `ours` takes as one of `theirs`, with a 95 % interval.

    In one run the ratio is formed within each round, and its median taken: what slows down a round slows down both. In
    two runs each is in units of the fixed work beside it. The bootstrap draws processes, and rounds within them
    (Davison and Hinkley, Bootstrap Methods and their Application, 3.8), and adds what they cannot show.
    """
    generator = np.random.default_rng(SEED)
    one, other = np.log(ours.blocks_us), np.log(theirs.blocks_us)
    if ours.run == theirs.run:
        rounds = min(len(one), len(other))
        logs = one[:rounds] - other[:rounds]
        estimate = np.median(logs)
        replicates = _medians(logs, ours.starts, generator)
        noise = OF_LOAD * max(ours.waited, theirs.waited)
    else:
        one, other = one - np.log(ours.fixed_us), other - np.log(theirs.fixed_us)
        estimate = np.median(one) - np.median(other)
        replicates = _medians(one, ours.starts, generator) - _medians(other, theirs.starts, generator)
        noise = float(np.hypot(BETWEEN_RUNS, OF_LOAD * max(ours.waited, theirs.waited)))
    replicates = replicates + generator.normal(0, noise, REPLICATES)
    low, high = np.quantile(replicates, [0.025, 0.975])
    ratio, low, high = (float(np.exp(value)) for value in (estimate, min(low, estimate), max(high, estimate)))
    return Ratio(ratio=ratio, low=low, high=high)


def _medians(values: Floats, starts: Sequence[int], generator: np.random.Generator) -> Floats:
    """Return the medians of resamples of `values`, whose processes begin at `starts`."""
    first = np.array([start for start in starts if start < len(values)])
    sizes = np.diff([*first, len(values)])
    process = generator.integers(len(first), size=(REPLICATES, len(first), 1))
    place = generator.random((REPLICATES, len(first), int(sizes.max()))) * sizes[process]
    drawn = values[first[process] + place.astype(np.int64)]
    drawn = drawn + generator.normal(0, BETWEEN_PROCESSES, process.shape)
    return np.asarray(np.median(drawn.reshape(REPLICATES, -1), axis=1))


def fastest_first(rows: Sequence[Latency]) -> list[Latency]:
    """Return models in the order of their typical calls; those of several runs in units of the fixed work."""
    one_run = len({row.run for row in rows}) < 2  # noqa: PLR2004 - one or none

    def typical(row: Latency) -> float:
        return float(np.median(row.blocks_us if one_run else np.divide(row.blocks_us, row.fixed_us)))

    return sorted(rows, key=typical)


def with_ratios(rows: Sequence[Latency]) -> list[Latency]:
    """Return figures with their ratios over the fastest of them, and their speed-up over Keras."""
    if not rows:
        return []
    fastest = fastest_first(rows)[0]
    keras = {row.threads: row for row in rows if row.name == KERAS}
    return [
        msgspec.structs.replace(
            row,
            ratio=None if row is fastest else times_as_long(row, fastest),
            speedup=times_as_long(keras[row.threads], row) if row.threads in keras and row.name != KERAS else None,
        )
        for row in rows
    ]


def in_words(ratio: Ratio) -> str:
    """Return a ratio with its interval, in two or three figures: `31× (29 to 33)`, `1.02× (0.98 to 1.05)`."""
    places = 0 if ratio.low >= 10 else 1 if ratio.low >= 3 else 2  # noqa: PLR2004 - two or three figures
    return f"{ratio.ratio:,.{places}f}× ({ratio.low:,.{places}f} to {ratio.high:,.{places}f})"
