"""What an export directory has of an earlier edgemnist, or of another machine, as if it had been found out here."""

from pathlib import Path

import msgspec

from edgemnist.board.machine import host_facts
from edgemnist.ground.results.bench import BenchResult
from edgemnist.ground.results.verdict import MISSED, PASSED, Verdict, joint
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.findings import BENCH_FILE, VERIFY_FILE, read_saved


def judged(row: ArtifactParity, exports: Exports) -> ArtifactParity:
    """Return a row with the verdict that its `passed` stands for."""
    verdict = Verdict(
        outcome=PASSED if row.passed else MISSED,
        reasons=row.reasons or ["it missed"] * (not row.passed),
        rests_on=exports.basis(row.sha256, row.runtime),
    )
    return msgspec.structs.replace(row, verdict=verdict, reasons=verdict.reasons)


def verified_here(directory: Path) -> VerifyResult:
    """Return what was saved of a verification, with the verdicts of here."""
    saved = read_saved(directory / VERIFY_FILE, VerifyResult, hint="")
    assert saved is not None
    rows = [judged(row, Exports.open(directory)) for row in saved.artifacts]
    verdict = joint({row.name: row.verdict for row in rows})
    return msgspec.structs.replace(saved, artifacts=rows, verdict=verdict, passed=verdict.passed)


def measured_here(directory: Path) -> BenchResult:
    """Return what was saved of a measurement, with this host, undisturbed."""
    saved = read_saved(directory / BENCH_FILE, BenchResult, hint="")
    assert saved is not None
    rows = [msgspec.structs.replace(row, disturbed=False) for row in saved.results]
    return msgspec.structs.replace(saved, host=host_facts(), results=rows)


def judged_here(directory: Path) -> Path:
    """Save both again, and return the directory."""
    (directory / VERIFY_FILE).write_text(verified_here(directory).to_json())
    (directory / BENCH_FILE).write_text(measured_here(directory).to_json())
    return directory
