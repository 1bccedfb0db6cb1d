"""One network from training to measurement, in an export directory of its own, and which networks are worth it.

A picture shows costs and accuracy: accuracy against bytes and against latency, side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench
from edgemnist.data.dataset import Dataset
from edgemnist.errors import ManifestError, StorageError
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports import Exports
from edgemnist.exports.findings import TRAINING_FILE
from edgemnist.exports.manifest import read_manifest
from edgemnist.figures import new_figure, png
from edgemnist.progress import Reporter
from edgemnist.results import UNREADABLE, read_result
from edgemnist.results.bench import BenchResult
from edgemnist.results.pipeline import TrainResult
from edgemnist.results.verify import VerifyResult
from edgemnist.train.recipes import TrainConfig, plan_for
from edgemnist.train.run import can_resume, train
from edgemnist.verify.run import verify

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgemnist.results.pipeline import SearchResult
    from edgemnist.train.distillation import Teachers


@dataclass(frozen=True, kw_only=True)
class MadeNetwork:
    """What is known about one network."""

    directory: Path
    trained: TrainResult
    verified: VerifyResult
    benched: BenchResult


def make_network(
    dataset: Dataset,
    training: TrainConfig,
    artifacts: Sequence[ArtifactSpec],
    directory: Path,
    *,
    timing: BenchConfig,
    teachers: Teachers,
    reporter: Reporter,
    every_runtime: bool = False,
) -> MadeNetwork:
    """Do everything that is not done yet for one network, in a directory of its own.

    The artifacts are verified and measured in their default runtime, or in every one that can execute them here.
    An interrupted training continues from its checkpoint, if that is whole and of this very training. Raises what the
    stages raise, and KeyboardInterrupt after a training that is interrupted now.
    """
    names = [artifact.name for artifact in artifacts]
    trained = finished_training(dataset, training, directory)
    if trained is None:
        resume = can_resume(dataset, training, directory, teachers, reporter)
        trained = train(dataset, training, directory, reporter, resume=resume, teachers=teachers)
        if trained.interrupted:
            raise KeyboardInterrupt
    if not _exported(directory, trained, names):
        export_model(ExportConfig(specs=tuple(artifacts)), dataset, directory, reporter)
    exports = Exports.open(directory)
    if every_runtime:
        names = [model.name for model in exports.select()]
    if not all(exports.findings.parity(name) for name in names):
        exports.findings.save_verification(verify(exports, names, reporter=reporter), reporter)
    if not all(exports.findings.latency(name) for name in names):
        exports.findings.save_bench(bench(exports, names, timing, reporter), reporter)
    verified, benched = exports.findings.verify, exports.findings.bench
    if verified is None or benched is None:
        raise StorageError(
            f"The results cannot be saved in {directory}", hint="Choose another directory with --to DIR."
        )
    return MadeNetwork(directory=directory, trained=trained, verified=verified.result, benched=benched.result)


def finished_training(dataset: Dataset, training: TrainConfig, directory: Path) -> TrainResult | None:
    """Return the record of the training if the one that was asked for is done."""
    try:
        trained = read_result(TrainResult, (directory / TRAINING_FILE).read_bytes())
        model = read_manifest(directory).model
    except (OSError, ManifestError, *UNREADABLE):
        return None
    network, classes = training.resolved_network, len(dataset.labels)
    plan = plan_for(training, images=len(dataset.train), parameters=network.parameters(classes))
    asked = (training.recipe, plan.recipe_version, str(network), training.seed, dataset.identity.sha256)
    found = (trained.recipe, trained.recipe_version, trained.network, trained.seed, trained.data.sha256)
    done = not trained.interrupted and (training.epochs is None or training.epochs == trained.epochs)
    return trained if done and found == asked and model is not None and model.sha256 == trained.sha256 else None


def _exported(directory: Path, trained: TrainResult, names: Sequence[str]) -> bool:
    """Return whether all artifacts of the trained model are there."""
    ours = [one for one in read_manifest(directory).artifacts if one.model_sha256 == trained.sha256]
    return {one.name for one in ours if (directory / one.file).exists()}.issuperset(names)


def warnings_of(networks: Sequence[MadeNetwork]) -> list[str]:
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


def undominated(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Return for each choice whether no other costs as little, is worth as much, and is better in one of the two."""
    choices = list(zip(costs, values, strict=True))
    return [
        not any(
            other_cost <= cost and other_value >= value and (other_cost < cost or other_value > value)
            for other_cost, other_value in choices
        )
        for cost, value in choices
    ]


