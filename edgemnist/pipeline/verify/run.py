"""Every model compared with the Keras model, on every evaluation image."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.verdict import MISSED, UNKNOWN, fault, judge
from edgemnist.ground.results.verify import (
    ArtifactParity,
    FlipCause,
    ModelRounding,
    Replay,
    Unusable,
    VerifyResult,
    verdict_on,
)
from edgemnist.model.exports import LIMITS_FILE, Exports
from edgemnist.model.exports.golden import RANDOM_INPUTS, GoldenPack
from edgemnist.model.exports.models import Subject
from edgemnist.model.exports.questions import golden_questions, source_name
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.runtimes.untrusted import try_files
from edgemnist.model.task import default_input
from edgemnist.pipeline.verify import reference
from edgemnist.pipeline.verify.gate import (
    ABS_DIFF,
    BATCH_DIFF,
    BATCH_FLIPS,
    DROP,
    FLIPS,
    GATES,
    VALUE_DIFF,
    Gate,
    GateTable,
    budget,
    gates_of,
    held_limits,
    measurements,
    misses_integers,
)
from edgemnist.pipeline.verify.parity import Answers, ask, compare, list_flips
from edgemnist.pipeline.verify.statistics import expected_calibration_error
from edgemnist.pipeline.verify.why import explain_flips

FLOAT_TWIN: Final = "tflite-float32"
"""The artifact by whose weights `--why` repairs those of the others."""
RENEW: Final = "export"
MOSTLY: Final = 0.5
"""From this share on, ties are the cause of the flips, and not an accident among them."""
REFUSED: Final = "refused"
"""Status of a model that its runtime refuses, or dies of."""


class Examined(NamedTuple):
    """What is found out about one model."""

    parity: ArtifactParity
    rounding: ModelRounding | None = None
    """Only if that was asked for, and its answers tell it."""


def verify(
    exports: Exports,
    names: Sequence[str] | None = None,
    reporter: Reporter = SILENT,
    *,
    gates: GateTable | None = None,
    rounding: bool = False,
    why: bool = False,
) -> VerifyResult:
    """Compare models with the golden pack of an export directory: those named, or all that can be run here.

    `gates` are what a person gave, see `gates_of`. `rounding` finds the rounding rule of each int8 model, and `why` the
    cause of each flip. A gate that is missed raises nothing: the verdict says so, with the reasons. Where nothing is
    named, a damaged or missing artifact is a missed gate, too, and so is one that its runtime refuses. Of one
    without a runtime here nothing is known.

    Raises what `Exports.select`, `Exports.read_golden` and, for what is named, `Model.load` raise.
    """
    table = gates_of(exports.directory, gates)
    # Of the others the result tells what a notice would.
    models, unusable = (exports.select(names, reporter), list[Unusable]()) if names else exports.runnable()
    for model in models:
        # Imported before the clock starts: what takes time below is the work.
        model.entry.load()
    golden = exports.read_golden(to_compare=True)
    warnings = [*golden_questions(exports.manifest, golden), *_engine_fault()]
    started = time.perf_counter()
    examined: list[Examined] = []
    try_files((model.path, model.runtime) for model in models if model.may_crash)
    explain = _explaining(exports) if why else None
    for model in models:
        try:
            subject = exports.subject(model, golden)
            gate = table.of(model.artifact, subject.arithmetic, numbers=golden.task.numbers)
            if golden.data.source == RANDOM_INPUTS:
                gate = gate.on_random_inputs(subject.arithmetic)
            examined.append(examine(subject, golden, gate, reporter, rounding=rounding, why=explain))
        except ArtifactError as error:
            if names:
                raise
            unusable.append(Unusable(name=model.name, status=REFUSED, reason=error.message))
    source = source_name(exports.manifest)
    return joint_result(examined, golden, started, unusable=unusable, warnings=warnings, reference=source)


def _explaining(exports: Exports) -> Callable[..., list[FlipCause]]:
    """Return what explains flips, by the float file of an export directory, if it has one that is as recorded."""
    recorded = [one for one in exports.artifacts if one.name == FLOAT_TWIN and one.status == "current"]
    return partial(explain_flips, source=exports.directory / recorded[0].record.file if recorded else None)


def joint_result(
    examined: Sequence[Examined],
    golden: GoldenPack,
    started: float,
    *,
    warnings: list[str],
    reference: str,
    unusable: Sequence[Unusable] = (),
) -> VerifyResult:
    """Return the result on models that were compared with the same reference since `started`, of `perf_counter`."""
    parities = [one.parity for one in examined]
    verdict = verdict_on(parities, unusable)
    return VerifyResult(
        verdict=verdict,
        passed=verdict.passed,
        images=len(golden),
        reference_accuracy=None if golden.truth is None or golden.task.numbers else golden.accuracy(),
        data=golden.data,
        model_sha256=golden.model_sha256,
        artifacts=parities,
        unusable=list(unusable),
        rounding=[one.rounding for one in examined if one.rounding is not None],
        seconds=time.perf_counter() - started,
        reference=reference,
        warnings=warnings,
        input=msgspec.UNSET if default_input().takes_the_same(golden.task.input) else golden.task.input,
    )


def _engine_fault() -> list[str]:
    """Return why the native engine, which is there, cannot be loaded and so verifies nothing; nothing if it can."""
    from edgemnist.model.native.library import open_library

    try:
        if not RUNTIMES["native"].missing():
            open_library()
    except ArtifactError as error:
        return [f"{error.message}, so nothing was verified in it. {error.hint}"]
    return []


def keep_verdict(exports: Exports, result: VerifyResult, reporter: Reporter = SILENT) -> None:
    """Save a result for the commands that choose by it; not one under other limits than the directory's own."""
    gates = {one.verdict.rests_on.gate for one in result.artifacts if one.verdict.rests_on is not None}
    if gates <= {exports.gate_sha256}:
        exports.findings.save_verification(result, reporter)
    elif not exports.is_reference:
        reporter.notice(
            "The verdict under these limits is not saved. To have every command and board go by them, write them to "
            f"{exports.directory / LIMITS_FILE}."
        )


