"""Which artifact to ship."""

from __future__ import annotations

from typing import NamedTuple

from edgemnist.results import ArtifactParity, BenchResult, Latency, VerifyResult

NOISE = 0.05
"""Share by which two runs of one artifact differ on a quiet machine: a smaller lead is no reason to prefer one."""


class _Candidate(NamedTuple):
    parity: ArtifactParity
    latency: Latency


def recommend(verified: VerifyResult, benched: BenchResult) -> tuple[str | None, str]:
    """Return the name of the artifact to ship, and the reason in one sentence.

    It is the fastest (p50) of the artifacts that passed their gate. Those that are slower by no more than the noise
    count as equally fast: among them the more accurate one is taken, then the smaller one. The name is None where no
    artifact passed, or none of those that passed was measured.
    """
    passed = [parity for parity in verified.artifacts if parity.passed]
    latencies = {(latency.name, latency.sha256): latency for latency in benched.results}
    candidates = [
        _Candidate(parity, latencies[key]) for parity in passed if (key := (parity.name, parity.sha256)) in latencies
    ]
    if not passed:
        return None, "No artifact passed its gate."
    if not candidates:
        return None, "None of the artifacts that passed their gate has been measured."
    candidates.sort(key=lambda one: one.latency.p50_us)
    limit = candidates[0].latency.p50_us * (1.0 + NOISE)
    equal = [one for one in candidates if one.latency.p50_us <= limit]
    chosen = min(equal, key=lambda one: (-one.parity.accuracy, one.latency.bytes))
    return chosen.parity.name, _reason(chosen, equal, candidates[len(equal) :])


def _reason(chosen: _Candidate, equal: list[_Candidate], slower: list[_Candidate]) -> str:
    """Explain the choice; `equal` contains the chosen one, and both lists are sorted by p50."""
    figures = (
        f"{chosen.latency.p50_us:.1f} µs a call (p50), {chosen.parity.accuracy:.2%} accurate, "
        f"{chosen.latency.bytes / 1000:,.0f} KB"
    )
    others = [one for one in equal if one is not chosen]
    if others:
        more_accurate = all(chosen.parity.accuracy > one.parity.accuracy for one in others)
        merit = "the most accurate" if more_accurate else "the smallest of the most accurate"
        rivals = " and ".join(f"{one.parity.name} ({one.latency.p50_us:.1f} µs)" for one in others)
        return f"{chosen.parity.name} is as fast as {rivals} within {NOISE:.0%}, and {merit}: {figures}."
    if slower:
        following = f"{slower[0].parity.name} follows with {slower[0].latency.p50_us:.1f} µs"
        return f"{chosen.parity.name} is the fastest that passed its gate: {figures}; {following}."
    return f"{chosen.parity.name} is the only one that passed its gate and was measured: {figures}."
