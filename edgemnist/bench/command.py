"""The kinds of `edgemnist bench` as one: what was asked for, checked, run and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from edgemnist.bench.compare import DEFAULT_MAX_SLOWDOWN, check_in_common, check_max_slowdown, compare_with_baseline
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.pair import pair
from edgemnist.bench.record import read_baseline, save_bench
from edgemnist.bench.results import PairResult, ScenarioResult
from edgemnist.bench.run import bench, choose_subjects
from edgemnist.bench.scenario_record import save_scenario, without_samples
from edgemnist.bench.scenarios import ScenarioConfig, run_scenario
from edgemnist.errors import UsageError
from edgemnist.exports import keeps_results
from edgemnist.manifest import read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import BenchResult
from edgemnist.storage import write_file

AnyResult: TypeAlias = BenchResult | PairResult | ScenarioResult


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `edgemnist bench` is asked for. Raises UsageError for what makes no sense together."""

    artifacts: Sequence[str] | None
    config: BenchConfig
    pair: bool = False
    scenario: ScenarioConfig | None = None
    baseline: Path | None = None
    """The earlier run to compare with."""
    max_slowdown: float | None = None
    """None for the default of a baseline, and for no gate with a pair."""
    save: Path | None = None
    """Where to write the result with its raw samples."""

    def __post_init__(self) -> None:
        check_max_slowdown(self.max_slowdown)
        if self.config.keras and (self.pair or self.scenario is not None):
            raise UsageError("--keras goes with neither --pair nor a scenario", hint="Leave it out.")
        if self.pair and self.baseline is not None:
            raise UsageError("--pair and --baseline are two ways to compare", hint="Choose one of them.")
        limited = self.max_slowdown is not None
        if self.scenario is not None and (self.pair or self.baseline is not None or limited):
            raise UsageError("A scenario is not compared", hint="Leave out --pair, --baseline and --max-slowdown.")
        if limited and not self.pair and self.baseline is None:
            raise UsageError(
                "--max-slowdown has nothing to compare with", hint="Name an earlier run with --baseline, or add --pair."
            )


def run_request(exports: Path, request: Request, reporter: Reporter = SILENT) -> AnyResult:
    """Measure, compare and save as the request says; the result has no raw samples.

    Raises what `bench`, `pair`, `run_scenario` and `read_baseline` raise, and StorageError where nothing can be saved.
    """
    config, artifacts = request.config, request.artifacts
    if request.pair:
        pairing = pair(exports, artifacts or [], config, max_slowdown=request.max_slowdown, reporter=reporter)
        _save(request, pairing)
        return msgspec.structs.replace(pairing, samples_us=None)
    if request.scenario is not None:
        played = run_scenario(exports, artifacts, config, request.scenario, reporter)
        _save(request, played)
        if config.slowdown == 1 and keeps_results(exports):
            save_scenario(exports, played, reporter)
        return without_samples(played)
    # Before the measurement, which takes a while.
    earlier = _read_baseline(exports, request)
    result = bench(exports, artifacts, config, reporter)
    if earlier is not None and request.baseline is not None:
        limit = request.max_slowdown or DEFAULT_MAX_SLOWDOWN
        comparison = compare_with_baseline(result, earlier, file=request.baseline, max_slowdown=limit)
        result = msgspec.structs.replace(result, baseline=comparison)
    _save(request, result)
    result = msgspec.structs.replace(result, samples_us=None, warmup_us=None)
    if config.slowdown == 1 and keeps_results(exports):
        save_bench(exports, result, reporter)
    return result


def _read_baseline(exports: Path, request: Request) -> BenchResult | None:
    """Return the earlier run, if there is one to compare with. Raises UsageError where there is nothing to compare."""
    if request.baseline is None:
        return None
    earlier = read_baseline(request.baseline)
    subjects = choose_subjects(exports, read_manifest(exports), request.artifacts, request.config)
    measured = [(one.name, one.runtime, one.threads) for one in subjects]
    check_in_common(measured, earlier, file=request.baseline)
    return earlier


def _save(request: Request, result: AnyResult) -> None:
    if request.save is not None:
        write_file(request.save, result.to_json().encode())


def passed(result: AnyResult) -> bool:
    """Return whether no gate was missed."""
    if isinstance(result, PairResult):
        return result.passed
    return not isinstance(result, BenchResult) or result.baseline is None or result.baseline.passed
