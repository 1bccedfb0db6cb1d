"""A saved result counts for the very files that it was found out about, and a later one replaces no better one."""

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.errors import ManifestError
from edgemnist.ground.results import ResultT
from edgemnist.ground.results.bench import BaselineComparison, BenchResult, Latency
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.results.verdict import MISSED, PASSED, Verdict
from edgemnist.ground.results.verify import ArtifactParity, Unusable, VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.choose import choose
from edgemnist.model.exports.findings import (
    BENCH_FILE,
    TRAINING_FILE,
    VERIFY_FILE,
    Finding,
    read_saved,
)
from edgemnist.model.exports.manifest import MANIFEST_FILE, Manifest
from tests.conftest import OLD_EXPORTS
from tests.judged import judged, measured_here, verified_here
from tests.messages import Told
from tests.notices import Notices

INT8, FLOAT, ONNX = "tflite-int8", "tflite-float32", "onnx-float32"
NAMES = [INT8, FLOAT, ONNX]
replaced = msgspec.structs.replace


def opened(directory: Path) -> Exports:
    return Exports.open(directory)


def saved(directory: Path, name: str, kind: type[ResultT]) -> ResultT:
    found = read_saved(directory / name, kind, hint="")
    assert found is not None
    return found


def verification(directory: Path = OLD_EXPORTS) -> VerifyResult:
    return verified_here(directory) if directory == OLD_EXPORTS else saved(directory, VERIFY_FILE, VerifyResult)


def measurement(directory: Path = OLD_EXPORTS) -> BenchResult:
    return measured_here(directory) if directory == OLD_EXPORTS else saved(directory, BENCH_FILE, BenchResult)


def parities() -> dict[str, ArtifactParity]:
    return {row.name: row for row in verification().artifacts}


def latencies() -> dict[str, Latency]:
    return {row.name: row for row in measurement().results}


def write(directory: Path, name: str, result: Any) -> None:
    (directory / name).write_text(result.to_json())


def edit_manifest(directory: Path, **changes: Any) -> Manifest:
    manifest = replaced(opened(directory).manifest, **changes)
    (directory / MANIFEST_FILE).write_bytes(manifest.encode())
    return manifest


def recorded_again(directory: Path, name: str, sha256: str = "0" * 64) -> None:
    """Let the manifest have another hash of an artifact."""
    artifacts = opened(directory).manifest.artifacts
    edit_manifest(directory, artifacts=[replaced(one, sha256=sha256) if one.name == name else one for one in artifacts])


def names(rows: list[Any]) -> list[str]:
    return [row.name for row in rows]


def known(found: Finding[ResultT] | None) -> Finding[ResultT]:
    assert found is not None
    return found


def test_everything_is_none_where_no_command_was_run(old_exports: Path) -> None:
    for name in (VERIFY_FILE, BENCH_FILE, TRAINING_FILE):
        (old_exports / name).unlink()
    findings = opened(old_exports).findings
    assert (findings.verify, findings.bench, findings.training) == (None, None, None)
    assert findings.parity(INT8) is None
    assert findings.latency(INT8) is None
    assert not findings.is_verified(INT8)
    assert findings.decision().name is None


def test_what_was_found_out_about_these_files_counts(old_exports: Path) -> None:
    findings = opened(old_exports).findings
    verify, bench = known(findings.verify), known(findings.bench)
    assert (verify.current, verify.reason, bench.current, bench.reason) == (True, "", True, "")
    assert names(verify.result.artifacts) == NAMES
    assert names(bench.result.results) == NAMES
    for name in NAMES:
        assert findings.parity(name) == parities()[name]
        assert findings.latency(name) == latencies()[name]
        assert findings.is_verified(name)
    assert findings.parity("nonsense") is None
    assert findings.latency("nonsense") is None
    assert Finding(verify.result).reason == ""
    assert findings.decision() == choose(parities().values(), [*latencies().values()])
    assert findings.decision().name is not None
    assert findings.decision(names=[FLOAT]).name == FLOAT
    assert findings.decision(names=[]).name is None
    # A new figure comes before the one that was saved.
    fast = replaced(latencies()["onnx-float32"], run=2, blocks_us=[0.1] * 4)
    assert findings.decision(replaced(measurement(), results=[fast])).name == "onnx-float32"


