"""One line for each artifact: what it is, how equal, how fast."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.manifest import Artifact
from edgemnist.render.tables import kilobytes, microseconds, percent, ratio
from edgemnist.report.facts import Facts
from edgemnist.results import ArtifactParity, Latency

UNKNOWN = "–"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known about one artifact, in words for a person."""

    name: str
    file: str
    chosen: bool
    size: str
    accuracy: str
    drop: str
    flips: str
    max_diff: str
    p50: str
    p99: str
    speedup: str
    throughput: str
    memory: str
    cold_start: str
    gate: str
    """`pass`, `fail` (also where it is unfit) or unknown."""
    reasons: tuple[str, ...]
    """Why the gate was missed."""


def rows(facts: Facts) -> list[Row]:
    """Return a row for each artifact of the manifest, the fastest first, and those that were not measured last."""
    artifacts = sorted(facts.manifest.artifacts, key=lambda one: _speed(facts.latency(one)))
    return [_row(artifact, facts.parity(artifact), facts.latency(artifact), facts) for artifact in artifacts]


def _speed(latency: Latency | None) -> float:
    return latency.p50_us if latency else float("inf")


def _row(artifact: Artifact, parity: ArtifactParity | None, latency: Latency | None, facts: Facts) -> Row:
    return Row(
        name=artifact.name,
        file=artifact.file,
        chosen=artifact.name == facts.recommended,
        size=kilobytes(artifact.bytes),
        accuracy=percent(parity.accuracy) if parity else UNKNOWN,
        drop=f"{parity.accuracy_drop_points:+.2f}" if parity else UNKNOWN,
        flips=str(parity.flips) if parity else UNKNOWN,
        max_diff=f"{parity.max_abs_diff:.1e}" if parity else UNKNOWN,
        p50=microseconds(latency.p50_us) if latency else UNKNOWN,
        p99=microseconds(latency.p99_us) if latency else UNKNOWN,
        speedup=ratio(latency.speedup) if latency and latency.speedup else UNKNOWN,
        throughput=f"{latency.throughput_per_s:,.0f}" if latency else UNKNOWN,
        memory=f"{latency.peak_rss_mb:.0f} MB" if latency and latency.peak_rss_mb else UNKNOWN,
        cold_start=f"{latency.cold_start_ms:,.0f} ms" if latency else UNKNOWN,
        gate=_gate(parity, unfit=artifact.name in facts.unfit),
        reasons=tuple(parity.reasons) if parity else (),
    )


def _gate(parity: ArtifactParity | None, *, unfit: bool) -> str:
    if unfit:
        return "fail"
    return ("pass" if parity.passed else "fail") if parity else UNKNOWN
