"""One network of a frontier: trained, exported, verified and measured, each step only where it is not done yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgemnist.bench.record import read_bench, save_bench
from edgemnist.bench.run import bench
from edgemnist.data.interface import Dataset
from edgemnist.errors import ManifestError
from edgemnist.export.config import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.frontier.config import QUANTIZATIONS, FrontierConfig
from edgemnist.manifest import Artifact, read_manifest
from edgemnist.progress import Reporter
from edgemnist.results import BenchResult, TrainResult, VerifyResult, read_result
from edgemnist.train.model import parameters_of
from edgemnist.train.plan import plan_for
from edgemnist.train.record import TRAINING_FILE
from edgemnist.train.run import can_resume, train
from edgemnist.verify.run import read_verification, save_verification, verify

if TYPE_CHECKING:
    from edgemnist.train.teachers import Teachers

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
    if _artifacts(directory, trained) is None:
        exported = ExportConfig.of(format=FORMAT, quantizations=QUANTIZATIONS)
        export_model(exported, dataset, directory, reporter)
    hashes = {artifact.sha256 for artifact in _artifacts(directory, trained) or ()}
    verified = read_verification(directory)
    if verified is None or not hashes <= {parity.sha256 for parity in verified.artifacts}:
        verified = verify(directory, NAMES, reporter=reporter)
        save_verification(directory, verified, reporter)
    benched = read_bench(directory)
    if benched is None or not hashes <= {latency.sha256 for latency in benched.results}:
        benched = bench(directory, NAMES, config.bench, reporter)
        save_bench(directory, benched, reporter)
    return Network(directory=directory, trained=trained, verified=verified, benched=benched)


def _finished_training(
    dataset: Dataset, config: FrontierConfig, hidden: tuple[int, ...], directory: Path
) -> TrainResult | None:
    """Return the record of the training, where the one that was asked for is done."""
    try:
        trained = read_result(TrainResult, (directory / TRAINING_FILE).read_bytes())
        model = read_manifest(directory).model
    except (OSError, msgspec.MsgspecError, ManifestError):
        return None
    parameters = parameters_of(hidden, len(dataset.labels))
    plan = plan_for(config.training(hidden), images=len(dataset.train), parameters=parameters)
    asked = (config.recipe, plan.recipe_version, list(hidden), config.seed, dataset.identity.sha256)
    found = (trained.recipe, trained.recipe_version, trained.hidden, trained.seed, trained.data.sha256)
    done = not trained.interrupted and (config.epochs is None or config.epochs == trained.epochs)
    return trained if done and found == asked and model is not None and model.sha256 == trained.sha256 else None


def _artifacts(directory: Path, trained: TrainResult) -> list[Artifact] | None:
    """Return the artifacts of the trained model, or None where one of them is missing."""
    recorded = {artifact.name: artifact for artifact in read_manifest(directory).artifacts}
    found = [recorded[name] for name in NAMES if name in recorded and (directory / recorded[name].file).exists()]
    fresh = [artifact for artifact in found if artifact.model_sha256 == trained.sha256]
    return fresh if len(fresh) == len(NAMES) else None
