"""`edgemnist frontier`: networks of several sizes side by side, and the picture of what each costs and is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgemnist.bench.config import BenchConfig
from edgemnist.data.dataset import Dataset
from edgemnist.errors import UsageError
from edgemnist.export.interface import ArtifactSpec
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.pipeline import FrontierResult, FrontierRow
from edgemnist.search.networks import Dot, MadeNetwork, Series, make_network, trade_off_png, undominated, warnings_of
from edgemnist.storage import commit_files
from edgemnist.train.recipes import TrainConfig

DEFAULT_SIZES = ((16,), (32,), (64,), (128,), (256,), (512,))
"""Units of the hidden layers of each network."""


@dataclass(frozen=True, kw_only=True)
class FrontierConfig:
    """The options of a frontier. Raises UsageError and UnknownNameError as `TrainConfig` does, and for no sizes."""

    sizes: tuple[tuple[int, ...], ...] = DEFAULT_SIZES
    recipe: str = "standard"
    epochs: int | None = None
    seed: int = 0
    bench: BenchConfig = field(default_factory=lambda: BenchConfig(keras=False))

    def __post_init__(self) -> None:
        if not self.sizes:
            raise UsageError("A frontier needs sizes", hint="Name some, such as --size 64 --size 128,64.")
        if len(set(self.sizes)) < len(self.sizes):
            raise UsageError("A size is named twice", hint="Name each --size once.")
        for hidden in self.sizes:
            self.training(hidden)

    def training(self, hidden: tuple[int, ...]) -> TrainConfig:
        """Return the training of one size."""
        return TrainConfig(recipe=self.recipe, hidden=hidden, epochs=self.epochs, seed=self.seed)


ARTIFACTS = (ArtifactSpec("tflite", "int8"), ArtifactSpec("tflite", "int4"))
"""What each network is exported to."""
NAMES = tuple(artifact.name for artifact in ARTIFACTS)

PICTURE_FILE = "frontier.png"
RESULT_FILE = "frontier.json"


def frontier(dataset: Dataset, config: FrontierConfig, directory: Path, reporter: Reporter = SILENT) -> FrontierResult:
    """Train, export, verify and measure each size in a directory of its own, and compare them.

    An interrupted frontier repeats nothing, and its training continues from the checkpoint. Networks that learn from a
    teacher share it. Raises what the stages raise; KeyboardInterrupt is passed on.
    """
    from edgemnist.train.distillation import Teachers

    directory.mkdir(parents=True, exist_ok=True)
    teachers = Teachers(directory)
    networks: list[MadeNetwork] = []
    with reporter.task("Frontier", total=len(config.sizes)) as task:
        for hidden in config.sizes:
            task.update(len(networks), f"784-{'-'.join(map(str, hidden))}-{len(dataset.labels)}")
            place = directory / "-".join(map(str, hidden))
            made = make_network(
                dataset,
                config.training(hidden),
                ARTIFACTS,
                place,
                timing=config.bench,
                teachers=teachers,
                reporter=reporter,
            )
            networks.append(made)
        task.update(len(networks))
    rows = _compared([row for network in networks for row in _rows(network)])
    result = FrontierResult(
        recipe=config.recipe,
        seed=config.seed,
        data=dataset.identity,
        images=networks[0].verified.images,
        rows=rows,
        picture=PICTURE_FILE,
        host=networks[0].benched.host,
        warnings=warnings_of(networks),
    )
    commit_files(directory, {PICTURE_FILE: frontier_png(result), RESULT_FILE: result.to_json().encode() + b"\n"})
    return result


def _rows(network: MadeNetwork) -> list[FrontierRow]:
    parities = {parity.name: parity for parity in network.verified.artifacts}
    latencies = {latency.name: latency for latency in network.benched.results}
    return [
        FrontierRow(
            hidden=network.trained.hidden,
            parameters=network.trained.parameters,
            name=name,
            directory=network.directory.name,
            bytes=latencies[name].bytes,
            accuracy=parities[name].accuracy,
            reference_accuracy=network.verified.reference_accuracy,
            flips=parities[name].flips,
            passed=parities[name].passed,
            p50_us=latencies[name].p50_us,
            smallest=False,
            fastest=False,
        )
        for name in NAMES
    ]


def _compared(rows: list[FrontierRow]) -> list[FrontierRow]:
    """Return the rows in the order of their bytes, and which of those that passed their gate no other dominates."""
    rows = sorted(rows, key=lambda row: row.bytes)
    passed = [row for row in rows if row.passed]
    accuracies = [row.accuracy for row in passed]
    smallest = undominated([row.bytes for row in passed], accuracies)
    fastest = undominated([row.p50_us for row in passed], accuracies)
    of_passed = zip(smallest, fastest, strict=True)
    marks = [next(of_passed) if row.passed else (False, False) for row in rows]
    return [
        msgspec.structs.replace(row, smallest=small, fastest=fast)
        for row, (small, fast) in zip(rows, marks, strict=True)
    ]


def frontier_png(result: FrontierResult) -> bytes:
    """Return a PNG with both costs side by side; a line joins those that no other is better than."""
    looks = zip(NAMES, ("tab:blue", "tab:orange"), ("o", "s"), strict=True)
    series = {
        name: Series(dots=[_dot(row) for row in result.rows if row.name == name], color=color, marker=marker)
        for name, color, marker in looks
    }
    title = f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test images"
    return trade_off_png(title, series, of_bytes="file")


def _dot(row: FrontierRow) -> Dot:
    return Dot(
        bytes=row.bytes,
        p50_us=row.p50_us,
        accuracy=row.accuracy,
        label="-".join(map(str, row.hidden)),
        smallest=row.smallest,
        fastest=row.fastest,
    )