LEAST_ERROR: Final = 1e-5
"""An axis of errors that grow by their logarithm has no 0."""
SHORT_LABEL: Final = 8
"""Characters."""
MICROSECOND: Final = "one image, p50 (µs)"
HALF: Final = 0.5
"""Half of the width. A long name points to the middle: it ends at dots on the right, and begins at the others."""
LINE_POINTS: Final = 10.0
"""Distance from one name to the next above it."""


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One network."""

    bytes: int
    p50_us: float | None
    """None keeps it out of the right half."""
    accuracy: float
    label: str = ""
    smallest: bool = False
    """Whether it is joined in the left half."""
    fastest: bool = False
    """Whether it is joined in the right half."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Networks that are drawn alike."""

    dots: Sequence[Dot]
    color: str
    marker: str = "o"
    joined: bool = True
    """Whether the dots that none is better than are joined by a line."""


def trade_off_png(title: str, series: Mapping[str, Series], *, of_bytes: str) -> bytes:
    """Return a PNG of series by their names; `of_bytes` says what the bytes are of."""
    figure = new_figure(10, 4.4)
    figure.suptitle(title)
    by_bytes, by_latency = figure.subplots(1, 2, sharey=True)
    lines = [dot for one in series.values() if one.joined for dot in one.dots]
    for axes, cost, best in (
        (by_bytes, lambda dot: dot.bytes / 1000, lambda dot: dot.smallest),
        (by_latency, lambda dot: dot.p50_us, lambda dot: dot.fastest),
    ):
        _draw(axes, series, lines, cost, best)
    by_bytes.set(xlabel=f"{of_bytes} (KB)", ylabel="accuracy (%)")
    by_latency.set(xlabel=MICROSECOND)
    by_bytes.legend(loc="lower right", fontsize=8.5)
    return png(figure)


def _draw(
    axes: Axes,
    series: Mapping[str, Series],
    lines: Sequence[Dot],
    cost: Callable[[Dot], float | None],
    is_best: Callable[[Dot], bool],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    best = sorted((cost(dot) or 0, _error(dot)) for dot in lines if is_best(dot) and cost(dot) is not None)
    if best:
        axes.plot(*zip(*best, strict=True), color="0.6", linewidth=1.2, zorder=2)
    for name, one in series.items():
        shown = [dot for dot in one.dots if cost(dot) is not None]
        axes.scatter(
            [cost(dot) or 0 for dot in shown],
            [_error(dot) for dot in shown],
            color=one.color,
            marker=one.marker,
            s=28 if one.joined else 12,
            label=name,
            zorder=3 if one.joined else 1,
        )
    # An error of 1 % is as far from 2 % as 0.1 % is from 0.2 %.
    axes.set(xscale="log", yscale="log")
    axes.yaxis.set_inverted(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 * (1 - error):.6g}")
    axes.margins(x=0.12, y=0.18)
    axes.grid(alpha=0.3)
    for one in series.values():
        _name(axes, sorted((cost(dot) or 0, _error(dot), dot.label) for dot in one.dots if dot.label and cost(dot)))


def _name(axes: Axes, named: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of dots, (cost, error, name), each a line above the one before where they are long."""
    long = [place for place in named if len(place[2]) > SHORT_LABEL]
    for cost, error, name in named:
        side, apart = "left", (5.0, -9.0)
        if (cost, error, name) in long:
            side = "right" if axes.transLimits.transform(axes.transScale.transform((cost, error)))[0] > HALF else "left"
            apart = (0.0, 5.0 + LINE_POINTS * long.index((cost, error, name)))
        axes.annotate(name, (cost, error), xytext=apart, textcoords="offset points", ha=side, fontsize=8, color="0.25")


def _error(dot: Dot) -> float:
    return max(LEAST_ERROR, 1 - dot.accuracy)


def search_png(result: SearchResult) -> bytes:
    """Return a PNG of what a search tried, in grey, and of the best networks."""
    rows = [row for row in result.rows if row.passed] or result.rows
    accuracies = [row.accuracy for row in rows]
    smallest = undominated([row.bytes for row in rows], accuracies)
    fastest = undominated([row.p50_us for row in rows], accuracies)
    best = [
        Dot(
            bytes=row.bytes,
            p50_us=row.p50_us,
            accuracy=row.accuracy,
            label=row.network,
            smallest=is_smallest,
            fastest=is_fastest,
        )
        for row, is_smallest, is_fastest in zip(rows, smallest, fastest, strict=True)
    ]
    tried = [Dot(bytes=one.bytes, p50_us=one.p50_us, accuracy=one.accuracy) for one in result.trials]
    series = {
        "tried, on the selection images": Series(dots=tried, color="0.75", joined=False),
        "best, on the test images": Series(dots=best, color="tab:blue"),
    }
    title = f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test images"
    return trade_off_png(title, series, of_bytes="weights")
