"""Every artifact in its runtime against the clock, each measurement in a fresh process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgemnist.arrays import Images
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.cpus import choose_cpus, usable_cpus
from edgemnist.bench.doubt import doubts, host_doubts
from edgemnist.bench.host import host_facts
from edgemnist.bench.process import Measured, measure_undisturbed
from edgemnist.bench.protocol import Report, Request
from edgemnist.bench.record import read_bench, save_bench
from edgemnist.bench.schedule import interleave
from edgemnist.bench.statistics import histogram, images_a_second, median, summarise
from edgemnist.bench.subjects import KERAS, NULL, Subject, select_subjects
from edgemnist.errors import ArtifactError
from edgemnist.golden import read_golden
from edgemnist.manifest import read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import BenchResult, Block, Latency

__all__ = ["bench", "latency", "measure_all", "read_bench", "save_bench", "spread"]

SAMPLE_IMAGES = 256
"""Images that the timed calls take in turn: enough that no branch predictor learns them by heart."""


def bench(
    exports: Path,
    names: Sequence[str] | None = None,
    config: BenchConfig | None = None,
    reporter: Reporter = SILENT,
) -> BenchResult:
    """Measure artifacts of an export directory: those named (`keras` is a name too), or all that can be run, and Keras.

    Raises UnknownNameError for a name that is not recorded, ManifestError and ArtifactError where a file is missing,
    damaged or not the recorded one, MissingDependencyError where no runtime is installed for what was asked, and
    MeasurementError where a process that measures dies.
    """
    config = config or BenchConfig()
    manifest = read_manifest(exports)
    selected = select_subjects(exports, manifest, names, keras=config.keras, reporter=reporter)
    subjects = [replace(subject, threads=count) for subject in selected for count in config.thread_counts]
    images = read_golden(exports, manifest).images
    if len(images) == 0:
        raise ArtifactError(f"The golden pack of {exports} has no images", hint="Write it anew with: edgemnist export")
    measured = measure_all([NULL, *subjects], images, config, reporter)
    baselines = {
        subject.threads: summarise([one.report.samples for one in measured[subject.key]]).p50
        for subject in subjects
        if subject.runtime == KERAS
    }
    host = host_facts()
    return BenchResult(
        host=host,
        results=[
            latency(subject, measured[subject.key], config, baselines.get(subject.threads)) for subject in subjects
        ],
        warnings=host_doubts(host),
        harness_us=summarise([one.report.samples for one in measured[NULL.key]]).p50,
        samples_us=_raw(subjects, measured, lambda report: report.samples) if config.keep_samples else None,
        warmup_us=_raw(subjects, measured, lambda report: report.warmup) if config.keep_samples else None,
    )


def measure_all(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, reporter: Reporter = SILENT
) -> dict[str, list[Measured]]:
    """Return what was measured by `Subject.key`, one item a round.

    `images`, uint8 [N, 28, 28], are what the classifiers are asked about, a few hundred of them. Raises
    MeasurementError where a process dies.
    """
    measured: dict[str, list[Measured]] = {subject.key: [] for subject in subjects}
    cpus = {subject.threads: choose_cpus(subject.threads, usable_cpus()) for subject in subjects}
    turns = list(interleave(subjects, config.rounds))
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch, reporter.task("Measuring", len(turns)) as task:
        asked = Path(scratch, "images.npy")
        np.save(asked, spread(images, SAMPLE_IMAGES))
        for done, (number, subject) in enumerate(turns):
            task.update(done, f"{subject.key}, round {number + 1} of {config.rounds}")
            request = Request(
                runtime=subject.runtime,
                path=str(subject.path),
                threads=subject.threads,
                cpus=cpus[subject.threads],
                images=str(asked),
                samples=config.samples_a_round,
                nanoseconds=config.nanoseconds_a_round,
                batch_size=config.batch_size,
                # The null runtime is the cost of measuring, and nothing to slow down.
                slowdown=1.0 if subject is NULL else config.slowdown,
                report=str(Path(scratch, "report.json")),
            )
            measured[subject.key].append(measure_undisturbed(subject.key, request, config.repeats))
    return measured


def spread(images: Images, count: int) -> Images:
    """Return up to `count` images, evenly spread over all: evaluation images may be sorted by class."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).round().astype(np.int64)]


def latency(
    subject: Subject, rounds: Sequence[Measured], config: BenchConfig, baseline: float | None = None
) -> Latency:
    """Return the figures of what was measured; `baseline` is the p50 of Keras in microseconds."""
    samples = [one.report.samples for one in rounds]
    single = summarise(samples)
    peaks = [one.report.peak_rss for one in rounds if one.report.peak_rss is not None]
    blocks = [_block(one) for one in rounds]
    return Latency(
        name=subject.name,
        runtime=subject.runtime,
        threads=subject.threads,
        batch_size=config.batch_size,
        samples=single.samples,
        p50_us=single.p50,
        p90_us=single.p90,
        p99_us=single.p99,
        p999_us=single.p999,
        mean_us=single.mean,
        min_us=single.min,
        throughput_per_s=images_a_second(config.batch_size, [one.report.batches for one in rounds]),
        load_ms=median([one.report.load for one in rounds]) / 1e6,
        cold_start_ms=median([one.cold_start for one in rounds]) / 1e6,
        peak_rss_mb=max(peaks) / 1e6 if peaks else None,
        bytes=subject.bytes,
        speedup=None if baseline is None else baseline / single.p50,
        cv=single.cv,
        first_call_us=median([one.report.warmup[0] for one in rounds]) / 1e3,
        histogram=histogram(samples),
        blocks=blocks,
        warnings=doubts(single, blocks),
        sha256=subject.sha256,
    )


def _block(measured: Measured) -> Block:
    after = measured.report.watch.after
    return Block(
        samples=len(measured.report.samples),
        p50_us=median(measured.report.samples) / 1e3,
        mhz=None if after.khz is None else after.khz / 1e3,
        celsius=after.celsius,
        attempts=measured.attempts,
        taints=list(measured.taints),
    )


def _raw(
    subjects: Sequence[Subject], measured: Mapping[str, Sequence[Measured]], series: Callable[[Report], Sequence[int]]
) -> dict[str, list[list[float]]]:
    return {
        subject.key: [[nanoseconds / 1e3 for nanoseconds in series(one.report)] for one in measured[subject.key]]
        for subject in subjects
    }
