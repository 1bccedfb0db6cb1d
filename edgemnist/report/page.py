"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgemnist.errors import MissingDependencyError
from edgemnist.registry import Package
from edgemnist.report.commands import reproduce
from edgemnist.report.data import ReportData, rows
from edgemnist.report.figures import (
    ConfusionCell,
    confusion,
    curves_svg,
    distributions_svg,
    layers_svg,
    pictures,
    trade_off_svg,
)
from edgemnist.results.bench import KERAS, BenchResult, Latency
from edgemnist.results.verify import Flip
from edgemnist.scenario.table import scenario_table

PACKAGES: Final = (Package("jinja2", "jinja2"), Package("matplotlib", "matplotlib"))
MOST_FLIPS: Final = 60
"""Pictures of one artifact, at the most: the counts say how many more there are, and `verify --sheet` shows them."""


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """The <svg> elements; empty if there is nothing to draw."""

    trade_off: str
    distributions: str
    curves: str
    layers: str


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The flips of one artifact."""

    name: str
    chosen: bool
    counts: dict[str, int]
    """By kind: broken, fixed, changed."""
    flips: Sequence[Flip]
    more: int
    """How many are not shown."""
    mcnemar_p: float | None


def html_page(facts: ReportData) -> str:
    """Return the page. Raises MissingDependencyError where Jinja or Matplotlib is not installed."""
    missing = [package.distribution for package in PACKAGES if package.version() is None]
    if missing:
        raise MissingDependencyError("The HTML report", missing, 'pip install "edgemnist[report]"')
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgemnist.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(view(facts))


def view(facts: ReportData) -> dict[str, Any]:
    """Return what the template shows."""
    galleries = _galleries(facts)
    shown = [flip.index for gallery in galleries for flip in gallery.flips]
    return {
        "facts": facts,
        "headline": facts.headline(),
        "rows": rows(facts),
        "advice": facts.advice,
        "recommended": next((row for row in rows(facts) if row.chosen), None),
        "drawings": _drawings(facts),
        "scenarios": [scenario_table(one) for one in facts.scenarios],
        "confusion": _confusion(facts),
        "labels": list(facts.manifest.labels),
        "galleries": galleries,
        "pictures": pictures(facts.golden.images, shown) if facts.golden else {},
        "quality": _quality(facts),
        "commands": reproduce(facts),
        "missing": facts.missing(),
        "versions": _versions(facts),
    }


def _drawings(facts: ReportData) -> Drawings:
    benched, verified, training, advice = facts.benched, facts.verified, facts.training, facts.advice
    return Drawings(
        trade_off=trade_off_svg(advice.candidates, advice.recommended) if advice and advice.candidates else "",
        distributions=distributions_svg(_drawn(benched)) if benched else "",
        curves=curves_svg(training) if training and training.history else "",
        layers=layers_svg(verified.layers) if verified and verified.layers else "",
    )


def _drawn(benched: BenchResult) -> list[Latency]:
    """Return whose calls are drawn: a hundred times as slow, Keras would leave the artifacts no room to differ in."""
    return [one for one in benched.results if one.name != KERAS] or benched.results


def _confusion(facts: ReportData) -> list[list[ConfusionCell]]:
    return confusion(facts.golden) if facts.golden else []


def _galleries(facts: ReportData) -> list[Gallery]:
    """Return the galleries of the artifacts that have flips, the recommended one first."""
    artifacts = facts.verified.artifacts if facts.verified else []
    galleries = [
        Gallery(
            name=one.name,
            chosen=one.name == facts.recommended,
            counts={kind: sum(flip.kind == kind for flip in one.flipped) for kind in ("broken", "fixed", "changed")},
            flips=one.flipped[:MOST_FLIPS],
            more=max(0, len(one.flipped) - MOST_FLIPS),
            mcnemar_p=one.mcnemar_p,
        )
        for one in artifacts
        if one.flipped
    ]
    return sorted(galleries, key=lambda gallery: not gallery.chosen)


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
