"""Which models are measured, with which inputs, and what becomes of it."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edgemnist.board.machine import host_facts, usable_cpus
from edgemnist.errors import ArtifactError, MissingDependencyError, UsageError, check_range
from edgemnist.ground.arrays import Images
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.ratios import with_ratios
from edgemnist.ground.results.bench import KERAS, BenchResult, Latency
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.manifest import check_recorded
from edgemnist.model.exports.models import Model, is_file, models_of, random_inputs, require_runtime
from edgemnist.model.exports.questions import questions
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.runtimes.untrusted import try_file, try_files
from edgemnist.model.task import default_input
from edgemnist.pipeline.bench.baseline import check_comparable, compare_with_baseline, nothing_compared, read_baseline
from edgemnist.pipeline.bench.figures import MAX_WAITED, host_warnings, percentiles
from edgemnist.pipeline.bench.turns import Plan, Subject, measure
from edgemnist.pipeline.bench.worker import Open
from edgemnist.pipeline.verify.gate import gates_of

SAMPLE_IMAGES: Final = 256
"""Inputs that the timed calls take in turn: enough that no branch predictor learns them by heart."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of `edgemnist bench`. Raises UsageError for a value out of its range."""

    seconds: float = 60.0
    """For all models together; one round of one call is timed in 0 seconds."""
    threads: int = 1
    """Threads a runtime may use for one call, and CPUs that its process is pinned to where the system can do that."""
    batch_size: int = 1000
    """Inputs a call, for the throughput."""
    calls: int = 1
    """Timed calls in each block, at the least."""
    keras: bool | None = None
    """Measure Keras too; None: where no model was named, TensorFlow and the model are there, and it opens in time."""

    def __post_init__(self) -> None:
        check_range("--threads", self.threads, least=1)
        check_range("--batch-size", self.batch_size, least=1)
        check_range("--seconds", self.seconds, least=0)
        if self.threads > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {self.threads} is more than this process may use", hint=f"It may use {count(cpus, 'CPU')}."
            )


def bench(
    exports: Exports | None,
    names: Sequence[str] | None = None,
    config: BenchConfig | None = None,
    reporter: Reporter = SILENT,
    *,
    data: Path | None = None,
) -> BenchResult:
    """Measure models of an export directory, or model files, see `choose_models` and `bench_inputs`.

    Raises what these and `Exports.read_golden` raise, and MeasurementError where a process that measures dies.
    """
    config = config or BenchConfig()
    run = time.time_ns()
    models = choose_models(exports, names, config, reporter)
    needed = config.keras or KERAS in (names or ())
    with scratch_directory(bench_inputs(exports, models, data, reporter)) as scratch:
        subjects = [
            Subject(
                name=model.name, request=request_for(model, config, scratch), once=model.name == KERAS,
                needed=model.name != KERAS or bool(needed),
            )
            for model in models
        ]  # fmt: skip
        plan = Plan(
            threads=config.threads, batch_size=config.batch_size, seconds=config.seconds, calls=config.calls
        )  # fmt: skip
        disturbed = measure(subjects, plan, reporter)
    measured = [pair for pair in zip(models, subjects, strict=True) if pair[1].blocks]
    if len(measured) < len(models):
        reporter.notice(
            "Keras is not measured: it takes too long to start. Give it more --seconds, or ask with --keras."
        )
    waited = max(float(np.median([block.waited for block in one.blocks])) for _, one in measured)
    if waited > MAX_WAITED:
        disturbed.append(f"other processes had the CPU for {percent(waited, 0)} of the time")
    host = host_facts()
    asked = [" ".join(questions(exports))] if exports is not None and questions(exports) else []
    spec = next((model.spec for model in models if model.spec is not None), default_input())
    return BenchResult(
        host=host,
        input=msgspec.UNSET if default_input().takes_the_same(spec) else spec,
        results=with_ratios([latency(*pair, config, run, disturbed=bool(disturbed)) for pair in measured]),
        rounds=max(len(one.blocks) for _, one in measured),
        disturbed=disturbed,
        warnings=[*asked, *host_warnings(host)],
    )


