"""In which order the processes of a benchmark run take their turns."""

from __future__ import annotations

import contextlib
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec
import numpy as np

from edgemnist.arrays import Images
from edgemnist.bench.baseline import DEFAULT_MAX_SLOWDOWN, check_in_common, compare_with_baseline, read_baseline
from edgemnist.bench.config import NULL, BenchConfig, Subject, evict, files_of, select_subjects
from edgemnist.bench.process import Measured, measure
from edgemnist.bench.protocol import Scenario, WorkerReport, WorkerRequest
from edgemnist.bench.quality import (
    call_steps,
    histogram,
    host_warnings,
    images_a_second,
    quality_warnings,
    quieter,
    summarise,
)
from edgemnist.errors import ArtifactError, UsageError, check_range
from edgemnist.exports import Exports
from edgemnist.exports.models import Model
from edgemnist.exports.questions import questions
from edgemnist.machine import busy_cpus, choose_cpus, host_facts, usable_cpus
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.bench import KERAS, BenchResult, Block, Latency
from edgemnist.runtimes.untrusted import try_file
from edgemnist.storage import write_file

T = TypeVar("T")

SEED = 0


def interleave(subjects: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, subject): each subject once a round, in another place of the order each time.

    So a machine that slows down as it warms up slows down all subjects alike, and none of them always runs after the
    same neighbour has emptied the caches. The order is drawn with a fixed seed: two runs take the same course.
    """
    order = list(subjects)
    generator = random.Random(SEED)  # noqa: S311 - an order, no secret
    generator.shuffle(order)
    for number in range(rounds):
        # Turned by an equal part of the order, so that after all rounds each subject has run early and late.
        turn = number * len(order) // rounds
        yield from ((number, subject) for subject in order[turn:] + order[:turn])


IMAGES_FILE = "images.npy"
BATCH_SHARE = 0.45
"""Time of the batches as a share of that of the single calls, at the least."""
ROUNDS_BESIDE = 3
"""Rounds, at the most, of the null runtime and of Keras: TensorFlow takes seconds to start. One, if there are fewer."""
SAMPLE_IMAGES = 256
"""Images that the timed calls take in turn: enough that no branch predictor learns them by heart."""


def bench(
    exports: Exports, names: Sequence[str] | None = None, config: BenchConfig | None = None, reporter: Reporter = SILENT
) -> BenchResult:
    """Measure models of an export directory: those named (`keras` is a name too), or all that can be run, and Keras.

    Raises what `select_subjects` and `Exports.read_golden` raise, and MeasurementError where a process that measures
    dies.
    """
    config = config or BenchConfig()
    subjects = choose_subjects(exports, names, config, reporter)
    images = evaluation_images(exports)
    measured = measure_all([NULL, *subjects], images, config, reporter)
    baselines = {
        subject.threads: summarise([one.report.samples for one in measured[subject.key]])["p50_us"]
        for subject in subjects
        if subject.runtime == KERAS
    }
    cold = cold_cache_starts(subjects, images, config, reporter) if config.cold_cache else {}
    host = host_facts()
    return BenchResult(
        host=host,
        results=[
            latency(subject, measured[subject.key], config, baselines.get(subject.threads), cold.get(subject.key))
            for subject in subjects
        ],
        warnings=[*questions(exports), *host_warnings(host)],
        harness_us=median([time for one in measured[NULL.key] for time in one.report.steps["nothing"]]) / 1e3,
        samples_us=_raw(subjects, measured, lambda report: report.samples) if config.keep_samples else None,
        warmup_us=_raw(subjects, measured, lambda report: report.warmup) if config.keep_samples else None,
    )


def bench_against(
    exports: Exports,
    names: Sequence[str] | None,
    config: BenchConfig,
    *,
    baseline: Path | None = None,
    max_slowdown: float | None = None,
    save: Path | None = None,
    reporter: Reporter = SILENT,
) -> BenchResult:
    """Measure as `bench` does, compare with the run that `baseline` holds, and save the result.

    `save` gets the raw samples; the result that is returned, and kept in the export directory, has none. Raises
    UsageError for a limit without a baseline, or where the two runs have nothing in common, and StorageError where
    `save` cannot be written.
    """
    check_range("--max-slowdown", max_slowdown, least=1)
    if max_slowdown is not None and baseline is None:
        raise UsageError("--max-slowdown has nothing to compare with", hint="Name an earlier run with --baseline.")
    earlier = None
    if baseline is not None:
        # Before the measurement, which takes a while.
        earlier = read_baseline(baseline)
        measured = [(one.name, one.runtime, one.threads) for one in choose_subjects(exports, names, config)]
        check_in_common(measured, earlier, file=baseline)
    result = bench(exports, names, config, reporter)
    if earlier is not None and baseline is not None:
        comparison = compare_with_baseline(
            result, earlier, file=baseline, max_slowdown=max_slowdown or DEFAULT_MAX_SLOWDOWN
        )
        result = msgspec.structs.replace(result, baseline=comparison)
    if save is not None:
        write_file(save, result.to_json().encode())
    result = msgspec.structs.replace(result, samples_us=None, warmup_us=None)
    if config.slowdown == 1:
        exports.findings.save_bench(result, reporter)
    return result


def choose_subjects(
    exports: Exports, names: Sequence[str] | None, config: BenchConfig, reporter: Reporter = SILENT
) -> list[Subject]:
    """Return what `bench` measures, with each number of threads.

    What `try_file` refuses is left out with a notice where nothing is named. Raises what `select_subjects` raises, and
    `try_file` where it refuses what is named, or all.
    """
    selected = select_subjects(
        exports, names, keras=config.keras, keras_predict=config.keras_predict, reporter=reporter
    )
    fit: list[Subject] = []
    for left, subject in enumerate(selected, 1 - len(selected)):
        try:
            _most_at_once(subject.model)
        except ArtifactError as error:
            if names or not (left or fit):
                raise
            reporter.notice(f"{subject.name} is left out: {error.message}.")
        else:
            fit.append(subject)
    return [replace(subject, threads=count) for subject in fit for count in config.thread_counts]


def _most_at_once(model: Model) -> int | None:
    return try_file(model.path, model.runtime) if model.entry.foreign else None


def evaluation_images(exports: Exports) -> Images:
    """Return the images of the golden pack, uint8 [N, 28, 28]. Raises ArtifactError where it has none."""
    images = exports.read_golden().images
    if len(images) == 0:
        raise ArtifactError(
            f"The golden pack of {exports.directory} has no images",
            hint=f"Write it again with: {exports.command('export')}",
        )
    return images


def measure_all(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, reporter: Reporter = SILENT
) -> dict[str, list[Measured[WorkerReport]]]:
    """Return what was measured by `Subject.key`, one item a round.

    `images`, uint8 [N, 28, 28], are what the classifiers are asked about, a few hundred of them. Raises
    MeasurementError where a process dies.
    """
    measured: dict[str, list[Measured[WorkerReport]]] = {subject.key: [] for subject in subjects}
    turns = [turn for turn in interleave(subjects, config.rounds) if takes_part(*turn, config.rounds)]
    quietest: float | None = None
    with scratch_directory(images) as scratch, reporter.task("Measuring", len(turns)) as task:
        for done, (number, subject) in enumerate(turns):
            task.update(done, f"{subject.key}, round {number + 1} of {config.rounds}")
            request = request_for(subject, config, scratch)
            one = measure(subject.key, request, WorkerReport, repeats=config.repeats, quietest=quietest)
            measured[subject.key].append(one)
            quietest = quieter(one.report.reference, quietest)
    return measured


def takes_part(number: int, subject: Subject, rounds: int) -> bool:
    """Return whether a subject is measured in a round: what the artifacts are compared with is, in only a few."""
    few = rounds
    if subject is NULL or subject.name == KERAS:
        few = ROUNDS_BESIDE if rounds >= ROUNDS_BESIDE else 1
    return number * few % rounds < few


def cold_cache_starts(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, reporter: Reporter = SILENT
) -> dict[str, float]:
    """Return one cold start of each artifact in milliseconds, by `Subject.key`, after emptying the page cache.

    What this very process has mapped, such as Python and NumPy, stays in memory.
    """
    short = replace(config, samples=1, seconds=0.0, rounds=1, batch_size=1)
    found = {}
    with scratch_directory(images) as scratch, reporter.task("Starting cold", len(subjects)) as task:
        for done, subject in enumerate(subjects):
            task.update(done, subject.key)
            # Which reads the file.
            request = request_for(subject, short, scratch)
            evict(files_of(subject.model.path, subject.runtime))
            one = measure(subject.key, request, WorkerReport)
            found[subject.key] = one.cold_start / 1e6
    return found


@contextlib.contextmanager
def scratch_directory(images: Images) -> Iterator[Path]:
    """Yield a temporary directory that holds a few hundred of the images, spread over all of them."""
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
        np.save(Path(scratch, IMAGES_FILE), spread(images, SAMPLE_IMAGES))
        yield Path(scratch)


def request_for(
    subject: Subject, config: BenchConfig, scratch: Path, scenario: Scenario | None = None
) -> WorkerRequest:
    """Return what a process is told that measures one artifact once; `scratch` is of `scratch_directory`.

    Raises what `try_file` raises: no process that measures gets a file that has not been tried.
    """
    return WorkerRequest(
        runtime=subject.runtime,
        path=str(subject.model.path),
        input_range=subject.model.recorded_range,
        threads=subject.threads,
        cpus=choose_cpus(subject.threads, usable_cpus(), busy=busy_cpus()),
        images=str(scratch / IMAGES_FILE),
        samples=config.samples_a_round,
        nanoseconds=config.nanoseconds_a_round,
        batch_size=config.batch_size,
        batch_nanoseconds=math.ceil(BATCH_SHARE * config.nanoseconds_a_round),
        # The null runtime is the cost of measuring, and nothing to slow down.
        slowdown=1.0 if subject is NULL else config.slowdown,
        most=_most_at_once(subject.model),
        scenario=scenario,
        report=str(scratch / "report.json"),
    )


def spread(images: Images, count: int) -> Images:
    """Return up to `count` images, evenly spread over all: evaluation images may be sorted by class."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).round().astype(np.int64)]


