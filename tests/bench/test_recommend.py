"""The recommendation follows from the numbers, and says so."""

import msgspec
import pytest

from edgemnist.ground.results.bench import BenchResult, Block, Latency
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import MISSED, PASSED, Verdict
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult
from edgemnist.model.exports.findings import choose


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
        verdict=Verdict(outcome=PASSED if passed else MISSED),
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


ONE = (
    "tflite-int8 is the only one that passed its gate and was measured: 6.1 µs a call (p50), 98.00 % accurate, 400 KB."
)
FASTEST = (
    "tflite-int4 is the fastest that passed its gate: 5.1 µs a call (p50), 97.91 % accurate, 514 KB; "
    "tflite-int8 follows with 6.1 µs."
)
ACCURATE = (
    "onnx-int8 is as fast as tflite-int8 (10.0 µs) within 5 %, and the most accurate: "
    "10.4 µs a call (p50), 98.00 % accurate, 400 KB."
)
SMALLEST = (
    "tflite-int4 is as fast as tflite-int8 (10.0 µs) and onnx-int8 (10.2 µs) within 5 %, and the smallest of the "
    "most accurate: 10.1 µs a call (p50), 98.00 % accurate, 200 KB."
)
NOISY = [parity("tflite-int8", 0.979), parity("onnx-int8", 0.980)]


NONE = "None of the artifacts that passed their gate has been measured."


def disturbed(name: str, p50: float) -> Latency:
    return msgspec.structs.replace(latency(name, p50), blocks=[Block(p50_us=p50, samples=9, taints=["busy"])])


TWO = [parity("a-int8"), parity("b-int8")]
UNKNOWN = "Which one is the fastest is unknown: {} measured on a disturbed machine."


@pytest.mark.parametrize(
    ("rows", "times", "name", "reason"),
    [
        (
            [parity("tflite-int4", 0.9791), parity("tflite-int8", 0.9796), parity("tflite-float32")],
            [latency("tflite-float32", 21.0), latency("tflite-int8", 6.1), latency("tflite-int4", 5.1, 514_000)],
            "tflite-int4",
            FASTEST,
        ),
        # What missed its gate is never recommended, however fast.
        (
            [parity("tflite-int4", passed=False), parity("tflite-int8")],
            [latency("tflite-int4", 0.1), latency("tflite-int8", 6.1)],
            "tflite-int8", ONE,
        ),
        # Within the noise the more accurate is taken, and then the smaller.
        (
            NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.4)], "onnx-int8",
            ACCURATE,
        ),
        (NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.5)], "onnx-int8", ""),
        (NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.6)], "tflite-int8", ""),
        (
            [parity("tflite-int8"), parity("tflite-int4"), parity("onnx-int8", 0.97)],
            [
                latency("onnx-int8", 10.2, 100_000), latency("tflite-int8", 10.0, 400_000),
                latency("tflite-int4", 10.1, 200_000),
            ],
            "tflite-int4",
            SMALLEST,
        ),
        # Figures of another file of that name, of Keras, and of a runtime that is asked for by name only.
        ([parity("tflite-int8")], [latency("tflite-int8", 6.1, sha256="another")], None, NONE),
        ([parity("tflite-int8")], [latency("keras", 1.0), latency("tflite-int8", 6.1)], "tflite-int8", ONE),
        (
            [msgspec.structs.replace(parity("tflite-int8@integer"), runtime="integer"), parity("tflite-int8")],
            [latency("tflite-int8@integer", 0.1), latency("tflite-int8", 6.1)],
            "tflite-int8", ONE,
        ),
        # No disturbed figure ships: whatever throttled the processor made every call slow.
        (TWO, [disturbed("a-int8", 1.0), latency("b-int8", 9.0)], None, UNKNOWN.format("a-int8 was")),
        (TWO, [disturbed("a-int8", 99.0), latency("b-int8", 9.0)], None, UNKNOWN.format("a-int8 was")),
        (TWO, [disturbed("a-int8", 1.0), disturbed("b-int8", 9.0)], None, UNKNOWN.format("all were")),
        (TWO, [latency("a-int8", 99.0), latency("b-int8", 9.0)], "b-int8", ""),
        # What may not ship anyway is in nobody's way.
        (TWO[1:], [disturbed("a-int8", 1.0), latency("b-int8", 9.0)], "b-int8", ""),
    ],
)  # fmt: skip
def test_the_fastest_that_passed_is_recommended(
    rows: list[ArtifactParity], times: list[Latency], name: str | None, reason: str
) -> None:
    found = choose(rows, times)
    assert found == (name, reason or found[1])
