"""A search that is killed at any moment loses what was in training, and nothing else."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.search.test_study import opened, run
from tests.sweeping import swept

TRIALS = 40
SPAWN = multiprocessing.get_context("forkserver")
# What the killed processes import is imported once.
SPAWN.set_forkserver_preload(["tests.search.test_study"])


def _search(directory: Path) -> None:
    study = opened(directory)
    run(study, TRIALS)


def killed(directory: Path, seconds: float) -> bool:
    """Begin or go on with a search, kill it after a while, and return whether it was still at work."""
    process = SPAWN.Process(target=_search, args=(directory,))
    process.start()
    process.join(seconds)
    at_work = process.is_alive()
    if at_work and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert at_work or process.exitcode == 0
    return at_work


@pytest.mark.parametrize("kills", swept([3, 30], kept=[3]))
@pytest.mark.all
def test_a_killed_search_goes_on_and_loses_nothing_that_was_finished(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    known: list[str] = []
    done = 0
    deadline = time.monotonic() + 300
    while done < kills and time.monotonic() < deadline:
        done += killed(tmp_path, rng.uniform(0.05, 0.8))
        found = [one.network for one in opened(tmp_path).tried]
        # What was finished before stays, in its order.
        assert found[: len(known)] == known
        known = found
        if len(known) == TRIALS:
            for leftover in tmp_path.iterdir():
                leftover.unlink()
            known = []
    assert done == kills
    study = opened(tmp_path)
    run(study, TRIALS)
    names = [one.network for one in study.tried]
    assert len(names) == len(set(names)) == TRIALS
    assert names[: len(known)] == known
