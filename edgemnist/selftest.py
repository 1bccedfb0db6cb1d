"""`python -m edgemnist.selftest EXPORTS`: is what was deployed fit to serve, here?

The parity gate on the golden pack for every artifact, the replay of the exporting machine's answers, and limits of
latency and memory if they are given. Runs on the board, before anything is switched, and prints one JSON document.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import threading
from pathlib import Path

import msgspec

from edgemnist.errors import EdgemnistError
from edgemnist.results.bench import Latency
from edgemnist.results.boards import SelfTestResult

_SAMPLES = 1000
"""Timed calls behind a 99th percentile."""


def self_test(exports: Path, *, max_p99_us: float | None = None, max_rss_mb: float | None = None) -> SelfTestResult:
    """Test every artifact of an export directory in every installed runtime.

    The verification is kept there, for `predict` to choose by.

    Raises what `verify` and `bench` raise; an artifact whose runtime is not installed is an error here.
    """
    from edgemnist.bench.config import BenchConfig
    from edgemnist.bench.run import bench
    from edgemnist.exports import Exports
    from edgemnist.verify.run import verify

    opened = Exports.open(exports)
    names = [artifact.name for artifact in opened.manifest.artifacts]
    # Each artifact has to answer, and every other runtime that the bundle brought along, such as the native engine.
    names += [model.name for model in opened.select() if model.name not in names]
    verified = verify(opened, names)
    opened.findings.save_verification(verified)
    reasons = [f"{parity.name}: {reason}" for parity in verified.artifacts for reason in parity.reasons]
    latencies: list[Latency] = []
    if max_p99_us is not None or max_rss_mb is not None:
        # One short round is enough.
        config = BenchConfig(samples=_SAMPLES, seconds=0.0, rounds=1, batch_size=1, keras=False)
        latencies = bench(opened, names, config).results
        reasons += exceeded(latencies, max_p99_us, max_rss_mb)
    return SelfTestResult(
        passed=not reasons,
        reasons=reasons,
        images=verified.images,
        artifacts=verified.artifacts,
        latencies=latencies,
    )


def exceeded(latencies: list[Latency], max_p99_us: float | None, max_rss_mb: float | None) -> list[str]:
    """Return a sentence for each limit that an artifact exceeds."""
    reasons = []
    for latency in latencies:
        for value, most, what, unit in (
            (latency.p99_us, max_p99_us, "p99 latency", "µs"),
            (latency.peak_rss_mb, max_rss_mb, "peak memory", "MB"),
        ):
            if most is None:
                continue
            if value is None:
                reasons.append(f"{latency.name}: its {what} could not be measured, but the limit is {most:,.1f} {unit}")
            elif value > most:
                reasons.append(
                    f"{latency.name}: its {what} is {value:,.1f} {unit}, but the limit is {most:,.1f} {unit}"
                )
    return reasons


def main() -> None:
    """Test, print the result, and exit 0 where it passed, 1 where it did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exports", type=Path)
    parser.add_argument("--max-p99-us", type=float)
    parser.add_argument("--max-rss-mb", type=float)
    options = parser.parse_args()
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # Libraries write to the standard output as they like.
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        result = self_test(options.exports, max_p99_us=options.max_p99_us, max_rss_mb=options.max_rss_mb)
    except EdgemnistError as error:
        result = SelfTestResult(passed=False, reasons=[error.message], images=0, artifacts=[], latencies=[])
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(result))
    sys.exit(0 if result.passed else 1)


def _end_with_parent() -> None:
    """Stop at once when the standard input ends: the deployment that waits for the result is gone."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
