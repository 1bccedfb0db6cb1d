"""The native engine beside LiteRT, ONNX Runtime and the NumPy reference, on the same int8 network.

    taskset -c 1 python -m benchmarks.native.side_by_side exports/reference [--onnx exports/onnx-int8.onnx]

Everything takes turns in one process, in blocks; compared are the medians of the blocks, block by block, so that what
slows the machine for a while slows all. Latency depends on the ink: images are those of the golden pack, one after the
other, and the worst one, without a zero pixel, stands beside them. "invoke" is the engine alone with its input ready,
called from Python on either side; "call" is everything from uint8 pixels to float32 probabilities, except for LiteRT,
whose bare set/invoke/get begins and ends with int8. "engine" is native code for many images one after the other, by
their number: what is left of "invoke" without the call from Python, which LiteRT's invoke has too (about 0.1 µs).
"batch" may take them in another order.
LiteRT's batch is the best of several sizes; on processors with AMX it uses that.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgemnist
from edgemnist.board.machine import host_facts
from edgemnist.ground.arrays import Images
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native.classifier import NativeClassifier, kernel_names, read_network_file

RESULTS = Path(__file__).with_suffix(".json")
LITERT_BATCHES = (16, 100, 1_000)
BATCH = 10_000


@dataclass(frozen=True)
class Loop:
    """What is timed, once for each image."""

    prepare: Callable[[Images], object]
    """Not timed; what it returns goes to `run`."""
    run: Callable[[Any], object]


def interpreter(path: Path, count: int) -> tuple[Any, int, int]:
    """Return LiteRT with one thread for `count` images at once, and its tensors."""
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(model_path=str(path), num_threads=1)
    source, target = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
    made.resize_tensor_input(source, (count, 28, 28))
    made.allocate_tensors()
    return made, source, target


def litert_loops(path: Path) -> tuple[Loop, Loop]:
    """Return LiteRT's invoke, and its bare set/invoke/get."""
    runtime, source, target = interpreter(path, 1)

    def ready(image: Images) -> Any:  # noqa: ANN401
        return (image ^ 0x80).view(np.int8)

    def bare(pixels: Any) -> object:  # noqa: ANN401
        runtime.set_tensor(source, pixels)
        runtime.invoke()
        return runtime.get_tensor(target)

    return Loop(lambda image: runtime.set_tensor(source, ready(image)), lambda _: runtime.invoke()), Loop(ready, bare)


def native_invoke(path: Path, kernel: str) -> Loop:
    """Return the engine alone, with one kernel."""
    classifier = NativeClassifier(read_network_file(path), path, kernel=kernel)
    image, call = classifier._image, ctypes.byref(classifier._single)  # noqa: SLF001 - without what is around it
    return Loop(lambda pixels: image.__setitem__(..., pixels), lambda _: classifier._library.answer(call))  # noqa: SLF001 - as above


def call_loop(classifier: Any) -> Loop:  # noqa: ANN401
    """Return `predict_proba` of one image."""
    return Loop(lambda image: image, classifier.predict_proba)


def time_loop(loop: Loop, images: Sequence[Images]) -> float:
    """Return the median over the images, in microseconds."""
    clock, times = time.perf_counter_ns, []
    for image in images[:20]:
        loop.run(loop.prepare(image))
    for image in images:
        prepared = loop.prepare(image)
        start = clock()
        loop.run(prepared)
        times.append(clock() - start)
    return statistics.median(times) / 1000


def time_engine(classifier: NativeClassifier, images: Images) -> float:
    """Return the engine's microseconds for one image, where it takes one after the other without returning to Python.

    There are few images, so that most of the repetitions end before another process is let in. Whole batches would be
    answered sooner, since the engine takes them in another order.
    """
    scores, answers = (np.empty((len(images), len(classifier.labels)), dtype) for dtype in (np.uint8, np.float32))
    call = classifier._prepare(classifier._model, images, scores, answers)  # noqa: SLF001 - the call itself is timed
    pointer = ctypes.c_void_p
    run = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_size_t, pointer, pointer)(classifier._kernel.run)  # noqa: SLF001 - as above
    clock, times = time.perf_counter_ns, []
    for _ in range(9):
        start = clock()
        run(call.model, call.images, call.count, call.scores, call.scratch)
        times.append((clock() - start) / 1000 / len(images))
    return statistics.median(times)