def latency(
    subject: Subject,
    rounds: Sequence[Measured[WorkerReport]],
    config: BenchConfig,
    baseline: float | None = None,
    cold_cache_start: float | None = None,
) -> Latency:
    """Return the figures of what was measured.

    `baseline` is the p50 of Keras in microseconds, `cold_cache_start` in milliseconds what `cold_cache_starts` found.
    """
    samples = [one.report.samples for one in rounds]
    single = summarise(samples)
    peaks = [one.report.peak_rss for one in rounds if one.report.peak_rss is not None]
    blocks = [_block(one) for one in rounds]
    return Latency(
        name=subject.name,
        runtime=subject.runtime,
        threads=subject.threads,
        batch_size=config.batch_size,
        **single,
        throughput_per_s=images_a_second(config.batch_size, [one.report.batches for one in rounds]),
        load_ms=median([one.report.load for one in rounds]) / 1e6,
        cold_start_ms=median([one.cold_start for one in rounds]) / 1e6,
        peak_rss_mb=max(peaks) / 1e6 if peaks else None,
        bytes=subject.model.bytes,
        speedup=None if baseline is None else baseline / single["p50_us"],
        first_call_us=median([one.report.warmup[0] for one in rounds]) / 1e3,
        cold_cache_start_ms=cold_cache_start,
        steps=call_steps([one.report.steps for one in rounds], single["p50_us"]),
        histogram=histogram(samples),
        blocks=blocks,
        warnings=quality_warnings(single["samples"], blocks),
        sha256=subject.model.sha256,
    )


def _block(measured: Measured[WorkerReport]) -> Block:
    after = measured.report.watch.after
    return Block(
        samples=len(measured.report.samples),
        p50_us=median(measured.report.samples) / 1e3,
        reference_us=median(measured.report.reference) / 1e3,
        mhz=None if after.khz is None else after.khz / 1e3,
        celsius=after.celsius,
        attempts=measured.attempts,
        taints=list(measured.taints),
    )


def _raw(
    subjects: Sequence[Subject],
    measured: Mapping[str, Sequence[Measured[WorkerReport]]],
    series: Callable[[WorkerReport], Sequence[int]],
) -> dict[str, list[list[float]]]:
    return {
        subject.key: [[nanoseconds / 1e3 for nanoseconds in series(one.report)] for one in measured[subject.key]]
        for subject in subjects
    }
