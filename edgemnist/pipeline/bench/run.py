"""In which order the processes of a benchmark run take their turns."""

import contextlib
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

import msgspec
import numpy as np

from edgemnist.board.machine import busy_cpus, choose_cpus, host_facts, usable_cpus
from edgemnist.errors import ArtifactError, MeasurementError, MissingDependencyError, UsageError, check_range
from edgemnist.ground.arrays import Images
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.bench import KERAS, BenchResult, Block, Latency, with_speedups
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.manifest import check_recorded
from edgemnist.model.exports.models import (
    Model,
    is_file,
    models_of,
    random_inputs,
    require_runtime,
)
from edgemnist.model.exports.questions import questions
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.runtimes.untrusted import try_file, try_files
from edgemnist.model.task import default_input
from edgemnist.pipeline.bench.baseline import (
    check_in_common,
    compare_with_baseline,
    nothing_compared,
    read_baseline,
)
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.quality import (
    histogram,
    host_warnings,
    images_a_second,
    quality_warnings,
    quieter,
    slowness_taints,
    summarise,
    taints,
)
from edgemnist.pipeline.bench.worker import Failure, Outcome, WorkerReport, WorkerRequest
from edgemnist.pipeline.verify.gate import gates_of

# What a signal that ended a process usually means here.
_SIGNALS = {
    "SIGILL": "This CPU lacks an instruction that the runtime uses: install a build of the runtime for this board.",
    "SIGKILL": "The system may have run out of memory: try a smaller --batch-size.",
}
# -P as well as the path: it must import the very same modules, and nothing that lies about in the directory.
_COMMAND: Final = [sys.executable, "-P", "-m", "edgemnist.pipeline.bench.worker"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a process reported, and what was seen from outside."""

    report: WorkerReport
    cold_start: int
    """Nanoseconds from before the process was started to its first answer."""
    attempts: int
    """How often it was measured until nothing disturbed it, or the limit was reached."""
    taints: tuple[str, ...]
    """What disturbed the last attempt, in words."""


def measure(subject: str, request: WorkerRequest, *, repeats: int = 0, quietest: float | None = None) -> Measured:
    """Measure in a fresh process, and again while something disturbs it, up to `repeats` times; the last one counts.

    `subject` is what errors call it, and `quietest` the shortest time that the fixed work has taken so far, in
    nanoseconds; the calm end of a report counts, too. Raises MeasurementError where the process could not measure, or
    died.
    """
    for attempt in itertools.count(1):
        report, started = _run_worker(subject, request)
        calmest = quieter(report.reference, quietest)
        found = (*taints(report.watch), *slowness_taints(report.reference, calmest))
        if not found or attempt > repeats:
            break
    return Measured(report=report, cold_start=report.answered_at - started, attempts=attempt, taints=found)


def _run_worker(subject: str, request: WorkerRequest) -> tuple[WorkerReport, int]:
    """Return what a fresh process reports, and when it was started."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter_ns()
        ended = subprocess.run(  # noqa: S603 - our own code
            _COMMAND,
            input=msgspec.json.encode(request),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            check=False,
        )
        log.seek(0)
        words = log.read().decode(errors="replace").strip().splitlines()
    report = Path(request.report)
    if ended.returncode != 0 or not report.exists():
        raise _death(subject, ended.returncode, words[-1] if words else "")
    outcome: Outcome = msgspec.json.decode(report.read_bytes(), type=Outcome)
    report.unlink()
    if isinstance(outcome, Failure):
        raise MeasurementError(f"{subject} cannot be measured: {outcome.message}", hint=outcome.hint)
    return outcome, started


def _death(subject: str, status: int, last_words: str) -> MeasurementError:
    if status >= 0:
        return MeasurementError(
            f"{subject} could not be measured: its process ended with status {status}", hint=last_words
        )
    name = signal.Signals(-status).name
    return MeasurementError(
        f"{subject} could not be measured: its process was killed by {name}", hint=_SIGNALS.get(name, last_words)
    )


T = TypeVar("T")

SEED = 0


def interleave(subjects: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, subject): each subject once a round, in another place of the order each time.

    So a machine that slows down as it warms up slows down all subjects alike. The order is drawn with a fixed seed.
    """
    order = list(subjects)
    generator = random.Random(SEED)  # noqa: S311 - an order, no secret
    generator.shuffle(order)
    for number in range(rounds):
        # Turned by an equal part of the order, so that after all rounds each subject has run early and late.
        turn = number * len(order) // rounds
        yield from ((number, subject) for subject in order[turn:] + order[:turn])


BATCH_SHARE = 0.45
"""Time of the batches as a share of that of the single calls, at the least."""
ROUNDS_BESIDE = 3
"""Rounds, at the most, of Keras: TensorFlow takes seconds to start. One, if there are fewer."""
SAMPLE_IMAGES = 256
"""Images that the timed calls take in turn: enough that no branch predictor learns them by heart."""


def bench(
    exports: Exports | None,
    names: Sequence[str] | None = None,
    config: BenchConfig | None = None,
    reporter: Reporter = SILENT,
    *,
    data: Path | None = None,
) -> BenchResult:
    """Measure models of an export directory, or model files, see `choose_models` and `bench_inputs`.

    Raises what that and `Exports.read_golden` raise, and MeasurementError where a process that measures dies.
    """
    config = config or BenchConfig()
    models = choose_models(exports, names, config, reporter)
    measured = measure_all(models, bench_inputs(exports, models, data, reporter), config, reporter)
    host = host_facts()
    results = [latency(model, measured[config.key(model)], config) for model in models]
    spec = next((model.spec for model in models if model.spec is not None), default_input())
    return BenchResult(
        host=host,
        input=msgspec.UNSET if default_input().takes_the_same(spec) else spec,
        results=with_speedups(results),
        warnings=[*(questions(exports) if exports is not None else ()), *host_warnings(host)],
        samples_us=in_microseconds(measured, lambda report: report.samples) if config.keep_samples else None,
        warmup_us=in_microseconds(measured, lambda report: report.warmup) if config.keep_samples else None,
    )


def bench_against(
    exports: Exports | None,
    names: Sequence[str] | None,
    config: BenchConfig,
    *,
    baseline: Path | None = None,
    max_slowdown: float | None = None,
    save: Path | None = None,
    data: Path | None = None,
    reporter: Reporter = SILENT,
) -> BenchResult:
    """Measure as `bench` does, compare with the run that `baseline` holds, and save the result.

    Without `max_slowdown`, the gate file's holds: where neither a `baseline` nor `save` is named, it is unknown whether
    that is kept. `save` gets the raw samples; the result that is returned, and kept in the export directory, has none.
    Raises UsageError for a limit without a baseline, or where the two runs have nothing in common, what `gates_of`
    raises, and StorageError where `save` cannot be written.
    """
    check_range("--max-slowdown", max_slowdown, least=1)
    if max_slowdown is not None and baseline is None:
        raise UsageError("--max-slowdown has nothing to compare with", hint="Name an earlier run with --baseline.")
    limit = gates_of(None if exports is None else exports.directory).max_slowdown
    earlier = None
    if baseline is not None:
        # Before the measurement, which takes a while.
        earlier = read_baseline(baseline)
        measured = [(one.name, one.runtime, config.threads) for one in choose_models(exports, names, config)]
        check_in_common(measured, earlier, file=baseline)
    result = bench(exports, names, config, reporter, data=data)
    if earlier is not None and baseline is not None:
        comparison = compare_with_baseline(
            result, earlier, file=baseline, max_slowdown=max_slowdown, own=limit, whole=not names
        )
        result = msgspec.structs.replace(result, baseline=comparison)
    elif limit is not None and save is None:
        result = msgspec.structs.replace(result, baseline=nothing_compared(limit))
    if save is not None:
        write_file(save, result.to_json().encode())
    result = msgspec.structs.replace(result, samples_us=None, warmup_us=None)
    if exports is not None:
        exports.findings.save_bench(result, reporter)
    return result


def choose_models(
    exports: Exports | None, names: Sequence[str] | None, config: BenchConfig, reporter: Reporter = SILENT
) -> list[Model]:
    """Return what to measure: the models that were named, or all that can be run here, and Keras.

    Keras is measured where it is named or `config.keras` is true. Where that is None and nothing is named, it is
    measured if it can be, and a notice says why if not. What `try_file` refuses is left out with a notice, too. A model
    file, which needs no directory, is measured in the named runtime, or in each that takes it here.

    Raises what `Exports.select` raises, `try_file` where it refuses what is named, or all, and ArtifactError or
    MissingDependencyError where Keras was asked for and cannot be measured.
    """
    wanted = [name for name in names or () if name != KERAS]
    files = [name for name in wanted if is_file(name)]
    recorded = [name for name in wanted if name not in files]
    models = [model for name in dict.fromkeys(files) for model in models_of(name, reporter)]
    if exports is not None and (recorded or not names):
        models += exports.select(recorded, reporter)
    asked = config.keras or KERAS in (names or ())
    if exports is not None and (asked or (config.keras is None and not names)):
        try:
            models.append(_keras_model(exports))
        except (ArtifactError, MissingDependencyError) as error:
            if asked:
                raise
            reporter.notice(f"Keras is not measured: {error.message}.")
    try_files((model.path, model.runtime) for model in models if model.may_crash)
    fit: list[Model] = []
    refused: dict[str, ArtifactError] = {}
    for model in models:
        try:
            _most_at_once(model)
            fit.append(model)
        except ArtifactError as error:
            refused[model.name] = error
    if refused and (names or not fit):
        raise next(iter(refused.values()))
    for name, reason in refused.items():
        reporter.notice(f"{name} is left out: {reason.message}.")
    return fit


def _keras_model(opened: Exports) -> Model:
    record = opened.manifest.model
    if record is None or Path(record.file).suffix not in RUNTIMES[KERAS].suffixes:
        raise ArtifactError(f"{opened.directory} has no Keras model", hint=f"Make one with: {opened.command('train')}")
    require_runtime(KERAS)
    check_recorded(opened.directory, record)
    return Model(
        artifact=KERAS,
        runtime=KERAS,
        path=opened.directory / record.file,
        bytes=record.bytes,
        sha256=record.sha256,
        spec=record.spec(opened.task),
        task=opened.task,
        trusted=True,
    )


def _most_at_once(model: Model) -> int | None:
    return try_file(model.path, model.runtime) if model.may_crash else None


def bench_inputs(
    exports: Exports | None, models: Sequence[Model], data: Path | None = None, reporter: Reporter = SILENT
) -> list[Images]:
    """Return inputs to time models with, an array for each shape and type that they read.

    They are those of the golden pack, of `data`, or random ones, which is told. Raises ArtifactError where the pack has
    none, and DataError where the data are not what a model reads.
    """
    found: dict[tuple[tuple[int, ...], str], Images] = {}
    if exports is not None:
        images = exports.read_golden(to_compare=True).images
        found[images.shape[1:], images.dtype.name] = images
    for model in models:
        spec = model.spec or default_input()
        if (key := (spec.shape, spec.dtype)) in found:
            continue
        if data is not None:
            from edgemnist.pipeline.data.sources import read_inputs

            found[key] = read_inputs(data, spec, reporter)[0]
        elif default_input().takes_the_same(spec):
            # What they cost may depend on their ink.
            found[key] = Exports.open(reference_directory()).read_golden().images
            reporter.notice(f"{model.artifact} is timed with the images that come with edgemnist.")
        else:
            found[key] = random_inputs(model, SAMPLE_IMAGES)
            reporter.notice(f"{model.artifact} is timed with random inputs. Name others with --data.")
    return list(found.values())


def measure_all(
    models: Sequence[Model],
    images: Sequence[Images],
    config: BenchConfig,
    reporter: Reporter = SILENT,
) -> dict[str, list[Measured]]:
    """Return what was measured by `BenchConfig.key`, one item a round; `images` are of `bench_inputs`.

    Raises MeasurementError where a process dies.
    """
    measured: dict[str, list[Measured]] = {config.key(model): [] for model in models}
    turns = [turn for turn in interleave(models, config.rounds) if takes_part(*turn, config.rounds)]
    quietest: float | None = None
    with scratch_directory(images) as scratch, reporter.task("Measuring", len(turns)) as task:
        for done, (number, model) in enumerate(turns):
            key = config.key(model)
            task.update(done, f"{key}, round {number + 1} of {config.rounds}")
            request = request_for(model, config, scratch)
            block = measure(key, request, repeats=config.repeats, quietest=quietest)
            measured[key].append(block)
            quietest = quieter(block.report.reference, quietest)
    return measured


def takes_part(number: int, model: Model, rounds: int) -> bool:
    """Return whether a model is measured in a round: Keras, which artifacts are compared with, is in only a few."""
    if model.name != KERAS:
        return True
    few = ROUNDS_BESIDE if rounds >= ROUNDS_BESIDE else 1
    return number * few % rounds < few


@contextlib.contextmanager
def scratch_directory(images: Sequence[Images]) -> Iterator[Path]:
    """Yield a temporary directory that holds a few hundred inputs of each shape, spread over all of them."""
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
        for each in images:
            np.save(Path(scratch, _inputs_file(each.shape[1:], each.dtype.name)), spread(each, SAMPLE_IMAGES))
        yield Path(scratch)


def _inputs_file(shape: Sequence[int], dtype: str) -> str:
    return f"{'x'.join(map(str, shape))}-{dtype}.npy"


def request_for(model: Model, config: BenchConfig, scratch: Path) -> WorkerRequest:
    """Return what a process is told that measures one artifact once; `scratch` is of `scratch_directory`.

    Raises what `try_file` raises: no process that measures gets a file that has not been tried.
    """
    spec = model.spec or default_input()
    return WorkerRequest(
        runtime=model.runtime,
        path=str(model.path),
        spec=model.spec,
        numbers=model.numbers,
        threads=config.threads,
        cpus=choose_cpus(config.threads, usable_cpus(), busy=busy_cpus()),
        images=str(scratch / _inputs_file(spec.shape, spec.dtype)),
        samples=config.samples_a_round,
        nanoseconds=config.nanoseconds_a_round,
        batch_size=config.batch_size,
        batch_nanoseconds=math.ceil(BATCH_SHARE * config.nanoseconds_a_round),
        most=_most_at_once(model),
        report=str(scratch / "report.json"),
    )


def spread(images: Images, count: int) -> Images:
    """Return up to `count` images, evenly spread over all: evaluation images may be sorted by class."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).round().astype(np.int64)]


def latency(model: Model, rounds: Sequence[Measured], config: BenchConfig) -> Latency:
    """Return the figures of what was measured."""
    samples = [one.report.samples for one in rounds]
    single = summarise(samples)
    peaks = [one.report.peak_rss for one in rounds if one.report.peak_rss is not None]
    blocks = [_block(one) for one in rounds]
    return Latency(
        name=model.name,
        runtime=model.runtime,
        threads=config.threads,
        batch_size=config.batch_size,
        **single,
        throughput_per_s=images_a_second(config.batch_size, [one.report.batches for one in rounds]),
        load_ms=median([one.report.load for one in rounds]) / 1e6,
        cold_start_ms=median([one.cold_start for one in rounds]) / 1e6,
        peak_rss_mb=max(peaks) / 1e6 if peaks else None,
        bytes=model.bytes,
        first_call_us=median([one.report.warmup[0] for one in rounds]) / 1e3,
        histogram=histogram(samples),
        blocks=blocks,
        warnings=quality_warnings(single["samples"], blocks),
        sha256=model.sha256,
    )


def _block(measured: Measured) -> Block:
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


def in_microseconds(
    measured: Mapping[str, Sequence[Measured]], series: Callable[[WorkerReport], Sequence[int]]
) -> dict[str, list[list[float]]]:
    """Return one series of each round, such as its samples, by `BenchConfig.key`."""
    return {
        key: [[nanoseconds / 1e3 for nanoseconds in series(one.report)] for one in rounds]
        for key, rounds in measured.items()
    }
