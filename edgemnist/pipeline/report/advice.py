"""Which artifact to ship to a board, and what speaks for it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from edgemnist.ground.formatting import microseconds
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.results.bench import BenchResult
from edgemnist.ground.results.pipeline import Advice, Figures
from edgemnist.ground.results.verdict import MISSED
from edgemnist.ground.results.verify import SIGNIFICANT, VerifyResult
from edgemnist.model.exports.findings import NOISE, choose
from edgemnist.pipeline.bench.quality import host_warnings
from edgemnist.pipeline.verify.gate import own_gates

DOT_PRODUCTS: Final = {
    "asimddp": "Arm dot products",
    "i8mm": "Arm matrix products of int8",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX",
}
"""CPU flags of the instructions that multiply and add several int8 at once: with them int8 is as fast as it can be."""


def weigh(verified: VerifyResult, benched: BenchResult, host: Mapping[str, Any]) -> Advice:
    """Return the artifact to ship from a host, what speaks for it, and what all the candidates cost."""
    name, reason = choose(verified.artifacts, benched.results)
    latencies = {(one.name, one.sha256): one for one in benched.results}
    candidates = [
        Figures(
            name=parity.name,
            bytes=latency.bytes,
            accuracy=parity.accuracy,
            merit=msgspec.UNSET if parity.accuracy is not None else parity.merit_words,
            closeness=msgspec.UNSET if parity.accuracy is not None else parity.merit,
            passed=parity.passed,
            outcome=parity.verdict.outcome,
            p50_us=latency.p50_us,
            tainted=latency.tainted,
        )
        for parity in verified.artifacts
        if (latency := latencies.get((parity.name, parity.sha256)))
    ]
    candidates.sort(key=lambda one: one.p50_us)
    chosen = [f"{one.name}: {warning}" for one in benched.results if one.name == name for warning in one.warnings]
    return Advice(
        headline=_headline(verified, name),
        recommended=name,
        reason=reason,
        facts=[
            *_accuracy_facts(verified, name),
            *own_gates(verified.artifacts, noun_of(verified.input)),
            _instruction_fact(host),
            *_quantization_facts(benched),
        ],
        candidates=candidates,
        warnings=[*host_warnings(host), *chosen],
    )


def _headline(verified: VerifyResult, name: str | None) -> str:
    if name is not None:
        return f"Ship {name}"
    missed = verified.artifacts and all(one.verdict.outcome == MISSED for one in verified.artifacts)
    return "Nothing to ship" if missed else "Not known what to ship"


def _accuracy_facts(verified: VerifyResult, name: str | None) -> list[str]:
    """Say what the quantization cost in accuracy, and whether that means anything."""
    chosen = next((one for one in verified.artifacts if one.name == name), None)
    if chosen is None:
        return []
    lost = chosen.accuracy_drop_points
    if lost is None:
        spread = "" if chosen.values is None else f", {100 * chosen.values.largest:.2g} % at most"
        beside = f"Compared with the {verified.reference}, it is {chosen.merit_words}{spread}"
        return [f"{beside}; nobody has said the labels, so its accuracy is unknown." if not spread else f"{beside}."]
    beside = "as accurate as" if lost == 0 else f"{abs(lost):.2f} points {'less' if lost > 0 else 'more'} accurate than"
    chance = ""
    if lost and chosen.mcnemar_p is not None:
        chance = ", no more than chance explains" if chosen.mcnemar_p >= SIGNIFICANT else ", more than chance explains"
        chance += f" (McNemar's exact test, p {chosen.mcnemar_p:.2g})"
    # Nothing else is chosen with such a loss.
    allowed = f", and within your limit of {chosen.gate['max_drop_points'].limit:g}" if chosen.loss else ""
    changed = f"{chosen.flips:,} of {verified.images:,} labels changed"
    left_out = [one for one in verified.artifacts if one.passed and not one.shippable]
    return [
        f"It is {beside} the {verified.reference}{chance}{allowed}: {changed}.",
        *(f"{one.name} passed its gate, but is no candidate: it is {one.loss}." for one in left_out),
    ]


def _instruction_fact(host: Mapping[str, Any]) -> str:
    found = [words for flag, words in DOT_PRODUCTS.items() if flag in host.get("flags", [])]
    if found:
        return f"This CPU has instructions for int8 ({', '.join(found)})."
    return "This CPU has no dot-product instructions for int8 that edgemnist knows of: int8 gains only from its size."


def _quantization_facts(benched: BenchResult) -> list[str]:
    """Say for each format how int8 compares with float32, and plainly where it does not pay, unless it is unknown."""
    by_name = {one.name: one for one in benched.results}
    facts = []
    for format_name in dict.fromkeys(one.name.partition("-")[0] for one in benched.results):
        int8, float32 = by_name.get(f"{format_name}-int8"), by_name.get(f"{format_name}-float32")
        if int8 is None or float32 is None or (gain := int8.times_as_fast_as(float32)) is None:
            continue
        times = f"{microseconds(int8.p50_us)} against {microseconds(float32.p50_us)}"
        if gain > 1 + NOISE:
            facts.append(f"{int8.name} is {gain:.1f} times as fast as {float32.name} here ({times}).")
        else:
            slower = "no faster than" if gain > 1 / (1 + NOISE) else "slower than"
            facts.append(f"int8 does not pay here: {int8.name} is {slower} {float32.name} ({times}).")
    return facts
