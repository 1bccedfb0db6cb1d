"""What keeping samples costs whoever answers.

    python -m benchmarks.samples.keep

Of one process: the time of `Collector.offer` for an answer that is sure and not drawn, and for one that is kept, which
another thread writes; and the memory that 500 kept samples take.

To reach: 0.2 ms and 2 MB for a sample that is kept, nothing that can be measured beside an answer of 5 µs for one that
is not.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from edgemnist.board.machine import host_facts
from edgemnist.field.samples import now
from edgemnist.field.samples.collector import Collector
from edgemnist.field.samples.store import Quota

RESULTS = Path(__file__).with_suffix(".json")
KEPT, NOT_KEPT = 500, 200_000


def main() -> None:
    """Measure, print, and write the result beside this script."""
    images = np.random.default_rng(0).integers(0, 256, (KEPT, 28, 28), np.uint8)
    with tempfile.TemporaryDirectory() as place:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Room for everything that is offered: each one is kept.
        with Collector(Path(place), quota=Quota(1_000_000), artifact="tflite-int8") as keeping:
            kept = []
            for image in images:
                started = time.perf_counter_ns()
                reason = keeping.offer(image, source="camera", answer="3", confidence=0.4)
                kept.append(time.perf_counter_ns() - started)
                if reason is None:
                    raise RuntimeError("a sample was not kept")
                # As between two readings of a busy service: the disk has its time.
                time.sleep(0.02)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = sum(path.stat().st_size for path in Path(place).iterdir())
    with tempfile.TemporaryDirectory() as place, Collector(Path(place), quota=Quota(10), artifact="a") as keeping:
        for image in images:
            keeping.offer(image, source="camera", answer="3", confidence=0.999)
        started = time.perf_counter_ns()
        for _ in range(NOT_KEPT):
            keeping.offer(images[0], source="camera", answer="3", confidence=0.999)
        not_kept = (time.perf_counter_ns() - started) / NOT_KEPT
    result = {
        "at": now(),
        "host": host_facts()["cpu"],
        "kept_us": {"median": statistics.median(kept) / 1e3, "p99": sorted(kept)[int(0.99 * KEPT)] / 1e3},
        "not_kept_us": {"mean": not_kept / 1e3},
        "kilobytes_of_memory_a_sample": (after - before) / KEPT,
        "bytes_on_disk_a_sample": size / KEPT,
    }
    text = json.dumps(result, indent=2)
    print(text)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