def latency(model: Model, measured: Subject, config: BenchConfig, run: int, *, disturbed: bool) -> Latency:
    """Return the figures of what was measured."""
    peaks = [one.peak_rss for one in measured.opened if one.peak_rss is not None]
    batch = measured.batch
    return Latency(
        name=model.name,
        runtime=model.runtime,
        threads=config.threads,
        batch_size=config.batch_size,
        **percentiles([sample for block in measured.blocks for sample in block.samples]),
        throughput_per_s=None if batch is None else 1e9 * config.batch_size / batch.typical,
        load_ms=float(np.median([one.load for one in measured.opened])) / 1e6,
        first_call_us=float(np.median([one.first_call for one in measured.opened])) / 1e3,
        cold_start_ms=None if measured.cold_start is None else measured.cold_start / 1e6,
        peak_rss_mb=max(peaks) / 1e6 if peaks else None,
        bytes=model.bytes,
        run=run,
        blocks_us=[round(block.typical / 1e3, 4) for block in measured.blocks],
        fixed_us=[round(block.fixed / 1e3, 4) for block in measured.blocks],
        starts=measured.starts,
        waited=round(float(np.median([block.waited for block in measured.blocks])), 4),
        disturbed=disturbed,
        sha256=model.sha256,
    )


def bench_exports(
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
    """Measure as `bench` does, keep the result in the export directory, decide what to ship of it, and compare it.

    Without `max_slowdown`, that of a gate file holds: where neither a `baseline` nor `save` is named, it has not
    passed. Raises UsageError for a limit without a baseline, or where the earlier run cannot be compared with, what
    `gates_of` raises, and StorageError where `save` cannot be written.
    """
    check_range("--max-slowdown", max_slowdown, least=1)
    if max_slowdown is not None and baseline is None:
        raise UsageError("--max-slowdown has nothing to compare with", hint="Name an earlier run with --baseline.")
    limit = max_slowdown or gates_of(None if exports is None else exports.directory).max_slowdown
    earlier = None
    if baseline is not None:
        # Before the measurement, which takes a while.
        earlier = read_baseline(baseline)
        chosen = [(one.name, one.runtime, config.threads) for one in choose_models(exports, names, config)]
        check_comparable(chosen, earlier, file=baseline)
    result = bench(exports, names, config, reporter, data=data)
    if exports is not None:
        exports.findings.save_bench(result, reporter)
        result = msgspec.structs.replace(result, decision=exports.findings.decision(result))
    if earlier is not None and baseline is not None:
        compared = compare_with_baseline(result, earlier, file=baseline, limit=limit, whole=not names)
        result = msgspec.structs.replace(result, baseline=compared)
    elif limit is not None and save is None:
        result = msgspec.structs.replace(result, baseline=nothing_compared(limit))
    if save is not None:
        write_file(save, result.to_json().encode())
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


@contextlib.contextmanager
def scratch_directory(images: Sequence[Images]) -> Iterator[Path]:
    """Yield a temporary directory that holds a few hundred inputs of each shape, spread over all of them."""
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
        for each in images:
            np.save(Path(scratch, _inputs_file(each.shape[1:], each.dtype.name)), spread(each, SAMPLE_IMAGES))
        yield Path(scratch)


def _inputs_file(shape: Sequence[int], dtype: str) -> str:
    return f"{'x'.join(map(str, shape))}-{dtype}.npy"


def request_for(model: Model, config: BenchConfig, scratch: Path) -> Open:
    """Return what a process is told that measures a model; `scratch` is of `scratch_directory`.

    Raises what `try_file` raises: no process that measures gets a file that has not been tried.
    """
    spec = model.spec or default_input()
    return Open(
        runtime=model.runtime,
        path=str(model.path),
        spec=model.spec,
        numbers=model.numbers,
        most=_most_at_once(model),
        threads=config.threads,
        cpus=[],
        images=str(scratch / _inputs_file(spec.shape, spec.dtype)),
    )


def spread(images: Images, count: int) -> Images:
    """Return up to `count` images, evenly spread over all: evaluation images may be sorted by class."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).round().astype(np.int64)]
