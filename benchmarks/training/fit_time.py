"""How long a training takes beside the classic Keras script.

    python -m benchmarks.training.fit_time MNIST

Three programs take turns, each in a fresh process: `classic.py`; `edgemnist`'s baseline recipe, which is the same
network, optimizer, batches and epochs; and its standard recipe, until it is right on 98.0 % of the test images. Timed
is the fit, with compilation, without imports and reading. To reach: baseline / classic ≤ 0.5, with an accuracy within
0.3 points; standard to 98.0 % / classic ≤ 1/3.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgemnist.board.machine import host_facts

RESULTS = Path(__file__).with_suffix(".json")
CLASSIC = Path(__file__).with_name("classic.py")

BASELINE = """
import json, sys, tempfile
from pathlib import Path
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train
dataset, config = find_dataset(Path(sys.argv[1])), TrainConfig(recipe="baseline", seed=int(sys.argv[2]))
with tempfile.TemporaryDirectory() as exports:
    result = train(dataset, config, Path(exports))
print(json.dumps({"seconds": result.fit_seconds, "accuracy": result.test_accuracy}))
"""

# The looks at the test images are not timed, and decide nothing but when to stop the clock.
STANDARD_TO_98 = """
import json, sys
from pathlib import Path
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train.loop import fit
from edgemnist.pipeline.train.model import build_model, logits
from edgemnist.pipeline.train.recipes import TrainConfig, plan_for
from edgemnist.pipeline.train.run import accuracy
dataset, config = find_dataset(Path(sys.argv[1])), TrainConfig(recipe="standard", seed=int(sys.argv[2]))
model = build_model(config.resolved_network.hidden, len(dataset.labels), config.seed)
plan = plan_for(config, images=len(dataset.train), parameters=model.count_params())
for fitted in fit(logits, model.get_weights(), dataset.train, plan):
    model.set_weights(fitted.state.trained())
    reached = accuracy(model, dataset.test)
    if reached >= 0.98:
        break
print(json.dumps({"seconds": sum(epoch.seconds for epoch in fitted.history), "accuracy": reached,
                  "epochs": len(fitted.history)}))
"""


def main() -> None:
    """Take turns, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with the four gzipped IDX files of MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {"classic": [], "baseline": [], "standard_to_98": []}
    for seed in range(options.rounds):
        commands = {
            "classic": [str(CLASSIC), str(options.data)],
            "baseline": ["-c", BASELINE, str(options.data), str(seed)],
            "standard_to_98": ["-c", STANDARD_TO_98, str(options.data), str(seed)],
        }
        for name, command in commands.items():
            done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {seed + 1}: {name} {runs[name][-1]}", flush=True)
    seconds = {name: [run["seconds"] for run in done] for name, done in runs.items()}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    accuracy = {name: statistics.mean(run["accuracy"] for run in done) for name, done in runs.items()}
    summary = {
        "command": "python -m benchmarks.training.fit_time MNIST",
        "rounds": options.rounds,
        "fit_seconds": {
            name: {"median": round(median[name], 2), "min": round(min(values), 2), "max": round(max(values), 2)}
            for name, values in seconds.items()
        },
        "baseline_over_classic": round(median["baseline"] / median["classic"], 3),
        "baseline_minus_classic_points": round(100 * (accuracy["baseline"] - accuracy["classic"]), 2),
        "standard_to_98_over_classic": round(median["standard_to_98"] / median["classic"], 3),
        "runs": runs,
        "host": host_facts(),
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps({name: value for name, value in summary.items() if name not in {"runs", "host"}}, indent=2))


if __name__ == "__main__":
    main()
