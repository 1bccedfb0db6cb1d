"""Every model compared with the Keras model, on every evaluation image."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError, UsageError
from edgemnist.exports import Exports
from edgemnist.exports.golden import Golden
from edgemnist.exports.manifest import Artifact, check_recorded
from edgemnist.exports.models import Model
from edgemnist.exports.questions import golden_questions
from edgemnist.formats import arithmetic_of
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.verify import ArtifactLayers, ArtifactParity, ModelRounding, Unusable, VerifyResult
from edgemnist.runtimes import RUNTIMES
from edgemnist.runtimes.interface import Classifier
from edgemnist.storage import write_file
from edgemnist.verify.gate import Gate, LimitOverrides, missed, misses_integers
from edgemnist.verify.gatefile import GateTable, held_limits, own_gates
from edgemnist.verify.layers import FLOAT_TWIN, compare_layers
from edgemnist.verify.parity import Answers, ask, compare, list_flips, no_answers
from edgemnist.verify.statistics import expected_calibration_error, load_statistics, mcnemar_p, wilson_interval
from edgemnist.verify.vote import (
    INTEGER,
    Ballot,
    check_integer,
    count_votes,
    explaining_rescaling,
    find_rounding,
    integer_answers,
    missed_replay,
    replay,
)
from edgemnist.verify.written import flips_png

REFUSED: Final = "refused"
"""Status of a model that its runtime refuses, or dies of."""


def verify(
    exports: Exports,
    names: Sequence[str] | None = None,
    limits: LimitOverrides | None = None,
    reporter: Reporter = SILENT,
    *,
    gates: GateTable | None = None,
    layers: bool = False,
    rounding: bool = False,
) -> VerifyResult:
    """Hold models against the golden pack of an export directory: those named, or all that can be run here.

    `gates` take the place of the built-in limits, and `limits` of both. `layers` also compares each TFLite file with
    its float32 twin, layer by layer, and `rounding` finds the rounding rule of each int8 model. A gate that is missed
    raises nothing: the result says so, with the reasons. Where nothing is named, a damaged or missing artifact is a
    missed gate, too, and so is one that its runtime refuses.

    Raises what `Exports.select`, `Exports.open_golden` and, for what is named, `Model.load` raise, and UsageError where
    `layers` has no float32 twin.
    """
    models = exports.select(names, reporter)
    table, overrides = gates or GateTable(), limits or LimitOverrides()
    limited = [overrides.apply(table.of(model.artifact, _arithmetic(model))) for model in models]
    for model in models:
        # Imported before the clock starts: what takes time below is the work.
        model.entry.load()
    load_statistics()
    broken = [] if names else [one for one in exports.artifacts if not one.usable]
    unusable = [Unusable(name=one.name, status=one.status, reason=one.reason) for one in broken]
    with exports.open_golden() as golden:
        if len(golden.labels) == 0:
            raise ArtifactError(
                f"The golden pack of {exports.directory} has no images",
                hint=f"Write it again with: {exports.command('export')}",
            )
        started = time.perf_counter()
        found: list[ArtifactParity] = []
        ballots: list[Ballot] = []
        roundings: list[ModelRounding] = []
        for model, gate in zip(models, limited, strict=True):
            try:
                parity, cast, answers = _verify_one(exports, golden, model, gate, reporter)
            except ArtifactError as error:
                if names:
                    raise
                unusable.append(Unusable(name=model.name, status=REFUSED, reason=error.message))
                continue
            found.append(parity)
            ballots += cast
            if rounding and answers is not None:
                one = find_rounding(model, answers, golden, reporter)
                roundings += [] if one is None else [one]
        return VerifyResult(
            passed=all(parity.passed for parity in found) and not unusable,
            images=len(golden.labels),
            reference_accuracy=golden.accuracy(),
            data=golden.data,
            model_sha256=golden.model_sha256,
            artifacts=found,
            unusable=unusable,
            vote=count_votes(ballots),
            layers=_compare_layers(exports, models, golden, reporter) if layers else [],
            rounding=roundings,
            seconds=time.perf_counter() - started,
            warnings=golden_questions(exports.manifest, golden),
        )


def keep_verdict(exports: Exports, result: VerifyResult, reporter: Reporter = SILENT) -> None:
    """Save a result in its export directory, for the commands that choose by it; the reference keeps none."""
    kept = exports.findings.save_verification(result, reporter)
    if kept and own_gates(result.artifacts):
        reporter.notice(
            "The verdict under your limits is saved, and recommend, report and predict go by it; "
            "to return to the built-in limits: edgemnist verify"
        )


def write_flips(result: VerifyResult, images: Images, sheet: Path) -> VerifyResult:
    """Write a PNG with every flip among `images`, uint8 [N, 28, 28], and return the result with its name.

    Raises StorageError where the file cannot be written.
    """
    write_file(sheet, flips_png(result, images))
    return msgspec.structs.replace(result, flip_sheet=str(sheet))


def _verify_one(
    exports: Exports, golden: Golden, model: Model, gate: Gate, reporter: Reporter
) -> tuple[ArtifactParity, list[Ballot], Probabilities | None]:
    """Return what is said about a model, and, for int8, the votes that come with it and its answers, float32 [N, C]."""
    if model.record is None:
        raise ValueError(f"{model.name} is not recorded")
    classifier = model.load()
    is_int8 = _arithmetic(model) == "int8"
    answers, integer = ask_both(model, classifier, golden, reporter, is_int8=is_int8)
    parity = assess(
        golden,
        answers,
        name=model.name,
        format=model.record.format,
        quantization=model.record.quantization,
        runtime=model.runtime,
        sha256=model.sha256,
        gate=gate,
        mistakes=mismatches(exports, model.record, classifier, golden),
        integer=integer,
        explain=partial(explaining_rescaling, model, golden=golden, reporter=reporter),
        exported=exports.reference_answers(model),
        output_scale=model.record.output.scale,
    )
    if not is_int8 or answers is None:
        return parity, [], None
    ballots = [Ballot(artifact=model.artifact, runtime=model.runtime, labels=answers.single.argmax(axis=1))]
    # A runtime that promises the reference's bits would vote twice.
    if integer is not None and not model.entry.exact:
        ballots.append(Ballot(artifact=model.artifact, runtime=INTEGER, labels=integer.argmax(axis=1)))
    return parity, ballots, answers.single


def ask_both(
    model: Model, classifier: Classifier, golden: Golden, reporter: Reporter, *, is_int8: bool
) -> tuple[Answers | None, Probabilities | None]:
    """Return what a model answers to every image, and, for int8, what the integer reference does, float32 [N, C].

    None for what cannot be compared: answers about other classes, and a file that has no reference or is one.
    """
    count, classes = golden.probabilities.shape
    if len(classifier.classes_) != classes:
        return None, None
    with reporter.task(f"Verifying {model.name}", total=count) as task:
        answers = ask(classifier, golden, task)
    return answers, integer_answers(model, golden, reporter) if is_int8 and model.runtime != INTEGER else None


def _compare_layers(
    exports: Exports, models: Sequence[Model], golden: Golden, reporter: Reporter
) -> list[ArtifactLayers]:
    recorded = {artifact.name: artifact for artifact in exports.manifest.artifacts}
    if FLOAT_TWIN not in recorded:
        raise UsageError(
            f"--layers compares with {FLOAT_TWIN}, which {exports.directory} does not have",
            hint=f"Make it with: {exports.command('export --format tflite --quantize float32')}",
        )
    twin = recorded[FLOAT_TWIN]
    check_recorded(exports.directory, twin)
    chosen = {model.artifact: recorded[model.artifact] for model in models}
    comparable = [one for one in chosen.values() if one.format == twin.format and one.name != twin.name]
    if not comparable:
        reporter.notice(f"--layers has nothing to compare: it examines TFLite files other than {FLOAT_TWIN}.")
    found = []
    for one in comparable:
        path, reference = exports.directory / one.file, exports.directory / twin.file
        layers = compare_layers(one.name, path, reference, golden, reporter, input_range=one.input_range)
        if layers is not None:
            found.append(msgspec.structs.replace(layers, sha256=one.sha256, reference_sha256=twin.sha256))
    return found


def _arithmetic(model: Model) -> str:
    return arithmetic_of(model.record.format, model.record.quantization) if model.record is not None else ""


def mismatches(exports: Exports, artifact: Artifact, classifier: Classifier, golden: Golden) -> list[str]:
    """Return a sentence for each way in which an artifact is not of the golden pack's model, or of the present one.

    `classifier` has been loaded without labels from elsewhere, so that it has those of its own file.
    """
    reasons: list[str] = []
    if artifact.model_sha256 != golden.model_sha256:
        reasons.append(
            f"it was made from another model ({artifact.model_sha256[:12]}…) "
            f"than the golden pack ({golden.model_sha256[:12]}…)"
        )
    elif reason := exports.outdated_reason(artifact):
        reasons.append(reason)
    if len(classifier.classes_) != (expected := golden.probabilities.shape[1]):
        reasons.append(f"it knows {len(classifier.classes_)} classes where the Keras model has {expected}")
    if difference := _difference(exports.manifest.labels, golden.class_labels):
        reasons.append(f"the manifest's labels are not the golden pack's: {difference}")
    # A file without labels of its own leaves the classifier with numbers, which claim nothing.
    numbers = [str(index) for index in classifier.classes_]
    if list(classifier.labels) != numbers and (difference := _difference(classifier.labels, golden.class_labels)):
        reasons.append(f"the labels in its file are not the golden pack's: {difference}")
    return reasons


def _difference(found: list[str] | tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} instead of {len(expected)}"
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one != other:
            return f"class {index} is {one!r} instead of {other!r}"
    return ""


def assess(
    golden: Golden,
    answers: Answers | None,
    *,
    name: str,
    format: str,  # noqa: A002 - named as in the result
    quantization: str,
    runtime: str,
    sha256: str,
    gate: Gate,
    mistakes: list[str] | None = None,
    integer: Probabilities | None = None,
    explain: Callable[[Probabilities], str | None] | None = None,
    exported: Probabilities | None = None,
    output_scale: float | None = None,
) -> ArtifactParity:
    """Hold an artifact's answers against the reference in `golden`; None for one whose classes are others.

    What cannot be compared misses no further gate: the mistake says it all.

    `mistakes` are reasons to fail that were found before, `integer` what the integer reference answers, float32 [N, C],
    and `explain` finds the rounding rule under which it gives the artifact's answers, if it does not under its own.
    `exported` is what the artifact answered on the exporting machine, float32 [N, C], where that is known, and
    `output_scale` the step of a quantized output.
    """
    comparable = answers is not None
    answers = answers or no_answers(*golden.probabilities.shape)
    parity = compare(golden.probabilities, golden.labels, answers.single, answers.batched)
    check = None if integer is None else check_integer(answers.single, integer)
    if check is not None and misses_integers(gate, check) and explain is not None:
        check = msgspec.structs.replace(check, rescaling=explain(answers.single))
    reasons = [*(mistakes or []), *(missed(gate, parity, check) if comparable else [])]
    replayed = None
    if exported is not None and exported.shape == answers.single.shape:
        replayed = replay(answers.single, exported, quantization=quantization, output_scale=output_scale)
        differing = missed_replay(gate, replayed)
        specified = runtime == INTEGER or (check is not None and not misses_integers(gate, check))
        # Both answers are what the specification gives, each under a rounding rule: the other machine rounds otherwise.
        if not (differing and specified and explain is not None and explain(exported) is not None):
            reasons += differing
    if integer is not None and check is not None and check.differing and RUNTIMES[runtime].exact:
        reasons.append(
            f"{check.differing:,} of {integer.size:,} probabilities differ from the integer reference, "
            f"but {runtime} promises every bit of it"
        )
    reference_right = golden.probabilities.argmax(axis=1) == golden.labels
    finite = np.all(np.isfinite(answers.single), axis=1)
    right = finite & (answers.single.argmax(axis=1) == golden.labels)
    return ArtifactParity(
        name=name,
        format=format,
        quantization=quantization,
        runtime=runtime,
        accuracy=parity.accuracy,
        accuracy_drop_points=parity.accuracy_drop_points,
        flips=parity.flips,
        agreement=parity.agreement,
        max_abs_diff=parity.max_abs_diff,
        mean_abs_diff=parity.mean_abs_diff,
        max_batch_diff=parity.max_batch_diff,
        batch_flips=parity.batch_flips,
        ties=parity.ties,
        passed=not reasons,
        reasons=reasons,
        sha256=sha256,
        flipped=list_flips(golden.probabilities, answers.single, golden.labels, golden.class_labels),
        accuracy_interval=wilson_interval(parity.correct, parity.images),
        mcnemar_p=mcnemar_p(int(np.sum(reference_right & ~right)), int(np.sum(right & ~reference_right))),
        ece=expected_calibration_error(answers.single, golden.labels),
        reference_ece=expected_calibration_error(golden.probabilities, golden.labels),
        integer=check,
        replay=replayed,
        gate=held_limits(gate, arithmetic_of(format, quantization), parity.images),
    )
