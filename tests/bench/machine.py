"""Measurements made up of given times, as if processes had reported them."""

from collections.abc import Sequence

from edgemnist.board.machine import host_facts
from edgemnist.ground.results.bench import BenchResult, Latency
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import MISSED, PASSED, Verdict
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult

ROUNDS = 24


def latency(
    name: str,
    times: float | Sequence[float],
    size: int = 400_000,
    sha256: str = "",
    *,
    runtime: str = "litert",
    run: int = 1,
    fixed: float = 10.0,
    waited: float = 0.0,
) -> Latency:
    """Return the figures of a model whose calls took these microseconds, by round, or the same in every round."""
    blocks = [float(times)] * ROUNDS if isinstance(times, int | float) else [float(one) for one in times]
    middle = sorted(blocks)[len(blocks) // 2]
    return Latency(
        name=name, runtime=runtime, threads=1, batch_size=1000, samples=1000, p50_us=middle, p90_us=middle,
        p99_us=middle, throughput_per_s=1.0, load_ms=1.0, first_call_us=1.0, cold_start_ms=1.0, peak_rss_mb=40.0,
        bytes=size, run=run, blocks_us=blocks, fixed_us=[fixed] * len(blocks), starts=[0, len(blocks) // 2],
        waited=waited, disturbed=waited > 0, sha256=sha256 or f"hash of {name}",
    )  # fmt: skip


def benched(*latencies: Latency) -> BenchResult:
    return BenchResult(host=host_facts(), results=list(latencies), rounds=ROUNDS)


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
        verdict=Verdict(outcome=PASSED if passed else MISSED, reasons=[] if passed else ["it is wrong"]),
        passed=passed,
        reasons=[] if passed else ["it is wrong"],
        sha256=f"hash of {name}",
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
