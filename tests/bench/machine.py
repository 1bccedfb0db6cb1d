"""Measurements made up of given latencies, as if processes had reported them."""

from collections.abc import Sequence

import numpy as np

from edgemnist.board.machine import Conditions, Watch
from edgemnist.ground.results.bench import BenchResult, Block, Latency
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import MISSED, PASSED, Verdict
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult
from edgemnist.pipeline.bench.quality import summarise

SECOND = 1_000_000_000


def watch(before: Conditions, after: Conditions, *, share: float = 1.0, elapsed: int = SECOND) -> Watch:
    """Return a second between two moments, in which the process had the CPU for a share of the time it was awake."""
    return Watch(before=before, after=after, elapsed=elapsed, cpu_time=round(elapsed * share))


def run(name: str, rounds: Sequence[Sequence[float]], reference_us: float | None = None) -> BenchResult:
    """Return the result of a run in which an artifact took these microseconds, and the fixed work beside it its own."""
    single = summarise([[round(1000 * sample) for sample in samples] for samples in rounds])
    latency = Latency(
        name=name,
        runtime="litert",
        threads=1,
        batch_size=1,
        **single,
        throughput_per_s=1.0,
        load_ms=1.0,
        cold_start_ms=1.0,
        peak_rss_mb=None,
        bytes=1,
        blocks=[Block(samples=len(one), p50_us=float(np.median(one)), reference_us=reference_us) for one in rounds],
        sha256=name,
    )
    return BenchResult(
        host={"cpu": "A76"}, results=[latency], samples_us={name: [[float(sample) for sample in one] for one in rounds]}
    )


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
