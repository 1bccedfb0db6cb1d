"""The commands that lead to the same files and figures."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence

from edgemnist.export.interface import MINMAX
from edgemnist.exports.manifest import MODEL_FILE, Artifact, Manifest
from edgemnist.exports.models import split_name
from edgemnist.formats import FORMATS, artifact_names
from edgemnist.report.data import ReportData
from edgemnist.results.bench import KERAS, BenchResult, ScenarioResult
from edgemnist.results.data import DataIdentity
from edgemnist.results.pipeline import TrainResult
from edgemnist.results.verify import ArtifactParity, VerifyResult
from edgemnist.runtimes import RUNTIMES

COMMENT = "# "
"""How a line begins that says what no command line can."""
_OPTIONS = {"max_flips_percent": "--max-flips", "max_drop_points": "--max-drop", "max_abs_diff": "--max-diff"}
"""Limits of a gate that are options of `verify`, too."""


def reproduce(facts: ReportData) -> list[str]:
    """Return the command lines, in their order; what the records do not tell is said in comments above them."""
    versions = facts.benched.host.get("versions", {}) if facts.benched else {}
    version = versions.get("edgemnist") or (facts.training.versions.get("edgemnist") if facts.training else None)
    lines = [f'pip install "edgemnist[train]{f"=={version}" if version else ""}"']
    trained_on = [facts.training.data] if facts.training else []
    exported_with = [data] if (data := _exported_with(facts)) else []
    lines += dict.fromkeys(comment for data in (*trained_on, *exported_with) for comment in _about_data(data))
    if facts.training is not None:
        lines += _train(facts.training)
    if facts.manifest.artifacts:
        lines += _export(facts)
    if facts.verified is not None:
        lines += _verify(facts.verified, facts.manifest)
    if facts.benched is not None:
        lines += _bench(facts.benched, facts.manifest)
    return [*lines, *map(_scenario, facts.scenarios), "edgemnist report"]


def _exported_with(facts: ReportData) -> DataIdentity | None:
    return facts.golden.data if facts.golden else facts.manifest.data


def _about_data(data: DataIdentity) -> list[str]:
    if data.reduced:
        return [f"{COMMENT}--offline: {data.source}, unless MNIST is in the cache"]
    if not (place := _place(data)):
        return []
    instead = "; without --data it is downloaded" if data.source.startswith("MNIST") else ""
    return [f"{COMMENT}{place}: {data.source}, {data.train:,} training and {data.test:,} evaluation images{instead}"]


def _place(data: DataIdentity) -> str:
    """Return the directory that `--data` has to name, which is known by its last part only; empty for a download."""
    if data.source == "MNIST, downloaded":
        return ""
    found = re.search(r" in (.+/)$", data.source)
    return shlex.quote(found[1]) if found else "DIR"


def _data(data: DataIdentity | None) -> str:
    if data is None:
        return ""
    if data.reduced:
        return " --offline"
    return f" --data {place}" if (place := _place(data)) else ""


def _train(trained: TrainResult) -> list[str]:
    lines = []
    epochs = trained.planned_epochs or (None if trained.interrupted else trained.epochs)
    if trained.interrupted:
        planned = f" of {epochs}" if epochs else "; the number planned is not recorded"
        lines.append(f"{COMMENT}the training was interrupted with Ctrl-C after epoch {trained.epochs}{planned}")
    teacher = ""
    if trained.teacher is not None and trained.teacher_seed is None:
        lines.append(f"{COMMENT}the teacher's seed is not recorded; it is assumed to be the same seed")
    elif trained.teacher_seed not in (None, trained.seed):
        teacher = f" --teacher-seed {trained.teacher_seed}"
    plain = trained.short_network != trained.network
    network = " ".join(f"--hidden {units}" for units in trained.hidden) if plain else f"--network {trained.network}"
    lines.append(
        f"edgemnist train --recipe {trained.recipe} {network}{f' --epochs {epochs}' if epochs else ''} "
        f"--batch-size {trained.batch_size} --seed {trained.seed}{teacher}{_data(trained.data)}"
    )
    return lines


def _export(facts: ReportData) -> list[str]:
    artifacts = facts.manifest.artifacts
    options, lines = "", []
    if facts.training is None and facts.manifest.model is not None:
        lines.append(
            f"{COMMENT}how {MODEL_FILE} was trained is not recorded; its SHA-256 is {facts.manifest.model.sha256}"
        )
        options += f" --model {MODEL_FILE}"
    # All evaluation images are the default.
    if facts.golden is not None and len(facts.golden.labels) != facts.golden.data.test:
        options += f" --golden {len(facts.golden.labels)}"
    options += _data(_exported_with(facts))
    by_format = {name: [one for one in artifacts if one.format == name] for name in FORMATS}
    ranges = {name: _ranges(those) for name, those in by_format.items() if those}
    unasked = {name for name in artifact_names() if not FORMATS[name.partition("-")[0]].by_name}
    if {one.name for one in artifacts} == unasked and len(set(ranges.values())) == 1:
        return [*lines, f"edgemnist export{ranges[artifacts[0].format]}{options}"]
    lines += [
        f"edgemnist export --format {name}{_quantizations(name, those)}{ranges[name]}{options}"
        for name, those in by_format.items()
        if those
    ]
    return lines


def _quantizations(format_name: str, artifacts: Sequence[Artifact]) -> str:
    found = [one.quantization for one in artifacts]
    default = FORMATS[format_name].quantizations[0]
    return "" if found == [default] else "".join(f" --quantize {quantization}" for quantization in found)


def _ranges(artifacts: Iterable[Artifact]) -> str:
    """Return the options by which the activation ranges of a format's int8 artifact were chosen."""
    calibration = next((one.calibration for one in artifacts if one.calibration), None)
    if calibration is None:
        return ""
    # Where `flips` left images out, those that are left are not what was asked for.
    asked = calibration.drawn or (calibration.images if calibration.method == MINMAX else None)
    method = "" if calibration.method == MINMAX else f" --ranges {calibration.method}"
    return (f" --calibration {asked}" if asked else "") + method


