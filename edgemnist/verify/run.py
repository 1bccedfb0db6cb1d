"""Every artifact in its runtime against the Keras model, over every evaluation image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edgemnist.errors import ArtifactError
from edgemnist.golden import GoldenPack, read_golden
from edgemnist.manifest import Artifact, Manifest, read_manifest, read_recorded
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import ArtifactParity, VerifyResult
from edgemnist.runtimes import RUNTIMES, load, runtime_for
from edgemnist.selection import select_artifacts
from edgemnist.verify.answers import ask, no_answers
from edgemnist.verify.gate import Gate, LimitOverrides, gate_for, missed
from edgemnist.verify.identity import mistaken
from edgemnist.verify.parity import compare
from edgemnist.verify.record import read_verification, save_verification, verified_names

__all__ = ["read_verification", "save_verification", "verified_names", "verify"]


def verify(
    exports: Path,
    names: Sequence[str] | None = None,
    limits: LimitOverrides | None = None,
    reporter: Reporter = SILENT,
) -> VerifyResult:
    """Hold artifacts against the golden pack of an export directory: those named, or all that can be run here.

    A gate that is missed raises nothing: the result says so, with the reasons.

    Raises UnknownNameError for a name that is not recorded, ManifestError and ArtifactError where a file is missing,
    damaged or not the recorded one, and MissingDependencyError where no runtime is installed for what was asked.
    """
    manifest = read_manifest(exports)
    artifacts = select_artifacts(exports, manifest, names, reporter)
    pack = read_golden(exports, manifest)
    if len(pack.images) == 0:
        raise ArtifactError(f"The golden pack of {exports} has no images", hint="Write it anew with: edgemnist export")
    gates = [(limits or LimitOverrides()).apply(gate_for(artifact.quantization)) for artifact in artifacts]
    for artifact in artifacts:
        read_recorded(exports, artifact)
        # Imported before the clock starts: what takes time below is the work.
        RUNTIMES[runtime_for(exports / artifact.file)].load()
    started = time.perf_counter()
    found = [
        _verify_one(exports, manifest, pack, artifact, gate=gate, reporter=reporter)
        for artifact, gate in zip(artifacts, gates, strict=True)
    ]
    return VerifyResult(
        passed=all(parity.passed for parity in found),
        images=len(pack.images),
        reference_accuracy=pack.accuracy(),
        data=pack.data,
        model_sha256=pack.model_sha256,
        artifacts=found,
        seconds=time.perf_counter() - started,
    )


def _verify_one(
    exports: Path, manifest: Manifest, pack: GoldenPack, artifact: Artifact, *, gate: Gate, reporter: Reporter
) -> ArtifactParity:
    path = exports / artifact.file
    classifier = load(path)
    count, classes = pack.probabilities.shape
    if len(classifier.classes_) == classes:
        with reporter.task(f"Verifying {artifact.name}", total=count) as task:
            answers = ask(classifier, pack.images, task)
    else:
        answers = no_answers(count, classes)
    parity = compare(pack.probabilities, pack.labels, answers.single, answers.batched)
    reasons = [*mistaken(manifest, artifact, classifier, pack), *missed(gate, parity)]
    return ArtifactParity(
        name=artifact.name,
        format=artifact.format,
        quantization=artifact.quantization,
        runtime=runtime_for(path),
        accuracy=parity.accuracy,
        accuracy_drop_points=parity.accuracy_drop_points,
        flips=parity.flips,
        agreement=parity.agreement,
        max_abs_diff=parity.max_abs_diff,
        mean_abs_diff=parity.mean_abs_diff,
        max_batch_diff=parity.max_batch_diff,
        batch_flips=parity.batch_flips,
        passed=not reasons,
        reasons=reasons,
        sha256=artifact.sha256,
    )
