"""Measurements made up of given latencies, as if processes had reported them."""

from collections.abc import Sequence

import numpy as np

from edgemnist.board.machine import Conditions, Watch
from edgemnist.ground.results.bench import BenchResult, Block, Latency
from edgemnist.pipeline.bench.quality import summarise

SECOND = 1_000_000_000


def watch(before: Conditions, after: Conditions, *, share: float = 1.0, elapsed: int = SECOND, slept: int = 0) -> Watch:
    """Return a second between two moments, in which the process had the CPU for a share of the time it was awake."""
    return Watch(before=before, after=after, elapsed=elapsed, slept=slept, cpu_time=round((elapsed - slept) * share))


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