@pytest.mark.parametrize(("name", "damaged"), [(FLOAT, False), (INT8, True)])
def test_rows_about_other_bytes_do_not_count(name: str, *, damaged: bool, old_exports: Path) -> None:
    if damaged:
        (old_exports / f"{name}.tflite").write_bytes(b"damaged")
    else:
        recorded_again(old_exports, name)
    findings = opened(old_exports).findings
    assert known(findings.verify).current
    left = [one for one in NAMES if one != name]
    assert names(known(findings.verify).result.artifacts) == names(known(findings.bench).result.results) == left
    assert (findings.parity(name), findings.latency(name)) == (None, None)


def test_where_nothing_is_left_that_was_verified_or_measured_the_reason_is_told(old_exports: Path) -> None:
    for name in NAMES:
        recorded_again(old_exports, name)
    findings = opened(old_exports).findings
    assert known(findings.verify).reason == f"{old_exports} has not been verified since the export"
    assert known(findings.bench).reason == f"{old_exports} has not been measured since the export"
    assert not known(findings.verify).current
    assert not known(findings.bench).current


def test_a_verification_against_another_golden_pack_does_not_count(old_exports: Path) -> None:
    golden = opened(old_exports).manifest.golden
    assert golden is not None
    write(old_exports, VERIFY_FILE, replaced(verification(), model_sha256="0" * 64))
    findings = opened(old_exports).findings
    assert known(findings.verify).reason == f"{old_exports} has not been verified since the export"
    assert names(known(findings.verify).result.artifacts) == NAMES
    assert findings.parity(INT8) is None
    assert not findings.is_verified(INT8)
    write(old_exports, VERIFY_FILE, verification())
    edit_manifest(old_exports, golden=None)
    findings = opened(old_exports).findings
    assert not known(findings.verify).current
    edit_manifest(old_exports, golden=golden)
    # Nor if the Keras model beside it was trained again.
    (old_exports / "model.keras").write_bytes(b"another")
    findings = opened(old_exports).findings
    assert not known(findings.verify).current


def test_rows_come_in_the_order_of_the_manifest_with_the_name_that_their_runtime_has_here(old_exports: Path) -> None:
    rows = [replaced(parities()[INT8], runtime="integer"), replaced(parities()[INT8], name=f"{INT8}@litert")]
    for found, expected in ((verification().artifacts[::-1], NAMES), (rows[::-1], [INT8, f"{INT8}@integer"])):
        write(old_exports, VERIFY_FILE, replaced(verification(), artifacts=found))
        assert names(known(opened(old_exports).findings.verify).result.artifacts) == expected


def test_a_record_of_a_newer_version_is_not_guessed_at(old_exports: Path) -> None:
    write(old_exports, VERIFY_FILE, replaced(verification(), schema_version=99))
    with pytest.raises(ManifestError, match="schema version 99"):
        _ = opened(old_exports).findings.verify


def test_only_the_fewest_threads_are_held_against_one_another(old_exports: Path) -> None:
    rows = latencies()
    write(
        old_exports,
        BENCH_FILE,
        replaced(measurement(), results=[replaced(rows[INT8], threads=4), replaced(rows[FLOAT], threads=2)]),
    )
    findings = opened(old_exports).findings
    assert names(known(findings.bench).result.results) == [FLOAT]
    assert findings.latency(INT8) is None


def keras_row(sha256: str, threads: int = 1) -> Latency:
    """Keras on a quiet machine."""
    row = latencies()[INT8]
    return replaced(
        row, name="keras", runtime="keras", sha256=sha256, p50_us=400.0, threads=threads, blocks_us=[400.0] * 4
    )


def test_figures_of_keras_are_of_the_model_that_is_there(old_exports: Path) -> None:
    sha256 = opened(old_exports).model_sha256
    assert sha256 is not None
    write(old_exports, BENCH_FILE, replaced(measurement(), results=[keras_row(sha256)]))
    assert opened(old_exports).findings.latency("keras") is not None
    write(old_exports, BENCH_FILE, replaced(measurement(), results=[keras_row("0" * 64)]))
    assert opened(old_exports).findings.latency("keras") is None
    # A figure without a hash is of no file, not of a model that is gone.
    (old_exports / "model.keras").unlink()
    edit_manifest(old_exports, model=None)
    write(old_exports, BENCH_FILE, replaced(measurement(), results=[keras_row("0" * 64)]))
    assert opened(old_exports).findings.latency("keras") is None


