"""A small data set, a search that takes seconds, and workers that count what they are asked."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import SearchResult
from edgemnist.pipeline.bench.run import BenchConfig
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.search.limits import Limits, Space
from edgemnist.pipeline.search.run import SearchConfig, search
from edgemnist.pipeline.search.trials import Job, Outcome
from edgemnist.pipeline.search.workers import Workers
from edgemnist.pipeline.train.network import MLP
from tests.needs import require
from tests.train.conftest import small_dataset

TIMING = BenchConfig(seconds=0, keras=False)
TINY = Space(families=(MLP,), sides=(28, 14), bits=(8,), most_units=32)
"""Networks whose trainings take a second."""


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """2,000 training and 500 test images of MNIST."""
    return small_dataset()


Made = tuple[Path, SearchResult]


@pytest.fixture(scope="session")
def made(dataset: Dataset, shared_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the directory of a search of four trials, and what it found: once for all, and here a copy. Read only."""
    require("cc")
    searched, told = shared_directory / "searched", shared_directory / "searched.json"
    with FileLock(shared_directory / "searched.lock"):
        if not told.exists():
            told.write_text(search(dataset, quick(), searched).to_json(), encoding="utf-8")
    directory = Path(shutil.copytree(searched, tmp_path_factory.mktemp("search") / "made"))
    return directory, read_result(SearchResult, told.read_bytes())


def quick(**options: object) -> SearchConfig:
    """Return a search that takes seconds."""
    values = {"limits": Limits(bytes=20_000), "trials": 4, "recipe": "baseline", "epochs": 8, "space": TINY}
    return SearchConfig(**{**values, "timing": TIMING, **options})  # type: ignore[arg-type]  # of several types


class Counting(Workers):
    """Remembers the jobs, and presses Ctrl-C instead of the one after `most`."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.most = most

    def result(self, handle: Job) -> Outcome:
        if len(self.jobs) == self.most:
            raise KeyboardInterrupt
        self.jobs.append(handle)
        return super().result(handle)


class Formula(Workers):
    """Knows the accuracy of a network without training it: cheap, and as good as any."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def result(self, handle: Job) -> Outcome:
        """Return an accuracy that grows with the size, more slowly the larger it is."""
        from edgemnist.pipeline.train.network import Network

        self.jobs.append(handle)
        size = Network.parse(handle.network).weight_bytes(10)
        accuracy = 1 - 20 / (size + 100)
        accuracies = tuple(accuracy * share for share in (0.9, 0.95, 1.0))
        bars = [*handle.bars, 0.0]
        for place, found in enumerate(accuracies[:-1]):
            if found < bars[place]:
                return Outcome(accuracies=accuracies[: place + 1], stopped=True, seconds=0.1)
        return Outcome(accuracies=accuracies, stopped=False, seconds=0.1)
