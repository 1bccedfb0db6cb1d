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
from edgemnist.ground.results.bench import KERAS, BenchResult, Decision, Latency
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult, verdict_on
from edgemnist.ground.storage import write_file
from edgemnist.model.exports.manifest import decode_versioned
from edgemnist.model.exports.models import model_name, split_name

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import TrainResult
    from edgemnist.model.exports import Exports

VERIFY_FILE: Final = "verify.json"
BENCH_FILE: Final = "bench.json"
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
        from edgemnist.ground.ratios import with_ratios

        rows = self._of_files(saved.results)
        fewest = min((row.threads for row in rows), default=1)
        # Models are compared with the same number of threads.
        rows = with_ratios([row for row in rows if row.threads == fewest])
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

    def decision(self, result: BenchResult | None = None, names: Collection[str] | None = None) -> Decision:
        """Return what to ship of the named models, or of all, with the figures of a new result before saved ones.

        See `choose`.
        """
        from edgemnist.model.exports.choose import choose

        rows = self._latencies()
        if result is not None:
            threads = {row.threads for row in result.results}
            rows = [*(row for row in rows if row.threads in threads), *result.results]
        verified = [row for row in self._parities() if names is None or row.name in names]
        return choose(verified, list({_key(row): row for row in rows}.values()))

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
        """Save a result and return whether that was possible; if not, a notice says so.

        Models that were not measured this time keep their earlier figures, as long as they are of the same files and
        the same machine.
        """
        from edgemnist.ground.ratios import with_ratios

        result = msgspec.structs.replace(result, decision=None, baseline=None)
        earlier = self._earlier(BENCH_FILE, BenchResult, reporter)
        if earlier is not None and _machine(earlier.host) != _machine(result.host):
            reporter.notice(f"{BENCH_FILE} was measured on another machine, or with other versions, and is replaced.")
        elif earlier is not None:
            rows = {_key(row): row for row in [*self._of_files(earlier.results), *result.results]}
            result = msgspec.structs.replace(result, results=with_ratios(list(rows.values())))
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
