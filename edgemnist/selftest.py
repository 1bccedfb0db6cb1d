"""`python -m edgemnist.selftest EXPORTS`: is what was deployed fit to serve, here?

The parity gate on the golden pack for every artifact, the replay of the exporting machine's answers, and limits of
latency and memory if they are given. Runs on the board, before anything is switched, and prints one JSON document.
"""

import argparse
import os
import stat
import sys
import threading
from pathlib import Path

import msgspec

from edgemnist.errors import EdgemnistError
from edgemnist.ground.results.bench import Latency
from edgemnist.ground.results.boards import SelfTestResult
from edgemnist.ground.results.verdict import COMMAND_LINE, Measurement, joint, judge

_CALLS = 1000
"""Timed calls behind a 99th percentile."""


def self_test(exports: Path, *, max_p99_us: float | None = None, max_rss_mb: float | None = None) -> SelfTestResult:
    """Test every artifact of an export directory in every installed runtime, and keep the verification there.

    Raises what `verify` and `bench` raise; an artifact whose runtime is not installed is an error here.
    """
    from edgemnist.model.exports import Exports
    from edgemnist.pipeline.bench.run import BenchConfig, bench
    from edgemnist.pipeline.verify.run import verify

    opened = Exports.open(exports)
    names = [artifact.name for artifact in opened.manifest.artifacts]
    # Each artifact has to answer, and every other runtime that the bundle brought along, such as the native engine.
    names += [model.name for model in opened.select() if model.name not in names]
    verified = verify(opened, names)
    opened.findings.save_verification(verified)
    unknown = "what it answered on the exporting machine is not recorded, so nobody knows whether it answers the same"
    limited = {
        parity.name: [Measurement("replay", None if parity.replay is None else 1, "", least=1, unknown=unknown)]
        for parity in verified.artifacts
    }
    latencies: list[Latency] = []
    if max_p99_us is not None or max_rss_mb is not None:
        # One round is enough.
        config = BenchConfig(seconds=0.0, calls=_CALLS, keras=False)
        latencies = bench(opened, names, config).results
        for latency in latencies:
            limited.setdefault(latency.name, []).extend(costs(latency, max_p99_us, max_rss_mb))
    verdicts = {parity.name: parity.verdict for parity in verified.artifacts}
    verdict = joint(verdicts | {f"{name} on this board": judge(found) for name, found in limited.items()})
    return SelfTestResult(**verdict.said, images=verified.images, artifacts=verified.artifacts, latencies=latencies)


def costs(latency: Latency, max_p99_us: float | None, max_rss_mb: float | None) -> list[Measurement]:
    """Return what an artifact costs, beside the limits that are given."""
    return [
        Measurement(
            f"max_{name}", value, f"its {what} is {{}} {unit}, but the limit is {{}} {unit}",
            most=most, origin=COMMAND_LINE,
            unknown=f"its {what} could not be measured, but the limit is {most:,.1f} {unit}",
        )
        for name, value, most, what, unit in (
            ("p99_us", latency.p99_us, max_p99_us, "p99 latency", "µs"),
            ("rss_mb", latency.peak_rss_mb, max_rss_mb, "peak memory", "MB"),
        )
        if most is not None
    ]  # fmt: skip


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
