"""The commands that lead to the same files and figures."""

from __future__ import annotations

from edgemnist.bench.results import ScenarioResult
from edgemnist.bench.scenarios import DUTY_CYCLE
from edgemnist.report.facts import Facts


def reproduce(facts: Facts) -> list[str]:
    """Return the command lines, in their order; what cannot be told from the records is left out."""
    versions = facts.benched.host.get("versions", {}) if facts.benched else {}
    version = versions.get("edgemnist") or (facts.training.versions.get("edgemnist") if facts.training else None)
    lines = [f'pip install "edgemnist[train]{f"=={version}" if version else ""}"']
    if facts.training is not None:
        trained = facts.training
        hidden = " ".join(f"--hidden {units}" for units in trained.hidden)
        lines.append(
            f"edgemnist train --recipe {trained.recipe} {hidden} --epochs {trained.epochs} "
            f"--batch-size {trained.batch_size} --seed {trained.seed}"
        )
    if facts.manifest.artifacts:
        calibrated = {one.calibration.images for one in facts.manifest.artifacts if one.calibration}
        lines.append("edgemnist export" + (f" --calibration {calibrated.pop()}" if len(calibrated) == 1 else ""))
    if facts.verified is not None:
        lines.append("edgemnist verify" + (" --layers" if facts.verified.layers else ""))
    if facts.benched is not None:
        first = facts.benched.results[0]
        lines.append(f"edgemnist bench --threads {first.threads} --batch-size {first.batch_size}")
    return [*lines, *map(_scenario, facts.scenarios), "edgemnist report"]


def _scenario(result: ScenarioResult) -> str:
    if result.scenario == DUTY_CYCLE:
        return f"edgemnist bench --duty-cycle {result.rate:g}/s"
    rate = f" --rate {result.rate:g}" if result.rate else ""
    limit = f" --p99-limit {result.p99_limit_us / 1e3:g}" if result.p99_limit_us else ""
    return f"edgemnist bench --scenario {result.scenario}{rate}{limit}"
