"""What Ray adds to a trial, and how much faster a search is on several workers.

Run: python -m benchmarks.search.workers SEARCH [JSON]

SEARCH is the directory of a search that is over. Its trials have recorded their processor time. The first figure is
what a trial takes beyond that, from `submit` to `result`, on a local cluster of one worker with 60,000 images in its
store: of trials that train nothing, once the worker is running. The second is computed: the search's rule, that at most
eight trials are under way and their results are taken in order, is played with the recorded times, over and over until
there are 64 trials, on 1, 2, 4 and 8 workers that have a processor each. The figures in workers.json are of nine
trials of `edgemnist search --accuracy 99 --max-bytes 16k --max-ram 2k --minutes 7` on MNIST, on a busy machine.
"""

from __future__ import annotations

import heapq
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.search import workers as module
from edgemnist.pipeline.search.study import NAME, WINDOW, Journal
from edgemnist.pipeline.search.trials import Job, Outcome, TrialData

REPEATS = 200
TRIALS = 64
TRIAL_S = 60.0


def nothing(data: TrialData, key: str, wanted: Mapping[str, str], job: Job) -> Outcome:
    """Train nothing, with the data at hand."""
    del key, wanted, job
    return Outcome(accuracies=(float(len(data.train.images)),), stopped=False, seconds=0.0)


def overhead() -> float:
    """Return the median seconds that Ray takes for a trial."""
    workers = module.RayWorkers("1")
    images = np.zeros((60_000, 28, 28), np.uint8)
    split = Split(images, np.zeros(60_000, np.int64))
    workers.begin(TrialData(train=split, selection=split, classes=10))
    job = Job(network="mlp:28:8:8bit", recipe="baseline", epochs=1, seed=0)
    taken = []
    module.run_trial = nothing
    for _ in range(REPEATS):
        started = time.perf_counter()
        workers.result(workers.submit(job))
        taken.append(time.perf_counter() - started)
    workers.close()
    return statistics.median(taken[1:])


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return how long trials of so many seconds take on so many workers."""
    free = [0.0] * workers
    ended: list[float] = []
    taken = 0.0
    for ordinal, length in enumerate(seconds):
        if ordinal >= WINDOW:
            # Proposed once the one eight places before is finished, and all before that.
            taken = max(taken, ended[ordinal - WINDOW])
        start = max(heapq.heappop(free), taken)
        ended.append(start + length)
        heapq.heappush(free, start + length)
    return max(ended)


def recorded(directory: Path) -> list[float]:
    """Return the processor time of each trial of a search, in their order."""
    import optuna
    from optuna.storages import JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=NAME, storage=JournalStorage(Journal(directory)))
    kept = [trial.user_attrs for trial in study.get_trials(deepcopy=False) if "seconds" in trial.user_attrs]
    return [attrs["seconds"] for attrs in sorted(kept, key=lambda attrs: attrs["ordinal"])]


def main() -> None:
    """Measure and compute both, and write the figures."""
    seconds = recorded(Path(sys.argv[1]))
    each = overhead()
    played = list(islice(cycle(seconds), TRIALS))
    alone = makespan(played, 1)
    faster = {workers: alone / makespan(played, workers) for workers in (1, 2, 4, 8)}
    document = {
        "command": "python -m benchmarks.search.workers SEARCH",
        "overhead_s": each,
        "overhead_of_a_minute": each / TRIAL_S,
        "trials": len(seconds),
        "trial_s": {"least": min(seconds), "median": statistics.median(seconds), "most": max(seconds)},
        "faster": faster,
    }
    print(json.dumps(document, indent=2))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