def batch_loops(path: Path, images: Images) -> dict[str, Callable[[], object]]:
    """Return what answers all images in one go, with one thread."""
    classifier = NativeClassifier(read_network_file(path), path)
    loops: dict[str, Callable[[], object]] = {"native": lambda: classifier.predict_proba(images)}
    for count in LITERT_BATCHES:
        runtime, source, target = interpreter(path, count)
        parts = [(images[at : at + count] ^ 0x80).view(np.int8) for at in range(0, len(images) - count + 1, count)]

        def run(runtime: Any = runtime, source: int = source, target: int = target, parts: Any = parts) -> None:  # noqa: ANN401
            for part in parts:
                runtime.set_tensor(source, part)
                runtime.invoke()
                runtime.get_tensor(target)

        loops[f"litert by {count}"] = run
    return loops


def main() -> None:
    """Measure, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with tflite-int8")
    parser.add_argument("--onnx", type=Path, help="onnx-int8 of a network of the same shape")
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--images", type=int, default=200, help="of a block")
    options = parser.parse_args()
    path = options.exports / "tflite-int8.tflite"
    golden = read_golden(options.exports, read_manifest(options.exports)).images
    worst = np.random.default_rng(0).integers(1, 256, (1, 28, 28), dtype=np.uint8)

    litert, bare = litert_loops(path)
    loops = {"litert invoke": litert, "litert set/invoke/get": bare}
    loops |= {f"native invoke, {name}": native_invoke(path, name) for name in kernel_names()}
    loops["native call"] = call_loop(NativeClassifier(read_network_file(path), path))
    loops["litert call"] = call_loop(edgemnist.load(path))
    if options.onnx:
        loops["onnxruntime call"] = call_loop(edgemnist.load(options.onnx))
    engines = {name: NativeClassifier(read_network_file(path), path, kernel=name) for name in kernel_names()}
    reference = call_loop(edgemnist.load(path, runtime="integer"))

    found: defaultdict[str, list[float]] = defaultdict(list)
    for block in range(options.blocks):
        chosen = [golden[i : i + 1] for i in np.random.default_rng(block).integers(0, len(golden), options.images)]
        for name, loop in loops.items():
            found[name].append(time_loop(loop, chosen))
            if not name.startswith("onnxruntime"):
                found[f"{name}, worst image"].append(time_loop(loop, [worst] * options.images))
        for name, engine in engines.items():
            found[f"native engine, {name}"].append(time_engine(engine, np.concatenate(chosen)))
            full = np.repeat(worst, options.images, axis=0)
            found[f"native engine, {name}, worst image"].append(time_engine(engine, full))
        found["numpy reference call"].append(time_loop(reference, chosen[:20]))

    many = np.concatenate([golden] * -(-BATCH // len(golden)))[:BATCH]
    batches = batch_loops(path, many)
    for _ in range(options.blocks // 4):
        for name, run in batches.items():
            run()
            start = time.perf_counter_ns()
            run()
            found[f"batch of {BATCH:,}, {name}"].append((time.perf_counter_ns() - start) / 1000 / BATCH)

    best = min(
        (name for name in found if name.startswith("batch") and "litert" in name),
        key=lambda n: statistics.median(found[n]),
    )
    rows = [row(name, times, found[base(name, best)], base(name, best)) for name, times in found.items()]
    facts = {"host": host_facts(), "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None}
    settings = {"blocks": options.blocks, "images": options.images}
    RESULTS.write_text(json.dumps({**settings, "loops": rows, **facts}, indent=2) + "\n")
    print("| what | median µs | quartiles | of |  ratio | quartiles |")
    print("|---|---:|---:|---|---:|---:|")
    for one in rows:
        (low, high), (ratio_low, ratio_high) = one["quartiles_us"], one["ratio_quartiles"]
        print(
            f"| {one['what']} | {one['median_us']:.2f} | {low:.2f} to {high:.2f} | {one['base']} "
            f"| {one['ratio']:.2f} | {ratio_low:.2f} to {ratio_high:.2f} |"
        )


def base(name: str, best_batch: str) -> str:
    """Return what a row is compared with."""
    if name.startswith("batch"):
        return best_batch
    alone = "invoke" in name or "engine" in name
    kind = "litert invoke" if alone and "set" not in name else "litert set/invoke/get"
    return f"{kind}, worst image" if name.endswith("worst image") else kind


def row(name: str, times: list[float], floor: list[float], compared: str) -> dict[str, Any]:
    """Return one line of the result; ratios are those of the blocks."""
    ratios = [mine / other for mine, other in zip(times, floor, strict=True)]
    low, _, high = statistics.quantiles(times, n=4)
    ratio_low, ratio, ratio_high = statistics.quantiles(ratios, n=4)
    return {
        "what": name,
        "median_us": round(statistics.median(times), 3),
        "quartiles_us": [round(low, 3), round(high, 3)],
        "base": compared,
        "ratio": round(ratio, 3),
        "ratio_quartiles": [round(ratio_low, 3), round(ratio_high, 3)],
    }


if __name__ == "__main__":
    main()
