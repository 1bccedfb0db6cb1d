"""What `load(path).predict_proba(one image)` costs beside the bare loop of the runtime that it stands on.

    taskset -c 1 python -m benchmarks.latency.wrapper_overhead exports

The bare loops have their input ready in the model's own numbers, and leave the output in them: they are the floor. The
plain wrapper is what one would write around LiteRT first: XOR, `set_tensor`, `invoke`, `get_tensor`, table look-up. All
loops take turns in one process, in blocks; compared are the medians of the blocks, block by block, so that what slows
the machine for a while slows both. To reach, on tflite-int8: ours / bare ≤ 1.3 (aim: 1.1), and no adapter faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import edgemnist
from edgemnist.board.machine import host_facts
from edgemnist.ground.arrays import Images
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import MODEL_FILE, read_manifest

RESULTS = Path(__file__).with_suffix(".json")
FLOOR = "bare"
Loop = Callable[[], object]


def litert_loops(path: Path, image: Images) -> dict[str, Loop]:
    """Return the bare loop of a TFLite file, and for int8 the plain wrapper."""
    from ai_edge_litert.interpreter import Interpreter

    def interpreter() -> tuple[Any, int, int, np.dtype[Any]]:
        made = Interpreter(model_path=str(path), num_threads=1)
        made.allocate_tensors()
        source, target = made.get_input_details()[0], made.get_output_details()[0]
        return made, source["index"], target["index"], np.dtype(source["dtype"])

    runtime, source, target, dtype = interpreter()
    ready = (image ^ 0x80).view(np.int8) if dtype == np.int8 else image / np.float32(255)

    def bare() -> object:
        runtime.set_tensor(source, ready)
        runtime.invoke()
        return runtime.get_tensor(target)

    if dtype != np.int8:
        return {FLOOR: bare}
    other, other_source, other_target, _ = interpreter()
    table = ((np.arange(256) ^ 0x80) / 256).astype(np.float32)

    def plain() -> object:
        other.set_tensor(other_source, (image ^ 0x80).view(np.int8))
        other.invoke()
        return table[other.get_tensor(other_target).view(np.uint8)]

    return {FLOOR: bare, "plain wrapper": plain}


def onnxruntime_loops(path: Path, image: Images) -> dict[str, Loop]:
    """Return the bare loop of an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names, feed = [session.get_outputs()[0].name], {session.get_inputs()[0].name: image / np.float32(255)}
    return {FLOOR: lambda: session.run(names, feed)}


def keras_loops(path: Path, image: Images) -> dict[str, Loop]:
    """Return the bare loop of a Keras file."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    ready = (image / np.float32(255)).reshape(1, *model.inputs[0].shape[1:])
    return {FLOOR: lambda: model(ready, training=False)}


LOOPS = {".tflite": litert_loops, ".onnx": onnxruntime_loops, ".keras": keras_loops}


def all_loops(files: list[Path], image: Images) -> dict[tuple[str, str], Loop]:
    """Return, by file and name, every loop over models that are loaded again."""
    loops: dict[tuple[str, str], Loop] = {}
    for path in files:
        loops |= {(path.name, name): loop for name, loop in LOOPS[path.suffix](path, image).items()}
        loops[path.name, "ours"] = partial(edgemnist.load(path).predict_proba, image)
    return loops


def measure(loops: dict[tuple[str, str], Loop], *, blocks: int, seconds: float) -> dict[tuple[str, str], list[float]]:
    """Return the median of each block of calls, in microseconds, by file and loop."""
    medians: dict[tuple[str, str], list[float]] = {name: [] for name in loops}
    clock = time.perf_counter_ns
    for _ in range(blocks):
        for name, loop in loops.items():
            for _ in range(20):
                loop()
            times, end = [], clock() + int(seconds * 1e9)
            while clock() < end:
                start = clock()
                loop()
                times.append(clock() - start)
            medians[name].append(statistics.median(times) / 1000)
    return medians


def main() -> None:
    """Measure, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with all artifacts")
    parser.add_argument("--rounds", type=int, default=10, help="each with models that are loaded again")
    parser.add_argument("--blocks", type=int, default=20, help="of each loop in a round")
    parser.add_argument("--seconds", type=float, default=0.005, help="of a block")
    options = parser.parse_args()
    manifest = read_manifest(options.exports)
    image = read_golden(options.exports, manifest).images[:1]
    files = [options.exports / MODEL_FILE, *(options.exports / artifact.file for artifact in manifest.artifacts)]

    medians: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        # Where a model comes to lie in memory makes a difference of some percent, so it is not left to one throw.
        loops = all_loops(files, image)
        for name, times in measure(loops, blocks=options.blocks, seconds=options.seconds).items():
            medians[name] += times

    rows = [row(file, name, times, medians[file, FLOOR]) for (file, name), times in medians.items()]
    facts = {"host": host_facts(), "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None}
    settings = {"rounds": options.rounds, "blocks": options.blocks, "seconds": options.seconds}
    RESULTS.write_text(json.dumps({**settings, "loops": rows, **facts}, indent=2) + "\n")
    print("| file | loop | median µs | quartiles | / bare |")
    print("|---|---|---:|---:|---:|")
    for found in rows:
        low, high = found["quartiles_us"]
        print(
            f"| {found['file']} | {found['loop']} | {found['median_us']:.2f} | {low:.2f} to {high:.2f} "
            f"| {found['ratio']:.2f} |"
        )


def row(file: str, name: str, times: list[float], floor: list[float]) -> dict[str, Any]:
    """Return one line of the result; the ratio is the median of those of the blocks."""
    low, _, high = statistics.quantiles(times, n=4)
    ratio = statistics.median(time / bare for time, bare in zip(times, floor, strict=True))
    return {
        "file": file,
        "loop": name,
        "median_us": round(statistics.median(times), 3),
        "quartiles_us": [round(low, 3), round(high, 3)],
        "ratio": round(ratio, 3),
    }


if __name__ == "__main__":
    main()
