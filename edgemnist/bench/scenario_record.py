"""`scenarios.json`: what the scenarios found out on this machine, for the report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgemnist.bench.results import Played, ScenarioResult, ScenariosResult
from edgemnist.errors import ManifestError
from edgemnist.manifest import read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.saved import read_saved, write_saved

SCENARIOS_FILE = "scenarios.json"


def read_scenarios(exports: Path) -> list[ScenarioResult]:
    """Return what was played with the files of an export directory; figures of files that have changed are left out.

    Raises ManifestError where the file is broken or of a newer schema version.
    """
    hint = "Make it anew with: edgemnist bench --scenario NAME"
    saved = read_saved(exports / SCENARIOS_FILE, ScenariosResult, hint=hint)
    if saved is None:
        return []
    hashes = {(artifact.name, artifact.sha256) for artifact in read_manifest(exports).artifacts}
    current = [
        msgspec.structs.replace(
            one, results=[played for played in one.results if (played.name, played.sha256) in hashes]
        )
        for one in saved.scenarios
    ]
    return [one for one in current if one.results]


def save_scenario(exports: Path, result: ScenarioResult, reporter: Reporter = SILENT) -> bool:
    """Save a result, without raw samples, beside the manifest, and return whether that was possible.

    It takes the place of the same scenario with the same setting; artifacts that were not played this time keep their
    figures, as long as they are of the same files and the same host. Where nothing can be written, a notice says so.
    """
    try:
        earlier = read_scenarios(exports)
    except ManifestError as error:
        reporter.notice(f"{error.message}: it is replaced.")
        earlier = []
    scenarios = {_setting(one): one for one in earlier}
    before = scenarios.get(_setting(result))
    if before is not None and before.host == result.host:
        played = {_key(one) for one in result.results}
        kept = [one for one in before.results if _key(one) not in played]
        result = msgspec.structs.replace(result, results=[*kept, *result.results])
    scenarios[_setting(result)] = without_samples(result)
    return write_saved(exports / SCENARIOS_FILE, ScenariosResult(scenarios=list(scenarios.values())), reporter)


def without_samples(result: ScenarioResult) -> ScenarioResult:
    """Return a result without its raw samples, of which there may be millions."""
    return msgspec.structs.replace(
        result,
        results=[
            msgspec.structs.replace(
                one, points=[msgspec.structs.replace(point, samples_us=None) for point in one.points]
            )
            for one in result.results
        ],
    )


def _setting(result: ScenarioResult) -> tuple[str, float | None]:
    """Return what tells a scenario from others: two limits, or two rates of a duty cycle, are two questions."""
    return result.scenario, result.p99_limit_us or result.rate


def _key(one: Played) -> tuple[str, str, int]:
    return one.name, one.runtime, one.threads
