"""Two model files against each other, in turns, so that whatever drifts hits both alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgemnist.arrays import Images
from edgemnist.bench.compare import compare_rounds
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.doubt import host_doubts
from edgemnist.bench.host import host_facts
from edgemnist.bench.results import PairResult
from edgemnist.bench.run import latency, measure_all
from edgemnist.bench.subjects import find_subject
from edgemnist.errors import ManifestError, UsageError
from edgemnist.exports import reference_directory
from edgemnist.golden import read_golden
from edgemnist.manifest import MANIFEST_FILE, Manifest, read_manifest
from edgemnist.progress import SILENT, Reporter

ROUNDS = 10
"""Rounds of a pair where none are asked for: as many pairs as the interval is drawn from."""
FEWEST_ROUNDS = 3


def pair(
    exports: Path,
    names: Sequence[str],
    config: BenchConfig,
    *,
    max_slowdown: float | None = None,
    reporter: Reporter = SILENT,
) -> PairResult:
    """Measure two artifacts or model files side by side; `names` are of the export directory, or paths.

    The first must not be slower than the second by more than `max_slowdown`, where that is given. Two paths need no
    export directory: without one, the images are those of the reference, and a notice says so.

    Raises UsageError unless there are two names and at least three rounds, and whatever `read_manifest`,
    `find_subject` and `measure_all` raise.
    """
    if len(names) != 2:  # noqa: PLR2004 - a pair
        raise UsageError(f"--pair compares two artifacts, and {len(names)} were named")
    if config.rounds < FEWEST_ROUNDS:
        raise UsageError(
            f"--rounds {config.rounds} is too few to tell a difference from noise",
            hint=f"A pair takes {FEWEST_ROUNDS} rounds or more; {ROUNDS} are usual.",
        )
    exports, manifest = _images_and_names(exports, names, reporter)
    first, second = (replace(find_subject(exports, manifest, name), threads=config.threads) for name in names)
    if second.key == first.key:
        # A file against itself shows how large the noise is.
        second = replace(second, name=f"{second.name} again")
    images: Images = read_golden(exports, manifest).images
    measured = measure_all([first, second], images, config, reporter)
    sides = [latency(subject, measured[subject.key], config) for subject in (first, second)]
    samples = [[one.report.samples for one in measured[subject.key]] for subject in (first, second)]
    ratio = compare_rounds(*samples, limit=max_slowdown or 1.0, paired=True)
    host = host_facts()
    return PairResult(
        host=host,
        first=sides[0],
        second=sides[1],
        ratio=ratio,
        max_slowdown=max_slowdown,
        passed=max_slowdown is None or ratio.verdict != "slower",
        rounds=config.rounds,
        warnings=host_doubts(host),
        samples_us={
            subject.key: [[sample / 1e3 for sample in one] for one in side]
            for subject, side in zip((first, second), samples, strict=True)
        },
    )


def _images_and_names(exports: Path, names: Sequence[str], reporter: Reporter) -> tuple[Path, Manifest]:
    """Return the export directory that the images and the names are of, and its record."""
    try:
        return exports, read_manifest(exports)
    except ManifestError:
        if (exports / MANIFEST_FILE).exists() or not all(Path(name).is_file() for name in names):
            raise
    reporter.notice(f"{exports} holds no {MANIFEST_FILE}, so the images are those of the reference.")
    return reference_directory(), read_manifest(reference_directory())
