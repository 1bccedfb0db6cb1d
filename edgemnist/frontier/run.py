"""`edgemnist frontier`: networks of several sizes side by side, and the picture of what each costs and is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench
from edgemnist.data.dataset import Dataset
from edgemnist.errors import ManifestError, StorageError, UsageError
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.directory import Exports
from edgemnist.exports.manifest import read_manifest
from edgemnist.figures import new_figure, png
from edgemnist.formatting import percent
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.base import UNREADABLE, read_result
from edgemnist.results.bench import BenchResult
from edgemnist.results.pipeline import FrontierResult, FrontierRow
from edgemnist.results.train import TrainResult
from edgemnist.results.verify import VerifyResult
from edgemnist.storage import commit_files
from edgemnist.train.model import parameters_of
from edgemnist.train.recipes import TrainConfig, plan_for
from edgemnist.train.run import TRAINING_FILE, can_resume, train
from edgemnist.verify.run import verify

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgemnist.train.distillation import Teachers

DEFAULT_SIZES = ((16,), (32,), (64,), (128,), (256,), (512,))
"""Units of the hidden layers of each network."""
QUANTIZATIONS = ("int8", "int4")
"""What of each network is exported."""


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


FORMAT = "tflite"
NAMES = tuple(f"{FORMAT}-{quantization}" for quantization in QUANTIZATIONS)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is known about one network."""

    directory: Path
    trained: TrainResult
    verified: VerifyResult
    benched: BenchResult


def make_network(
    dataset: Dataset,
    config: FrontierConfig,
    hidden: tuple[int, ...],
    directory: Path,
    *,
    teachers: Teachers,
    reporter: Reporter,
) -> Network:
    """Do what is not done yet for one size, in a directory of its own.

    A training that was interrupted goes on from its checkpoint, where that is whole and of this very training. Raises
    what the stages raise, and KeyboardInterrupt after a training that is interrupted now.
    """
    trained = _finished_training(dataset, config, hidden, directory)
    if trained is None:
        training = config.training(hidden)
        resume = can_resume(dataset, training, directory, teachers, reporter)
        trained = train(dataset, training, directory, reporter, resume=resume, teachers=teachers)
        if trained.interrupted:
            raise KeyboardInterrupt
    if not _exported(directory, trained):
        exported = ExportConfig.of(format=FORMAT, quantizations=QUANTIZATIONS)
        export_model(exported, dataset, directory, reporter)
    exports = Exports.open(directory)
    if not all(exports.findings.parity(name) for name in NAMES):
        exports.findings.save_verification(verify(exports, NAMES, reporter=reporter), reporter)
    if not all(exports.findings.latency(name) for name in NAMES):
        exports.findings.save_bench(bench(exports, NAMES, config.bench, reporter), reporter)
    verified, benched = exports.findings.verify, exports.findings.bench
    if verified is None or benched is None:
        raise StorageError(
            f"What was found out cannot be kept in {directory}", hint="Choose another directory with --to DIR."
        )
    return Network(directory=directory, trained=trained, verified=verified.result, benched=benched.result)


def _finished_training(
    dataset: Dataset, config: FrontierConfig, hidden: tuple[int, ...], directory: Path
) -> TrainResult | None:
    """Return the record of the training, where the one that was asked for is done."""
    try:
        trained = read_result(TrainResult, (directory / TRAINING_FILE).read_bytes())
        model = read_manifest(directory).model
    except (OSError, ManifestError, *UNREADABLE):
        return None
    parameters = parameters_of(hidden, len(dataset.labels))
    plan = plan_for(config.training(hidden), images=len(dataset.train), parameters=parameters)
    name = "-".join(map(str, (IMAGE_SIDE**2, *hidden, len(dataset.labels))))
    asked = (config.recipe, plan.recipe_version, name, config.seed, dataset.identity.sha256)
    found = (trained.recipe, trained.recipe_version, trained.short_network, trained.seed, trained.data.sha256)
    done = not trained.interrupted and (config.epochs is None or config.epochs == trained.epochs)
    return trained if done and found == asked and model is not None and model.sha256 == trained.sha256 else None


def _exported(directory: Path, trained: TrainResult) -> bool:
    """Return whether all artifacts of the trained model are there."""
    ours = [one for one in read_manifest(directory).artifacts if one.model_sha256 == trained.sha256]
    return {one.name for one in ours if (directory / one.file).exists()}.issuperset(NAMES)