def examine(
    subject: Subject,
    golden: GoldenPack,
    gate: Gate,
    reporter: Reporter = SILENT,
    *,
    rounding: bool = False,
    why: Callable[..., list[FlipCause]] | None = None,
    by_itself: bool = False,
) -> Examined:
    """Return what is found out about a model that answers every image of a golden pack.

    `why` explains flips. `by_itself` says that the pack's answers are those of the integer reference of its own file.
    """
    model, classifier, is_int8 = subject.model, subject.classifier, subject.arithmetic == "int8"
    if subject.misfit:
        return Examined(parity_of(subject, golden, None, gate))
    with reporter.task(f"Verifying {model.name}", total=len(golden)) as task:
        answers = ask(classifier, golden, task)
    integer = golden.probabilities if by_itself else None
    if integer is None and is_int8 and model.runtime != reference.INTEGER:
        integer = reference.integer_answers(model, golden, reporter)
    step = subject.output_scale if golden.task.numbers and subject.output_scale else reference.STEP
    explain = partial(reference.explaining_rescaling, model, golden=golden, step=step)
    parity = parity_of(subject, golden, answers, gate, integer=integer, explain=explain)
    if why is not None and is_int8 and parity.flips:
        parity = msgspec.structs.replace(parity, why=why(model, golden, answers.single, reporter=reporter))
    rule = reference.find_rounding(model, answers.single, golden) if rounding and is_int8 else None
    if rule is not None and rule.rules[0].differing:
        departure = reference.find_departure(model, golden, rule.rules[0])
        rule = msgspec.structs.replace(rule, departure=departure)
    if rounding and is_int8 and rule is None:
        reporter.notice(f"--rounding says nothing about {model.name}, which the integer reference cannot compute.")
    return Examined(parity, rule)


