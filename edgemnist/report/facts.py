"""Everything that the commands have left in an export directory, as far as it belongs to the files that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgemnist.bench.record import current as current_bench
from edgemnist.bench.record import read_bench
from edgemnist.bench.results import ScenarioResult
from edgemnist.bench.scenario_record import read_scenarios
from edgemnist.errors import ArtifactError
from edgemnist.golden import GoldenPack, read_golden
from edgemnist.manifest import Artifact, Manifest, check_recorded, present_model, read_manifest
from edgemnist.recommend import weigh
from edgemnist.results import ArtifactParity, BenchResult, Latency, RecommendResult, TrainResult, VerifyResult
from edgemnist.saved import read_saved
from edgemnist.verify.gatefile import own_gates
from edgemnist.verify.identity import outdated
from edgemnist.verify.layers import FLOAT_TWIN
from edgemnist.verify.record import current as current_verification
from edgemnist.verify.record import read_verification

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
    unfit: Mapping[str, str]
    """Why an artifact cannot be shipped whatever was found out before, by name: damaged, or of an earlier model."""

    @property
    def recommended(self) -> str | None:
        """Name of the artifact to ship."""
        return self.advice.recommended if self.advice else None

    def headline(self) -> str:
        """Return the answer in a few words."""
        if self.advice is None:
            return "Nothing to ship" if self.unfit.keys() >= self._names() > set() else "Not measured yet"
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
        verified, layered = self.verified, self._has_layers()
        absent = {
            "edgemnist train": self.training is None,
            "edgemnist export": self.golden is None or not self.manifest.artifacts or bool(self.unfit),
            f"edgemnist verify{' --layers' if layered else ''}": verified is None or (layered and not verified.layers),
            "edgemnist bench": self.benched is None,
        }
        return [command for command, missing in absent.items() if missing]

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


def read_facts(exports: Path) -> Facts:
    """Return what is known about an export directory; figures of files that have changed since are left out.

    So are those of artifacts that are damaged or were made from another model than the present one, and what was
    verified against another model. Raises ManifestError and ArtifactError where its record, a result or the golden pack
    is broken.
    """
    manifest = read_manifest(exports)
    model = present_model(exports, manifest)
    unfit = {one.name: reason for one in manifest.artifacts if (reason := _unfit(exports, one, model))}
    fit = msgspec.structs.replace(manifest, artifacts=[one for one in manifest.artifacts if one.name not in unfit])
    training = read_saved(exports / TRAINING_FILE, TrainResult, hint="Make it anew with: edgemnist train")
    if training is not None and model not in (None, training.sha256):
        training = None
    verified, benched = read_verification(exports), read_bench(exports)
    if verified is not None:
        verified = current_verification(verified, fit)
        verified = verified if verified.artifacts and model in (None, verified.model_sha256) else None
    if benched is not None:
        benched = current_bench(benched, fit, model)
        benched = benched if benched.results else None
    golden = read_golden(exports, manifest) if manifest.golden else None
    if golden is not None and model not in (None, golden.model_sha256):
        golden = None
    advice = None
    if verified is not None and benched is not None:
        # What a board is worth is known where it was measured, which need not be where the report is written.
        advice = weigh(verified, benched, benched.host)
    return Facts(
        exports=exports,
        manifest=manifest,
        training=training,
        golden=golden,
        verified=verified,
        benched=benched,
        scenarios=_scenarios(exports, unfit),
        advice=advice,
        unfit=unfit,
    )


def _unfit(exports: Path, artifact: Artifact, model: str | None) -> str:
    """Return why an artifact cannot be shipped, or nothing where it may be; `model` is the present one's SHA-256."""
    try:
        check_recorded(exports, artifact)
    except ArtifactError as error:
        return error.message
    return outdated(artifact, model)


def _scenarios(exports: Path, unfit: Mapping[str, str]) -> list[ScenarioResult]:
    fit = [
        msgspec.structs.replace(one, results=[played for played in one.results if played.name not in unfit])
        for one in read_scenarios(exports)
    ]
    return [one for one in fit if one.results]
