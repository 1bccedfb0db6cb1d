"""Whether `edgemnist bench` is right beside busy processes: the ratios, and which models are the fastest.

    python benchmarks/latency/busy.py exports [--runs 20] [--quiet 3] [--seconds 20]

Some runs on the machine as it is give the quiet ratios: each model over the fastest, the median of the runs. Then eight
processes compute without a pause, and the same is measured again.
To reach: the quiet ratio of the two fastest lies in at least 18 of 20 intervals, and they are in the same order, or
cannot be told apart, in 20 of 20; no run takes longer than it was given.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgemnist.board.machine import host_facts
from edgemnist.ground.ratios import fastest_first, times_as_long
from edgemnist.ground.results.bench import BenchResult
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.run import BenchConfig, bench

RESULTS = Path(__file__).with_suffix(".json")
BUSY = 8
KEPT_BUSY = "while True: sum(range(10_000))"


def main() -> None:
    """Measure quietly, then beside the others; print, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--quiet", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    exports = Exports.open(options.exports)
    config = BenchConfig(seconds=options.seconds, keras=False)
    quiet = [bench(exports, None, config) for _ in range(options.quiet)]
    first, second, *_ = (row.name for row in fastest_first(quiet[0].results))
    ratios = {name: statistics.median(over(run, name, first)[0] for run in quiet) for name in names(quiet[0], first)}
    print(f"quiet: waited {max(row.waited for run in quiet for row in run.results):.0%} at most", ratios, flush=True)
    covered, ordered, all_covered, widths, took = [], [], [], [], []
    with busy(BUSY):
        for number in range(options.runs):
            began = time.monotonic()
            run = bench(exports, None, config)
            took.append(time.monotonic() - began)
            ratio, low, high = over(run, second, first)
            covered.append(low <= ratios[second] <= high)
            ordered.append(ratio >= 1 or high >= 1)
            inside = [low <= ratios[name] <= high for name in ratios for _, low, high in [over(run, name, first)]]
            all_covered.append(statistics.mean(inside))
            widths.append(high / low)
            waited = max(row.waited for row in run.results)
            print(
                f"run {number + 1:2}: {second} {ratio:.2f} ({low:.2f} to {high:.2f}), quiet {ratios[second]:.2f}; "
                f"{sum(inside)} of {len(inside)} inside, waited {waited:.0%}, {took[-1]:.0f} s", flush=True,
            )  # fmt: skip
    summary: dict[str, Any] = {
        "runs": options.runs, "quiet_runs": options.quiet, "seconds": options.seconds, "fastest": [first, second],
        "quiet_ratios": ratios, "quiet_disturbed": [run.disturbed for run in quiet], "covered": sum(covered),
        "same_order_or_alike": sum(ordered), "covered_of_all_pairs": round(statistics.mean(all_covered), 3),
        "width": round(statistics.median(widths), 3), "longest_s": round(max(took), 1), "host": host_facts(),
    }  # fmt: skip
    print(
        f"{sum(covered)} of {options.runs} covered, {sum(ordered)} in order, {statistics.mean(all_covered):.0%} of all"
    )
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


def names(run: BenchResult, first: str) -> list[str]:
    """Return the models that are compared with the first."""
    return [row.name for row in run.results if row.name != first]


def over(run: BenchResult, name: str, first: str) -> tuple[float, float, float]:
    """Return how many times as long a model takes as the first, with the interval."""
    rows = {row.name: row for row in run.results}
    found = times_as_long(rows[name], rows[first])
    return found.ratio, found.low, found.high


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep processes busy meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", KEPT_BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
