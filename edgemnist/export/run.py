"""`edgemnist export`: from a Keras model to artifacts, a golden pack and the manifest that records them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edgemnist.arrays import Labels
from edgemnist.data.dataset import Dataset, stratified_indices
from edgemnist.errors import ArtifactError, EdgemnistError, ModelError, temporary_files_failed
from edgemnist.export.interface import FLIPS, ArtifactSpec, ExportConfig, Exported, Exporter
from edgemnist.export.model import KerasSource, Origin, check_executable, find_input_range, find_origin
from edgemnist.export.tflite import trained_quantization
from edgemnist.exports.golden import ANSWERS_FILE, GoldenPack, answers_of_export
from edgemnist.exports.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Artifact,
    Calibration,
    GoldenRecord,
    Manifest,
    ModelRecord,
    kept_model,
    record_of,
)
from edgemnist.exports.questions import chance_question, check_unseen
from edgemnist.formats import FORMATS, UNIT, arithmetic_of, artifact_names
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.pipeline import ExportedArtifact, ExportResult, RefusedArtifact
from edgemnist.storage import check_writable, commit_files, sha256

CALIBRATION: Final = 500
"""Training images for the activation ranges, by default."""
CALIBRATION_SEED: Final = 0
GOLDEN_SEED: Final = 0
CALIBRATED: Final = "int8"
"""The quantization whose activation ranges are taken from images."""


def export_model(config: ExportConfig, dataset: Dataset, exports: Path, reporter: Reporter = SILENT) -> ExportResult:
    """Make the artifacts that are asked for and the golden pack, and record them in `exports`, all files or none.

    Artifacts that are not asked for stay as they are; their records say which model they were made from.

    If none is named, every artifact that can be made is made; the result lists the others with the reason.

    Raises ModelError if the model is missing, damaged, does not fit the data set or cannot be expressed; ArtifactError
    if an artifact is not what was asked for; DataError if there are fewer training images than the calibration needs,
    or if the model was trained on the evaluation images; ManifestError if a newer edgemnist wrote the manifest;
    StorageError if `exports` cannot be written; and MissingDependencyError. In each case the files in `exports` stay as
    they were.
    """
    classes = {target.format: FORMATS[target.format].load() for target in config.specs}
    origin = find_origin(config.model, dataset, exports, reporter)
    if origin.trained_on is not None and origin.manifest is not None:
        check_unseen(exports, origin.manifest, dataset.test.images)
    source = _with_input_range(origin.source, config, dataset, reporter)
    origin = dataclasses.replace(origin, source=source)
    config = dataclasses.replace(config, specs=_trained_for(config, source))
    config = dataclasses.replace(config, calibration=config.calibration or min(CALIBRATION, len(dataset.train)))
    check_writable(exports, 2 * len(source.data))

    indices = _calibration_images(config, classes, source, dataset, reporter)
    exporters = {
        name: exporter(source, dataset.labels, dataset.train.images[indices[name]])
        for name, exporter in classes.items()
    }
    exported, refused, golden = _convert(config, exporters, source, dataset, reporter)
    for doubted in chance_question(
        golden.accuracy(), len(golden.class_labels), len(golden.labels), input_range=source.input_range
    ):
        reporter.notice(doubted)

    packed = golden.encode()
    manifest = _manifest(origin, dataset, golden, packed).with_artifacts(
        [
            _record(target, made, source, _calibration(target, indices[target.format], dataset, config))
            for target, made in exported.items()
        ]
    )
    made = {target.file: one.data for target, one in exported.items()}
    try:
        answers = answers_of_export(exports, origin.manifest, manifest, made, golden.images)
    except OSError as error:
        raise temporary_files_failed(error) from error
    manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, answers))
    commit_files(
        exports,
        {
            **kept_model(exports, source.data),
            MODEL_FILE: source.data,
            **made,
            **{name: data for one in exported.values() for name, data in one.companions.items()},
            GOLDEN_FILE: packed,
            ANSWERS_FILE: answers,
            MANIFEST_FILE: _in_order(manifest).encode(),
        },
    )
    return _result(exports, source, golden, exported, refused)


def _trained_for(config: ExportConfig, source: KerasSource) -> tuple[ArtifactSpec, ...]:
    """Return the artifacts to make: of a format without a quantization, the one that the network was trained for."""
    if config.quantized or not any(FORMATS[target.format].trained for target in config.specs):
        return config.specs
    found = trained_quantization(source.model)
    return tuple(
        target._replace(quantization=found) if found in FORMATS[target.format].trained and found else target
        for target in config.specs
    )


def _convert(
    config: ExportConfig, exporters: Mapping[str, Exporter], source: KerasSource, dataset: Dataset, reporter: Reporter
) -> tuple[dict[ArtifactSpec, Exported], dict[ArtifactSpec, EdgemnistError], GoldenPack]:
    exported: dict[ArtifactSpec, Exported] = {}
    refused: dict[ArtifactSpec, EdgemnistError] = {}
    with reporter.task("Exporting", total=len(config.specs) + 1) as task:
        for target in config.specs:
            task.update(len(exported) + len(refused), target.name)
            try:
                exported[target] = exporters[target.format].export(target.quantization)
            except (ModelError, ArtifactError) as error:
                if config.by_name:
                    raise
                refused[target] = error
        if not exported:
            raise next(iter(refused.values()))
        task.update(len(config.specs), "golden pack")
        golden = _golden(source, dataset, config.golden)
        task.update(len(config.specs) + 1)
    return exported, refused, golden


def _with_input_range(source: KerasSource, config: ExportConfig, dataset: Dataset, reporter: Reporter) -> KerasSource:
    """Return the source with the range that was named or found; a notice names a found one other than 0..1."""
    named = config.input_range
    found = named or find_input_range(source, dataset.train.images, dataset.train.labels)
    if named is None and found != UNIT:
        reporter.notice(
            f"{source.path} takes pixels in {found}, and gets them in that range. "
            "To set another range, use --input-range."
        )
    source = dataclasses.replace(source, input_range=found)
    check_executable(source, dataset.train.images[:1])
    return source


def _golden(source: KerasSource, dataset: Dataset, count: int | None) -> GoldenPack:
    """Return the golden pack of `count` evaluation images, evenly of each class, or of all of them."""
    images, labels = dataset.test.images, dataset.test.labels
    if count is not None:
        chosen = stratified_indices(labels, count, GOLDEN_SEED)
        images, labels = images[chosen], labels[chosen]
    return GoldenPack(
        images=images,
        labels=labels,
        probabilities=source.answers(images),
        class_labels=dataset.labels,
        data=dataset.identity,
        model_sha256=source.sha256,
    )


def _manifest(origin: Origin, dataset: Dataset, golden: GoldenPack, packed: bytes) -> Manifest:
    """Return the manifest with the model, the golden pack and the earlier artifacts."""
    source, before = origin.source, origin.manifest or Manifest(labels=[])
    return msgspec.structs.replace(
        before,
        labels=list(dataset.labels),
        data=origin.trained_on or dataset.identity,
        training_images=before.training_images if origin.trained_on is not None else None,
        model=ModelRecord(
            file=MODEL_FILE,
            bytes=len(source.data),
            sha256=source.sha256,
            parameters=source.parameters,
            input_range=_recorded_range(source),
        ),
        golden=GoldenRecord(
            file=GOLDEN_FILE,
            bytes=len(packed),
            sha256=sha256(packed),
            images=len(golden.images),
            model_sha256=source.sha256,
        ),
    )


def _record(target: ArtifactSpec, made: Exported, source: KerasSource, calibration: Calibration | None) -> Artifact:
    return Artifact(
        file=target.file,
        bytes=len(made.data),
        sha256=sha256(made.data),
        name=target.name,
        **target._asdict(),
        input=made.input,
        output=made.output,
        calibration=calibration,
        input_range=_recorded_range(source),
        footprint=made.footprint,
        model_sha256=source.sha256,
        versions=_versions(target.format),
    )


def _recorded_range(source: KerasSource) -> str | None:
    return None if source.input_range == UNIT else source.input_range


def _calibration_images(
    config: ExportConfig,
    classes: Mapping[str, type[Exporter]],
    source: KerasSource,
    dataset: Dataset,
    reporter: Reporter,
) -> dict[str, Labels]:
    """Return the indices of the training images from which each format takes its activation ranges."""
    drawn = stratified_indices(dataset.train.labels, config.calibration or CALIBRATION, CALIBRATION_SEED)
    chosen = dict.fromkeys(classes, drawn)
    if config.ranges == FLIPS:
        from edgemnist.export.ranges import fewest_flips

        calibrated = [
            target for target in config.specs if arithmetic_of(target.format, target.quantization) == CALIBRATED
        ]
        with reporter.task("Choosing activation ranges", total=len(calibrated)) as task:
            for done, target in enumerate(calibrated, start=1):
                exporter = partial(classes[target.format], source, dataset.labels)
                chosen[target.format] = fewest_flips(target, exporter, source, dataset.train.images, drawn)
                task.update(done, f"{target.name}: {len(chosen[target.format])} of {len(drawn)} images")
    return chosen


def _calibration(target: ArtifactSpec, indices: Labels, dataset: Dataset, config: ExportConfig) -> Calibration | None:
    if arithmetic_of(target.format, target.quantization) != CALIBRATED:
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


def _result(
    exports: Path,
    source: KerasSource,
    golden: GoldenPack,
    exported: Mapping[ArtifactSpec, Exported],
    refused: Mapping[ArtifactSpec, EdgemnistError],
) -> ExportResult:
    return ExportResult(
        model=str(exports / MODEL_FILE),
        model_sha256=source.sha256,
        golden=str(exports / GOLDEN_FILE),
        golden_images=len(golden.images),
        artifacts=[
            ExportedArtifact(
                name=target.name,
                **target._asdict(),
                file=str(exports / target.file),
                bytes=len(made.data),
                sha256=sha256(made.data),
                flash_bytes=made.footprint.flash_bytes if made.footprint else None,
                ram_bytes=made.footprint.ram_bytes if made.footprint else None,
            )
            for target, made in exported.items()
        ],
        refused=[
            RefusedArtifact(name=target.name, **target._asdict(), reason=error.message)
            for target, error in refused.items()
        ],
        input_range=source.input_range,
    )
