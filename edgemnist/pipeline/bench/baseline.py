"""Two measurements compared: is the difference larger than the noise?"""

import math
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist import __version__
from edgemnist.board.machine import identity_of
from edgemnist.errors import UsageError
from edgemnist.ground.results.bench import KERAS, BaselineComparison, BenchResult, Change, Latency, Ratio, subject_key
from edgemnist.ground.results.verdict import GATE_FILE, MISSED, UNKNOWN, Basis, Measurement, joint, judge, origin_of
from edgemnist.model.exports.findings import read_saved
from edgemnist.model.runtimes import version_of
from edgemnist.pipeline.bench.quality import spread_of_rounds

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


def compare_rounds(ours: Rounds, theirs: Rounds, *, limit: float) -> Ratio:
    """Return the ratio of the medians of `ours` over `theirs`, with its bootstrap interval, and what it means.

    The median of an artifact is the median over its rounds of the rounds' medians: each round is a process of its own,
    and processes differ by more than the samples within one do. The bootstrap repeats both draws, of rounds and of
    samples within them (Davison and Hinkley, Bootstrap Methods and their Application, 3.8). `limit` is
    the ratio up to which a difference does not matter, at least 1.
    """
    generator = np.random.default_rng(SEED)
    of_ours, of_theirs = (
        _medians(generator, one, generator.integers(len(one), size=(REPLICATES, len(one)))) for one in (ours, theirs)
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
        key = latency.key
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
    if earlier.isdisjoint(wanted):
        ours, theirs = (", ".join(map(_words, keys)) for keys in (wanted, sorted(earlier)))
        raise UsageError(
            f"{file} has nothing to compare {ours} with: it holds {theirs or 'nothing'}",
            hint="Measure what it holds, or write it again with: edgemnist bench --save FILE",
        )


def compare_with_baseline(
    result: BenchResult,
    baseline: BenchResult,
    *,
    file: Path,
    max_slowdown: float | None = None,
    own: float | None = None,
    whole: bool = True,
) -> BaselineComparison:
    """Compare a run with an earlier one, artifact by artifact; both with their raw samples (`samples_us`).

    The verdict on an artifact is that on its ratio, see `slowdown`; it is unknown where a run is tainted or comes from
    another processor, and of what only one of them has. `max_slowdown` is the limit of the command line; else `own`
    holds, that of a gate file, or `DEFAULT_MAX_SLOWDOWN`. Unless `whole`, the run was asked for a part of the earlier
    one. Raises UsageError where they have nothing in common, see `check_in_common`.
    """
    ours, theirs = ({_key(one): one for one in run.results} for run in (result, baseline))
    check_in_common(list(ours), baseline, file=file)
    limit = max_slowdown or own or DEFAULT_MAX_SLOWDOWN
    origin = GATE_FILE if own and not max_slowdown else origin_of(max_slowdown)
    judged = partial(slowdown, limit=limit, origin=origin)
    now, then = identity_of(result.host), identity_of(baseline.host)
    elsewhere = f"the earlier run was on another processor ({baseline.host.get('cpu')})" if now != then else ""
    only = {key: "it was not measured in the earlier run" for key in ours if key not in theirs}
    only |= {key: "only the earlier run measured it" for key in theirs if whole and key not in ours}
    verdicts = {_words(key): judge([judged(None, unknown=why)]) for key, why in only.items() if key[0] != KERAS}
    changes = []
    warnings = [
        f"{name} differs: {baseline.host.get(name)} then, {result.host.get(name)} now"
        for name in ("machine", "cpu", "governor", "kernel", "versions")
        if result.host.get(name) != baseline.host.get(name)
    ]
    for key, latency in ours.items():
        if (before := theirs.get(key)) is None:
            continue
        samples = (result.samples_us or {})[latency.key], (baseline.samples_us or {})[before.key]
        change = _change(latency, before, *samples, limit=limit)
        unknown = elsewhere or "a run was disturbed in most of its rounds"
        measured = judged(None if elsewhere else change.ratio, unknown=unknown)
        basis = Basis(
            artifact=latency.sha256, runtime=latency.runtime, runtime_version=version_of(latency.runtime), machine=now,
            edgemnist=__version__,
        )  # fmt: skip
        verdicts[_words(key)] = verdict = judge([measured], basis)
        changes.append(msgspec.structs.replace(change, verdict=verdict))
        if change.machine is not None and abs(math.log(change.machine)) > math.log(1 + MAX_MACHINE_CHANGE):
            warnings.append(
                f"{latency.name}: the machine took {change.machine:.2f} times as long for the same fixed work; "
                "the ratio is corrected for that, but not for anything that slows artifacts and that work by "
                "different amounts"
            )
    verdict = joint(verdicts)
    return BaselineComparison(
        file=str(file), max_slowdown=limit, verdict=verdict, passed=verdict.passed, changes=changes, warnings=warnings
    )


def nothing_compared(limit: float) -> BaselineComparison:
    """Return what is known of the limit of a gate file where no earlier run is named: nothing."""
    why = f"nothing was compared with, but a gate file allows {limit:g} times the p50 of an earlier run"
    verdict = judge([slowdown(None, limit=limit, origin=GATE_FILE, unknown=why)])
    return BaselineComparison(file="", max_slowdown=limit, verdict=verdict, passed=False, changes=[])


def slowdown(ratio: Ratio | None, *, limit: float, origin: str, unknown: str) -> Measurement:
    """Return the measurement of a ratio, which must not be above `limit`.

    Above it, but within the noise, nothing is known, as without a ratio; `unknown` says why there is none.
    """
    if ratio is None:
        return Measurement("max-slowdown", None, "", most=limit, origin=origin, unknown=unknown)
    shown = f"it took {{}} times as long, but only {{}} is allowed ({ratio.low:.2f} to {ratio.high:.2f} with the noise)"
    reason, otherwise = (f"{shown}, so nothing is known", UNKNOWN) if ratio.low <= 1 else (shown, MISSED)
    return Measurement("max-slowdown", ratio.ratio, reason, most=limit, origin=origin, otherwise=otherwise)


def _key(latency: Latency) -> Key:
    return latency.name, latency.runtime, latency.threads


def _words(key: Key) -> str:
    return f"{subject_key(*key)} ({key[1]})"


def _change(latency: Latency, before: Latency, now: list[list[float]], then: list[list[float]], limit: float) -> Change:
    speeds = [_references(one) for one in (latency, before)]
    known = all(speeds)
    tainted = latency.tainted or before.tainted
    rounds = [now, then]
    if known:
        # In units of the fixed work of each round.
        rounds = [
            [list(np.asarray(one) / unit) for one, unit in zip(*pair, strict=True)]
            for pair in zip(rounds, speeds, strict=True)
        ]
    return Change(
        name=latency.name,
        runtime=latency.runtime,
        p50_us=latency.p50_us,
        baseline_p50_us=before.p50_us,
        ratio=None if tainted else compare_rounds(*rounds, limit=limit),
        tainted=tainted,
        machine=float(np.median(speeds[0]) / np.median(speeds[1])) if known else None,
        noise=max(spread_of_rounds(latency.blocks), spread_of_rounds(before.blocks)),
    )


def _references(latency: Latency) -> list[float]:
    """Return what the fixed work took in each round, in microseconds; nothing where a round does not tell."""
    found = [block.reference_us for block in latency.blocks if block.reference_us]
    return found if len(found) == len(latency.blocks) else []
