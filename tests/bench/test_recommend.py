"""The recommendation follows from the numbers, and says so."""

from __future__ import annotations

import msgspec
import pytest

from edgemnist.exports.findings import choose
from edgemnist.results.bench import BenchResult, Latency
from edgemnist.results.data import DataIdentity
from edgemnist.results.verify import ArtifactParity, VerifyResult


def parity(name: str, accuracy: float = 0.98, *, passed: bool = True) -> ArtifactParity:
    return ArtifactParity(
        name=name,
        format=name.partition("-")[0],
        quantization=name.partition("-")[2],
        runtime="litert",
        accuracy=accuracy,
        accuracy_drop_points=0.0,
        flips=0,
        agreement=1.0,
        max_abs_diff=0.0,
        mean_abs_diff=0.0,
        max_batch_diff=0.0,
        batch_flips=0,
        passed=passed,
        reasons=[] if passed else ["it is wrong"],
        sha256=f"hash of {name}",
    )


def latency(name: str, p50: float, size: int = 400_000, sha256: str = "") -> Latency:
    return Latency(
        name=name,
        runtime="litert",
        threads=1,
        batch_size=1000,
        samples=1000,
        p50_us=p50,
        p90_us=p50,
        p99_us=p50,
        mean_us=p50,
        min_us=p50,
        throughput_per_s=1.0,
        load_ms=1.0,
        cold_start_ms=1.0,
        peak_rss_mb=40.0,
        bytes=size,
        sha256=sha256 or f"hash of {name}",
    )


def verified(*artifacts: ArtifactParity) -> VerifyResult:
    data = DataIdentity(source="MNIST", train=60_000, test=10_000, sha256="0")
    return VerifyResult(
        passed=all(one.passed for one in artifacts),
        images=10_000,
        reference_accuracy=0.98,
        data=data,
        model_sha256="0",
        artifacts=list(artifacts),
        seconds=1.0,
    )


def benched(*latencies: Latency) -> BenchResult:
    return BenchResult(host={}, results=list(latencies))


def recommend(verified: VerifyResult, benched: BenchResult) -> tuple[str | None, str]:
    return choose(verified.artifacts, benched.results)


def test_the_fastest_that_passed_is_recommended() -> None:
    name, reason = recommend(
        verified(parity("tflite-int4", 0.9791), parity("tflite-int8", 0.9796), parity("tflite-float32")),
        benched(latency("tflite-float32", 21.0), latency("tflite-int8", 6.1), latency("tflite-int4", 5.1, 514_000)),
    )
    assert name == "tflite-int4"
    assert reason == (
        "tflite-int4 is the fastest that passed its gate: 5.1 µs a call (p50), 97.91 % accurate, 514 KB; "
        "tflite-int8 follows with 6.1 µs."
    )


def test_what_missed_its_gate_is_never_recommended_however_fast() -> None:
    name, reason = recommend(
        verified(parity("tflite-int4", passed=False), parity("tflite-int8")),
        benched(latency("tflite-int4", 0.1), latency("tflite-int8", 6.1)),
    )
    assert name == "tflite-int8"
    assert reason == (
        "tflite-int8 is the only one that passed its gate and was measured: "
        "6.1 µs a call (p50), 98.00 % accurate, 400 KB."
    )


@pytest.mark.parametrize(("p50", "winner"), [(10.4, "onnx-int8"), (10.5, "onnx-int8"), (10.6, "tflite-int8")])
def test_within_the_noise_the_more_accurate_is_taken(p50: float, winner: str) -> None:
    name, _ = recommend(
        verified(parity("tflite-int8", 0.979), parity("onnx-int8", 0.980)),
        benched(latency("tflite-int8", 10.0), latency("onnx-int8", p50)),
    )
    assert name == winner


def test_the_reason_names_those_that_are_as_fast() -> None:
    _, reason = recommend(
        verified(parity("tflite-int8", 0.979), parity("onnx-int8", 0.980)),
        benched(latency("tflite-int8", 10.0), latency("onnx-int8", 10.4)),
    )
    assert reason == (
        "onnx-int8 is as fast as tflite-int8 (10.0 µs) within 5 %, and the most accurate: "
        "10.4 µs a call (p50), 98.00 % accurate, 400 KB."
    )


def test_equally_fast_and_accurate_the_smaller_is_taken() -> None:
    name, reason = recommend(
        verified(parity("tflite-int8"), parity("tflite-int4"), parity("onnx-int8", 0.97)),
        benched(
            latency("onnx-int8", 10.2, 100_000),
            latency("tflite-int8", 10.0, 400_000),
            latency("tflite-int4", 10.1, 200_000),
        ),
    )
    assert name == "tflite-int4"
    assert reason == (
        "tflite-int4 is as fast as tflite-int8 (10.0 µs) and onnx-int8 (10.2 µs) within 5 %, and the smallest of the "
        "most accurate: 10.1 µs a call (p50), 98.00 % accurate, 200 KB."
    )


def test_figures_of_another_file_of_that_name_do_not_count() -> None:
    name, reason = recommend(verified(parity("tflite-int8")), benched(latency("tflite-int8", 6.1, sha256="another")))
    assert name is None
    assert reason == "None of the artifacts that passed their gate has been measured."


def test_when_none_passed_there_is_no_recommendation() -> None:
    name, reason = recommend(
        verified(parity("tflite-int8", passed=False)), benched(latency("tflite-int8", 6.1), latency("keras", 900.0))
    )
    assert name is None
    assert reason == "No artifact passed its gate."


def test_keras_is_no_artifact_to_recommend() -> None:
    name, _ = recommend(verified(parity("tflite-int8")), benched(latency("keras", 1.0), latency("tflite-int8", 6.1)))
    assert name == "tflite-int8"


def test_a_runtime_that_is_asked_for_by_name_only_is_no_choice_for_a_board() -> None:
    integer = msgspec.structs.replace(parity("tflite-int8@integer"), runtime="integer")
    name, _ = recommend(
        verified(integer, parity("tflite-int8")),
        benched(latency("tflite-int8@integer", 0.1), latency("tflite-int8", 6.1)),
    )
    assert name == "tflite-int8"
