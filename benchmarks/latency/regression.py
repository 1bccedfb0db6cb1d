"""Whether `edgemnist bench --baseline` catches a slowdown of 10 %, and raises no alarm without one.

    python benchmarks/latency/regression.py exports [tflite-int8]

Every other run is made 10 % slower, in each of its samples, as a slower kernel would make it; each is compared with the
last run as it is, at the default limit.
To reach: at least 19 of 20 slowdowns caught, at most 1 of 20 false alarms, and two runs within 5 % in p50 (median).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import msgspec

from edgemnist.board.machine import host_facts
from edgemnist.ground.results.bench import BenchResult, Change, Ratio
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.baseline import DEFAULT_MAX_SLOWDOWN, ROUNDS, compare_with_baseline
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.run import bench

RESULTS = Path(__file__).with_suffix(".json")
RUNS = 20
SLOWDOWN = 1.10


def main() -> None:
    """Take turns, count, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("artifact", nargs="?", default="tflite-int8")
    options = parser.parse_args()

    def measure() -> BenchResult:
        config = BenchConfig(keep_samples=True, rounds=ROUNDS)
        return bench(Exports.open(options.exports), [options.artifact], config)

    def change(result: BenchResult, earlier: BenchResult) -> Change:
        compared = compare_with_baseline(result, earlier, file=RESULTS, max_slowdown=DEFAULT_MAX_SLOWDOWN)
        return compared.changes[0]

    started = time.monotonic()
    baseline = measure()
    clean: list[Change] = []
    slowed: list[Change] = []
    tainted = 0
    for run in range(RUNS):
        slowed.append(change(slower(measure()), baseline))
        again = measure()
        clean.append(change(again, baseline))
        tainted += any(block.taints for block in again.results[0].blocks)
        baseline = again
        print(f"run {run + 1:2}: as it is {described(clean[-1])}; slowed down {described(slowed[-1])}", flush=True)
    caught = sum(known(one).verdict == "slower" for one in slowed)
    alarms = sum(known(one).verdict == "slower" for one in clean)
    differences = [abs(one.p50_us / one.baseline_p50_us - 1) for one in clean]
    print(f"caught {caught} of {RUNS}, false alarms {alarms} of {RUNS}")
    print(f"two runs differ by {statistics.median(differences):.1%} (median), {max(differences):.1%} (largest) in p50")
    corrected = [abs(known(one).ratio - 1) for one in clean]
    print(f"corrected for the machine, by {statistics.median(corrected):.1%} (median), {max(corrected):.1%} (largest)")
    print(f"{tainted} of {RUNS} runs as they are had a tainted round; {time.monotonic() - started:.0f} s altogether")
    summary = {
        "artifact": options.artifact,
        "runs": RUNS,
        "slowdown": SLOWDOWN,
        "max_slowdown": DEFAULT_MAX_SLOWDOWN,
        "caught": caught,
        "false_alarms": alarms,
        "tainted_runs": tainted,
        "p50_differences": [round(one, 4) for one in differences],
        "seconds": round(time.monotonic() - started),
        "rounds": ROUNDS,
        "machine": [round(one.machine or 1.0, 4) for one in clean],
        "ratios": [round(known(one).ratio, 4) for one in clean],
        "slowed_ratios": [round(known(one).ratio, 4) for one in slowed],
        "host": host_facts(),
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


def slower(result: BenchResult) -> BenchResult:
    """Return a run as if every call had taken longer."""
    rows = [msgspec.structs.replace(one, p50_us=SLOWDOWN * one.p50_us) for one in result.results]
    samples = {
        key: [[SLOWDOWN * sample for sample in one] for one in rounds]
        for key, rounds in (result.samples_us or {}).items()
    }
    return msgspec.structs.replace(result, results=rows, samples_us=samples)


def known(one: Change) -> Ratio:
    """Return the ratio of two runs. Raises SystemExit where the machine was disturbed, so that there is none."""
    if one.ratio is None:
        raise SystemExit("The machine was disturbed in most rounds of a run: run this again when it is quiet.")
    return one.ratio


def described(one: Change) -> str:
    """Return a ratio with its interval, what it means, and that of the p50 themselves."""
    ratio, p50 = known(one), one.p50_us / one.baseline_p50_us
    return f"{ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] {ratio.verdict} (p50 {p50:.3f})"


if __name__ == "__main__":
    main()