def _verify(verified: VerifyResult, manifest: Manifest) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for parity in verified.artifacts:
        groups.setdefault(_gate(parity, verified.images), []).append(parity.name)
    names = [one.name for one in manifest.artifacts]
    layered = {one.name for one in verified.layers}
    lines = []
    for (comment, options), those in groups.items():
        lines += [comment] if comment else []
        named = "" if _are_all(those, names) else "".join(f" {name}" for name in those)
        layers = "" if layered.isdisjoint(those) else " --layers"
        lines.append(f"edgemnist verify{named}{layers}{options}")
    return lines


def _are_all(models: Sequence[str], artifacts: Sequence[str]) -> bool:
    """Return whether these are what a command takes if nothing is named: every artifact, in every usual runtime."""
    runtimes = [runtime for _, runtime in map(split_name, models) if runtime is not None]
    return set(artifacts) <= set(models) and not any(RUNTIMES[name].by_name for name in runtimes)


def _gate(parity: ArtifactParity, images: int) -> tuple[str, str]:
    """Return the comment and the options for the limits that an artifact was held against."""
    own = {key: limit for key, limit in parity.gate.items() if limit.own}
    # Options hold to the letter, and there is none for most limits.
    if all(
        key in _OPTIONS and (one.allowed is None or one.allowed == math.floor(one.limit / 100 * images + 1e-9))
        for key, one in own.items()
    ):
        return "", "".join(f" {_OPTIONS[key]} {one.limit:g}" for key, one in own.items())
    limits = ", ".join(f"{key} = {one.limit:g}" for key, one in own.items())
    return f"{COMMENT}gate.toml has {limits}", " --gate gate.toml"


def _bench(benched: BenchResult, manifest: Manifest) -> list[str]:
    first = benched.results[0]
    measured = list(dict.fromkeys(one.name for one in benched.results))
    artifacts = [name for name in measured if name != KERAS]
    named = (
        "" if _are_all(artifacts, [one.name for one in manifest.artifacts]) else "".join(f" {one}" for one in measured)
    )
    options = f" --threads {first.threads} --batch-size {first.batch_size}"
    if rounds := max(len(one.blocks) for one in benched.results):
        options += f" --rounds {rounds}"
    if not named and artifacts == measured:
        options += " --no-keras"
    if any(one.cold_cache_start_ms is not None for one in benched.results):
        options += " --cold-cache"
    fewest, most = min(one.samples for one in benched.results), max(one.samples for one in benched.results)
    calls = f"{fewest:,} to {most:,}" if most > fewest else f"{most:,}"
    return [
        f"{COMMENT}{calls} timed calls of each; --samples and --seconds set the minimum",
        f"edgemnist bench{named}{options}",
    ]


def _scenario(result: ScenarioResult) -> str:
    threads = result.results[0].threads
    several = f" --threads {threads}" if threads != 1 else ""
    rate = f" --rate {result.rate:g}" if result.rate else ""
    limit = f" --p99-limit {result.p99_limit_us / 1e3:g}" if result.p99_limit_us else ""
    return f"edgemnist scenario {result.scenario}{rate}{limit}{several}"
