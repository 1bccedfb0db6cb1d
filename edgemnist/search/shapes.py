"""How much time a network of some shape takes: its weights hardly matter, so it is measured before training."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.bench.config import BenchConfig
from edgemnist.data.dataset import Dataset
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.directory import Exports
from edgemnist.exports.manifest import MODEL_FILE
from edgemnist.formats import UNIT
from edgemnist.storage import write_file
from edgemnist.train.network import Network

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress

SAMPLE_IMAGES: Final = 256
"""Real digits that a shape is timed with: blank paper costs nothing, so the ink counts."""
ARTIFACT: Final = ArtifactSpec("tflite", "int8")
HERE: Final = "this machine"


@dataclass(frozen=True, kw_only=True)
class Stopwatch:
    """Measures shapes, here or on a board."""

    sample: Dataset
    """A few images, see `sample_of`."""
    timing: BenchConfig
    board: BoardAddress | None = None
    """Where to measure; None for this machine."""

    def __call__(self, network: Network) -> float:
        """Return the p50 of one image, in microseconds, of the fastest runtime.

        Raises what `bench` and `bench_files_on` raise.
        """
        with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
            directory = Path(scratch)
            self._export(network, directory)
            if self.board is None:
                from edgemnist.bench.run import bench

                result = bench(Exports.open(directory), None, self.timing)
            else:
                from edgemnist.deploy.remote import bench_files_on

                words = ["--samples", str(self.timing.samples), "--seconds", str(self.timing.seconds)]
                words += ["--rounds", str(self.timing.rounds), "--no-keras"]
                result = bench_files_on(self.board, directory, words)
        return min(one.p50_us for one in result.results)

    def _export(self, network: Network, directory: Path) -> None:
        from edgemnist.runtimes.keras import model_bytes
        from edgemnist.train.families import student_of

        untrained = student_of(network, len(self.sample.labels), seed=0).model
        write_file(directory / MODEL_FILE, model_bytes(untrained))
        config = ExportConfig(specs=(ARTIFACT,), model=directory / MODEL_FILE, input_range=UNIT)
        export_model(config, self.sample, directory)


def sample_of(dataset: Dataset) -> Dataset:
    """Return a data set of a few training images, evenly spread, in place of both splits."""
    train = dataset.train
    few = train.take(np.linspace(0, len(train) - 1, min(SAMPLE_IMAGES, len(train))).astype(np.int64))
    return Dataset(train=few, test=few, labels=dataset.labels, identity=dataset.identity)
