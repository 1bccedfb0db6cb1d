"""Everything that the commands have left in an export directory, as far as it belongs to the files that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemnist.console.tables import kilobytes, microseconds, percent, ratio
from edgemnist.exports.directory import CURRENT, Exports
from edgemnist.exports.golden import GoldenPack
from edgemnist.exports.manifest import Artifact, Manifest, command
from edgemnist.exports.models import split_name
from edgemnist.recommend.weigh import weigh
from edgemnist.results.bench import BenchResult, Latency, ScenarioResult
from edgemnist.results.pipeline import RecommendResult
from edgemnist.results.train import TrainResult
from edgemnist.results.verify import ArtifactParity, VerifyResult
from edgemnist.verify.gatefile import own_gates
from edgemnist.verify.layers import FLOAT_TWIN


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """What a report is made of; None for what no command has found out yet."""

    exports: Path
    manifest: Manifest
    training: TrainResult | None
    golden: GoldenPack | None
    verified: VerifyResult | None
    benched: BenchResult | None
    scenarios: list[ScenarioResult]
    advice: RecommendResult | None
    """None unless artifacts have been both verified and measured."""
    unfit: Mapping[str, str]
    """Why an artifact cannot be shipped whatever was found out before, by name: damaged, or of an earlier model."""

    @property
    def recommended(self) -> str | None:
        """Name of the artifact to ship."""
        return self.advice.recommended if self.advice else None

    @property
    def batch_size(self) -> int | None:
        """Images a call behind all throughputs; None where they differ, or where nothing was measured."""
        sizes = {one.batch_size for one in self.benched.results} if self.benched else set()
        return sizes.pop() if len(sizes) == 1 else None

    def headline(self) -> str:
        """Return the answer in a few words."""
        if self.advice is None:
            return "Nothing to ship" if self.unfit.keys() >= self._names() > set() else "Not measured yet"
        return f"Ship {self.recommended}" if self.recommended else "Nothing to ship"

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
        verified, layered = self.verified, self._has_layers()
        absent = {
            "train": self.training is None,
            "export": self.golden is None or not self.manifest.artifacts or bool(self.unfit),
            f"verify{' --layers' if layered else ''}": verified is None or (layered and not verified.layers),
            "bench": self.benched is None,
        }
        return [command(words, self.exports) for words, missing in absent.items() if missing]

    def gates(self) -> list[str]:
        """Return a sentence for each gate that is not the built-in one, unless the advice has it already."""
        return own_gates(self.verified.artifacts) if self.verified and not self.advice else []

    def warnings(self) -> list[str]:
        """Return a sentence for each reason why artifacts cannot be shipped."""
        names: dict[str, list[str]] = {}
        for name, reason in self.unfit.items():
            names.setdefault(reason, []).append(name)
        return [f"{', '.join(those)} cannot be shipped: {reason}." for reason, those in names.items()]

    def _has_layers(self) -> bool:
        """Return whether `verify --layers` has something to compare."""
        tflite = {artifact.name for artifact in self.manifest.artifacts if artifact.format == "tflite"}
        return FLOAT_TWIN in tflite and len(tflite) > 1

    def _names(self) -> set[str]:
        return {artifact.name for artifact in self.manifest.artifacts}


def read_report_data(exports: Exports) -> ReportData:
    """Return what is known about an export directory; figures of files that have changed since are left out.

    So are those of artifacts that are damaged or were made from another model than the present one, and what was
    verified against another model. Raises ManifestError and ArtifactError where a result or the golden pack is broken.
    """
    findings = exports.findings
    verified = findings.verify.result if findings.verify is not None and findings.verify.current else None
    benched = findings.bench.result if findings.bench is not None and findings.bench.current else None
    training = findings.training.result if findings.training is not None and findings.training.current else None
    has_golden = exports.manifest.golden is not None and not exports.mismatch
    return ReportData(
        exports=exports.directory,
        manifest=exports.manifest,
        training=training,
        golden=exports.read_golden() if has_golden else None,
        verified=verified,
        benched=benched,
        scenarios=findings.scenarios,
        # What a board is worth is known where it was measured, which need not be where the report is written.
        advice=weigh(verified, benched, benched.host) if verified is not None and benched is not None else None,
        unfit={one.name: one.reason for one in exports.artifacts if one.status != CURRENT},
    )


UNKNOWN = "–"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known about one model, in words for a person."""

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


def rows(facts: ReportData) -> list[Row]:
    """Return a row for each model, the fastest first, and those that were not measured last."""
    models = sorted(facts.models(), key=lambda one: _speed(facts.latency(one[0])))
    return [_row(name, artifact, facts) for name, artifact in models]


def _speed(latency: Latency | None) -> float:
    return latency.p50_us if latency else float("inf")


def _row(name: str, artifact: Artifact, facts: ReportData) -> Row:
    parity, latency = facts.parity(name), facts.latency(name)
    return Row(
        name=name,
        file=artifact.file,
        chosen=name == facts.recommended,
        size=kilobytes(artifact.bytes),
        accuracy=percent(parity.accuracy) if parity else UNKNOWN,
        drop=f"{parity.accuracy_drop_points:+.2f}" if parity else UNKNOWN,
        flips=str(parity.flips) if parity else UNKNOWN,
        max_diff=f"{parity.max_abs_diff:.1e}" if parity else UNKNOWN,
        p50=microseconds(latency.p50_us) if latency else UNKNOWN,
        p99=microseconds(latency.p99_us) if latency else UNKNOWN,
        speedup=ratio(latency.speedup) if latency and latency.speedup else UNKNOWN,
        throughput=_throughput(latency, facts.batch_size) if latency else UNKNOWN,
        memory=f"{latency.peak_rss_mb:.0f} MB" if latency and latency.peak_rss_mb else UNKNOWN,
        cold_start=f"{latency.cold_start_ms:,.0f} ms" if latency else UNKNOWN,
        gate=_gate(parity, unfit=artifact.name in facts.unfit),
        reasons=tuple(parity.reasons) if parity else (),
    )


def _throughput(latency: Latency, usual: int | None) -> str:
    each = "" if usual is not None else f" in batches of {latency.batch_size:,}"
    return f"{latency.throughput_per_s:,.0f}{each}"


def _gate(parity: ArtifactParity | None, *, unfit: bool) -> str:
    if unfit:
        return "fail"
    return ("pass" if parity.passed else "fail") if parity else UNKNOWN
