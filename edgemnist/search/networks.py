"""One network from training to measurement, in an export directory of its own, and which networks are worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench
from edgemnist.data.dataset import Dataset
from edgemnist.errors import ManifestError, StorageError
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.directory import Exports
from edgemnist.exports.findings import TRAINING_FILE
from edgemnist.exports.manifest import read_manifest
from edgemnist.progress import Reporter
from edgemnist.results import UNREADABLE, read_result
from edgemnist.results.bench import BenchResult
from edgemnist.results.pipeline import TrainResult
from edgemnist.results.verify import VerifyResult
from edgemnist.train.recipes import TrainConfig, plan_for
from edgemnist.train.run import can_resume, train
from edgemnist.verify.run import verify

if TYPE_CHECKING:
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
