"""One network: its memory before it is trained, then from training to measurement; and a picture of all of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgemnist.errors import ManifestError, StorageError
from edgemnist.ground.formatting import DISTURBED
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import Reporter
from edgemnist.ground.results import UNREADABLE, read_result
from edgemnist.ground.results.bench import BenchResult
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.findings import TRAINING_FILE
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native.amalgamation import ram_bytes
from edgemnist.model.native.layers import Kind, Layer, Summing
from edgemnist.model.native.network import Network as NativeNetwork
from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.runtimes.windows import cropping, sliding
from edgemnist.pipeline.bench.run import BenchConfig, bench
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.train.network import DENSE, DEPTHWISE, KERNEL, MAXIMUM, MEAN, POINTWISE, Network, Stage
from edgemnist.pipeline.train.recipes import TrainConfig, plan_for
from edgemnist.pipeline.train.run import train
from edgemnist.pipeline.verify.run import verify

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgemnist.ground.results.pipeline import SearchResult, SearchRow
    from edgemnist.pipeline.train.distillation import Teachers


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
    artifact: ArtifactSpec,
    directory: Path,
    *,
    timing: BenchConfig,
    teachers: Teachers,
    reporter: Reporter,
) -> MadeNetwork:
    """Do everything that is not done yet for one network, in a directory of its own.

    The artifact is verified and measured in every runtime that can execute it here. Raises what the stages raise.
    """
    trained = finished_training(dataset, training, directory)
    if trained is None:
        trained = train(dataset, training, directory, reporter, teachers=teachers)
    exported = [
        record
        for record in read_manifest(directory).artifacts
        if record.name == artifact.name and record.model_sha256 == trained.sha256 and (directory / record.file).exists()
    ]
    if not exported:
        export_model(ExportConfig(specs=(artifact,)), dataset, directory, reporter)
    exports = Exports.open(directory)
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


def warnings_of(networks: Sequence[MadeNetwork]) -> list[str]:
    """Return what speaks against the figures, each once: of a network that only guesses, with its name."""
    named = [f"{one.directory.name}: {words}" for one in networks for words in one.verified.warnings]
    of_machine = {words for one in networks for words in one.benched.warnings if words not in one.verified.warnings}
    return [*named, *sorted(of_machine)]


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
HALF: Final = 0.5
"""Half of the width. A name points to the middle: it ends at dots on the right, and begins at the others."""
LINE_POINTS: Final = 10.0
"""Distance from one name to the next above it."""


def search_png(result: SearchResult) -> bytes:
    """Return a PNG of accuracy against bytes and against latency: what a search tried, in grey, and the best."""
    rows = [row for row in result.rows if row.passed] or result.rows
    from matplotlib.figure import Figure

    # The object interface draws without a display, and leaves pyplot's global state alone.
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test inputs")
    by_bytes, by_latency = figure.subplots(1, 2, sharey=True)
    _draw(by_bytes, result, rows, cost=lambda made: made.bytes / 1000, label=lambda row: row.network)
    marked = {row.network: f"{row.network}{DISTURBED if row.tainted else ''}" for row in rows}
    _draw(by_latency, result, rows, cost=lambda made: made.p50_us, label=lambda row: marked[row.network])
    by_bytes.set(xlabel="weights (KB)", ylabel="accuracy (%)")
    disturbed = f"; {DISTURBED} on a disturbed machine" if any(row.tainted for row in rows) else ""
    by_latency.set(xlabel=f"one call, p50 (µs){disturbed}")
    by_bytes.legend(loc="lower right", fontsize=8.5)
    stream = io.BytesIO()
    # Without the version of matplotlib in it.
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()


def _draw(
    axes: Axes,
    result: SearchResult,
    rows: Sequence[SearchRow],
    *,
    cost: Callable[[Any], float | None],
    label: Callable[[SearchRow], str],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    tried = [trial for trial in result.trials if cost(trial) is not None]
    if tried:
        errors = [_error(trial.accuracy) for trial in tried]
        label_of_tried = "tried, on the selection part"
        axes.scatter([cost(trial) or 0 for trial in tried], errors, color="0.75", s=12, label=label_of_tried, zorder=1)
    best = sorted((cost(row) or 0.0, _error(row.accuracy), label(row)) for row in rows)
    costs, errors = [place[0] for place in best], [place[1] for place in best]
    joined = undominated(costs, [-error for error in errors])
    line = [(place[0], place[1]) for place, is_best in zip(best, joined, strict=True) if is_best]
    axes.plot(*zip(*line, strict=True), color="0.6", linewidth=1.2, zorder=2)
    axes.scatter(costs, errors, color="tab:blue", s=28, label="best, on the test part", zorder=3)
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
    for above, (x, y, name) in enumerate(best):
        side = "right" if axes.transLimits.transform(axes.transScale.transform((x, y)))[0] > HALF else "left"
        offset = (0.0, 5.0 + LINE_POINTS * above)
        axes.annotate(name, (x, y), xytext=offset, textcoords="offset points", ha=side, fontsize=8, color="0.25")


def _error(accuracy: float) -> float:
    return max(LEAST_ERROR, 1 - accuracy)


_RANGE: Final[dict[str, Any]] = {"name": "", "zero_point": 0, "low": 0, "high": 255}


def c_ram_bytes(network: Network, classes: int) -> int:
    """Return the bytes of static memory and stack that the C file of a network takes."""
    return ram_bytes(native_network(network, classes))


def native_network(network: Network, classes: int) -> NativeNetwork:
    """Return a network as the engine takes it, with weights of 0."""
    numbers = Numbers(dtype=np.dtype(np.int8), scale=1 / 256, zero_point=-128)
    return NativeNetwork(
        spec=InputSpec(shape=network.image[:2] if network.image[2:] == (1,) else network.image),
        held=numbers,
        pixel_map=None,
        layers=tuple(_layers(network, classes)),
        output=numbers,
        answer=(classes,),
    )


def _layers(network: Network, classes: int) -> Iterator[Layer]:
    rim, each, (height, width, channels) = network.rim, network.averaged, network.places
    inner = (height * each, width * each, channels)
    if rim:
        whole = (inner[0] + 2 * rim, inner[1] + 2 * rim, channels)
        yield Layer(kind=Kind.PICK, window=cropping(whole, top=rim, left=rim, below=rim, beyond=rim), **_RANGE)
    if each > 1:
        yield Layer(kind=Kind.AVERAGE, window=sliding(inner, (each, each), each), **_RANGE)
    for stage in network.stages(classes):
        yield _layer(stage)


def _layer(stage: Stage) -> Layer:
    kind, channels = stage.layer.kind, stage.target.channels
    if kind in {MAXIMUM, MEAN}:
        if kind == MAXIMUM:
            window = sliding(stage.source, (stage.layer.stride, stage.layer.stride), stage.layer.stride)
            return Layer(kind=Kind.MAXIMUM, window=window, **_RANGE)
        return Layer(kind=Kind.AVERAGE, window=sliding(stage.source, stage.source[:2], stage.source.height), **_RANGE)
    if kind == DENSE:
        return Layer(kind=Kind.DENSE, sums=_sums(channels, (channels, stage.source.size)), **_RANGE)
    kernel = 1 if kind == POINTWISE else KERNEL
    window = sliding(stage.source, (kernel, kernel), stage.layer.stride)
    if kind == DEPTHWISE:
        return Layer(kind=Kind.DEPTHWISE, window=window, sums=_sums(channels, (kernel**2, channels)), **_RANGE)
    shape = (channels, kernel**2 * stage.source.channels)
    return Layer(kind=Kind.CONVOLUTION, window=window, sums=_sums(channels, shape), **_RANGE)


def _sums(channels: int, shape: tuple[int, int]) -> Summing:
    return Summing(
        weights=np.zeros(shape, np.int8),
        bias=np.zeros(channels, np.int64),
        multiplier=np.zeros(channels, np.int32),
        shift=np.ones(channels, np.uint8),
    )