def undominated(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Return for each choice whether none costs as little and is worth as much, and is better in one of the two."""
    choices = list(zip(costs, values, strict=True))
    return [
        not any(
            other_cost <= cost and other_value >= value and (other_cost < cost or other_value > value)
            for other_cost, other_value in choices
        )
        for cost, value in choices
    ]


PICTURE_FILE = "frontier.png"
RESULT_FILE = "frontier.json"


def frontier(dataset: Dataset, config: FrontierConfig, directory: Path, reporter: Reporter = SILENT) -> FrontierResult:
    """Train, export, verify and measure each size in a directory of its own, and compare them.

    What an interrupted frontier has done is not done again, and its training goes on from the checkpoint. Networks that
    learn from a teacher share it. Raises what the stages raise; KeyboardInterrupt is passed on.
    """
    from edgemnist.train.distillation import Teachers

    directory.mkdir(parents=True, exist_ok=True)
    teachers = Teachers(directory)
    networks: list[Network] = []
    with reporter.task("Frontier", total=len(config.sizes)) as task:
        for hidden in config.sizes:
            task.update(len(networks), f"784-{'-'.join(map(str, hidden))}-{len(dataset.labels)}")
            place = directory / "-".join(map(str, hidden))
            networks.append(make_network(dataset, config, hidden, place, teachers=teachers, reporter=reporter))
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
        warnings=_warnings(networks),
    )
    commit_files(directory, {PICTURE_FILE: frontier_png(result), RESULT_FILE: result.to_json().encode() + b"\n"})
    return result


def _warnings(networks: Sequence[Network]) -> list[str]:
    """Return what speaks against the figures, each once: of a network that only guesses, with its name."""
    of_networks = [
        f"{network.directory.name}: {warning}" for network in networks for warning in network.verified.warnings
    ]
    of_machine = {
        warning
        for network in networks
        for warning in network.benched.warnings
        if warning not in network.verified.warnings
    }
    return [*of_networks, *sorted(of_machine)]


def _rows(network: Network) -> list[FrontierRow]:
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
    smallest = dict(zip(map(id, passed), undominated([row.bytes for row in passed], accuracies), strict=True))
    fastest = dict(zip(map(id, passed), undominated([row.p50_us for row in passed], accuracies), strict=True))
    return [
        msgspec.structs.replace(row, smallest=smallest.get(id(row), False), fastest=fastest.get(id(row), False))
        for row in rows
    ]


COLORS = {"tflite-int8": "tab:blue", "tflite-int4": "tab:orange"}
MARKERS = {"tflite-int8": "o", "tflite-int4": "s"}


def frontier_png(result: FrontierResult) -> bytes:
    """Return a PNG with both costs side by side; what none is better than is joined by a line."""
    figure = new_figure(10, 4.4)
    figure.suptitle(f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test images")
    by_bytes, by_latency = figure.subplots(1, 2, sharey=True)
    _draw(by_bytes, result.rows, lambda row: row.bytes / 1000, lambda row: row.smallest)
    by_bytes.set(xlabel="file (KB)", ylabel="accuracy")
    _draw(by_latency, result.rows, lambda row: row.p50_us, lambda row: row.fastest)
    by_latency.set(xlabel="one image, p50 (µs)")
    by_bytes.yaxis.set_major_formatter(lambda share, _: percent(share))
    by_bytes.legend(loc="lower right")
    return png(figure)


def _draw(
    axes: Axes,
    rows: list[FrontierRow],
    cost: Callable[[FrontierRow], float],
    is_best: Callable[[FrontierRow], bool],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    best = sorted(filter(is_best, rows), key=cost)
    axes.plot([cost(row) for row in best], [row.accuracy for row in best], color="0.6", linewidth=1.2, zorder=1)
    for name, color in COLORS.items():
        chosen = [row for row in rows if row.name == name]
        axes.scatter(
            [cost(row) for row in chosen],
            [row.accuracy for row in chosen],
            color=color,
            marker=MARKERS[name],
            label=name,
            zorder=2,
        )
    for row in rows:
        units = "-".join(map(str, row.hidden))
        axes.annotate(
            units, (cost(row), row.accuracy), xytext=(5, -9), textcoords="offset points", fontsize=8, color="0.25"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12, y=0.12)
    axes.grid(alpha=0.3)
