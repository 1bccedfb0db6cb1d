"""Two models timed against each other, in turns, so that whatever drifts hits both alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from edgemnist.board.machine import host_facts
from edgemnist.errors import UsageError, check_range
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.bench import PairResult
from edgemnist.ground.results.verdict import COMMAND_LINE, judge
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import Exports
from edgemnist.model.exports.models import file_model, understood
from edgemnist.pipeline.bench.baseline import compare_rounds, slowdown
from edgemnist.pipeline.bench.config import BenchConfig, Subject
from edgemnist.pipeline.bench.quality import host_warnings
from edgemnist.pipeline.bench.run import bench_inputs, in_microseconds, latency, measure_all

FEWEST_ROUNDS: Final = 3
ROUNDS: Final = 10
"""Rounds where no number is given."""


def compare_models(
    exports: Exports | None,
    names: Sequence[str],
    config: BenchConfig,
    *,
    max_slowdown: float | None = None,
    save: Path | None = None,
    data: Path | None = None,
    reporter: Reporter = SILENT,
) -> PairResult:
    """Measure two models side by side: names of the export directory or paths, with `@RUNTIME` or without.

    The first must not be slower than the second by more than `max_slowdown`, where that is given: where a side is
    tainted there is no ratio, and no limit is met. `save` gets the raw samples, which the returned result lacks.

    Raises UsageError for another number of models, fewer than three rounds or a range of threads, and whatever
    `Exports.model`, `measure_all` and `write_file` raise.
    """
    if len(names) != 2:  # noqa: PLR2004 - a pair
        raise UsageError(f"--pair times two models ({len(names)} named)", hint="Name two: edgemnist bench A B --pair")
    if config.threads_to is not None:
        raise UsageError("--pair takes one number of threads, not a range", hint="Such as --threads 2.")
    check_range("--rounds", config.rounds, least=FEWEST_ROUNDS)
    check_range("--max-slowdown", max_slowdown, least=1)
    models = [file_model(name) if exports is None else exports.model(name, reporter) for name in names]
    ours, theirs = (Subject(model=understood(one, reporter), threads=config.threads) for one in models)
    if theirs.key == ours.key:
        # A file against itself shows how large the noise is.
        theirs = replace(theirs, model=replace(theirs.model, artifact=f"{theirs.model.artifact} again"))
    sides = (ours, theirs)
    measured = measure_all(sides, bench_inputs(exports, sides, data, reporter), config, reporter)
    first, second = (latency(side, measured[side.key], config) for side in sides)
    samples = in_microseconds(sides, measured, lambda report: report.samples)
    ratio = None
    if not (first.tainted or second.tainted):
        ratio = compare_rounds(*samples.values(), limit=max_slowdown or 1.0, paired=True)
    verdict = None
    if max_slowdown is not None:
        disturbed = "one of the two was disturbed in most of its rounds"
        verdict = judge([slowdown(ratio, limit=max_slowdown, origin=COMMAND_LINE, unknown=disturbed)])
    host = host_facts()
    result = PairResult(
        host=host,
        first=first,
        second=second,
        ratio=ratio,
        max_slowdown=max_slowdown,
        verdict=verdict,
        passed=verdict is None or verdict.passed,
        rounds=config.rounds,
        warnings=host_warnings(host),
        samples_us=samples,
    )
    if save is not None:
        write_file(save, result.to_json().encode())
    return msgspec.structs.replace(result, samples_us=None)
