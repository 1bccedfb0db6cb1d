"""Whether `edgemnist bench --baseline` catches a slowdown of 10 %, and raises no alarm without one.

    python benchmarks/latency/regression.py exports [tflite-int8] [--runs 20] [--seconds 10]

Every other run is made 10 % slower, in each of its rounds, as a slower kernel would make it; each is compared with the
last run as it is. To reach: at least 19 of 20 slowdowns caught, and at most 1 of 20 false alarms.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from edgemnist.board.machine import host_facts
from edgemnist.ground.ratios import in_words
from edgemnist.ground.results.bench import BenchResult, Change
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.baseline import compare_with_baseline
from edgemnist.pipeline.bench.run import BenchConfig, bench

RESULTS = Path(__file__).with_suffix(".json")
SLOWDOWN = 1.10


def main() -> None:
    """Take turns, count, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("artifact", nargs="?", default="tflite-int8")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()

    def measure() -> BenchResult:
        return bench(Exports.open(options.exports), [options.artifact], BenchConfig(seconds=options.seconds))

    def change(result: BenchResult, earlier: BenchResult) -> Change:
        return compare_with_baseline(result, earlier, file=RESULTS).changes[0]

    earlier, clean, slowed = measure(), list[Change](), list[Change]()
    for run in range(options.runs):
        slowed.append(change(slower(measure()), earlier))
        again = measure()
        clean.append(change(again, earlier))
        earlier = again
        told = [in_words(one.ratio) for one in (clean[-1], slowed[-1]) if one.ratio is not None]
        print(f"run {run + 1:2}: as it is {told[0]}; slowed down {told[1]}", flush=True)
    caught, alarms = (sum(not one.passed for one in found) for found in (slowed, clean))
    print(f"caught {caught} of {options.runs}, false alarms {alarms} of {options.runs}")
    summary = {
        "artifact": options.artifact, "runs": options.runs, "seconds": options.seconds, "slowdown": SLOWDOWN,
        "caught": caught, "false_alarms": alarms, "host": host_facts(),
        "ratios": [round(one.ratio.ratio, 4) for one in clean if one.ratio is not None],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


def slower(result: BenchResult) -> BenchResult:
    """Return a run as if every call had taken longer."""
    rows = [
        msgspec.structs.replace(one, blocks_us=[SLOWDOWN * block for block in one.blocks_us]) for one in result.results
    ]
    return msgspec.structs.replace(result, results=rows)


if __name__ == "__main__":
    main()
