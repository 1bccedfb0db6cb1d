"""Findings of the commands about an export directory, kept beside its manifest for later commands.

`verify.json`, `bench.json`, `scenarios.json` and `training.json`: each counts only for the very files that it is
about, which it names by their hashes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from edgemnist.errors import ManifestError, StorageError
from edgemnist.exports.manifest import decode_versioned
from edgemnist.exports.models import model_name, split_name
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import Result, ResultT
from edgemnist.results.bench import KERAS, BenchResult, Latency, ScenarioResult, ScenarioRun, ScenariosResult
from edgemnist.results.verify import ArtifactParity, VerifyResult
from edgemnist.runtimes import RUNTIMES
from edgemnist.storage import write_file

if TYPE_CHECKING:
    from edgemnist.exports import Exports
    from edgemnist.results.pipeline import TrainResult

VERIFY_FILE: Final = "verify.json"
BENCH_FILE: Final = "bench.json"
BENCH_BEFORE_FILE: Final = "bench-before.json"
BETTER: Final = 2
"""An earlier measurement is the better one if it has at least this many times the calls of a later one."""
NOISE: Final = 0.05
"""Share by which two runs of one model differ on a quiet machine: a smaller lead does not count."""
SCENARIOS_FILE: Final = "scenarios.json"
TRAINING_FILE: Final = "training.json"

_COMMANDS = {VERIFY_FILE: "verify", BENCH_FILE: "bench", SCENARIOS_FILE: "scenario NAME", TRAINING_FILE: "train"}
_Row = TypeVar("_Row", ArtifactParity, Latency, ScenarioRun)


@dataclass(frozen=True)
class Finding(Generic[ResultT]):
    """A saved result, as far as it is about the files that are there now."""

    result: ResultT
    """The result, without the parts about files that have changed since."""
    reason: str = ""
    """Why it no longer counts, in words; empty if it does."""

    @property
    def current(self) -> bool:
        """Whether it was made of these very bytes."""
        return not self.reason


class Findings:
    """The findings of one export directory. Raises ManifestError if a file is broken or of a newer version."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports
        self._directory = exports.directory

    @cached_property
    def verify(self) -> Finding[VerifyResult] | None:
        """The findings of `edgemnist verify`; None if it was never run."""
        saved = self._read(VERIFY_FILE, VerifyResult)
        if saved is None:
            return None
        current = self._verified(saved, usable=True)
        golden = self._exports.manifest.golden
        of_golden = golden is not None and golden.model_sha256 == saved.model_sha256
        if not of_golden or self._exports.mismatch or not current.artifacts:
            return Finding(current, f"{self._directory} has not been verified since the export")
        return Finding(current)

    @cached_property
    def bench(self) -> Finding[BenchResult] | None:
        """The findings of `edgemnist bench`; None if it was never run."""
        saved = self._read(BENCH_FILE, BenchResult)
        if saved is None:
            return None
        rows = self._of_files(saved.results, usable=True, keras=self._exports.model_sha256)
        fewest = min((row.threads for row in rows), default=1)
        # Models are held against one another with the same number of threads.
        rows = [row for row in rows if row.threads == fewest]
        reason = "" if rows else f"{self._directory} has not been measured since the export"
        return Finding(msgspec.structs.replace(saved, results=rows), reason)

    @cached_property
    def scenarios(self) -> list[ScenarioResult]:
        """The findings of `edgemnist scenario` about the artifacts that are there now."""
        return self._played(self._read(SCENARIOS_FILE, ScenariosResult), usable=True)

    @cached_property
    def training(self) -> Finding[TrainResult] | None:
        """The findings of `edgemnist train`; None if the model comes from elsewhere."""
        from edgemnist.results.pipeline import TrainResult

        saved = self._read(TRAINING_FILE, TrainResult)
        if saved is None:
            return None
        same = self._exports.model_sha256 in {None, saved.sha256}
        return Finding(saved, "" if same else f"{TRAINING_FILE} belongs to another model")

    def parity(self, name: str) -> ArtifactParity | None:
        """Return the findings of `verify` about a model; None if they are not about the files that are there now."""
        return next((row for row in self._parities() if row.name == name), None)

    def latency(self, name: str) -> Latency | None:
        """Return the findings of `bench` about a model; None if they are not about the files that are there now."""
        return next((row for row in self._latencies() if row.name == name), None)

    def is_verified(self, name: str) -> bool:
        """Return whether these very bytes have passed `edgemnist verify` in this runtime."""
        parity = self.parity(name)
        return parity is not None and parity.passed

    def fastest(self, names: Collection[str] | None = None) -> tuple[str | None, str]:
        """Return which of the named models, or of all, to ship, and the reason; see `choose`."""
        return choose([one for one in self._parities() if names is None or one.name in names], self._latencies())

    def save_verification(self, result: VerifyResult, reporter: Reporter = SILENT) -> bool:
        """Save a result, and return whether that was possible; if not, a notice says so. The reference keeps none.

        Models that were not verified this time keep their earlier result, as long as they are the same files and were
        compared with the same golden pack.
        """
        earlier = self._earlier(VERIFY_FILE, VerifyResult, reporter)
        if earlier is not None and (earlier.model_sha256, earlier.data) == (result.model_sha256, result.data):
            before = self._verified(earlier, usable=False)
            new = {row.name for row in result.artifacts}
            compared = {one.name for one in result.layers}
            merged = msgspec.structs.replace(
                result,
                artifacts=[*(row for row in before.artifacts if row.name not in new), *result.artifacts],
                layers=[*(one for one in before.layers if one.name not in compared), *result.layers],
                # One voter alone says nothing about the others, whose files are as they were.
                vote=result.vote or before.vote,
            )
            merged = self._verified(merged, usable=False)
            passed = all(row.passed for row in merged.artifacts) and not result.unusable
            result = msgspec.structs.replace(merged, passed=passed)
        return self._write(VERIFY_FILE, result, reporter)

    def save_bench(self, result: BenchResult, reporter: Reporter = SILENT) -> bool:
        """Save a result, without raw samples, and return whether that was possible; if not, a notice says so.

        Models that were not measured this time keep their earlier figures, as long as they are of the same files and
        the same machine; so do models that were measured much better before, with a notice. The figures of another
        machine, or of other versions of the runtimes, are kept once more, in `bench-before.json`.
        """
        result = msgspec.structs.replace(result, samples_us=None, warmup_us=None, baseline=None)
        earlier = self._earlier(BENCH_FILE, BenchResult, reporter)
        model = self._exports.manifest.model
        rows = self._of_files(earlier.results, usable=False, keras=model.sha256 if model else None) if earlier else []
        if earlier is not None and rows and _machine(earlier.host) != _machine(result.host):
            if self._write(BENCH_BEFORE_FILE, msgspec.structs.replace(earlier, results=rows), reporter):
                reporter.notice(
                    f"{BENCH_FILE} was measured on another machine, or with other versions; "
                    f"its figures are now in {BENCH_BEFORE_FILE}."
                )
        elif earlier is not None:
            result = msgspec.structs.replace(result, results=_merged_latencies(rows, result.results, reporter))
        return self._write(BENCH_FILE, result, reporter)

    def save_scenario(self, result: ScenarioResult, reporter: Reporter = SILENT) -> bool:
        """Save a result, without raw samples, and return whether that was possible; if not, a notice says so.

        It replaces the same scenario with the same setting; models that were not played this time keep their
        figures, as long as they are of the same files and the same host.
        """
        earlier = self._played(self._earlier(SCENARIOS_FILE, ScenariosResult, reporter), usable=False)
        scenarios = {_setting(one): one for one in earlier}
        before = scenarios.get(_setting(result))
        if before is not None and before.host == result.host:
            played = {(one.name, one.runtime, one.threads) for one in result.results}
            kept = [one for one in before.results if (one.name, one.runtime, one.threads) not in played]
            result = msgspec.structs.replace(result, results=[*kept, *result.results])
        scenarios[_setting(result)] = without_samples(result)
        return self._write(SCENARIOS_FILE, ScenariosResult(scenarios=list(scenarios.values())), reporter)

    def _parities(self) -> list[ArtifactParity]:
        return self.verify.result.artifacts if self.verify is not None and self.verify.current else []

    def _latencies(self) -> list[Latency]:
        return self.bench.result.results if self.bench is not None else []

    def _hashes(self, *, usable: bool) -> dict[str, str]:
        """Return the recorded hash of each artifact; with `usable`, of those only that are current."""
        if usable:
            return {one.name: one.record.sha256 for one in self._exports.artifacts if one.status == "current"}
        return {one.name: one.sha256 for one in self._exports.manifest.artifacts}

    def _of_files(self, rows: Iterable[_Row], *, usable: bool, keras: str | None = None) -> list[_Row]:
        """Return the rows about the very files that are recorded; `keras` is the hash of the model they came from.

        Each has the name that its artifact and runtime have here: defaults differ between machines.
        """
        files = {one.name: one.file for one in self._exports.manifest.artifacts}
        hashes = self._hashes(usable=usable) | {KERAS: keras or ""}
        found = []
        for row in rows:
            artifact, _ = split_name(row.name)
            if hashes.get(artifact) == row.sha256:
                name = model_name(artifact, row.runtime, files[artifact]) if artifact in files else row.name
                found.append(msgspec.structs.replace(row, name=name))
        return found

    def _verified(self, result: VerifyResult, *, usable: bool) -> VerifyResult:
        """Return the part of a result about the artifacts that are there, in their order."""
        hashes = self._hashes(usable=usable)
        order = list(hashes)
        rows = self._of_files(result.artifacts, usable=usable)
        rows.sort(key=lambda row: order.index(split_name(row.name)[0]))
        layers = [
            one
            for one in result.layers
            if (hashes.get(one.name), hashes.get(one.reference)) == (one.sha256, one.reference_sha256)
        ]
        voters = {voter.artifact for voter in result.vote.voters} if result.vote else set()
        # An earlier edgemnist had the runtimes of two files vote on one another.
        known = len(voters) == 1 and voters <= {split_name(row.name)[0] for row in rows}
        return msgspec.structs.replace(result, artifacts=rows, layers=layers, vote=result.vote if known else None)

    def _played(self, saved: ScenariosResult | None, *, usable: bool) -> list[ScenarioResult]:
        """Return the findings about the artifacts that are there, without scenarios in which none was played."""
        played = [
            msgspec.structs.replace(one, results=self._of_files(one.results, usable=usable))
            for one in (saved.scenarios if saved is not None else ())
        ]
        return [one for one in played if one.results]

    def _read(self, name: str, kind: type[ResultT]) -> ResultT | None:
        return read_saved(
            self._directory / name, kind, hint=f"Make it again with: {self._exports.command(_COMMANDS[name])}"
        )

    def _earlier(self, name: str, kind: type[ResultT], reporter: Reporter) -> ResultT | None:
        try:
            return self._read(name, kind)
        except ManifestError as error:
            reporter.notice(f"{error.message}: it will be replaced.")
            return None

    def _write(self, name: str, result: Result, reporter: Reporter) -> bool:
        if self._exports.is_reference:
            return False
        # The directory may be one that nobody can write to. The result itself is on its way to the user.
        try:
            write_file(self._directory / name, result.to_json().encode() + b"\n")
        except StorageError as error:
            reporter.notice(f"{name} was not saved: {error.message}.")
            return False
        for cached in ("verify", "bench", "scenarios", "training"):
            self.__dict__.pop(cached, None)
        return True


