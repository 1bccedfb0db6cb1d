"""Findings of the commands about an export directory, kept beside its manifest for later commands.

`verify.json`, `bench.json` and `training.json`: each counts only for the very files that it is
about, which it names by their hashes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from edgemnist.board.machine import identity_of, machine_identity
from edgemnist.errors import ManifestError, StorageError
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results import Result, ResultT
from edgemnist.ground.results.bench import (
    KERAS,
    BenchResult,
    Latency,
    with_speedups,
)
from edgemnist.ground.results.verdict import UNKNOWN, listed
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult, verdict_on
from edgemnist.ground.storage import write_file
from edgemnist.model.exports.manifest import decode_versioned
from edgemnist.model.exports.models import model_name, split_name
from edgemnist.model.runtimes import RUNTIMES

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import TrainResult
    from edgemnist.model.exports import Exports

VERIFY_FILE: Final = "verify.json"
BENCH_FILE: Final = "bench.json"
NOISE: Final = 0.05
"""Share by which two runs of one model differ on a quiet machine: a smaller lead does not count."""
TRAINING_FILE: Final = "training.json"

_COMMANDS = {
    VERIFY_FILE: "verify",
    BENCH_FILE: "bench",
    TRAINING_FILE: "train",
}
_Row = TypeVar("_Row", ArtifactParity, Latency)
_key = attrgetter("name", "runtime", "threads")
"""What is measured is one figure by these."""


@dataclass(frozen=True)
class Finding(Generic[ResultT]):
    """A saved result, without the parts about files that have changed since."""

    result: ResultT
    reason: str = ""
    """Why it no longer counts, in words; empty if it does."""

    @property
    def current(self) -> bool:
        """Whether it counts."""
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
        current = self._verified(saved)
        golden = self._exports.manifest.golden
        of_golden = golden is not None and golden.model_sha256 == saved.model_sha256
        if not of_golden or self._exports.mismatch or not current.artifacts:
            return Finding(current, f"{self._directory} has not been verified since the export")
        rows = [self._here(row) for row in current.artifacts]
        known = any(row is before for row, before in zip(rows, current.artifacts, strict=True))
        reason = "" if known else f"{self._directory}: {rows[0].reasons[0]}"
        verdict = verdict_on(rows, saved.unusable)
        return Finding(msgspec.structs.replace(current, artifacts=rows, verdict=verdict, passed=verdict.passed), reason)

    @cached_property
    def bench(self) -> Finding[BenchResult] | None:
        """The findings of `edgemnist bench`; None if it was never run."""
        saved = self._read(BENCH_FILE, BenchResult)
        if saved is None:
            return None
        rows = self._of_files(saved.results)
        fewest = min((row.threads for row in rows), default=1)
        # Models are compared with the same number of threads. An earlier edgemnist formed ratios of any.
        rows = with_speedups([row for row in rows if row.threads == fewest])
        reason = "" if rows else f"{self._directory} has not been measured since the export"
        if rows and identity_of(saved.host) != machine_identity():
            reason = f"{self._directory} was measured on another machine ({saved.host.get('cpu')})"
        return Finding(msgspec.structs.replace(saved, results=rows), reason)

    @cached_property
    def training(self) -> Finding[TrainResult] | None:
        """The findings of `edgemnist train`; None if the model comes from elsewhere."""
        from edgemnist.ground.results.pipeline import TrainResult

        saved = self._read(TRAINING_FILE, TrainResult)
        if saved is None:
            return None
        same = self._exports.model_sha256 in {None, saved.sha256}
        return Finding(saved, "" if same else f"{TRAINING_FILE} belongs to another model")

    def parity(self, name: str) -> ArtifactParity | None:
        """Return the findings of `verify` about a model; None if they are not about the files that are there now."""
        return next((row for row in self._parities() if row.name == name), None)

    def latency(self, name: str) -> Latency | None:
        """Return the findings of `bench` about a model; None if they are not about these files and this machine."""
        return next((row for row in self._latencies() if row.name == name), None)

    def is_verified(self, name: str) -> bool:
        """Return whether these very bytes have passed `edgemnist verify` in this runtime."""
        parity = self.parity(name)
        return parity is not None and parity.verdict.passed

    def fastest(self, names: Collection[str] | None = None) -> tuple[str | None, str]:
        """Return which of the named models, or of all, to ship, and the reason; see `choose`."""
        return choose([one for one in self._parities() if names is None or one.name in names], self._latencies())

    def save_verification(self, result: VerifyResult, reporter: Reporter = SILENT) -> bool:
        """Save a result, and return whether that was possible; if not, a notice says so. The reference keeps none.

        Models that were not verified this time keep their earlier result, as long as all that it rests on is the same.
        """
        earlier = self._earlier(VERIFY_FILE, VerifyResult, reporter)
        if earlier is not None and (earlier.model_sha256, earlier.data) == (result.model_sha256, result.data):
            new = {row.name for row in result.artifacts}
            held = [row for row in self._of_files(earlier.artifacts) if self._here(row) is row and row.name not in new]
            merged = msgspec.structs.replace(result, artifacts=[*held, *result.artifacts])
            # What is outdated has been verified, too, though its row does not count.
            verdict = verdict_on(merged.artifacts, result.unusable)
            result = msgspec.structs.replace(self._verified(merged), verdict=verdict, passed=verdict.passed)
        return self._write(VERIFY_FILE, result, reporter)

    def save_bench(self, result: BenchResult, reporter: Reporter = SILENT) -> bool:
        """Save a result, without raw samples, and return whether that was possible; if not, a notice says so.

        Models that were not measured this time keep their earlier figures, as long as they are of the same files and
        the same machine.
        """
        result = msgspec.structs.replace(result, samples_us=None, warmup_us=None, baseline=None)
        earlier = self._earlier(BENCH_FILE, BenchResult, reporter)
        if earlier is not None and _machine(earlier.host) != _machine(result.host):
            reporter.notice(f"{BENCH_FILE} was measured on another machine, or with other versions, and is replaced.")
        elif earlier is not None:
            rows = {_key(row): row for row in [*self._of_files(earlier.results), *result.results]}
            result = msgspec.structs.replace(result, results=with_speedups(list(rows.values())))
        return self._write(BENCH_FILE, result, reporter)

    def _here(self, row: ArtifactParity) -> ArtifactParity:
        """Return a row as it is if its verdict holds here and now, and else with an unknown one."""
        now, then = self._exports.basis(row.sha256, row.runtime), row.verdict.rests_on
        if self._exports.is_reference and then is not None:
            # It keeps no verdict of this machine: the one that it comes with is on these files, as they were released.
            now = msgspec.structs.replace(
                now, runtime_version=then.runtime_version, machine=then.machine, edgemnist=then.edgemnist
            )
        verdict = row.verdict.here(now, self._exports.command("verify"))
        if verdict is row.verdict:
            return row
        return msgspec.structs.replace(row, verdict=verdict, passed=False, reasons=verdict.reasons)

    def _parities(self) -> list[ArtifactParity]:
        return self.verify.result.artifacts if self.verify is not None and self.verify.current else []

    def _latencies(self) -> list[Latency]:
        return self.bench.result.results if self.bench is not None and self.bench.current else []

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """Hash of each artifact that is current, in the manifest's order, and of the Keras model."""
        current = {one.name: one.record.sha256 for one in self._exports.artifacts if one.status == "current"}
        return current | {KERAS: self._exports.model_sha256 or ""}

    def _of_files(self, rows: Iterable[_Row]) -> list[_Row]:
        """Return the rows about the very files that are there.

        Each has the name that its artifact and runtime have here: defaults differ between machines.
        """
        files = {one.name: one.file for one in self._exports.manifest.artifacts}
        found = []
        for row in rows:
            artifact, _ = split_name(row.name)
            if self._hashes.get(artifact) == row.sha256:
                name = model_name(artifact, row.runtime, files[artifact]) if artifact in files else row.name
                found.append(msgspec.structs.replace(row, name=name))
        return found

    def _verified(self, result: VerifyResult) -> VerifyResult:
        """Return the part of a result about the artifacts that are there, in their order."""
        order = list(self._hashes)
        rows = self._of_files(result.artifacts)
        rows.sort(key=lambda row: order.index(split_name(row.name)[0]))
        return msgspec.structs.replace(result, artifacts=rows)

    def _read(self, name: str, kind: type[ResultT]) -> ResultT | None:
        again = self._exports.command(_COMMANDS[name])
        return read_saved(self._directory / name, kind, hint=f"Make it again with: {again}")

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
        for cached in ("verify", "bench", "training"):
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
    return {name: host.get(name) for name in ("machine", "cpu", "architecture", "governor", "python", "versions")}