def test_a_training_is_of_the_model_that_is_there(old_exports: Path) -> None:
    findings = opened(old_exports).findings
    assert (known(findings.training).current, known(findings.training).reason) == (True, "")
    training = saved(old_exports, TRAINING_FILE, TrainResult)
    write(old_exports, TRAINING_FILE, replaced(training, sha256="0" * 64))
    findings = opened(old_exports).findings
    assert known(findings.training).reason == "training.json belongs to another model"
    assert known(findings.training).result.sha256 == "0" * 64
    # Where no model is known, as on a board, nothing speaks against it.
    (old_exports / "model.keras").unlink()
    edit_manifest(old_exports, model=None)
    findings = opened(old_exports).findings
    assert known(findings.training).current


def test_a_verification_of_some_keeps_what_was_found_out_about_the_others(old_exports: Path) -> None:
    findings = opened(old_exports).findings
    row = judged(replaced(parities()[FLOAT], accuracy=0.5, passed=False), opened(OLD_EXPORTS))
    notices = Notices()
    result = replaced(verification(), artifacts=[row], passed=False)
    write(old_exports, VERIFY_FILE, verification())
    assert findings.save_verification(result, notices)
    kept = verification(old_exports)
    assert names(kept.artifacts) == NAMES
    assert [one.accuracy for one in kept.artifacts if one.name == FLOAT] == [0.5]
    assert kept.artifacts[0] == parities()[INT8]
    assert not kept.passed
    assert notices.messages == []
    # What was asked before is not answered from memory.
    assert not findings.is_verified(FLOAT)
    # All passed is said of all that are kept.
    findings.save_verification(replaced(result, artifacts=[parities()[INT8]], passed=True))
    assert not verification(old_exports).passed
    findings.save_verification(replaced(result, artifacts=[parities()[FLOAT]], passed=False))
    assert verification(old_exports).passed
    findings.save_verification(
        replaced(result, unusable=[Unusable(name="c-int8", status="missing", reason="c-int8.c is missing")])
    )
    assert not verification(old_exports).passed


@pytest.mark.parametrize(
    ("change", "kept"), [("model", [INT8]), ("data", [INT8]), ("record of tflite-float32", [INT8, ONNX])]
)
def test_nothing_is_kept_that_rests_on_another_pack_or_file(change: str, kept: list[str], old_exports: Path) -> None:
    earlier = verification()
    if change == "model":
        earlier = replaced(earlier, model_sha256="0" * 64)
    elif change == "data":
        earlier = replaced(earlier, data=replaced(earlier.data, sha256="0" * 64))
    else:
        recorded_again(old_exports, FLOAT)
    write(old_exports, VERIFY_FILE, earlier)
    result = replaced(verification(), artifacts=[parities()[INT8]], passed=False)
    opened(old_exports).findings.save_verification(result)
    found = verification(old_exports)
    assert names(found.artifacts) == kept
    assert found.passed == (ONNX in kept), "what came in alone is saved as it is"


def test_a_verification_that_an_outdated_artifact_missed_is_not_saved_as_passed(old_exports: Path) -> None:
    records = opened(old_exports).manifest.artifacts
    edit_manifest(
        old_exports, artifacts=[replaced(one, model_sha256="0" * 64) if one.name == INT8 else one for one in records]
    )
    missed = replaced(parities()[INT8], passed=False, verdict=Verdict(outcome=MISSED))
    passing = replaced(parities()[FLOAT], passed=True, verdict=Verdict(outcome=PASSED))
    for rows in ([missed], [missed, passing]):
        opened(old_exports).findings.save_verification(replaced(verification(), artifacts=rows))
        assert not verification(old_exports).passed


def test_a_broken_earlier_result_is_replaced_with_a_notice(old_exports: Path) -> None:
    for name in (VERIFY_FILE, BENCH_FILE):
        (old_exports / name).write_text("{")
        notices = Notices()
        findings = opened(old_exports).findings
        if name == VERIFY_FILE:
            assert findings.save_verification(replaced(verification(), artifacts=[parities()[INT8]]), notices)
            assert names(verification(old_exports).artifacts) == [INT8]
        else:
            assert findings.save_bench(replaced(measurement(), results=[latencies()[INT8]]), notices)
            assert names(measurement(old_exports).results) == [INT8]
        (notice,) = notices.messages
        assert notice.startswith(f"{old_exports / name} is broken")
        assert notice.endswith(": it will be replaced.")


