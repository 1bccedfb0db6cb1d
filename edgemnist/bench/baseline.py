"""Two measurements compared: is the difference larger than the noise?"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.bench.quality import spread_of_rounds
from edgemnist.errors import UsageError
from edgemnist.exports.findings import read_saved
from edgemnist.results.bench import KERAS, BaselineComparison, BenchResult, Change, Latency, Ratio, subject_key

Rounds: TypeAlias = Sequence[Sequence[float]]
"""Latencies of one artifact, in any unit, a sequence for each round."""
Key: TypeAlias = tuple[str, str, int]
"""Name, runtime and number of threads: figures of the same three are compared."""

REPLICATES: Final = 4_000
"""Of the bootstrap: the ends of a 95 % interval then rest on 100 replicates each."""
MAX_MACHINE_CHANGE: Final = 0.10
"""Share by which the machine may have become faster or slower before it is worth a word."""
CONFIDENCE: Final = 0.95
ROUNDS: Final = 15
"""Rounds of runs that are compared, where none are asked for. Loading a model draws places in memory for its weights,
and a draw in ten is 30 % slower for as long as the process lives: the median of 15 hardly ever notices."""
DEFAULT_MAX_SLOWDOWN: Final = 1.05
"""What two runs of one artifact differ by on a quiet machine, for reasons that no interval of one run can know."""
SEED: Final = 0
"""The same measurements give the same interval."""


def compare_rounds(ours: Rounds, theirs: Rounds, *, limit: float, paired: bool = False) -> Ratio:
    """Return the ratio of the medians of `ours` over `theirs`, with its bootstrap interval, and what it means.

    The median of an artifact is the median over its rounds of the rounds' medians: each round is a process of its own,
    and processes differ by more than the samples within one do. The bootstrap repeats both draws, of rounds and of
    samples within them (Davison and Hinkley, Bootstrap Methods and their Application, 3.8). `paired` rounds were
    measured side by side and are drawn together; there must be as many of each. `limit` is the ratio up to which a
    difference does not matter, at least 1.
    """
    generator = np.random.default_rng(SEED)
    if paired:
        drawn = generator.integers(len(ours), size=(REPLICATES, len(ours)))
        ratios = _medians(generator, ours, drawn) / _medians(generator, theirs, drawn)
        estimate = np.median([np.median(one) / np.median(other) for one, other in zip(ours, theirs, strict=True)])
        replicates = np.median(ratios, axis=1)
    else:
        of_ours, of_theirs = (
            _medians(generator, one, generator.integers(len(one), size=(REPLICATES, len(one))))
            for one in (ours, theirs)
        )
        estimate = np.median([np.median(one) for one in ours]) / np.median([np.median(one) for one in theirs])
        replicates = np.median(of_ours, axis=1) / np.median(of_theirs, axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
    ratio = float(estimate)
    return Ratio(ratio=ratio, low=low, high=high, verdict=verdict(ratio, low, high, limit))


def verdict(ratio: float, low: float, high: float, limit: float) -> str:
    """Return `slower` or `faster` where the ratio is beyond `limit` and the whole interval on that side of 1.

    `unclear` is a ratio beyond the limit whose interval contains 1, `same` everything else.
    """
    if 1 / limit <= ratio <= limit:
        return "same"
    if low > 1:
        return "slower"
    return "faster" if high < 1 else "unclear"


def _medians(generator: np.random.Generator, rounds: Rounds, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the median of a resample of each round that was drawn, of the shape of `drawn`."""
    medians = np.empty(drawn.shape)
    for index, samples in enumerate(rounds):
        ordered = np.sort(np.asarray(samples, dtype=np.float64))
        places = drawn == index
        # The median of n draws with replacement is the sample at place ⌊n·U⌋, where U, the median of n uniform numbers,
        # follows Beta(m + 1, m + 1) for n = 2m + 1: the bootstrap itself, without drawing n numbers each time.
        half = (len(ordered) - 1) // 2 + 1
        picked = generator.beta(half, half, size=int(places.sum())) * len(ordered)
        medians[places] = ordered[np.minimum(picked.astype(np.int64), len(ordered) - 1)]
    return medians


def read_baseline(path: Path) -> BenchResult:
    """Return the result of an earlier run that `--save` wrote.

    Raises UsageError if there is no such file or it lacks raw samples, and ManifestError where it is broken.
    """
    hint = "Write one with: edgemnist bench --save FILE"
    baseline = read_saved(path, BenchResult, hint=hint)
    if baseline is None:
        raise UsageError(f"{path} does not exist", hint=hint)
    if not baseline.samples_us:
        raise UsageError(f"{path} has no raw samples to compare with", hint=hint)
    for latency in baseline.results:
        key = subject_key(latency.name, latency.runtime, latency.threads)
        rounds = baseline.samples_us.get(key, [])
        if not rounds or not all(rounds) or len(rounds) != len(latency.blocks or rounds):
            raise UsageError(f"{path} lacks raw samples of {key}", hint=hint)
        if min(map(min, rounds)) <= 0:
            raise UsageError(f"{path} has samples of {key} that are not above 0", hint=hint)
    return baseline


