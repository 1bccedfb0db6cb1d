"""How well the recipes read digits as boards see them.

    python -m benchmarks.training.robustness MNIST MODEL_DIRECTORY...

Every directory holds a `model.keras` of 784-512-10 that `edgemnist train` wrote; a baseline is trained beside them from
the same images. To reach: better than the baseline under each condition, in the mean over the directories.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from edgemnist.data.sources import find_dataset
from edgemnist.runtimes.keras import decode_keras_model
from edgemnist.train.checks import conditions
from edgemnist.train.recipes import TrainConfig
from edgemnist.train.run import accuracy, train

RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Evaluate, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    parser.add_argument("models", type=Path, nargs="+", help="directories of `edgemnist train --recipe best`")
    options = parser.parse_args()
    dataset = find_dataset(options.data)
    with tempfile.TemporaryDirectory() as exports:
        train(dataset, TrainConfig(recipe="baseline"), Path(exports))
        files = [Path(exports) / "model.keras", *(directory / "model.keras" for directory in options.models)]
        baseline, *models = [decode_keras_model(path.read_bytes(), path) for path in files]
    rows: list[dict[str, Any]] = []
    for name, split in (("clean", dataset.test), *conditions(dataset.test)):
        ours = [accuracy(model, split) for model in models]
        rows.append(
            {
                "condition": name,
                "baseline": round(accuracy(baseline, split), 4),
                "best_mean": round(statistics.mean(ours), 4),
                "best_min": round(min(ours), 4),
            }
        )
        print(rows[-1], flush=True)
    summary = {
        "command": "python -m benchmarks.training.robustness MNIST MODEL_DIRECTORY...",
        "models": len(models),
        "better_everywhere": all(row["best_mean"] > row["baseline"] for row in rows),
        "conditions": rows,
    }
    RESULTS.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
