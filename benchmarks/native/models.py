"""The native engine beside LiteRT on any full-int8 `.tflite` files, one thread each, in one process.

    taskset -c 1 python -m benchmarks.native.models FILE... [--rounds 400]

Both take turns, half a millisecond each, with the same random input that is already in place; compared are the medians
of the rounds, round by round, so that what slows the machine for a while slows both. The fastest round of either stands
beside them: it is what the code takes when nothing else runs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import edgemnist
from edgemnist.board.machine import host_facts

RESULTS = Path(__file__).with_suffix(".json")
SECONDS = 0.0005


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Return how long a call takes on average."""
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls * 1e6


def compare(file: Path, rounds: int) -> dict[str, object]:
    """Return the figures of one file."""
    loops = {}
    for runtime in ("native", "litert"):
        classifier: Any = edgemnist.load(file, runtime=runtime)
        classifier.answer(classifier.spec.random(1))
        # What is left of a call whose input is in place.
        loops[runtime] = (
            partial(classifier._library.answer, ctypes.byref(classifier._single))  # noqa: SLF001 - the call itself is timed
            if runtime == "native"
            else classifier._first._interpreter.Invoke  # noqa: SLF001 - as above
        )
    calls = {name: max(5, int(SECONDS * 1e6 / microseconds(call, 5))) for name, call in loops.items()}
    found: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, call in loops.items():
            found[name].append(microseconds(call, calls[name]))
    ratios = [native / litert for native, litert in zip(found["native"], found["litert"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "file": file.name,
        "native_us": round(min(found["native"]), 2),
        "litert_us": round(min(found["litert"]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_quartiles": [round(low, 3), round(high, 3)],
    }


def main() -> None:
    """Measure, print a line a file, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    models = []
    for file in arguments.files:
        models.append(compare(file, arguments.rounds))
        print(*models[-1].values(), flush=True)
    facts = {"host": host_facts(), "rounds": arguments.rounds, "models": models}
    RESULTS.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
