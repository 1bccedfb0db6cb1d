"""The report: one HTML file that needs nothing else, or its summary in Markdown for a pull request."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgemnist.errors import MissingDependencyError
from edgemnist.ground.formatting import (
    DISTURBED,
    DISTURBED_LEGEND,
    host_fact,
    kilobytes,
    microseconds,
    percent,
    points,
    ratio,
)
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.registry import Package
from edgemnist.ground.results.bench import KERAS, BenchResult, Decision, Latency
from edgemnist.ground.results.pipeline import ReportResult, TrainResult
from edgemnist.ground.results.verdict import UNKNOWN
from edgemnist.ground.results.verify import ArtifactParity, FlipCause, VerifyResult
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import CURRENT, Exports
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.manifest import Artifact, Manifest
from edgemnist.model.exports.models import split_name
from edgemnist.model.exports.questions import questions
from edgemnist.pipeline.report.figures import (
    confusion,
    curves_svg,
    distributions_svg,
    mistakes,
    pictures,
    trade_off_svg,
)
from edgemnist.pipeline.train.network import short_name_of, training_command
from edgemnist.pipeline.verify.gate import own_gates
from edgemnist.pipeline.verify.why import why_words


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """What a report is made of; None for what no command has found yet."""

    exports: Exports
    manifest: Manifest
    training: TrainResult | None
    golden: GoldenPack | None
    verified: VerifyResult | None
    benched: BenchResult | None
    decision: Decision | None
    """None unless artifacts have been both verified and measured."""
    unfit: Mapping[str, str]
    """Why an artifact cannot be shipped whatever was found out before, by name: damaged, or of an earlier model."""
    questions: Sequence[str] = ()
    """What speaks against relying on the figures, a sentence each."""

    @property
    def recommended(self) -> str | None:
        """Name of the artifact to ship."""
        return self.decision.name if self.decision else None

    @property
    def batch_size(self) -> int | None:
        """Images a call behind all throughputs; None where they differ, or where nothing was measured."""
        sizes = {one.batch_size for one in self.benched.results} if self.benched else set()
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def numbers(self) -> bool:
        """Whether the models answer with numbers, and not with classes."""
        return self.exports.task.numbers

    @property
    def disturbed(self) -> bool:
        """Whether a figure carries the mark of a disturbed machine."""
        return any(one.disturbed for one in (self.benched.results if self.benched else []))

    def headline(self) -> str:
        """Return the answer in a few words."""
        if self.decision is None:
            names = {artifact.name for artifact in self.manifest.artifacts}
            return "Nothing to ship" if names and names <= self.unfit.keys() else "Not measured yet"
        return f"Ship {self.decision.name}" if self.decision.name else self.decision.sentence

    def parity(self, name: str) -> ArtifactParity | None:
        """Return what `verify` says about a model."""
        return next((one for one in self.verified.artifacts if one.name == name), None) if self.verified else None

    def latency(self, name: str) -> Latency | None:
        """Return what `bench` says about a model."""
        return next((one for one in self.benched.results if one.name == name), None) if self.benched else None

    def models(self) -> list[tuple[str, Artifact]]:
        """Return each artifact under its own name, and under that of each further runtime that was tried with it."""
        tried = [one.name for one in (self.verified.artifacts if self.verified else [])]
        tried += [one.name for one in (self.benched.results if self.benched else [])]
        return [
            (name, artifact)
            for artifact in self.manifest.artifacts
            for name in dict.fromkeys([artifact.name, *(one for one in tried if split_name(one)[0] == artifact.name)])
        ]

    def missing(self) -> list[str]:
        """Return the commands that would complete the report."""
        absent = {
            # A model that was not trained here is not to be replaced by one that is.
            "train": self.training is None and self.manifest.model is None,
            "export": self.golden is None or not self.manifest.artifacts or bool(self.unfit),
            "verify": self.verified is None,
            "bench": self.benched is None,
        }
        return [self.exports.command(words) for words, missing in absent.items() if missing]

    def gates(self) -> list[str]:
        """Return a sentence for each gate that is not the built-in one."""
        return own_gates(self.verified.artifacts, noun_of(self.verified.input)) if self.verified else []

    def warnings(self) -> list[str]:
        """Return a sentence for each reason why artifacts cannot be shipped, or figures be relied on."""
        names: dict[str, list[str]] = {}
        for name, reason in self.unfit.items():
            names.setdefault(reason, []).append(name)
        unshippable = [f"{', '.join(those)} cannot be shipped: {reason}." for reason, those in names.items()]
        return [*unshippable, *self.questions, *([DISTURBED_LEGEND] if self.disturbed else [])]


def read_report_data(exports: Exports) -> ReportData:
    """Return what is known about the files and the model that are in an export directory now.

    Raises ManifestError and ArtifactError where a result or the golden pack is broken.
    """
    findings = exports.findings
    verified = findings.verify.result if findings.verify is not None and findings.verify.current else None
    benched = findings.bench.result if findings.bench is not None and findings.bench.current else None
    training = findings.training.result if findings.training is not None and findings.training.current else None
    has_golden = exports.manifest.golden is not None and not exports.mismatch
    return ReportData(
        exports=exports,
        manifest=exports.manifest,
        training=training,
        golden=exports.read_golden() if has_golden else None,
        verified=verified,
        benched=benched,
        decision=findings.decision() if verified is not None and benched is not None else None,
        unfit={one.name: one.reason for one in exports.artifacts if one.status != CURRENT},
        questions=questions(exports),
    )


def _values(parity: ArtifactParity) -> dict[str, str]:
    """Return what stands in the places of accuracy, drop and flips where answers are numbers."""
    if (values := parity.values) is None:
        return {}
    return {"accuracy": f"{values.mean:.2g}", "drop": f"{values.largest:.2g}", "flips": percent(values.differing, 1)}


_FIGURES = ("accuracy", "drop", "flips", "gate", "p50", "p99", "speedup", "throughput", "memory", "cold_start")


def rows(facts: ReportData) -> list[dict[str, Any]]:
    """Return what is known about each model, in words for a person: the fastest first, the unmeasured last."""
    models = []
    for name, artifact in facts.models():
        row: dict[str, Any] = {
            "name": name,
            "file": artifact.file,
            "size": kilobytes(artifact.bytes),
            **dict.fromkeys(_FIGURES, "–"),
        }
        row |= {"chosen": name == facts.recommended, "reasons": [], "speed": math.inf}
        if (parity := facts.parity(name)) is not None:
            # Earlier versions knew pass and fail alone.
            missed = parity.verdict.outcome != UNKNOWN or not parity.verdict.reasons
            row |= {
                "accuracy": percent(parity.accuracy),
                "drop": points(parity.accuracy_drop_points),
                "flips": f"{parity.flips:,}",
                **_values(parity),
                "gate": "pass" if parity.passed else "fail" if missed else "unknown",
                "reasons": parity.reasons,
            }
        if (latency := facts.latency(name)) is not None:
            mark = DISTURBED if latency.disturbed else ""
            each = "" if facts.batch_size is not None else f" in batches of {latency.batch_size:,}"
            row |= {
                "speed": latency.p50_us,
                "p50": microseconds(latency.p50_us, tainted=latency.disturbed),
                "p99": microseconds(latency.p99_us, tainted=latency.disturbed),
                "speedup": ratio(latency.speedup.ratio) if latency.speedup else "–",
                "throughput": f"{latency.throughput_per_s:,.0f}{mark}{each}" if latency.throughput_per_s else "–",
                "memory": f"{latency.peak_rss_mb:.0f} MB" if latency.peak_rss_mb else "–",
                "cold_start": f"{latency.cold_start_ms:,.0f} ms{mark}" if latency.cold_start_ms else "–",
            }
        if artifact.name in facts.unfit:
            row["gate"] = "fail"
        models.append(row)
    return sorted(models, key=lambda row: row["speed"])


HTML_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "report.md"
PACKAGES: Final = (Package("jinja2", "jinja2"), Package("matplotlib", "matplotlib"))
MOST_FLIPS: Final = 60
"""Pictures of one artifact, at the most: the counts say how many more there are."""


def html_page(facts: ReportData) -> str:
    """Return the page. Raises MissingDependencyError where Jinja or Matplotlib is not installed."""
    missing = [package.distribution for package in PACKAGES if not package.is_installed()]
    if missing:
        raise MissingDependencyError("A page", missing, 'pip install "edgemnist[report]"')
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgemnist.pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"host_fact": host_fact, "microseconds": microseconds, "percent": percent}
    return environment.get_template("report.html").render(view(facts))


def view(facts: ReportData) -> dict[str, Any]:
    """Return what the template shows; a drawing, an <svg> element, is empty if there is nothing to draw."""
    benched, training = facts.benched, facts.training
    models, galleries = rows(facts), _galleries(facts)
    shown = [flip.index for gallery in galleries for flip in gallery["flips"]]
    # A hundred times as slow, Keras would leave the artifacts no room to differ in.
    drawn = [one for one in benched.results if one.name != KERAS] or benched.results if benched else []
    noun = facts.manifest.resolved_task.input.noun
    return {
        "facts": facts,
        "not_passed": not_passed(models),
        "headline": facts.headline(),
        "rows": models,
        "decision": facts.decision,
        "recommended": next((row for row in models if row["chosen"]), None),
        "drawings": {
            "trade_off": trade_off_svg(_measured(facts), facts.recommended, noun) if _measured(facts) else "",
            "distributions": distributions_svg(drawn, noun),
            "curves": curves_svg(training) if training and training.history else "",
        },
        "confusion": confusion(facts.golden) if facts.golden else None,
        "mistakes": mistakes(facts.golden) if facts.golden else [],
        "numbers": facts.numbers,
        "noun": noun,
        "labels": list(facts.manifest.labels),
        "galleries": galleries,
        "pictures": pictures(facts.golden.images, shown) if facts.golden else {},
        "quality": [*benched.disturbed, *benched.warnings] if benched else [],
        "again": training_command(training) if training else "",
        "network": short_name_of(training) if training else "",
        "missing": facts.missing(),
        "versions": _versions(facts),
    }


def _galleries(facts: ReportData) -> list[dict[str, Any]]:
    """Return the flips of each artifact that has some, the recommended one first."""
    galleries = [
        {
            "name": one.name,
            "counts": {kind: sum(flip.kind == kind for flip in one.flipped) for kind in ("broken", "fixed", "changed")},
            "flips": one.flipped[:MOST_FLIPS],
            "why": f"{why_words(one.why)} Operators: {_operators(one.why)}." if one.why else "",
            "more": max(0, len(one.flipped) - MOST_FLIPS),
        }
        for one in (facts.verified.artifacts if facts.verified else [])
        if one.flipped
    ]
    return sorted(galleries, key=lambda gallery: gallery["name"] != facts.recommended)


def _operators(causes: Sequence[FlipCause]) -> str:
    """Return how many flips each operator causes, the one with most first."""
    named = ("the input" if one.operator is None else f"{one.operator} {one.kind}" for one in causes if one.tensor)
    return ", ".join(f"{name} {number}" for name, number in Counter(named).most_common()) or "none"


def _measured(facts: ReportData) -> list[tuple[ArtifactParity, Latency]]:
    """Return what was found about each model that was both verified and measured, the fastest first."""
    rows = facts.verified.artifacts if facts.verified else []
    found = [(row, latency) for row in rows if (latency := facts.latency(row.name)) and latency.sha256 == row.sha256]
    return sorted(found, key=lambda pair: pair[1].p50_us)


def _versions(facts: ReportData) -> dict[str, str]:
    versions: dict[str, str] = dict(facts.training.versions) if facts.training else {}
    for artifact in facts.manifest.artifacts:
        versions |= artifact.versions
    if facts.benched is not None:
        versions |= facts.benched.host.get("versions", {})
    return dict(sorted(versions.items()))


def write_report(exports: Exports, output: Path | None = None, *, markdown: bool = False) -> ReportResult:
    """Write the report of an export directory: to `output`, or into that directory; that of the reference, here.

    Raises ManifestError and ArtifactError where the records are missing or broken, MissingDependencyError where what
    draws the page is not installed, and StorageError where it cannot be written.
    """
    facts = read_report_data(exports)
    page = markdown_page(facts) if markdown else html_page(facts)
    usual = Path() if exports.is_reference else exports.directory
    path = output or usual / (MARKDOWN_FILE if markdown else HTML_FILE)
    data = page.encode()
    write_file(path, data)
    return ReportResult(
        file=str(path),
        bytes=len(data),
        recommended=facts.recommended,
        missing=facts.missing(),
        warnings=facts.warnings(),
    )


def not_passed(models: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the names of `rows` that have not passed for the same reasons, with gate, what that means, and reasons."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in models:
        groups.setdefault((row["gate"], "; ".join(row["reasons"])), []).append(row["name"])
    means = {"fail": "missed the gate"}
    return [
        {"names": ", ".join(names), "gate": gate, "means": means.get(gate, "not known to pass the gate"), "why": why}
        for (gate, why), names in groups.items() if why
    ]  # fmt: skip


def markdown_page(facts: ReportData) -> str:
    """Return the summary, one table, the host and how to get the same, in GitHub's Markdown."""
    parts, models = [f"## edgemnist: {facts.headline()}"], rows(facts)
    if facts.decision is not None:
        parts.append(f"{facts.decision.sentence}.")
    parts += [f"**{one}**" for one in facts.warnings()]
    timed = {"vs Keras": "speedup"} if any(row["speedup"] != "–" for row in models) else {}
    compared = ("off on average", "off at most", "differing") if facts.numbers else ("accuracy", "drop", "flips")
    head = ("artifact", "size", *compared, "p50", "p99", *timed, "gate")
    keys = ("size", "accuracy", "drop", "flips", "p50", "p99", *timed.values(), "gate")
    names = [f"**{row['name']}**" if row["chosen"] else row["name"] for row in models]
    parts.append(table(head, [(name, *(row[key] for key in keys)) for name, row in zip(names, models, strict=True)]))
    if failures := [*("**{names}** {means}: {why}".format_map(one) for one in not_passed(models)), *facts.gates()]:
        parts.append(_list(failures))
    if facts.missing():
        parts.append(f"Not known yet; run {', '.join(f'`{command}`' for command in facts.missing())}.")
    if facts.benched is not None:
        host = facts.benched.host
        named = [f"{name} {host[name]}" for name in ("machine", "cpu", "os", "governor") if host.get(name)]
        parts.append(f"Measured on {', '.join(named)}.")
    hashes = [(f"`{one.file}`", f"`{one.sha256}`") for one in facts.manifest.artifacts]
    parts.append(_folded("Hashes", table(("file", "SHA-256"), hashes)))
    if facts.training is not None and (again := training_command(facts.training)):
        parts.append(_folded("The same training", f"```console\n$ {again}\n```"))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is set to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, rule, *lines))


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