def test_a_broken_result_is_told_with_the_command_that_makes_it_again(old_exports: Path, told: Told) -> None:
    asks: dict[str, Any] = {
        VERIFY_FILE: lambda one: one.verify,
        BENCH_FILE: lambda one: one.bench,
        TRAINING_FILE: lambda one: one.training,
    }
    for file, ask in asks.items():
        whole = (old_exports / file).read_bytes()
        # A text that is not UTF-8 is found out late.
        for broken in (b"{", re.sub(rb': ?"[^"]', b': "\xff', whole)):
            (old_exports / file).write_bytes(broken)
            with told():
                ask(opened(old_exports).findings)
        (old_exports / file).unlink()
        (old_exports / file).mkdir()
        with told():
            ask(opened(old_exports).findings)
        assert read_saved(old_exports / "manifest.json" / file, VerifyResult, hint="") is None


def test_figures_are_saved_without_their_samples_and_keep_those_of_other_models(old_exports: Path) -> None:
    notices = Notices()
    row = replaced(latencies()[INT8], p50_us=1.5, samples=60)
    baseline = BaselineComparison(file="before.json", max_slowdown=1.05, passed=True, changes=[])
    # Each number of threads and each runtime is a figure of its own.
    others = [replaced(row, threads=2, samples=1), replaced(row, runtime="integer", samples=1)]
    findings = opened(old_exports).findings
    assert findings.save_bench(replaced(measurement(), results=[row, *others], baseline=baseline), notices)
    kept = measurement(old_exports)
    assert (kept.decision, kept.baseline) == (None, None)
    found = [(one.name, one.runtime, one.threads, one.samples) for one in kept.results if one.sha256 == row.sha256]
    assert found == [(INT8, "litert", 1, 60), (INT8, "litert", 2, 1), (INT8, "integer", 1, 1)]
    assert [one for one in kept.results if one.name != INT8] == measurement().results[1:]
    assert notices.messages == []
    assert findings.latency(INT8) == row


def test_the_speed_up_is_over_keras_with_as_many_threads_whenever_that_was_measured(old_exports: Path) -> None:
    sha256 = opened(old_exports).model_sha256
    assert sha256 is not None
    findings = opened(old_exports).findings
    assert all(one.speedup is None for one in measurement().results)
    write(old_exports, BENCH_FILE, measurement())
    findings.save_bench(replaced(measurement(), results=[keras_row(sha256), keras_row(sha256, threads=2)]))
    for row in measurement(old_exports).results:
        if row.name != "keras":
            assert row.speedup is not None
            assert row.speedup.ratio == pytest.approx(400.0 / row.p50_us, rel=0.02)
    findings.save_bench(replaced(measurement(), results=[replaced(latencies()[FLOAT], threads=4)]))
    found = {(one.name, one.threads): one.speedup for one in measurement(old_exports).results}
    assert found[FLOAT, 4] is None
    assert found[FLOAT, 1] is not None


@pytest.mark.parametrize("fact", ["machine", "cpu", "architecture", "governor", "python", "versions", "memory_mb"])
def test_figures_of_another_machine_are_replaced(fact: str, old_exports: Path) -> None:
    notices = Notices()
    result = replaced(measurement(), host={**measurement().host, fact: "other"}, results=[latencies()[INT8]])
    assert opened(old_exports).findings.save_bench(result, notices)
    matters = fact != "memory_mb"
    assert names(measurement(old_exports).results) == ([INT8] if matters else NAMES)
    said = ["bench.json was measured on another machine, or with other versions, and is replaced."]
    assert notices.messages == said * matters


@pytest.mark.parametrize("reference", [True, False])
def test_what_cannot_be_written_is_told_and_the_reference_keeps_nothing(
    *, reference: bool, old_exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    findings, notices = Exports.open("reference" if reference else old_exports).findings, Notices()
    if not reference:
        monkeypatch.setattr(os, "open", refuse)
    assert not findings.save_verification(verification(), notices)
    assert not findings.save_bench(measurement(), notices)
    if not reference:
        assert [one.partition(":")[0] for one in notices.messages] == [
            f"{name} was not saved" for name in (VERIFY_FILE, BENCH_FILE)
        ]
        assert all(one.endswith(".") and "Read-only" in one for one in notices.messages)
