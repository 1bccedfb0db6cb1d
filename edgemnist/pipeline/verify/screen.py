"""The page of `edgemnist verify`, and what CI systems show of it."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.ground.console.tables import closing, outcome, quality, table
from edgemnist.ground.formatting import count, percent, points
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN
from edgemnist.ground.results.verify import (
    KERAS_MODEL,
    NOT_RUN,
    SIGNIFICANT,
    SOURCE_MODELS,
    ArtifactParity,
    ModelRounding,
    Replay,
    RoundingRule,
    VerifyResult,
)
from edgemnist.pipeline.verify.gate import own_gates
from edgemnist.pipeline.verify.parity import BROKEN, FIXED, count_kind
from edgemnist.pipeline.verify.reference import IDENTICAL
from edgemnist.pipeline.verify.why import CAUSES, why_words


def next_words(result: VerifyResult, *, flips: bool, here: bool = True) -> str:
    """Return the words of the command that comes next; `flips` says that the changed labels are listed already.

    What removes the cause comes first, if the models are `here`, where they can be made.
    """
    if result.passed:
        return "bench"
    cures = [one.cure for one in result.artifacts if one.cure and not one.passed]
    unusable = {one.status for one in result.unusable}
    if here and (cures or unusable):
        return cures[0] if cures else "doctor" if unusable == {NOT_RUN} else "export"
    changed = [one.name for one in result.artifacts if not one.passed and one.flipped]
    if changed and not flips:
        return f"verify {shlex.join(changed)} --flips"
    # Of what is not known, there is nothing to report.
    return "report" if result.verdict.outcome == MISSED else ""


def board_step(result: VerifyResult, on: str, *, flips: bool) -> str:
    """Return the command that comes next on a board, which has no report; `on` is what names it behind `--on`."""
    words = next_words(result, flips=flips, here=False)
    return f"edgemnist {'doctor' if words in {'', 'report'} else words} --on {on}"


def files_step(result: VerifyResult, given: Mapping[str, object], *, flips: bool) -> str:
    """Return the command that comes next for model files, which have no bench and no report; or nothing.

    `given` are the options that say what is compared with what, those that are None left out.
    """
    words = next_words(result, flips=flips)
    options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return f"edgemnist {words} {shlex.join(options)}" if words.startswith("verify ") else ""


def bench_step(result: VerifyResult, files: Sequence[str]) -> str:
    """Return the command that comes next for files that were verified alone: `bench`, if they passed."""
    return f"edgemnist bench {shlex.join(files)}" if result.passed else ""


def verify_page(
    result: VerifyResult, *, flips: bool = False, first: int | None = None, step: str = ""
) -> RenderableType:
    """Draw the parity table, and below it why gates were missed, and which are the user's own.

    With `flips`, each changed label follows, or of each model the `first` ones. The last line is the verdict, with the
    command that comes next, `step`.
    """
    # Files may have long paths; the names of artifacts are short.
    prose = [] if result.reference in {KERAS_MODEL, *SOURCE_MODELS.values()} else ["artifact"]
    classes = [one for one in result.artifacts if one.values is None]
    tables: list[RenderableType] = []
    if classes or not result.artifacts:
        page = table(
            "artifact", "accuracy", "drop", "flips", "+ −", "p", "max |Δp|", "gate", left=["gate"], prose=prose
        )
        for parity in classes:
            page.add_row(
                parity.name,
                percent(parity.accuracy),
                points(parity.accuracy_drop_points),
                f"{parity.flips:,}",
                _balance(parity),
                _p_value(parity.mcnemar_p),
                f"{parity.max_abs_diff:.1e}",
                outcome(parity.verdict.outcome),
            )
        tables.append(page)
    if len(classes) < len(result.artifacts):
        page = table("artifact", "largest", "on average", "differing", "gate", left=["gate"], prose=prose)
        for parity in result.artifacts:
            if (values := parity.values) is not None:
                page.add_row(
                    parity.name,
                    f"{values.largest:.2g}",
                    f"{values.mean:.2g}",
                    percent(values.differing, 1),
                    outcome(parity.verdict.outcome),
                )
        tables.append(page)
    noun = noun_of(result.input)
    asked: list[RenderableType] = [Text(sentence, style="dim") for sentence in _roundings(result)]
    asked += [_why_table(parity, noun) for parity in result.artifacts if parity.why]
    asked += [_flip_table(parity, noun, first) for parity in result.artifacts if parity.flipped] if flips else []
    return Group(Text(_heading(result)), *tables, *asked, *_notes(result), _closing(result, step))


def _heading(result: VerifyResult) -> str:
    """Say what models were compared with, on how many inputs, and what the columns mean."""
    noun = noun_of(result.input)
    inputs = count(result.images, noun)
    if all(one.values is not None for one in result.artifacts) and result.artifacts:
        return (
            f"{inputs}. How far numbers are from those of the reference ({result.reference}), "
            "one at most and all on average, in spreads (standard deviations of the reference's)."
        )
    if result.reference_accuracy is None:
        return (
            f"{inputs} without labels; flips are labels that differ from those of the reference ({result.reference})."
        )
    return (
        f"{result.images:,} evaluation {noun}s; the reference ({result.reference}) is right on "
        f"{percent(result.reference_accuracy)}. Drop in points; "
        "+ −: flips that fixed and broke; p: McNemar's exact test."
    )


_NOTES: Final = 2
"""Lines between the table and the verdict."""
_REASONS: Final = 3
"""Sets of reasons that are spelled out; `--json` has all of them."""


def _notes(result: VerifyResult) -> list[Text]:
    """Return what matters most about a result, a line each: what missed and why, doubts, then details."""
    important = [_missed(result)] if not result.passed else []
    doubts = [f"{one.name} is {one.loss}." for one in result.artifacts if one.passed and one.loss]
    if doubts:
        important.append(Text(" ".join(doubts), "bold yellow"))
    if result.warnings:
        important += quality([" ".join(result.warnings)])
    important += map(Text, own_gates(result.artifacts, noun_of(result.input)))
    if len(important) > _NOTES:
        important = [*important[: _NOTES - 1], Text(" ").join(important[_NOTES - 1 :])]
    details = [*_replays(result.artifacts), *_explanations(result)]
    return [*important, *(Text(sentence, style="dim") for sentence in details)][:_NOTES]


def _missed(result: VerifyResult) -> Text:
    """Say why models missed the gate: those that lost the most accuracy beyond chance first, alike ones together."""
    bad = sorted(result.artifacts, key=lambda one: (not one.loss, -(one.accuracy_drop_points or 0) if one.loss else 0))
    groups: dict[str, list[str]] = {}
    for one in bad:
        if one.reasons:
            groups.setdefault("; ".join(one.reasons), []).append(one.name)
    for broken in result.unusable:
        groups.setdefault(broken.reason, []).append(broken.name)
    line = Text()
    for reasons, names in list(groups.items())[:_REASONS]:
        line.append(f"{', '.join(names)}: ", "bold red").append(f"{reasons}. ")
    if more := dict.fromkeys(name for names in list(groups.values())[_REASONS:] for name in names):
        line.append(f"Of {', '.join(more)}, --json has the reasons.")
    line.rstrip()
    return line


def _closing(result: VerifyResult, step: str) -> Text:
    outcomes = [one.verdict.outcome for one in result.artifacts] + [one.outcome for one in result.unusable]
    total, missed, unknown = len(outcomes), outcomes.count(MISSED), outcomes.count(UNKNOWN)
    if total == 1:
        said = "It misses the gate." if missed else "Whether it passes the gate is unknown."
        return closing(said if missed or unknown else "It passes the gate.", step, passed=not (missed or unknown))
    if missed:
        others = f"; {unknown} {'is' if unknown == 1 else 'are'} unknown" * bool(unknown)
        return closing(f"{missed} of {count(total, 'model')} missed the gate{others}.", step, passed=False)
    if unknown:
        passes = "passes" if unknown == 1 else "pass"
        return closing(f"Unknown whether {unknown} of {count(total, 'model')} {passes} the gate.", step, passed=False)
    return closing({2: "Both"}.get(total, f"All {total}") + " models pass the gate.", step)


def _replays(artifacts: Sequence[ArtifactParity]) -> Iterator[str]:
    """Say how the models answer here, compared with how their artifacts answered on the machine that exported them."""
    replayed = [(parity.name, parity.replay) for parity in artifacts if parity.replay is not None]
    differing = [f"{name} ({_differing(one)})" for name, one in replayed if one.verdict != IDENTICAL]
    if not replayed:
        return
    if len(differing) == len(replayed):
        yield f"Not as on the exporting machine: {', '.join(differing)}."
    else:
        yield f"As on the exporting machine, to the last bit{', except ' * bool(differing)}{', '.join(differing)}."


def _differing(replay: Replay) -> str:
    # Of logits, a step is more than any probability is off.
    size = count(replay.max_steps, "step") if replay.max_steps else f"{replay.max_abs_diff:.1e}"
    flips = f"{count(replay.flips, 'label')} and " if replay.flips else ""
    more = f", {replay.beyond_rounding:,} by more than rounding" if replay.beyond_rounding else ""
    return f"{flips}{count(replay.differing, 'value')} by up to {size}{more}"


_RESCALINGS = {
    "single": "rounds once, as the reference does,",
    "double": "rounds twice, as gemmlowp does,",
    "float": "rounds in float32, as XNNPACK does,",
}
_SHOWN: Final = 5
"""Values that no rule explains."""
_SOFTMAXES = {"integer": "with the softmax in integers", "float": "with the softmax in float32"}


def _roundings(result: VerifyResult) -> Iterator[str]:
    """Name the rounding rule that fits each model's answers best, and how well the reference's own rule does."""
    noun = noun_of(result.input)
    for one in result.rounding:
        best = one.rules[0]
        equals = [rule for rule in one.rules[1:] if rule.differing == best.differing]
        fit = _differ(best, noun) if best.differing else "equal in every bit"
        own = next(rule for rule in one.rules if (rule.rescaling, rule.softmax) == ("single", "integer"))
        against = "" if own is best else f"; under the reference's own rule {_differ(own, noun)}"
        also = f" ({' or '.join(map(_rule, equals))} would fit as well)" if equals else ""
        yield f"{one.name} {_rule(best)}: {fit}{also}{against}.{_departs(one)}{_unexplained(one, noun)}"


def _departs(one: ModelRounding) -> str:
    if (found := one.departure) is None:
        return ""
    values = f"{found.differing:,} of {found.values:,} values by up to {count(found.max_steps, 'step')}"
    return f" The first operator to depart is {found.kind}, operator {found.operator} ({found.tensor}): {values}."


def _unexplained(one: ModelRounding, noun: str) -> str:
    shown = "; ".join(
        f"{noun} {value.index:,}, output {value.output}: {value.answer:.4g} instead of {value.expected:.4g}"
        for value in one.unexplained[:_SHOWN]
    )
    more = f"; {one.rules[0].differing - _SHOWN:,} more, see --json" if len(one.unexplained) > _SHOWN else ""
    return f" Not explained: {shown}{more}." if shown else ""


def _rule(rule: RoundingRule) -> str:
    return f"{_RESCALINGS[rule.rescaling]} {_SOFTMAXES[rule.softmax]}"


def _differ(rule: RoundingRule, noun: str) -> str:
    values = count(rule.differing, "probability differs", "probabilities differ")
    return f"{values} in {count(rule.images, noun)}, by up to {rule.max_abs_diff:.2g}"


def _balance(parity: ArtifactParity) -> str:
    if not parity.flipped or parity.accuracy is None:
        return ""
    return f"+{count_kind(parity.flipped, FIXED):,} −{count_kind(parity.flipped, BROKEN):,}"


def _p_value(value: float | None) -> Text:
    if value is None:
        return Text("–")
    text = f"{value:.2f}" if value >= 0.01 else f"{value:.0e}"  # noqa: PLR2004 - two decimals show nothing below
    return Text(text, "bold" if value < SIGNIFICANT else "")


def _explanations(result: VerifyResult) -> Iterator[str]:
    """Say what explains a difference or a flip."""
    # It is what a limit was not held for.
    for parity in result.artifacts:
        if parity.integer is not None and (rule := parity.integer.rescaling) is not None:
            yield (
                f"{parity.name} {_RESCALINGS[rule].rstrip(',')}: by up to {parity.integer.max_abs_diff:.2g} from the "
                "integer reference, which answers the same under that rule."
            )
    if tied := [f"{parity.ties:,} of {count(parity.flips, 'flip')} of {parity.name}" for parity in result.artifacts
                if parity.ties]:  # fmt: skip
        yield f"Ties, in which both labels are equally likely: {', '.join(tied)}."


def _flip_table(parity: ArtifactParity, noun: str, first: int | None = None) -> Table:
    shown = parity.flipped[:first]
    title = parity.name + f": the first {len(shown)} of {parity.flips:,} flips" * (len(shown) < len(parity.flipped))
    page = table(noun, "label", "reference", "artifact", "margins", "", title=title, left=[""])
    for flip in shown:
        page.add_row(
            f"{flip.index:,}",
            "–" if flip.label is None else str(flip.label),
            str(flip.reference),
            "none" if flip.artifact is None else str(flip.artifact),
            f"{flip.reference_margin:.3f} → {flip.artifact_margin:.3f}",
            flip.kind,
        )
    return page


_EXPLAINED: Final = 12
"""Flips whose causes the page shows one by one; --json has all."""


def _why_table(parity: ArtifactParity, noun: str) -> Table:
    """Draw why labels flipped: each cause gave its label back when it was repaired in the NumPy form."""
    title = f"Why labels of {parity.name} flipped. {why_words(parity.why)}"
    page = table(noun, "cause", "operator", "output", "off by", "channel", title=title, prose=["output"])
    for one in parity.why[:_EXPLAINED]:
        page.add_row(
            f"{one.index:,}",
            CAUSES[one.cause] + (f", {one.repaired} places" if one.repaired > 1 else ""),
            "–" if not one.tensor else "input" if one.operator is None else f"{one.operator} {one.kind}",
            _last(one.tensor) if one.tensor else "–",
            f"{one.steps:.3g} step" + "s" * (one.steps != 1) if one.tensor else "–",
            "–" if one.channel is None else str(one.channel),
        )
    return page


def _last(name: str) -> str:
    """Return what is telling in the name of a tensor, such as `dense_1/MatMul`."""
    # What TensorFlow calls the output of a whole model.
    if "PartitionedCall" in name:
        return "output"
    return "/".join(name.split(";", 1)[0].split("/")[-2:])


def junit_xml(result: VerifyResult) -> bytes:
    """Return the contents of a JUnit file: one test case for each artifact, with every gate that it missed.

    That is a failure; what is unknown is an error.
    """
    found = [*map(_outcome, result.artifacts), *(one.outcome for one in result.unusable)]
    failures, errors = (str(found.count(outcome)) for outcome in _ELEMENTS)
    counts = {"tests": str(len(found)), "failures": failures, "errors": errors, "skipped": "0"}
    counts["time"] = f"{result.seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "edgemnist verify", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "parity", **counts})
    properties = ET.SubElement(suite, "properties")
    facts = {
        "reference": result.reference,
        "reference_accuracy": "unknown" if result.reference_accuracy is None else f"{result.reference_accuracy:.4f}",
        "images": str(result.images),
        "model_sha256": result.model_sha256,
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=value)
    for parity in result.artifacts:
        _add_case(suite, parity)
    for one in result.unusable:
        case = ET.SubElement(suite, "testcase", name=one.name, classname="edgemnist.pipeline.verify")
        ET.SubElement(case, _ELEMENTS[one.outcome], type=one.status, message=one.reason)
    ET.indent(suites)
    for element in suites.iter():
        element.attrib |= {name: _plain(value) for name, value in element.attrib.items()}
        element.text = _plain(element.text or "")
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _plain(text: str) -> str:
    """Return a text with a mark in the place of each character that XML cannot have, such as those of control."""
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


_ELEMENTS: Final = {MISSED: "failure", UNKNOWN: "error"}
"""What JUnit calls an outcome."""


def _outcome(parity: ArtifactParity) -> str:
    # A board with an earlier edgemnist says whether it passed, and no verdict.
    return PASSED if parity.passed else parity.verdict.outcome


def _add_case(suite: ET.Element, parity: ArtifactParity) -> None:
    case = ET.SubElement(suite, "testcase", name=parity.name, classname=f"edgemnist.pipeline.verify.{parity.runtime}")
    if parity.gate:
        properties = ET.SubElement(case, "properties")
        for name, limit in parity.gate.items():
            ET.SubElement(properties, "property", name=name, value=f"{limit.limit:g}")
    if parity.reasons:
        failure = ET.SubElement(case, _ELEMENTS[_outcome(parity)], type="GateMissed", message=parity.reasons[0])
        failure.text = "\n".join(parity.reasons)
    if parity.values is not None:
        words = f"values off by {parity.values.largest:.3g} spreads at most, {parity.values.mean:.3g} on average"
    else:
        known = ""
        if parity.accuracy is not None and parity.accuracy_drop_points is not None:
            known = f"accuracy {parity.accuracy:.4f}, drop {parity.accuracy_drop_points:+.2f} points, "
        words = f"{known}{parity.flips} flips, max |dp| {parity.max_abs_diff:.3g}, mean |dp| {parity.mean_abs_diff:.3g}"
    ET.SubElement(case, "system-out").text = f"{words}, sha256 {parity.sha256}"
