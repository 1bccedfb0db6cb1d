"""The report: one HTML file that needs nothing else, or its summary in Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from edgemnist.errors import MissingDependencyError
from edgemnist.field.health.run import ACCURACY, QUANTITIES, accuracies, quantities
from edgemnist.ground.formatting import host_fact, microseconds, percent
from edgemnist.ground.registry import Package
from edgemnist.ground.results.bench import KERAS
from edgemnist.ground.results.pipeline import ReportResult, TrainResult
from edgemnist.ground.results.samples import HealthReport
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.scenario import scenario_table
from edgemnist.pipeline.report.data import ReportData, field_sentence, read_field, read_report_data, rows
from edgemnist.pipeline.report.figures import (
    confusion,
    curves_svg,
    distributions_svg,
    layers_svg,
    mistakes,
    pictures,
    trade_off_svg,
)
from edgemnist.pipeline.train.network import short_name_of

HTML_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "report.md"
PACKAGES: Final = (Package("jinja2", "jinja2"), Package("matplotlib", "matplotlib"))
MOST_FLIPS: Final = 60
"""Pictures of one artifact, at the most: the counts say how many more there are, and `verify --sheet` shows them."""


def html_page(facts: ReportData) -> str:
    """Return the page. Raises MissingDependencyError where Jinja or Matplotlib is not installed."""
    missing = [package.distribution for package in PACKAGES if not package.is_installed()]
    if missing:
        raise MissingDependencyError("The HTML report", missing, 'pip install "edgemnist[report]"')
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
    verified, benched, training, advice = facts.verified, facts.benched, facts.training, facts.advice
    models, galleries = rows(facts), _galleries(facts)
    shown = [flip.index for gallery in galleries for flip in gallery["flips"]]
    # A hundred times as slow, Keras would leave the artifacts no room to differ in.
    drawn = [one for one in benched.results if one.name != KERAS] or benched.results if benched else []
    noun = facts.manifest.resolved_task.input.noun
    return {
        "facts": facts,
        "headline": facts.headline(),
        "rows": models,
        "advice": advice,
        "recommended": next((row for row in models if row["chosen"]), None),
        "drawings": {
            "trade_off": trade_off_svg(advice.candidates, advice.recommended, noun)
            if advice and advice.candidates
            else "",
            "distributions": distributions_svg(drawn, noun),
            "curves": curves_svg(training) if training and training.history else "",
            "layers": layers_svg(verified.layers) if verified and verified.layers else "",
        },
        "scenarios": [scenario_table(one) for one in facts.scenarios],
        "confusion": confusion(facts.golden) if facts.golden else None,
        "mistakes": mistakes(facts.golden) if facts.golden else [],
        "numbers": facts.numbers,
        "noun": noun,
        "labels": list(facts.manifest.labels),
        "field": None if facts.field is None else _field(facts.field),
        "galleries": galleries,
        "pictures": pictures(facts.golden.images, shown) if facts.golden else {},
        "quality": _quality(facts),
        "again": training_command(training) if training else "",
        "network": short_name_of(training) if training else "",
        "missing": facts.missing(),
        "versions": _versions(facts),
    }


def _field(health: HealthReport) -> dict[str, Any]:
    tables = [(ACCURACY, accuracies(health)), (QUANTITIES, quantities(health))]
    return {"sentence": field_sentence(health), "tables": tables}


def _galleries(facts: ReportData) -> list[dict[str, Any]]:
    """Return the flips of each artifact that has some, the recommended one first."""
    galleries = [
        {
            "name": one.name,
            "counts": {kind: sum(flip.kind == kind for flip in one.flipped) for kind in ("broken", "fixed", "changed")},
            "flips": one.flipped[:MOST_FLIPS],
            "more": max(0, len(one.flipped) - MOST_FLIPS),
        }
        for one in (facts.verified.artifacts if facts.verified else [])
        if one.flipped
    ]
    return sorted(galleries, key=lambda gallery: gallery["name"] != facts.recommended)


def _quality(facts: ReportData) -> list[str]:
    """Return what is to be said about the quality of the measurements, a line for each model at most."""
    played = [
        f"{scenario_table(scenario).title}: {one.name}: {'; '.join(one.warnings)}"
        for scenario in facts.scenarios
        for one in scenario.results
        if one.warnings
    ]
    if facts.benched is None:
        return played
    return [
        *facts.benched.warnings,
        *(f"{one.name} ({one.runtime}): {'; '.join(one.warnings)}" for one in facts.benched.results if one.warnings),
        *played,
    ]


def _versions(facts: ReportData) -> dict[str, str]:
    """Return the versions of everything that had a part in it."""
    versions: dict[str, str] = dict(facts.training.versions) if facts.training else {}
    for artifact in facts.manifest.artifacts:
        versions |= artifact.versions
    if facts.benched is not None:
        versions |= facts.benched.host.get("versions", {})
    return dict(sorted(versions.items()))


def training_command(training: TrainResult) -> str:
    """Return the command that trains the same model from the same images; empty where Ctrl-C ended the training."""
    if training.interrupted:
        return ""
    plain = short_name_of(training) != training.network
    network = " ".join(f"--hidden {units}" for units in training.hidden) if plain else f"--network {training.network}"
    teacher = f" --teacher-seed {training.teacher_seed}" if training.teacher_seed not in {None, training.seed} else ""
    return (
        f"edgemnist train --recipe {training.recipe} {network} --epochs {training.epochs} "
        f"--batch-size {training.batch_size} --seed {training.seed}{teacher}"
    )


def write_report(
    exports: Exports, output: Path | None = None, *, markdown: bool = False, samples: Sequence[Path] = ()
) -> ReportResult:
    """Write the report of an export directory: to `output`, or into that directory; that of the reference, here.

    `samples` are directories of samples, or files of counts, that say how a model does where it is used. Raises
    ManifestError and ArtifactError where the records are missing or broken, MissingDependencyError where what draws the
    page is not installed, and StorageError where it cannot be written.
    """
    facts = read_report_data(exports, read_field(exports, samples))
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


def markdown_page(facts: ReportData) -> str:
    """Return the summary, one table, the host and how to get the same, in GitHub's Markdown."""
    parts, models = [f"## edgemnist: {facts.headline()}"], rows(facts)
    if facts.advice is not None:
        warnings = [f"**Quality:** {one}" for one in facts.advice.warnings]
        parts += [facts.advice.reason, _list([*facts.advice.facts, *warnings])]
    parts += [f"**{one}**" for one in facts.warnings()]
    compared = ("off on average", "off at most", "differing") if facts.numbers else ("accuracy", "drop", "flips")
    head = ("artifact", "size", *compared, "p50", "p99", "vs Keras", "gate")
    keys = ("size", "accuracy", "drop", "flips", "p50", "p99", "speedup", "gate")
    names = [f"**{row['name']}**" if row["chosen"] else row["name"] for row in models]
    parts.append(table(head, [(name, *(row[key] for key in keys)) for name, row in zip(names, models, strict=True)]))
    failures = [f"**{row['name']}** {row['judged']}: {reason}" for row in models for reason in row["reasons"]]
    if failures := [*failures, *facts.gates()]:
        parts.append(_list(failures))
    if facts.missing():
        parts.append(f"Not known yet; run {', '.join(f'`{command}`' for command in facts.missing())}.")
    if facts.benched is not None:
        host = facts.benched.host
        named = [f"{name} {host[name]}" for name in ("machine", "cpu", "os", "governor") if host.get(name)]
        parts.append(f"Measured on {', '.join(named)}.")
    if facts.field is not None:
        field = _field(facts.field)
        parts += ["### In the field", field["sentence"], *(table(*one) for one in field["tables"])]
    hashes = [(f"`{one.file}`", f"`{one.sha256}`") for one in facts.manifest.artifacts]
    parts.append(_folded("Hashes", table(("file", "SHA-256"), hashes)))
    if facts.training is not None and (again := training_command(facts.training)):
        parts.append(_folded("The same training", f"```console\n$ {again}\n```"))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is set to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (head, rule, *lines)
    )


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
