"""A run against an earlier one: is anything slower?"""

from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from edgemnist.board.machine import host_facts, identity_of
from edgemnist.errors import UsageError
from edgemnist.ground.ratios import times_as_long
from edgemnist.ground.results.bench import KERAS, BaselineComparison, BenchResult, Change, Latency
from edgemnist.model.exports.findings import read_saved

Key: TypeAlias = tuple[str, str, int]
"""Name, runtime and number of threads: figures of the same three are compared."""
_HINT = "Write one with: edgemnist bench --save FILE"


def read_baseline(path: Path) -> BenchResult:
    """Return the result of an earlier run that `--save` wrote.

    Raises UsageError if there is no such file, or it lacks rounds, and ManifestError where it is broken.
    """
    baseline = read_saved(path, BenchResult, hint=_HINT)
    if baseline is None:
        raise UsageError(f"{path} does not exist", hint=_HINT)
    for row in baseline.results:
        lengths = {len(row.blocks_us), len(row.fixed_us)}
        if len(lengths) > 1 or 0 in lengths or min(*row.blocks_us, *row.fixed_us) <= 0:
            raise UsageError(f"{path} has no usable rounds of {row.key}", hint=_HINT)
    return baseline


def check_comparable(measured: Collection[Key], baseline: BenchResult, *, file: Path) -> None:
    """Raise UsageError if an earlier run is of another processor, or has none of the models that are measured.

    Keras alone does not count, unless nothing else is measured: it is what the others are compared with.
    """
    if identity_of(host_facts()) != identity_of(baseline.host):
        raise UsageError(
            f"{file} was measured on another machine ({baseline.host.get('cpu')}), and nothing here can be compared "
            "with it",
            hint="Measure on this machine with: edgemnist bench --save FILE",
        )
    earlier = {_key(one) for one in baseline.results}
    wanted = [key for key in measured if key[0] != KERAS] or measured
    if earlier.isdisjoint(wanted):
        ours, theirs = (", ".join(f"{name} ({runtime})" for name, runtime, _ in keys) for keys in (wanted, earlier))
        raise UsageError(
            f"{file} has nothing to compare {ours} with: it holds {theirs or 'nothing'}",
            hint="Measure what it holds, or write it again with: edgemnist bench --save FILE",
        )


def compare_with_baseline(
    result: BenchResult, baseline: BenchResult, *, file: Path, limit: float | None = None, whole: bool = True
) -> BaselineComparison:
    """Compare a run with an earlier one, model by model.

    What takes more than `limit` times as long does not pass, if a person gave it; else what is slower by more than the
    interval. Neither does what only one of the runs has; unless `whole`, a part of the earlier one was asked for.
    """
    then = {_key(one): one for one in baseline.results}
    now = {_key(one): one for one in result.results}
    changes = [_change(one, then.get(key), limit) for key, one in now.items() if key in then or one.name != KERAS]
    changes += [
        Change(name=one.name, runtime=one.runtime, p50_us=None, baseline_p50_us=one.p50_us, ratio=None, passed=False)
        for key, one in then.items()
        if whole and key not in now and one.name != KERAS
    ]
    return BaselineComparison(
        file=str(file), max_slowdown=limit, passed=all(change.passed for change in changes), changes=changes
    )


def nothing_compared(limit: float) -> BaselineComparison:
    """Return what is known of the limit of a gate file where no earlier run is named: nothing."""
    return BaselineComparison(file="", max_slowdown=limit, passed=False, changes=[])


def _change(now: Latency, then: Latency | None, limit: float | None) -> Change:
    ratio = None if then is None else times_as_long(now, then)
    passed = ratio is not None and (ratio.low <= 1 if limit is None else ratio.ratio <= limit)
    return Change(
        name=now.name,
        runtime=now.runtime,
        p50_us=now.p50_us,
        baseline_p50_us=None if then is None else then.p50_us,
        ratio=ratio,
        passed=passed,
    )


def _key(row: Latency) -> Key:
    return row.name, row.runtime, row.threads
