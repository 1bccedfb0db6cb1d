"""What to ship: the one place that decides it, from what `verify` and `bench` found."""

from collections.abc import Collection, Sequence

from edgemnist.ground.formatting import count
from edgemnist.ground.ratios import fastest_first, in_words, times_as_long
from edgemnist.ground.results.bench import KERAS, Decision, Latency
from edgemnist.ground.results.verdict import MISSED, UNKNOWN, listed
from edgemnist.ground.results.verify import ArtifactParity
from edgemnist.model.runtimes import RUNTIMES


def choose(verified: Collection[ArtifactParity], measured: Sequence[Latency]) -> Decision:
    """Return what to ship: the fastest of the models that passed their gate.

    Of those that cannot be told apart from it, since the interval of their ratio contains 1, it is the smallest file,
    and at the same size the one ahead. Runtimes that must be asked for by name are never shipped, and nothing is of
    which `verify` has not said that it passed.
    """
    gates = {(row.name, row.sha256): row for row in verified}
    timed = {(row.name, row.sha256): row for row in measured if row.name != KERAS}
    passed = [row for key, row in gates.items() if row.shippable and not RUNTIMES[row.runtime].by_name]
    excluded = excluded_words([row for row in verified if not row.shippable])
    if not gates and not measured:
        return Decision(name=None, sentence="Nothing has been verified or measured")
    if not gates:
        fastest, *others = fastest_first([row for row in measured if row.name != KERAS] or measured)
        compared = f": {in_words(times_as_long(others[0], fastest))} as fast as {others[0].key}" if others else ""
        return Decision(name=None, sentence=f"{fastest.key} is the fastest{compared}, but nothing has been verified")
    if not passed:
        known = all(row.verdict.outcome != UNKNOWN for row in verified)
        nothing = "Nothing to ship: no model passed its gate" if known else "Not known what to ship"
        return Decision(name=None, sentence=nothing, excluded=excluded)
    candidates = fastest_first([timed[key] for row in passed if (key := (row.name, row.sha256)) in timed])
    if not candidates:
        return Decision(name=None, sentence="Nothing that passed its gate has been measured", excluded=excluded)
    best, *others = candidates
    alike = [best, *(row for row in others if times_as_long(row, best).low <= 1)]
    chosen = min(alike, key=lambda row: row.bytes)
    return Decision(name=chosen.name, sentence=f"Ship {chosen.name}{_how_sure(chosen, alike, candidates, measured)}",
                    excluded=excluded)  # fmt: skip


def _how_sure(chosen: Latency, alike: list[Latency], candidates: list[Latency], measured: Sequence[Latency]) -> str:
    """Return what follows the name of the model to ship: how much faster it is, or what it is like."""
    if rivals := [row for row in alike if row is not chosen]:
        why = "the smaller file" if chosen.bytes < min(row.bytes for row in rivals) else "slightly ahead"
        found = in_words(times_as_long(rivals[0], chosen))
        names = [row.name for row in rivals[:3]]
        names += [count(len(rivals) - 3, "other")] if rivals[3:] else []
        return f": alike in speed with {listed(names)}, {found} as fast, and {why}"
    slower = [row for row in candidates if row is not chosen] or [row for row in measured if row.name == KERAS]
    if not slower:
        return ": the only model that passed its gate and was measured"
    return f": {in_words(times_as_long(slower[0], chosen))} as fast as {slower[0].name}"


def excluded_words(rows: Sequence[ArtifactParity]) -> str:
    """Return in one sentence which models cannot be shipped, and why; the reason is that of the first."""
    if not rows:
        return ""
    first = min(rows, key=lambda row: row.verdict.outcome != MISSED)
    reason = (first.verdict.reasons or [first.loss or "it has not passed its gate"])[0]
    names = [row.name for row in rows if row is not first]
    more = f"; nor can {listed(names)}, which {'have' if names[1:] else 'has'} not passed" if names else ""
    return f"{first.name} cannot be shipped: {reason.removesuffix('.')}{more}"
