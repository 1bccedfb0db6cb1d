"""What a process costs: `edgemnist --help`, `edgemnist predict digit.png`, NumPy alone, and a short TensorFlow script.

    python -m benchmarks.latency.start_up exports/model.keras

They take turns. Wall time from the start of the process to its end, and its peak memory (`ru_maxrss`). `predict`
runs in an empty directory, so it answers with the artifact that comes with the package. To reach: `--help` ≤ 0.3 s;
`predict` ≤ 0.6 s, ≤ 80 MB, and at least 8 times as fast as the script.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from edgemnist.board.machine import host_facts
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest

RESULTS = Path(__file__).with_suffix(".json")
REFERENCE = Path(__file__).parents[2] / "exports" / "reference"
SCRIPT = """
import sys
import numpy as np
import tensorflow as tf
from PIL import Image
model = tf.keras.models.load_model(sys.argv[1])
pixels = 255 - np.asarray(Image.open(sys.argv[2]).convert("L").resize((28, 28)))
print(model.predict(pixels[None] / 255, verbose=0).argmax())
"""


def main() -> None:
    """Let the programs take turns, print medians, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Keras model")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    model = options.model.resolve()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        golden = read_golden(REFERENCE, read_manifest(REFERENCE))
        Image.fromarray(255 - golden.images[0]).resize((280, 280)).save("digit.png")
        edgemnist = str(Path(sys.executable).with_name("edgemnist"))
        programs = {
            "help": [edgemnist, "--help"],
            "predict": [edgemnist, "predict", "digit.png"],
            "numpy": [sys.executable, "-c", "import numpy"],
            "tensorflow": [sys.executable, "-c", SCRIPT, str(model), "digit.png"],
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for name, command in programs.items():
                runs[name].append(whole_process(command))
    rows = {
        name: {
            "seconds": round(statistics.median(seconds for seconds, _ in taken), 3),
            "fastest_s": round(min(seconds for seconds, _ in taken), 3),
            "slowest_s": round(max(seconds for seconds, _ in taken), 3),
            "peak_rss_mb": round(max(megabytes for _, megabytes in taken), 1),
        }
        for name, taken in runs.items()
    }
    ratio = round(rows["tensorflow"]["seconds"] / rows["predict"]["seconds"], 1)
    RESULTS.write_text(json.dumps({"programs": rows, "ratio": ratio, "host": host_facts()}, indent=2) + "\n")
    for name, row in rows.items():
        print(f"{name:12} {row['seconds']} s ({row['fastest_s']} to {row['slowest_s']}), {row['peak_rss_mb']} MB")
    print(f"predict is {ratio} times as fast as the script")


def whole_process(command: list[str]) -> tuple[float, float]:
    """Return the wall time of a program in seconds and its peak memory in MB. Raises SystemExit if it fails."""
    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1), (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
    taken = time.perf_counter() - started
    if status != 0:
        raise SystemExit(f"{command} failed")
    return taken, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
