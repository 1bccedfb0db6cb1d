"""Every artifact in its runtime against the Keras model, over every evaluation image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgemnist.answers import read_answers_of
from edgemnist.arrays import Probabilities
from edgemnist.errors import ArtifactError, UsageError
from edgemnist.golden import Golden, open_golden
from edgemnist.manifest import Artifact, Manifest, present_model, read_manifest, read_recorded
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import ArtifactLayers, ArtifactParity, VerifyResult
from edgemnist.runtimes import RUNTIMES, load, runtime_for
from edgemnist.selection import select_artifacts, select_for_runtime
from edgemnist.verify.answers import ask, no_answers
from edgemnist.verify.gate import Gate, LimitOverrides
from edgemnist.verify.gatefile import GateTable
from edgemnist.verify.identity import mistaken
from edgemnist.verify.judge import judge
from edgemnist.verify.layers import FLOAT_TWIN, compare_layers
from edgemnist.verify.record import read_verification, save_verification, verified_names
from edgemnist.verify.statistics import load_statistics
from edgemnist.verify.vote import INTEGER, Ballot, count_votes, integer_answers

__all__ = ["read_verification", "save_verification", "verified_names", "verify"]


def verify(
    exports: Path,
    names: Sequence[str] | None = None,
    limits: LimitOverrides | None = None,
    reporter: Reporter = SILENT,
    *,
    gates: GateTable | None = None,
    runtime: str | None = None,
    layers: bool = False,
) -> VerifyResult:
    """Hold artifacts against the golden pack of an export directory: those named, or all that can be run here.

    `gates` take the place of the built-in limits, and `limits` of both. `runtime` executes the artifacts instead of the
    one that each is made for. `layers` also compares each TFLite file with its float32 twin, layer by layer. A gate
    that is missed raises nothing: the result says so, with the reasons.

    Raises UnknownNameError for a name that is not recorded, ManifestError and ArtifactError where a file is missing,
    damaged or not the recorded one, UsageError where `runtime` cannot execute what was named, and
    MissingDependencyError where no runtime is installed for what was asked.
    """
    manifest = read_manifest(exports)
    artifacts = (
        select_artifacts(exports, manifest, names, reporter)
        if runtime is None
        else select_for_runtime(manifest, runtime, names, reporter)
    )
    table, overrides = gates or GateTable(), limits or LimitOverrides()
    limited = [overrides.apply(table.of(artifact.name, artifact.quantization)) for artifact in artifacts]
    for artifact in artifacts:
        read_recorded(exports, artifact)
        # Imported before the clock starts: what takes time below is the work.
        RUNTIMES[runtime or runtime_for(exports / artifact.file)].load()
    load_statistics()
    with open_golden(exports, manifest) as golden:
        if len(golden.labels) == 0:
            raise ArtifactError(
                f"The golden pack of {exports} has no images", hint="Write it anew with: edgemnist export"
            )
        model = present_model(exports, manifest)
        started = time.perf_counter()
        found: list[ArtifactParity] = []
        ballots: list[Ballot] = []
        for artifact, gate in zip(artifacts, limited, strict=True):
            parity, cast = _verify_one(
                exports, manifest, golden, artifact, gate=gate, model=model, runtime=runtime, reporter=reporter
            )
            found.append(parity)
            ballots += cast
        return VerifyResult(
            passed=all(parity.passed for parity in found),
            images=len(golden.labels),
            reference_accuracy=golden.accuracy(),
            data=golden.data,
            model_sha256=golden.model_sha256,
            artifacts=found,
            vote=count_votes(ballots),
            layers=_compare_layers(exports, manifest, artifacts, golden, reporter) if layers else [],
            seconds=time.perf_counter() - started,
        )


def _verify_one(
    exports: Path,
    manifest: Manifest,
    golden: Golden,
    artifact: Artifact,
    *,
    gate: Gate,
    model: str | None,
    runtime: str | None,
    reporter: Reporter,
) -> tuple[ArtifactParity, list[Ballot]]:
    """Return what is said about an artifact, and the votes for int8 that come with it."""
    path = exports / artifact.file
    runtime = runtime or runtime_for(path)
    classifier = load(path, runtime=runtime)
    count, classes = golden.probabilities.shape
    integer: Probabilities | None = None
    if len(classifier.classes_) == classes:
        with reporter.task(f"Verifying {artifact.name}", total=count) as task:
            answers = ask(classifier, golden, task)
        if artifact.quantization == "int8" and runtime != INTEGER:
            integer = integer_answers(path, golden, reporter)
    else:
        answers = no_answers(count, classes)
    parity = judge(
        golden,
        answers,
        name=artifact.name,
        format=artifact.format,
        quantization=artifact.quantization,
        runtime=runtime,
        sha256=artifact.sha256,
        gate=gate,
        mistakes=mistaken(manifest, artifact, classifier, golden, model),
        integer=integer,
        exported=read_answers_of(artifact, exports, manifest),
        output_scale=artifact.output.scale,
    )
    if artifact.quantization != "int8":
        return parity, []
    ballots = [Ballot(artifact=artifact.name, runtime=runtime, labels=answers.single.argmax(axis=1))]
    # A runtime that promises the reference's bits would vote twice.
    if integer is not None and not RUNTIMES[runtime].exact:
        ballots.append(Ballot(artifact=artifact.name, runtime=INTEGER, labels=integer.argmax(axis=1)))
    return parity, ballots


def _compare_layers(
    exports: Path, manifest: Manifest, artifacts: Sequence[Artifact], golden: Golden, reporter: Reporter
) -> list[ArtifactLayers]:
    recorded = {artifact.name: artifact for artifact in manifest.artifacts}
    if FLOAT_TWIN not in recorded:
        raise UsageError(
            f"--layers compares with {FLOAT_TWIN}, which {exports} does not have",
            hint="Make it with: edgemnist export --format tflite --quantize float32",
        )
    twin = recorded[FLOAT_TWIN]
    read_recorded(exports, twin)
    comparable = [artifact for artifact in artifacts if artifact.format == twin.format and artifact.name != twin.name]
    if not comparable:
        reporter.notice(f"--layers has nothing to compare: it looks into TFLite files other than {FLOAT_TWIN}.")
    return [
        msgspec.structs.replace(
            compare_layers(artifact.name, exports / artifact.file, exports / twin.file, golden, reporter),
            sha256=artifact.sha256,
            reference_sha256=twin.sha256,
        )
        for artifact in comparable
    ]
