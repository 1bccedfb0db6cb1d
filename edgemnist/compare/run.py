"""Two models timed against each other, in turns, so that whatever drifts hits both alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from edgemnist.bench.baseline import compare_rounds
from edgemnist.bench.config import BenchConfig, Subject
from edgemnist.bench.quality import host_warnings
from edgemnist.bench.run import evaluation_images, latency, measure_all
from edgemnist.errors import check_range
from edgemnist.exports.directory import Exports, find_exports, reference_directory
from edgemnist.exports.manifest import MANIFEST_FILE
from edgemnist.exports.models import split_name
from edgemnist.machine import host_facts
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.bench import PairResult
from edgemnist.runtimes import is_model_file
from edgemnist.storage import write_file

FEWEST_ROUNDS: Final = 3


def compare(
    exports: Exports,
    first: str,
    second: str,
    config: BenchConfig,
    *,
    max_slowdown: float | None = None,
    save: Path | None = None,
    reporter: Reporter = SILENT,
) -> PairResult:
    """Measure two models side by side: names of the export directory or paths, with `@RUNTIME` or without.

    The first must not be slower than the second by more than `max_slowdown`, where that is given. `save` gets the raw
    samples, which the result that is returned lacks.

    Raises UsageError for fewer than three rounds, and whatever `Exports.model`, `measure_all` and `write_file` raise.
    """
    check_range("--rounds", config.rounds, least=FEWEST_ROUNDS)
    check_range("--max-slowdown", max_slowdown, least=1)
    ours, theirs = (Subject(model=exports.model(name, reporter), threads=config.threads) for name in (first, second))
    if theirs.key == ours.key:
        # A file against itself shows how large the noise is.
        theirs = replace(theirs, model=replace(theirs.model, artifact=f"{theirs.model.artifact} again"))
    sides = (ours, theirs)
    measured = measure_all(sides, evaluation_images(exports), config, reporter)
    samples = [[one.report.samples for one in measured[side.key]] for side in sides]
    ratio = compare_rounds(*samples, limit=max_slowdown or 1.0, paired=True)
    host = host_facts()
    result = PairResult(
        host=host,
        first=latency(ours, measured[ours.key], config),
        second=latency(theirs, measured[theirs.key], config),
        ratio=ratio,
        max_slowdown=max_slowdown,
        passed=max_slowdown is None or ratio.verdict != "slower",
        rounds=config.rounds,
        warnings=host_warnings(host),
        samples_us={
            side.key: [[sample / 1e3 for sample in one] for one in taken]
            for side, taken in zip(sides, samples, strict=True)
        },
    )
    if save is not None:
        write_file(save, result.to_json().encode())
    return msgspec.structs.replace(result, samples_us=None)


def open_for(directory: Path | None, names: tuple[str, str], reporter: Reporter = SILENT) -> Exports:
    """Open the export directory that the names and the images are of.

    Two model files need none: without one, the images are those of the reference, and a notice says so. Raises what
    `Exports.open` raises.
    """
    place = find_exports(directory, fall_back=False)
    if not (place / MANIFEST_FILE).exists() and all(is_model_file(split_name(name)[0]) for name in names):
        reporter.notice(f"{place} has no {MANIFEST_FILE}, so the images are those of the reference.")
        return Exports.open(reference_directory())
    return Exports.open(directory, reporter)
