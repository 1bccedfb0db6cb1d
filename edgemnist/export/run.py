"""`edgemnist export`: from a Keras model to artifacts, a golden pack and the manifest that records them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edgemnist.answers import ANSWERS_FILE, answers_of_export, answers_record
from edgemnist.arrays import Labels
from edgemnist.data.interface import Dataset
from edgemnist.data.sampling import stratified_indices
from edgemnist.export import FORMATS, artifact_names
from edgemnist.export.config import FLIPS, ExportConfig, Target
from edgemnist.export.interface import Exported, Exporter
from edgemnist.export.origin import Origin, find_origin
from edgemnist.export.source import Source
from edgemnist.golden import GoldenPack
from edgemnist.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Artifact,
    Calibration,
    GoldenRecord,
    Manifest,
    ModelRecord,
    sha256,
)
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import ExportedArtifact, ExportResult
from edgemnist.storage import check_writable, commit_files

CALIBRATION_SEED: Final = 0
GOLDEN_SEED: Final = 0
CALIBRATED: Final = "int8"
"""The quantization whose activation ranges are taken from images."""


def export_model(config: ExportConfig, dataset: Dataset, exports: Path, reporter: Reporter = SILENT) -> ExportResult:
    """Make the artifacts that are asked for and the golden pack, and record them in `exports`, all files or none.

    Artifacts that are not asked for stay as they are; their records say which model they were made from.

    Raises ModelError where the model is missing, damaged, does not fit the data set or cannot be expressed,
    ArtifactError where an artifact is not what was asked for, DataError where there are fewer training images than the
    calibration needs, ManifestError where a newer edgemnist wrote the manifest, StorageError where `exports` cannot be
    written, and MissingDependencyError. In each case what was there before is left as it was.
    """
    classes = {target.format: FORMATS[target.format].load() for target in config.targets}
    origin = find_origin(config.model, dataset, exports, reporter)
    source = origin.source
    check_writable(exports, len(source.data))

    indices = _calibration_images(config, classes, source, dataset, reporter)
    exporters = {
        name: exporter(source, dataset.labels, dataset.train.images[indices[name]])
        for name, exporter in classes.items()
    }
    exported, golden = _convert(config, exporters, source, dataset, reporter)

    packed = golden.encode()
    manifest = _manifest(origin, dataset, golden, packed).with_artifacts(
        [
            _record(target, made, source, _calibration(target, indices[target.format], dataset, config))
            for target, made in exported.items()
        ]
    )
    made = {target.file: one.data for target, one in exported.items()}
    answers = answers_of_export(exports, origin.manifest, manifest, made, golden.images)
    manifest = msgspec.structs.replace(manifest, answers=answers_record(answers))
    commit_files(
        exports,
        {
            MODEL_FILE: source.data,
            **made,
            **{name: data for one in exported.values() for name, data in one.companions.items()},
            GOLDEN_FILE: packed,
            ANSWERS_FILE: answers,
            MANIFEST_FILE: _in_order(manifest).encode(),
        },
    )
    return _result(exports, source, golden, exported)


def _convert(
    config: ExportConfig, exporters: Mapping[str, Exporter], source: Source, dataset: Dataset, reporter: Reporter
) -> tuple[dict[Target, Exported], GoldenPack]:
    exported: dict[Target, Exported] = {}
    with reporter.task("Exporting", total=len(config.targets) + 1) as task:
        for target in config.targets:
            task.update(len(exported), target.name)
            exported[target] = exporters[target.format].export(target.quantization)
        task.update(len(exported), "golden pack")
        golden = _golden(source, dataset, config.golden)
        task.update(len(exported) + 1)
    return exported, golden


def _golden(source: Source, dataset: Dataset, count: int | None) -> GoldenPack:
    """Return the golden pack of `count` evaluation images, evenly of each class, or of all of them."""
    from edgemnist.runtimes.keras import KerasClassifier

    images, labels = dataset.test.images, dataset.test.labels
    if count is not None:
        chosen = stratified_indices(labels, count, GOLDEN_SEED)
        images, labels = images[chosen], labels[chosen]
    classifier = KerasClassifier(source.original, source.path, labels=dataset.labels)
    return GoldenPack(
        images=images,
        labels=labels,
        probabilities=classifier.predict_proba(images),
        class_labels=dataset.labels,
        data=dataset.identity,
        model_sha256=source.sha256,
    )


def _manifest(origin: Origin, dataset: Dataset, golden: GoldenPack, packed: bytes) -> Manifest:
    """Return the manifest with the model and the golden pack, and the artifacts of before."""
    source = origin.source
    return msgspec.structs.replace(
        origin.manifest or Manifest(labels=[]),
        labels=list(dataset.labels),
        data=origin.trained_on or dataset.identity,
        model=ModelRecord(file=MODEL_FILE, bytes=len(source.data), sha256=source.sha256, parameters=source.parameters),
        golden=GoldenRecord(
            file=GOLDEN_FILE,
            bytes=len(packed),
            sha256=sha256(packed),
            images=len(golden.images),
            model_sha256=source.sha256,
        ),
    )


def _record(target: Target, made: Exported, source: Source, calibration: Calibration | None) -> Artifact:
    return Artifact(
        file=target.file,
        bytes=len(made.data),
        sha256=sha256(made.data),
        name=target.name,
        format=target.format,
        quantization=target.quantization,
        input=made.input,
        output=made.output,
        calibration=calibration,
        model_sha256=source.sha256,
        versions=_versions(target.format),
    )


def _calibration_images(
    config: ExportConfig,
    classes: Mapping[str, type[Exporter]],
    source: Source,
    dataset: Dataset,
    reporter: Reporter,
) -> dict[str, Labels]:
    """Return the indices of the training images from which each format takes its activation ranges."""
    drawn = stratified_indices(dataset.train.labels, config.calibration, CALIBRATION_SEED)
    chosen = dict.fromkeys(classes, drawn)
    if config.ranges == FLIPS:
        from edgemnist.export.ranges import fewest_flips

        calibrated = [target for target in config.targets if target.quantization == CALIBRATED]
        with reporter.task("Choosing activation ranges", total=len(calibrated)) as task:
            for done, target in enumerate(calibrated, start=1):
                exporter = partial(classes[target.format], source, dataset.labels)
                chosen[target.format] = fewest_flips(target, exporter, source, dataset.train.images, drawn)
                task.update(done, f"{target.name}: {len(chosen[target.format])} of {len(drawn)} images")
    return chosen


def _calibration(target: Target, indices: Labels, dataset: Dataset, config: ExportConfig) -> Calibration | None:
    if target.quantization != CALIBRATED:
        return None
    return Calibration(
        images=len(indices),
        indices_sha256=sha256(indices.astype("<i8").tobytes()),
        data_sha256=dataset.identity.sha256,
        method=config.ranges,
        drawn=config.calibration,
    )


def _versions(format_name: str) -> dict[str, str]:
    """Return the versions of everything that makes artifacts of a format."""
    from edgemnist import __version__

    return {
        "edgemnist": __version__,
        "keras": importlib.metadata.version("keras"),
        **FORMATS[format_name].versions(),
    }


def _in_order(manifest: Manifest) -> Manifest:
    """Return the manifest with its artifacts in the order in which they are listed everywhere."""
    order = {name: place for place, name in enumerate(artifact_names())}
    artifacts = sorted(manifest.artifacts, key=lambda artifact: order.get(artifact.name, len(order)))
    return msgspec.structs.replace(manifest, artifacts=artifacts)


def _result(exports: Path, source: Source, golden: GoldenPack, exported: Mapping[Target, Exported]) -> ExportResult:
    return ExportResult(
        model=str(exports / MODEL_FILE),
        model_sha256=source.sha256,
        golden=str(exports / GOLDEN_FILE),
        golden_images=len(golden.images),
        artifacts=[
            ExportedArtifact(
                name=target.name,
                format=target.format,
                quantization=target.quantization,
                file=str(exports / target.file),
                bytes=len(made.data),
                sha256=sha256(made.data),
            )
            for target, made in exported.items()
        ],
    )
