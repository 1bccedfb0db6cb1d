"""Which model an export starts from, and whether it fits the data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgemnist.data.interface import Dataset
from edgemnist.errors import ArtifactError, ManifestError, ModelError
from edgemnist.export.source import Source, decode_source, read_source
from edgemnist.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    NewerManifestError,
    read_manifest,
    read_recorded,
)
from edgemnist.progress import Reporter
from edgemnist.results import DataIdentity


@dataclass(frozen=True, eq=False)
class Origin:
    """What an export starts from."""

    source: Source
    manifest: Manifest | None
    """What the directory records so far."""
    trained_on: DataIdentity | None
    """The data set that the model was trained on, where that is recorded."""


def find_origin(model: Path | None, dataset: Dataset, exports: Path, reporter: Reporter) -> Origin:
    """Read the model to export: a file that was named, or the one of the export directory, hash checked.

    Raises ModelError where it is missing, damaged, or does not fit the data set, and ManifestError where a newer
    edgemnist wrote the manifest.
    """
    manifest = _manifest(exports, reporter)
    source = read_source(model) if model is not None else _own_source(exports, manifest)
    if source.classes != len(dataset.labels):
        raise ModelError(
            f"{source.path} tells {source.classes} classes apart, and the data set has {len(dataset.labels)}",
            hint="Name the data set that it was trained on with --data DIR.",
        )
    if manifest is None or manifest.model is None or manifest.model.sha256 != source.sha256:
        return Origin(source, manifest, trained_on=None)
    _check_labels(source, manifest, dataset)
    if manifest.data is not None and manifest.data.sha256 != dataset.identity.sha256:
        reporter.notice(
            f"The model was trained on {manifest.data.source}, and is exported with images of {dataset.identity.source}"
        )
    return Origin(source, manifest, trained_on=manifest.data)


def _manifest(exports: Path, reporter: Reporter) -> Manifest | None:
    """Return what the directory records, or None where it records nothing that can be used."""
    try:
        return read_manifest(exports)
    except NewerManifestError:
        raise
    except ManifestError as error:
        if (exports / MANIFEST_FILE).exists():
            reporter.notice(f"{error.message}; it is written anew, with what is exported now")
        return None


def _own_source(exports: Path, manifest: Manifest | None) -> Source:
    path = exports / MODEL_FILE
    if not path.exists():
        raise ModelError(
            f"{exports} holds no {MODEL_FILE}", hint="Make one with: edgemnist train, or name another with --model FILE"
        )
    if manifest is None or manifest.model is None:
        return read_source(path)
    try:
        data = read_recorded(exports, manifest.model)
    except ArtifactError as error:
        raise ModelError(
            error.message, hint=f"Train it anew with: edgemnist train, or take it as it is with: --model {path}"
        ) from error
    return decode_source(data, path)


def _check_labels(source: Source, manifest: Manifest, dataset: Dataset) -> None:
    for index, (trained, given) in enumerate(zip(manifest.labels, dataset.labels, strict=False)):
        if trained != given:
            raise ModelError(
                f"{source.path} was trained for other classes than the data set has: class {index} is {trained!r} "
                f"there and {given!r} here",
                hint="Name the data set that it was trained on with --data DIR.",
            )