def check_in_common(measured: Collection[Key], baseline: BenchResult, *, file: Path) -> None:
    """Raise UsageError if an earlier run has none of the artifacts that are measured: such a gate could never fail.

    Keras alone does not count, unless nothing else is measured: it is what the artifacts are compared with.
    """
    earlier = {_key(one) for one in baseline.results}
    wanted = [key for key in measured if key[0] != KERAS] or measured
    if not any(key in earlier for key in wanted):
        ours, theirs = (", ".join(_words(key) for key in keys) for keys in (wanted, sorted(earlier)))
        raise UsageError(
            f"{file} has nothing to compare {ours} with: it holds {theirs or 'nothing'}",
            hint="Measure what it holds, or write it again with: edgemnist bench --save FILE",
        )


def compare_with_baseline(
    result: BenchResult, baseline: BenchResult, *, file: Path, max_slowdown: float
) -> BaselineComparison:
    """Compare a run with an earlier one, artifact by artifact; both with their raw samples (`samples_us`).

    An artifact fails where it is slower by more than `max_slowdown` and by more than the noise. What only one of the
    runs has is named in the warnings. Raises UsageError where they have nothing in common, see `check_in_common`.
    """
    check_in_common([_key(one) for one in result.results], baseline, file=file)
    earlier = {_key(one): one for one in baseline.results}
    changes, warnings = [], _host_differences(result, baseline)
    for latency in result.results:
        before = earlier.pop(_key(latency), None)
        if before is None:
            warnings.append(f"{_words(_key(latency))} was not measured in the earlier run")
            continue
        change = _change(latency, before, samples_of(result, latency), samples_of(baseline, before), max_slowdown)
        if change.machine is not None and abs(math.log(change.machine)) > math.log(1 + MAX_MACHINE_CHANGE):
            warnings.append(
                f"{latency.name}: the machine took {change.machine:.2f} times as long for the same fixed work; "
                "the ratio is corrected for that, but not for anything that slows artifacts and that work by "
                "different amounts"
            )
        changes.append(change)
    if earlier:
        missing = ", ".join(_words(key) for key in earlier)
        warnings.append(f"only the earlier run measured {missing}")
    return BaselineComparison(
        file=str(file),
        max_slowdown=max_slowdown,
        passed=all(change.ratio.verdict != "slower" for change in changes),
        changes=changes,
        warnings=warnings,
    )


def samples_of(result: BenchResult, latency: Latency) -> list[list[float]]:
    """Return the raw samples of one artifact by round. Raises KeyError where the result has none."""
    return (result.samples_us or {})[subject_key(latency.name, latency.runtime, latency.threads)]


def _key(latency: Latency) -> Key:
    return latency.name, latency.runtime, latency.threads


def _words(key: Key) -> str:
    return f"{subject_key(*key)} ({key[1]})"


def _change(
    latency: Latency, before: Latency, ours: list[list[float]], theirs: list[list[float]], limit: float
) -> Change:
    speeds = [_references(one) for one in (latency, before)]
    known = all(speeds)
    rounds = [_in_units(*pair) for pair in zip((ours, theirs), speeds, strict=True)] if known else [ours, theirs]
    return Change(
        name=latency.name,
        runtime=latency.runtime,
        p50_us=latency.p50_us,
        baseline_p50_us=before.p50_us,
        ratio=compare_rounds(*rounds, limit=limit),
        machine=float(np.median(speeds[0]) / np.median(speeds[1])) if known else None,
        noise=max(spread_of_rounds(latency.blocks), spread_of_rounds(before.blocks)),
    )


def _references(latency: Latency) -> list[float]:
    """Return what the fixed work took in each round, in microseconds; nothing where a round does not tell."""
    found = [block.reference_us for block in latency.blocks if block.reference_us]
    return found if len(found) == len(latency.blocks) else []


def _in_units(rounds: Rounds, references: Sequence[float]) -> Rounds:
    """Return latencies in units of the fixed work of their round."""
    return [list(np.asarray(one) / reference) for one, reference in zip(rounds, references, strict=True)]


def _host_differences(result: BenchResult, baseline: BenchResult) -> list[str]:
    """Return the facts in which the hosts differ, in words: figures of two machines do not compare."""
    names = ("machine", "cpu", "governor", "kernel", "versions")
    return [
        f"{name} differs: {baseline.host.get(name)} then, {result.host.get(name)} now"
        for name in names
        if result.host.get(name) != baseline.host.get(name)
    ]
