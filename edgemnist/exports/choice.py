"""Which model to ship, according to `verify` and `bench`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgemnist.results.bench import Latency
from edgemnist.results.verify import ArtifactParity
from edgemnist.runtimes import RUNTIMES

NOISE: Final = 0.05
"""Share by which two runs of one model differ on a quiet machine: a smaller lead does not count."""


def choose(verified: Iterable[ArtifactParity], benched: Iterable[Latency]) -> tuple[str | None, str]:
    """Return the name of the model to ship, and the reason in one sentence.

    It is the fastest (p50) of those that passed their gate. Those that are slower by no more than `NOISE` count as
    equally fast: among them the more accurate one is taken, then the smaller one. The name is None if none passed,
    or none of those that passed was measured. Runtimes that must be asked for by name are never chosen for a board.
    """
    passed = [parity for parity in verified if parity.passed and not RUNTIMES[parity.runtime].by_name]
    latencies = {(latency.name, latency.sha256): latency for latency in benched}
    candidates = [(parity, latencies[key]) for parity in passed if (key := (parity.name, parity.sha256)) in latencies]
    if not passed:
        return None, "No artifact passed its gate."
    if not candidates:
        return None, "None of the artifacts that passed their gate has been measured."
    candidates.sort(key=lambda one: one[1].p50_us)
    limit = candidates[0][1].p50_us * (1.0 + NOISE)
    equal = [one for one in candidates if one[1].p50_us <= limit]
    chosen = min(equal, key=lambda one: (-one[0].accuracy, one[1].bytes))
    return chosen[0].name, _reason(chosen, equal, candidates[len(equal) :])


_Candidate = tuple[ArtifactParity, Latency]


def _reason(chosen: _Candidate, equal: list[_Candidate], slower: list[_Candidate]) -> str:
    """Explain the choice; `equal` contains the chosen one, and both lists are sorted by p50."""
    parity, latency = chosen
    figures = (
        f"{latency.p50_us:.1f} µs a call (p50), {100 * parity.accuracy:.2f} % accurate, {latency.bytes / 1000:,.0f} KB"
    )
    others = [one for one in equal if one is not chosen]
    if others:
        more_accurate = all(parity.accuracy > other.accuracy for other, _ in others)
        merit = "the most accurate" if more_accurate else "the smallest of the most accurate"
        rivals = " and ".join(f"{other.name} ({theirs.p50_us:.1f} µs)" for other, theirs in others)
        return f"{parity.name} is as fast as {rivals} within {100 * NOISE:.0f} %, and {merit}: {figures}."
    if slower:
        following = f"{slower[0][0].name} follows with {slower[0][1].p50_us:.1f} µs"
        return f"{parity.name} is the fastest that passed its gate: {figures}; {following}."
    return f"{parity.name} is the only one that passed its gate and was measured: {figures}."
