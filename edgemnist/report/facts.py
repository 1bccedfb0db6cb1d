"""Everything that the commands have left in an export directory, as far as it belongs to the files that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgemnist.bench.record import read_bench
from edgemnist.bench.results import ScenarioResult
from edgemnist.bench.scenario_record import read_scenarios
from edgemnist.golden import GoldenPack, read_golden
from edgemnist.manifest import Artifact, Manifest, read_manifest
from edgemnist.recommend import weigh
from edgemnist.results import ArtifactParity, BenchResult, Latency, RecommendResult, TrainResult, VerifyResult
from edgemnist.saved import read_saved
from edgemnist.verify.record import current, read_verification

TRAINING_FILE = "training.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
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

    @property
    def recommended(self) -> str | None:
        """Name of the artifact to ship."""
        return self.advice.recommended if self.advice else None

    def headline(self) -> str:
        """Return the answer in a few words."""
        if self.advice is None:
            return "Not measured yet"
        return f"Ship {self.recommended}" if self.recommended else "Nothing to ship"

    def parity(self, artifact: Artifact) -> ArtifactParity | None:
        """Return what `verify` says about an artifact."""
        return (
            next((one for one in self.verified.artifacts if one.name == artifact.name), None) if self.verified else None
        )

    def latency(self, artifact: Artifact) -> Latency | None:
        """Return what `bench` says about an artifact."""
        return next((one for one in self.benched.results if one.name == artifact.name), None) if self.benched else None

    def missing(self) -> list[str]:
        """Return the commands that would complete the report."""
        absent = {
            "edgemnist train": self.training is None,
            "edgemnist export": self.golden is None or not self.manifest.artifacts,
            "edgemnist verify": self.verified is None,
            "edgemnist bench": self.benched is None,
        }
        return [command for command, missing in absent.items() if missing]


def read_facts(exports: Path) -> Facts:
    """Return what is known about an export directory; figures of files that have changed since are left out.

    Raises ManifestError and ArtifactError where its record, a result or the golden pack is broken.
    """
    manifest = read_manifest(exports)
    training = read_saved(exports / TRAINING_FILE, TrainResult, hint="Make it anew with: edgemnist train")
    if training is not None and manifest.model is not None and training.sha256 != manifest.model.sha256:
        training = None
    verified, benched = read_verification(exports), read_bench(exports)
    if verified is not None:
        verified = current(verified, manifest)
        verified = verified if verified.artifacts else None
    if benched is not None:
        latencies = _current(benched.results, manifest)
        benched = msgspec.structs.replace(benched, results=latencies) if latencies else None
    advice = None
    if verified is not None and benched is not None:
        # What a board is worth is known where it was measured, which need not be where the report is written.
        advice = weigh(verified, benched, benched.host)
    return Facts(
        exports=exports,
        manifest=manifest,
        training=training,
        golden=read_golden(exports, manifest) if manifest.golden else None,
        verified=verified,
        benched=benched,
        scenarios=read_scenarios(exports),
        advice=advice,
    )


def _current(results: Iterable[Latency], manifest: Manifest) -> list[Latency]:
    """Return the results that are about the very files of the manifest."""
    hashes = {artifact.name: artifact.sha256 for artifact in manifest.artifacts}
    if manifest.model is not None:
        hashes["keras"] = manifest.model.sha256
    return [result for result in results if hashes.get(result.name) == result.sha256]
