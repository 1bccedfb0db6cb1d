"""Where the trials run: in this process, or wherever `cluster` sends them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from edgemnist.search.trials import Job, Outcome, Trainer, TrialData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgemnist.data.dataset import Dataset
    from edgemnist.search.shapes import Stopwatch
    from edgemnist.train.network import Network
    from edgemnist.train.recipes import TrainConfig


class Workers(ABC):
    """Runs trials."""

    eager: ClassVar[bool]
    """Whether a trial begins before its result is asked for."""

    @abstractmethod
    def begin(self, data: TrialData) -> None:
        """Take the data of all trials."""

    @abstractmethod
    def submit(self, job: Job) -> Any:  # noqa: ANN401 - what `result` takes
        """Let a trial begin as soon as a worker is free, and return what `result` takes."""

    @abstractmethod
    def result(self, handle: Any) -> Outcome:  # noqa: ANN401 - what `submit` returned
        """Return how a trial went, once it is over."""

    @abstractmethod
    def train(self, dataset: Dataset, trainings: Mapping[Path, TrainConfig], teacher: Path | None) -> None:
        """Train networks to the end, each into its directory, unless that is as well done by `make_network` here.

        `teacher` is the file of the teacher that they all have; None if the recipe has none.
        """

    def measure(self, watch: Stopwatch, network: Network) -> float:
        """Return the p50 of a shape in microseconds, from wherever the machine to measure can be reached."""
        return watch(network)

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, and stop the trials that still run."""


class InProcess(Workers):
    """Runs each trial when its result is asked for, one after the other."""

    eager = False

    def __init__(self) -> None:
        self._trainer: Trainer | None = None

    def begin(self, data: TrialData) -> None:
        """Take the data of all trials."""
        self._trainer = Trainer(data)

    def submit(self, job: Job) -> Job:
        """Return the job: nothing happens yet."""
        return job

    def result(self, handle: Job) -> Outcome:
        """Run the trial."""
        if self._trainer is None:
            raise ValueError("trials need data")
        return self._trainer.run(handle)

    def train(self, dataset: Dataset, trainings: Mapping[Path, TrainConfig], teacher: Path | None) -> None:
        """Do nothing but let go of the images that the teacher labelled."""
        del dataset, trainings, teacher
        self._trainer = None

    def close(self) -> None:
        """Let go of the images that the teacher labelled."""
        self._trainer = None