def read_saved(path: Path, kind: type[ResultT], *, hint: str) -> ResultT | None:
    """Return the result that a file holds, or None if there is no file.

    Raises ManifestError, with `hint`, if the file cannot be read, is broken or has a newer schema version.
    """
    try:
        return decode_versioned(kind, path, path.read_bytes(), problem="broken", hint=hint)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", hint=hint) from error


def _machine(host: dict[str, Any]) -> dict[str, Any]:
    """Return the facts about a host that figures depend on."""
    return {name: host.get(name) for name in ("machine", "cpu", "architecture", "governor", "python", "versions")}


def _merged_latencies(earlier: list[Latency], now: list[Latency], reporter: Reporter) -> list[Latency]:
    """Return the figures of two runs, the better ones for each model and number of threads."""
    before = {(row.name, row.runtime, row.threads): row for row in earlier}
    merged = dict(before)
    for row in now:
        key = (row.name, row.runtime, row.threads)
        if key in before and before[key].samples >= BETTER * row.samples:
            reporter.notice(
                f"{row.name} keeps its earlier figures, from {before[key].samples:,} calls: "
                f"this run had only {row.samples:,}."
            )
            continue
        merged[key] = row
    return [_with_speedup(row, list(merged.values())) for row in merged.values()]


def _with_speedup(latency: Latency, all_of_them: list[Latency]) -> Latency:
    """Return the figures with the speed-up over Keras, which may have been measured in another run."""
    keras = next((one for one in all_of_them if one.runtime == KERAS and one.threads == latency.threads), None)
    if latency.speedup is not None or keras is None:
        return latency
    return msgspec.structs.replace(latency, speedup=keras.p50_us / latency.p50_us)


