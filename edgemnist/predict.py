"""Pictures in, digits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.bench.recommend import recommend
from edgemnist.bench.run import read_bench
from edgemnist.errors import ArtifactError, MissingDependencyError, UsageError
from edgemnist.exports import is_model_file
from edgemnist.golden import read_golden
from edgemnist.labels import as_digit
from edgemnist.manifest import Manifest, check_recorded, present_model, read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import Prediction, PredictResult
from edgemnist.runtimes import RUNTIMES, load, runtime_for
from edgemnist.runtimes.interface import Classifier
from edgemnist.selection import select_for_runtime
from edgemnist.verify.identity import outdated_notice
from edgemnist.verify.run import read_verification, verified_names


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """One image on its way to the model."""

    source: str
    image: Images
    """uint8 [28, 28], white digit on black: what the model is given."""
    inverted: bool = False
    label: int | None = None
    """The true class, where it is known."""


def predict_sources(
    exports: Path,
    pictures: Sequence[Path],
    indices: Sequence[int],
    *,
    artifact: str | None = None,
    runtime: str | None = None,
    threads: int = 1,
    show: bool = False,
    reporter: Reporter = SILENT,
) -> PredictResult:
    """Answer for picture files and for evaluation images of the golden pack, in that order.

    `artifact` is a name of the export directory or a model file; by default the fastest verified one is taken.
    `runtime` executes it instead of the one that it is made for. With `show`, each prediction carries the image that
    the model was given.

    Raises ImageError for a picture that cannot be read, UsageError where there is nothing to answer for, ArtifactError
    and ManifestError where the artifact cannot be used.
    """
    if not pictures and not indices:
        raise UsageError("There is nothing to predict", hint="Name a picture, or an evaluation image with --index N.")
    name, path, labels = resolve_artifact(exports, artifact, runtime, reporter)
    sourced = [_open_picture(picture) for picture in pictures] + _golden_images(exports, indices)
    classifier = load(path, runtime=runtime, threads=threads, labels=labels)
    return PredictResult(
        artifact=name,
        runtime=runtime or runtime_for(path),
        labels=list(classifier.labels),
        predictions=answer(classifier, sourced, show=show),
    )


def answer(classifier: Classifier, sourced: Sequence[Sourced], *, show: bool = False) -> list[Prediction]:
    """Return one prediction for each image; with `show`, the image is part of it."""
    probabilities = classifier.predict_proba(np.stack([one.image for one in sourced]))
    return tell(classifier, sourced, probabilities, show=show)


def tell(
    classifier: Classifier, sourced: Sequence[Sourced], probabilities: Probabilities, *, show: bool = False
) -> list[Prediction]:
    """Return what a classifier's probabilities, float32 [N, C], say about each image."""
    return [
        Prediction(
            source=one.source,
            digit=as_digit(classifier.labels[int(row.argmax())]),
            confidence=float(row.max()),
            probabilities=[float(value) for value in row],
            inverted=one.inverted,
            label=None if one.label is None else as_digit(classifier.labels[one.label]),
            image=one.image.tolist() if show else None,
        )
        for one, row in zip(sourced, probabilities, strict=True)
    ]


def choose_artifact(exports: Path, manifest: Manifest) -> tuple[str, str]:
    """Return the artifact to answer with where none was named, and a notice for the user (may be empty).

    It is the fastest of those that passed `verify`, as far as they were measured; only those whose runtime is
    installed count. Raises ArtifactError where the directory has no artifact, and MissingDependencyError where no
    runtime for one is installed.
    """
    if not manifest.artifacts:
        raise ArtifactError(f"{exports} has no artifacts", hint="Make some with: edgemnist export")
    entries = {one.name: RUNTIMES[runtime_for(Path(one.file))] for one in manifest.artifacts}
    usable = [name for name, entry in entries.items() if not entry.missing()]
    if not usable:
        entry = next(iter(entries.values()))
        raise MissingDependencyError(entry.summary, entry.missing(), entry.install_line())
    verified = [name for name in verified_names(exports, manifest) if name in usable]
    if not verified:
        return usable[0], f"No artifact in {exports} has passed `edgemnist verify`, so {usable[0]} is used unverified."
    parity, latency = read_verification(exports), read_bench(exports)
    if parity is not None and latency is not None:
        parity = msgspec.structs.replace(parity, artifacts=[one for one in parity.artifacts if one.name in verified])
        fastest, _ = recommend(parity, latency)
        if fastest is not None:
            return fastest, ""
    return verified[0], ""


def resolve_artifact(
    exports: Path, artifact: str | None, runtime: str | None = None, reporter: Reporter = SILENT
) -> tuple[str, Path, list[str] | None]:
    """Return name, model file and labels (None: those of the file) of the artifact to answer with.

    `artifact` is a name of the export directory, whose hash is checked, or a model file; None chooses one that
    `runtime` executes.

    Raises ArtifactError and ManifestError where it cannot be used, and MissingDependencyError as `choose_artifact`.
    """
    if artifact is not None and is_model_file(artifact):
        return Path(artifact).stem, Path(artifact), None
    manifest = read_manifest(exports)
    if runtime is not None:
        named = [artifact] if artifact is not None else None
        artifact = select_for_runtime(manifest, runtime, named)[0].name
    if artifact is None:
        artifact, notice = choose_artifact(exports, manifest)
        if notice:
            reporter.notice(notice)
    record = manifest.artifact(artifact)
    check_recorded(exports, record)
    if notice := outdated_notice(exports, record, present_model(exports, manifest)):
        reporter.notice(notice)
    return record.name, exports / record.file, manifest.labels


def _open_picture(path: Path) -> Sourced:
    # Here, since Pillow takes a while to import, and evaluation images do without.
    from edgemnist.images import read_digit

    normalized = read_digit(path)
    return Sourced(source=str(path), image=normalized.image, inverted=normalized.inverted)


def _golden_images(exports: Path, indices: Sequence[int]) -> list[Sourced]:
    if not indices:
        return []
    golden = read_golden(exports, read_manifest(exports))
    count = len(golden.labels)
    for index in indices:
        if not 0 <= index < count:
            raise UsageError(
                f"--index {index} is not an evaluation image of {exports}",
                hint=f"They are numbered 0 to {count - 1:,}.",
            )
    return [
        Sourced(source=f"evaluation image {index}", image=golden.images[index], label=int(golden.labels[index]))
        for index in indices
    ]
