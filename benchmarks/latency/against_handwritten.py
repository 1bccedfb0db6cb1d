"""Whether `edgemnist bench` measures what a careful person would measure by hand.

    python benchmarks/latency/against_handwritten.py exports [tflite-int8]

A hand-written loop (a process of its own, pinned to the same CPU, the product's own classifier, a clock around each
call) and `edgemnist bench` take turns on one artifact; what is compared is the p50. To reach: within 5 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from edgemnist.board.machine import choose_cpus, host_facts, usable_cpus
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.run import BenchConfig, bench

RESULTS = Path(__file__).with_suffix(".json")
TURNS = 7

HANDWRITTEN = """
import os, sys, time, statistics
path, cpu = sys.argv[1], int(sys.argv[2])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {cpu})
import numpy as np
import edgemnist
classifier = edgemnist.load(path)
images = np.random.default_rng(0).integers(0, 256, (256, 1, 28, 28), dtype=np.uint8)
for image in images:
    classifier.predict_proba(image)
times = []
for _ in range(100):
    for image in images:
        start = time.perf_counter_ns()
        classifier.predict_proba(image)
        times.append(time.perf_counter_ns() - start)
print(statistics.median(times) / 1e3)
"""


def main() -> None:
    """Take turns, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("artifact", nargs="?", default="tflite-int8")
    options = parser.parse_args()
    path = next(options.exports.glob(f"{options.artifact}.*"))
    cpu = choose_cpus(1, usable_cpus())[0]
    by_hand, by_bench = [], []
    for turn in range(TURNS):
        command = [sys.executable, "-c", HANDWRITTEN, str(path), str(cpu)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        by_hand.append(float(done.stdout))
        result = bench(Exports.open(options.exports), [options.artifact], BenchConfig(seconds=3))
        by_bench.append(result.results[0].p50_us)
        print(f"turn {turn + 1}: by hand {by_hand[-1]:.2f} µs, bench {by_bench[-1]:.2f} µs")
    ratio = statistics.median(by_bench) / statistics.median(by_hand)
    print(f"bench / by hand: {ratio:.3f}")
    summary = {
        "artifact": options.artifact,
        "by_hand_us": by_hand,
        "bench_us": by_bench,
        "ratio": round(ratio, 3),
        "host": host_facts(),
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