def parity_of(
    subject: Subject,
    golden: GoldenPack,
    answers: Answers | None,
    gate: Gate,
    *,
    integer: Probabilities | None = None,
    explain: Callable[[Probabilities], str | None] = lambda _: None,
) -> ArtifactParity:
    """Compare a model's answers with the reference in `golden`; None for one whose classes are others.

    What cannot be compared misses no further gate: the mistake says it all.

    `integer` is what the integer reference answers, float32 [N, C], and `explain` finds the rounding rule under which
    it gives the model's answers, if it does not under its own.
    """
    numbers, comparable = golden.task.numbers, answers is not None
    if answers is None:
        nothing = np.full_like(golden.probabilities, np.nan)
        answers = Answers(single=nothing, batched=nothing)
    truth = None if numbers else golden.truth
    parity = compare(golden.probabilities, truth, answers.single, answers.batched, numbers=numbers)
    usual = GATES[subject.arithmetic]
    if comparable and not numbers:
        usual, gate = (one.for_reference(subject.arithmetic, parity) for one in (usual, gate))
    step = subject.output_scale if numbers else None
    check = None if integer is None else reference.check_integer(answers.single, integer, numbers=numbers)
    # A step of numbers is to them what one of the softmax is to probabilities.
    unit = step / reference.STEP if step else 1.0
    if check is not None and misses_integers(gate, check, unit):
        check = msgspec.structs.replace(check, rescaling=explain(answers.single))
    known = [fault("same_model", reason) for reason in subject.mistakes]
    if comparable:
        known += measurements(gate, parity, check, golden.task.input.noun, unit)
        known += budget(gate, subject.model, parity)
    runtime, exported, replayed = subject.model.runtime, subject.exported, None
    if exported is not None and exported.shape == answers.single.shape:
        replayed = reference.replay(
            answers.single,
            exported,
            quantization=subject.quantization,
            output_scale=subject.output_scale,
            numbers=numbers,
        )
        spread = 0.0 if parity.values is None else parity.values.spread
        least = step or reference.float_rounding(exported, subject.quantization)
        differing = reference.replay_measurements(gate, replayed, spread, least)
        same = judge(differing).passed
        checked = runtime == reference.INTEGER or (check is not None and not misses_integers(gate, check, unit))
        if same or not checked or not _rounds_otherwise(gate, replayed, spread) or not explain(exported):
            known += differing
    if check is not None and check.differing and RUNTIMES[runtime].exact:
        values = f"{check.differing:,} of {answers.single.size:,} {'numbers' if numbers else 'probabilities'}"
        promised = f"{values} differ from the integer reference, but {runtime} promises every bit of it"
        known.append(fault("every_bit", promised))
    for doubt in subject.doubts:
        # The first sentence; the page has the others below.
        proves = f"it proves nothing: {doubt[0].lower()}{doubt[1:].partition('. ')[0].rstrip('.')}"
        known.append(fault("reference", proves, otherwise=UNKNOWN))
    verdict = judge(known, msgspec.structs.replace(subject.rests_on, gate=gate.sha256))
    cure = RENEW if subject.outdated else None
    lost = {DROP, FLIPS} & {one.name for one in verdict.limits if one.outcome == MISSED}
    # Shares of sigmoids are on no such grid: only of a softmax there is something to leave out.
    on_grid = subject.output_scale == reference.STEP and not np.any(answers.single % reference.STEP)
    if lost and not subject.outdated and on_grid and parity.flips * MOSTLY <= parity.ties:
        coarse = "its output has only 256 steps, too few to tell those labels apart: logits have more"
        verdict = msgspec.structs.replace(verdict, reasons=[*verdict.reasons, coarse])
        cure = f"{RENEW} --format {subject.format} --quantize {subject.quantization} --logits"
    return ArtifactParity(
        **verdict.said,
        name=subject.model.name,
        format=subject.format,
        quantization=subject.quantization,
        runtime=runtime,
        **parity.figures,
        cure=None if verdict.passed else cure,
        sha256=subject.model.sha256,
        flipped=[] if numbers else list_flips(golden.probabilities, answers.single, golden.truth, golden.class_labels),
        ece=_calibration_error(answers.single, golden),
        reference_ece=_calibration_error(golden.probabilities, golden),
        integer=check,
        replay=replayed,
        gate=held_limits(gate, usual, parity.images),
    )


def _calibration_error(answers: Probabilities, golden: GoldenPack) -> float | None:
    if golden.truth is None or golden.task.numbers:
        return None
    return expected_calibration_error(answers, golden.truth)


def _rounds_otherwise(gate: Gate, replayed: Replay, spread: float) -> bool:
    """Return whether another machine's rounding rule may be why its answers were others than those of the reference.

    Two rules are no further apart than each may be from the Keras model; and no person gave the limit.
    """
    if not gate.is_built_in(BATCH_FLIPS, BATCH_DIFF):
        return False
    if spread:
        return replayed.max_abs_diff <= gate[VALUE_DIFF] * spread
    return replayed.flips <= gate.allowed(FLIPS, replayed.images) and replayed.max_abs_diff <= gate[ABS_DIFF]