def _setting(result: ScenarioResult) -> tuple[str, float | None]:
    """Return the setting that tells a scenario from others: two limits, or two duty-cycle rates, are two questions."""
    return result.scenario, result.p99_limit_us or result.rate


def without_samples(result: ScenarioResult) -> ScenarioResult:
    """Return a result without its raw samples, of which there may be millions."""
    rows = [
        msgspec.structs.replace(row, points=[msgspec.structs.replace(point, samples_us=None) for point in row.points])
        for row in result.results
    ]
    return msgspec.structs.replace(result, results=rows)


def choose(verified: Iterable[ArtifactParity], benched: Iterable[Latency]) -> tuple[str | None, str]:
    """Return the name of the model to ship, and the reason in one sentence.

    It is the fastest (p50) of those that passed their gate. Those that are slower by no more than `NOISE` count as
    equally fast: among them the more accurate one is taken, then the smaller one. The name is None if none passed,
    or none of those that passed was measured. Runtimes that must be asked for by name are never chosen for a board.
    """
    passed = [parity for parity in verified if parity.passed and not RUNTIMES[parity.runtime].by_name]
    latencies = {(latency.name, latency.sha256): latency for latency in benched}
    candidates = [(parity, latencies[key]) for parity in passed if (key := (parity.name, parity.sha256)) in latencies]
    if not passed:
        return None, "No artifact passed its gate."
    if not candidates:
        return None, "None of the artifacts that passed their gate has been measured."
    candidates.sort(key=lambda one: one[1].p50_us)
    limit = candidates[0][1].p50_us * (1.0 + NOISE)
    equal = [one for one in candidates if one[1].p50_us <= limit]
    chosen = min(equal, key=lambda one: (-one[0].accuracy, one[1].bytes))
    return chosen[0].name, _reason(chosen, equal, candidates[len(equal) :])


_Candidate = tuple[ArtifactParity, Latency]


def _reason(chosen: _Candidate, equal: list[_Candidate], slower: list[_Candidate]) -> str:
    """Explain the choice; `equal` contains the chosen one, and both lists are sorted by p50."""
    parity, latency = chosen
    figures = (
        f"{latency.p50_us:.1f} µs a call (p50), {100 * parity.accuracy:.2f} % accurate, {latency.bytes / 1000:,.0f} KB"
    )
    others = [one for one in equal if one is not chosen]
    if others:
        more_accurate = all(parity.accuracy > other.accuracy for other, _ in others)
        merit = "the most accurate" if more_accurate else "the smallest of the most accurate"
        rivals = " and ".join(f"{other.name} ({theirs.p50_us:.1f} µs)" for other, theirs in others)
        return f"{parity.name} is as fast as {rivals} within {100 * NOISE:.0f} %, and {merit}: {figures}."
    if slower:
        following = f"{slower[0][0].name} follows with {slower[0][1].p50_us:.1f} µs"
        return f"{parity.name} is the fastest that passed its gate: {figures}; {following}."
    return f"{parity.name} is the only one that passed its gate and was measured: {figures}."