def choose(verified: Iterable[ArtifactParity], benched: Iterable[Latency]) -> tuple[str | None, str]:
    """Return the name of the model to ship, and the reason in one sentence.

    It is the fastest (p50) of those that passed their gate. Those that are slower by no more than `NOISE` count as
    equally fast: among them the more accurate one is taken, then the smaller one. The name is None if none passed,
    or a measurement of one that passed was disturbed. Runtimes that must be asked for by name are never chosen for a
    board, nor is an artifact that lost accuracy beyond chance, unless a person's limit allows that.
    """
    verified = list(verified)
    eligible = [parity for parity in verified if parity.passed and not RUNTIMES[parity.runtime].by_name]
    passed = [parity for parity in eligible if parity.shippable]
    if not passed and eligible:
        lost = "; ".join(f"{parity.name} is {parity.loss}" for parity in eligible)
        return None, f"What passed its gate lost accuracy: {lost}."
    if not passed:
        open_ones = [set(one.verdict.reasons) for one in verified if one.verdict.outcome == UNKNOWN]
        # What holds for all of them says it shortest.
        said = "; ".join(sorted(set.intersection(*open_ones) or set.union(*open_ones))) if open_ones else ""
        return None, f"No artifact {f'is known to have passed its gate: {said}' if said else 'passed its gate'}."
    latencies = {(latency.name, latency.sha256): latency for latency in benched}
    candidates = [(parity, latencies[key]) for parity in passed if (key := (parity.name, parity.sha256)) in latencies]
    if not candidates:
        return None, "None of the artifacts that passed their gate has been measured."
    # No figure bounds what it would be on a quiet machine: a throttled processor makes even the fastest call slow.
    if disturbed := [parity.name for parity, latency in candidates if latency.tainted]:
        names = "all" if 1 < len(disturbed) == len(candidates) else listed(disturbed)
        were = "was" if len(disturbed) == 1 else "were"
        return None, f"Which one is the fastest is unknown: {names} {were} measured on a disturbed machine."
    candidates.sort(key=lambda one: one[1].p50_us)
    limit = candidates[0][1].p50_us * (1.0 + NOISE)
    equal = [one for one in candidates if one[1].p50_us <= limit]
    parity, latency = min(equal, key=lambda one: (-one[0].merit, one[1].bytes))
    figures = f"{_p50(latency)} a call (p50), {parity.merit_words}, {latency.bytes / 1000:,.0f} KB"
    reason = f"{parity.name} is the only one that passed its gate and was measured: {figures}."
    if rivals := [one for one in equal if one[0] is not parity]:
        more_accurate = all(parity.merit > other.merit for other, _ in rivals)
        merit = "the most accurate" if more_accurate else "the smallest of the most accurate"
        named = " and ".join(f"{other.name} ({_p50(theirs)})" for other, theirs in rivals)
        reason = f"{parity.name} is as fast as {named} within {100 * NOISE:.0f} %, and {merit}: {figures}."
    elif len(candidates) > 1:
        following = f"{candidates[1][0].name} follows with {_p50(candidates[1][1])}"
        reason = f"{parity.name} is the fastest that passed its gate: {figures}; {following}."
    return parity.name, reason


def _p50(latency: Latency) -> str:
    return f"{latency.p50_us:.1f} µs"
