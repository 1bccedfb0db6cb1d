"""The page of `edgemnist verify`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.console.tables import closing, quality, table, verdict
from edgemnist.formatting import count, percent, points
from edgemnist.results.verify import (
    KERAS_MODEL,
    ArtifactLayers,
    ArtifactParity,
    ModelRounding,
    RoundingRule,
    VerifyResult,
    Vote,
)
from edgemnist.verify.gatefile import GateTable, gate_toml, own_gates
from edgemnist.verify.parity import BROKEN, FIXED, count_kind
from edgemnist.verify.statistics import SIGNIFICANT, has_scipy
from edgemnist.verify.vote import IDENTICAL


def next_words(result: VerifyResult, *, flips: bool) -> str:
    """Return the words of the command that comes next; `flips` says that the changed labels are listed already."""
    if result.passed:
        return "bench"
    changed = [one.name for one in result.artifacts if not one.passed and one.flipped]
    return f"verify {shlex.join(changed)} --flips" if changed and not flips else "report"


def board_step(result: VerifyResult, on: str, *, flips: bool) -> str:
    """Return the command that comes next on a board, which has no report; `on` is what names it behind `--on`."""
    return f"edgemnist {next_words(result, flips=flips).replace('report', 'doctor')} --on {on}"


def files_step(result: VerifyResult, reference: str, *, flips: bool) -> str:
    """Return the command that comes next for model files, which have no bench and no report; or nothing."""
    words = next_words(result, flips=flips)
    return f"edgemnist {words} --reference {shlex.quote(reference)}" if words.startswith("verify ") else ""


def verify_page(result: VerifyResult, *, flips: bool = False, step: str = "") -> RenderableType:
    """Draw the parity table, and below it why gates were missed, and which are the user's own.

    With `flips`, each changed label follows. The last line is the verdict, with the command that comes next, `step`.
    """
    columns = ("artifact", "accuracy", "drop", "flips", "+ −", "p", "max |Δp|")
    # Files may have long paths; the names of artifacts are short.
    page = table(*columns, "gate", left=["gate"], prose=[] if result.reference == KERAS_MODEL else ["artifact"])
    for parity in result.artifacts:
        page.add_row(
            parity.name,
            percent(parity.accuracy),
            points(parity.accuracy_drop_points),
            f"{parity.flips:,}",
            _balance(parity),
            _p_value(parity.mcnemar_p),
            f"{parity.max_abs_diff:.1e}",
            verdict(passed=parity.passed),
        )
    heading = (
        f"{result.images:,} evaluation images; the reference ({result.reference}) is right on "
        f"{percent(result.reference_accuracy)}. Drop in points; "
        "+ −: flips that fixed and broke; p: McNemar's exact test."
    )
    reasons = [
        Text.assemble((f"{parity.name}: ", "bold red"), reason)
        for parity in result.artifacts
        for reason in parity.reasons
    ]
    reasons += [Text.assemble((f"{one.name}: ", "bold red"), one.reason) for one in result.unusable]
    reasons += map(Text, own_gates(result.artifacts))
    sentences = [
        *_replays(result.artifacts),
        *_batches(result.artifacts),
        *_statistics(result),
        *_voters(result),
        *_roundings(result.rounding),
    ]
    details = [Text(sentence, style="dim") for sentence in sentences]
    drawn = [_flip_table(parity) for parity in result.artifacts if parity.flipped] if flips else []
    layers: list[RenderableType] = [_layer_table(one) for one in result.layers]
    if layers:
        layers.append(
            Text(
                "SQNR: of everything up to this output; range: what its own calibration costs; "
                "clipped: values that its range cannot hold.",
                style="dim",
            )
        )
    return Group(
        Text(heading), page, *details, *layers, *drawn, *reasons, *quality(result.warnings), _closing(result, step)
    )


def _closing(result: VerifyResult, step: str) -> Text:
    missed = [parity.name for parity in result.artifacts if not parity.passed]
    missed += [one.name for one in result.unusable]
    total = len(result.artifacts) + len(result.unusable)
    if missed:
        return closing(
            f"{len(missed)} of {count(total, 'model')} missed the gate: {', '.join(missed)}.", step, passed=False
        )
    passing = {1: "It passes", 2: "Both models pass"}.get(total, f"All {total} models pass")
    return closing(f"{passing} the gate.", step)


def _replays(artifacts: Sequence[ArtifactParity]) -> Iterator[str]:
    """Say how the models answer here, against how their artifacts answered on the machine that exported them."""
    replayed = [(parity.name, parity.replay) for parity in artifacts if parity.replay is not None]
    same = [name for name, replay in replayed if replay.verdict == IDENTICAL]
    if same:
        names = "all models" if len(same) == len(artifacts) > 1 else ", ".join(same)
        yield f"As on the exporting machine, to the last bit: {names}."
    for name, replay in replayed:
        if name in same:
            continue
        # Of logits, a step is more than any probability is off.
        steps = f"{count(replay.max_steps, 'step')} of the output" if replay.max_steps else None
        size = steps or f"{replay.max_abs_diff:.1e}"
        differ = f"{count(replay.differing, 'value differs', 'values differ')} by up to {size}"
        flips = f"{count(replay.flips, 'label')} and " if replay.flips else ""
        more = f", {replay.beyond_rounding:,} of them by more than rounding" if replay.beyond_rounding else ""
        yield f"{name} against the exporting machine: {flips}{differ}{more}."


def _batches(artifacts: Sequence[ArtifactParity]) -> Iterator[str]:
    """Name the models whose answer to an image depends on what else is in the batch."""
    if differing := [parity for parity in artifacts if parity.max_batch_diff]:
        names = ", ".join(parity.name for parity in differing)
        most = max(parity.max_batch_diff for parity in differing)
        yield f"In a batch of one, answers differ from those in a large batch by up to {most:.0e}: {names}."


_RESCALINGS = {
    "single": "rounds once, as the reference does,",
    "double": "rounds twice, as gemmlowp does,",
    "float": "rounds in float32, as XNNPACK does,",
}
_SOFTMAXES = {"integer": "with the softmax in integers", "float": "with the softmax in float32"}


def _roundings(roundings: Sequence[ModelRounding]) -> Iterator[str]:
    """Name the rounding rule that fits each model's answers best, and how well the reference's own rule does."""
    for one in roundings:
        best = one.rules[0]
        equals = [rule for rule in one.rules[1:] if rule.differing == best.differing]
        fit = _differ(best) if best.differing else "equal in every bit"
        own = next(rule for rule in one.rules if (rule.rescaling, rule.softmax) == ("single", "integer"))
        against = "" if own is best else f"; under the reference's own rule {_differ(own)}"
        also = f" ({' or '.join(map(_rule, equals))} would fit as well)" if equals else ""
        yield f"{one.name} {_rule(best)}: {fit}{also}{against}."


def _rule(rule: RoundingRule) -> str:
    return f"{_RESCALINGS[rule.rescaling]} {_SOFTMAXES[rule.softmax]}"


def _differ(rule: RoundingRule) -> str:
    values = count(rule.differing, "probability differs", "probabilities differ")
    return f"{values} in {count(rule.images, 'image')}, by up to {rule.max_abs_diff:.2g}"


def gate_page(gates: GateTable) -> RenderableType:
    """Draw the limits as the file that `--gate` reads."""
    # Text wraps nothing away.
    return Text(gate_toml(gates).rstrip())


def _balance(parity: ArtifactParity) -> str:
    if not parity.flipped:
        return ""
    return f"+{count_kind(parity.flipped, FIXED):,} −{count_kind(parity.flipped, BROKEN):,}"


def _p_value(value: float | None) -> Text:
    if value is None:
        return Text("–")
    text = f"{value:.2f}" if value >= 0.01 else f"{value:.0e}"  # noqa: PLR2004 - two digits show nothing below
    return Text(text, "bold" if value < SIGNIFICANT else "")


def _statistics(result: VerifyResult) -> Iterator[str]:
    if not has_scipy():
        yield "McNemar's test and confidence intervals need SciPy, which is not installed; the counts do not."
    eces = [parity.ece for parity in result.artifacts if parity.ece is not None]
    before = next((parity.reference_ece for parity in result.artifacts if parity.reference_ece is not None), None)
    if eces and before is not None:
        intervals = [parity.accuracy_interval for parity in result.artifacts if parity.accuracy_interval is not None]
        spread = (
            f"; accuracies are ± {percent(max((one.high - one.low) / 2 for one in intervals))}" if intervals else ""
        )
        # Once where both ends read the same.
        after = " to ".join(dict.fromkeys((percent(min(eces)), percent(max(eces)))))
        yield f"Calibration error (ECE) {percent(before)} before, {after} after{spread}."


def _voters(result: VerifyResult) -> Iterator[str]:
    for parity in result.artifacts:
        if parity.integer is None:
            continue
        if parity.integer.differing:
            differ = count(parity.integer.differing, "probability differs", "probabilities differ")
            steps = f"{differ} by up to {parity.integer.max_abs_diff:.2g}"
            if (rule := parity.integer.rescaling) is not None:
                steps += f": it {_RESCALINGS[rule].rstrip(',')}; under that rule the reference answers the same"
        else:
            steps = "no probability differs"
        yield f"{parity.runtime} against the integer reference on {parity.name}: {steps}."
    for parity in result.artifacts:
        if parity.ties:
            some = f"{parity.ties:,} of {count(parity.flips, 'flip')} of {parity.name}"
            are = "is a tie" if parity.ties == 1 else "are ties"
            yield f"{some} {are}: both labels are equally likely, so no gate is missed."
    if result.vote is not None:
        yield vote_sentence(result.vote, result.images)


def vote_sentence(vote: Vote, images: int) -> str:
    """Return who is the odd one out among the runtimes of one file, and on how many images."""
    artifact, voters = vote.voters[0].artifact, len(vote.voters)
    if vote.agreed == images:
        return f"The {voters} runtimes of {artifact} agree on every label."
    alone = ", ".join(f"{voter.runtime} {voter.alone:,}" for voter in vote.voters)
    odd = "none is the odd one out" if vote.odd_one_out is None else f"the odd one out is {vote.odd_one_out}"
    return (
        f"The {voters} runtimes of {artifact} agree on {vote.agreed:,} of {count(images, 'label')}; {odd}. "
        f"Alone against the others: {alone}."
    )


def _layer_table(layers: ArtifactLayers) -> Table:
    hurt = f"; layer {layers.hurt} is hurt by its calibration" if layers.hurt else ""
    title = f"{layers.name} against {layers.reference}, {count(layers.images, 'image')}{hurt}"
    page = table("layer", "output", "SQNR", "cosine", "range", "clipped", "weights", title=title, prose=["output"])
    for one in layers.layers:
        style = "bold red" if one.layer == layers.hurt else ""
        page.add_row(
            f"{one.layer} {one.operator}",
            _last(one.tensor),
            _decibels(one.sqnr_db),
            f"{one.cosine:.5f}",
            _decibels(one.range_sqnr_db),
            percent(one.clipped),
            _decibels(one.weight_sqnr_db),
            style=style,
        )
    return page


def _flip_table(parity: ArtifactParity) -> Table:
    page = table("image", "label", "reference", "artifact", "margins", "", title=parity.name, left=[""])
    for flip in parity.flipped:
        page.add_row(
            f"{flip.index:,}",
            str(flip.label),
            str(flip.reference),
            "none" if flip.artifact is None else str(flip.artifact),
            f"{flip.reference_margin:.3f} → {flip.artifact_margin:.3f}",
            flip.kind,
        )
    return page


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"


def _last(name: str) -> str:
    """Return what is telling in the name of a tensor, such as `dense_1/MatMul`."""
    # What TensorFlow calls the output of a whole model.
    if "PartitionedCall" in name:
        return "output"
    return "/".join(name.split(";", 1)[0].split("/")[-2:])
