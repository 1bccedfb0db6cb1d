"""How long all artifacts take, how large they are, and what they lose against the Keras model.

    python -m benchmarks.export.export_time exports/model.keras MNIST

Each round is a fresh process that imports everything first, then exports as `edgemnist export` does. To reach, for
784-512-10: all in ≤ 15 s after imports; tflite-int8 ≤ 430 KB with a drop ≤ 0.1 points and an agreement ≥ 99.8 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgemnist.board.machine import host_facts
from edgemnist.model.exports import Exports
from edgemnist.pipeline.verify.run import verify

RESULTS = Path(__file__).with_suffix(".json")

ROUND = """
import contextlib, json, sys, time
from pathlib import Path

started = time.perf_counter()
import keras, onnx, onnxruntime.quantization, tensorflow, tf2onnx
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.ground.progress import Reporter, Task

clock = []

class Steps(Reporter):
    @contextlib.contextmanager
    def task(self, description, total=None):
        class Step(Task):
            def update(self, completed, detail=""):
                clock.append((detail, time.perf_counter()))
        yield Step()

dataset = find_dataset(Path(sys.argv[2]))
imported = time.perf_counter()
export_model(ExportConfig.of(model=Path(sys.argv[1])), dataset, Path(sys.argv[3]), Steps())
done = time.perf_counter()
steps = {name: end - start for (name, start), (_, end) in zip(clock, clock[1:]) if name}
print(json.dumps({"imports": imported - started, "export": done - imported, "steps": steps}))
"""


def main() -> None:
    """Export in fresh processes, verify what came out, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Keras model")
    parser.add_argument("data", type=Path, help="directory with the four IDX files of MNIST")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        exports = Path(directory) / "exports"
        command = [sys.executable, "-c", ROUND, str(options.model), str(options.data), str(exports)]
        runs: list[dict[str, Any]] = []
        for _ in range(options.rounds):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        parities = verify(Exports.open(exports)).artifacts
        sizes = {parity.name: next(exports.glob(f"{parity.name}.*")).stat().st_size for parity in parities}

    rows = [
        {
            "name": parity.name,
            "seconds": round(statistics.median(run["steps"][parity.name] for run in runs), 2),
            "bytes": sizes[parity.name],
            "accuracy": round(parity.accuracy or 0, 4),
            "drop_points": round(parity.accuracy_drop_points or 0, 2),
            "flips": parity.flips,
            "agreement": round(parity.agreement or 0, 4),
            "max_abs_diff": round(parity.max_abs_diff, 4),
        }
        for parity in parities
    ]
    seconds = {part: round(statistics.median(run[part] for run in runs), 2) for part in ("imports", "export")}
    RESULTS.write_text(
        json.dumps({"seconds": seconds, "artifacts": rows, "runs": runs, "host": host_facts()}, indent=2) + "\n"
    )
    print(f"{seconds['export']} s for all, after {seconds['imports']} s of imports (medians of {len(runs)} processes)")
    print("| artifact | s | bytes | accuracy | drop, points | flips | max abs diff |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['name']} | {row['seconds']} | {row['bytes']:,} | {row['accuracy']:.2%} | {row['drop_points']} "
            f"| {row['flips']} | {row['max_abs_diff']} |"
        )


if __name__ == "__main__":
    main()
