"""The choice for a board names what it rests on, and what does not pay."""

import msgspec
import pytest

from edgemnist.ground.results.bench import Block, Latency
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN, Verdict
from edgemnist.ground.results.verify import ArtifactParity, Limit
from edgemnist.model.exports.findings import choose
from edgemnist.pipeline.bench.quality import host_warnings
from edgemnist.pipeline.report.advice import weigh
from tests.bench.machine import benched, latency, parity, verified
from tests.messages import Told

PI_5 = {"cpu": "Cortex-A76", "flags": ["asimd", "asimddp"]}
PI_4 = {"cpu": "Cortex-A72", "flags": ["asimd"]}


def test_where_int8_pays_or_does_not_the_facts_say_by_how_much(told: Told) -> None:
    for names, times, facts in (
        (("tflite-int8", "tflite-float32"), (6.0, 24.0), PI_5),
        (("onnx-int8", "onnx-float32"), (60.0, 50.0), PI_4),
    ):
        measured = (
            latency(name, p50, size) for name, p50, size in zip(names, times, (424_000, 1_630_000), strict=True)
        )
        result = weigh(verified(*map(parity, names)), benched(*measured), facts)
        assert result.recommended == names[times.index(min(times))]
        told.says(*result.facts)


def test_a_change_of_accuracy_is_said_with_what_it_means_and_a_loss_beyond_chance_is_not_shipped(told: Told) -> None:
    for drop, p in ((0.05, 0.27), (0.05, 0.05), (0.05, None), (-0.12, 0.05)):
        changed = msgspec.structs.replace(parity("tflite-int8"), accuracy_drop_points=drop, mcnemar_p=p, flips=1200)
        told.says(weigh(verified(changed), benched(latency("tflite-int8", 6.0)), PI_5).facts[0])
    loss = {"accuracy_drop_points": 0.05, "mcnemar_p": 0.049, "significant_loss": True}
    worse = msgspec.structs.replace(parity("tflite-int8"), **loss)
    times = benched(latency("tflite-int8", 1.0), latency("onnx-int8", 9.0))
    alone, other = (weigh(verified(*rows), times, PI_5) for rows in ([worse], [worse, parity("onnx-int8")]))
    assert (alone.recommended, other.recommended) == (None, "onnx-int8")
    told.says(alone.reason, *alone.facts, *other.facts)


def test_a_loss_within_a_persons_limit_is_shipped_and_said_in_one_sentence(told: Told) -> None:
    limit = Limit(limit=0.5, builtin=0.2, allowed=50, own=True, origin="command line")
    worse = msgspec.structs.replace(
        parity("tflite-int8"), accuracy_drop_points=0.25, mcnemar_p=0.001, significant_loss=True,
        gate={"max_drop_points": limit}, flips=25,
    )  # fmt: skip
    result = weigh(verified(worse), benched(latency("tflite-int8", 1.0)), PI_5)
    assert result.recommended == "tflite-int8"
    told.says(result.facts[0])
    # Another limit of the person's allows no loss.
    flips = {"max_flips_percent": limit, "max_drop_points": Limit(limit=0.2, builtin=0.2, allowed=20)}
    assert weigh(verified(msgspec.structs.replace(worse, gate=flips)), benched(), PI_5).recommended is None


def test_gates_of_the_users_own_are_named_with_what_they_are_instead_of() -> None:
    limit = Limit(limit=0.0, builtin=0.3, allowed=0, own=True)
    strict = [msgspec.structs.replace(parity(name), gate={"max_flips_percent": limit}) for name in ("a-int8", "b-int8")]
    facts = weigh(verified(*strict, parity("c-int4")), benched(latency("a-int8", 6.0)), PI_5).facts
    assert "The gate of a-int8, b-int8 is not the built-in one: max_flips_percent 0 instead of 0.3." in facts


def test_int8_within_the_noise_of_float32_is_no_faster() -> None:
    artifacts = verified(parity("onnx-int8"), parity("onnx-float32"), parity("tflite-int8"))

    def fact(int8: float) -> str:
        found = benched(latency("onnx-int8", int8), latency("onnx-float32", 105.0), latency("tflite-int8", 1.0))
        # A format with no float32 beside its int8 has nothing to be compared with.
        (sentence,) = [one for one in weigh(artifacts, found, PI_5).facts if "onnx-int8" in one]
        return sentence

    assert fact(99.0).startswith("onnx-int8 is 1.1 times as fast as onnx-float32")
    assert "onnx-int8 is no faster than onnx-float32" in fact(101.0)
    assert "onnx-int8 is no faster than onnx-float32" in fact(110.0)
    assert "onnx-int8 is slower than onnx-float32" in fact(111.0)


def test_every_candidate_is_listed_with_its_costs_the_fastest_first() -> None:
    result = weigh(
        verified(parity("b-int8", 0.97), parity("a-dynamic", 0.9, passed=False), parity("c-int8")),
        benched(
            latency("b-int8", 9.0, 40_000), latency("a-dynamic", 3.0, 20_000), latency("c-int8", 1.0, sha256="old")
        ),
        PI_4,
    )
    assert [msgspec.structs.astuple(one) for one in result.candidates] == [
        ("a-dynamic", 20_000, 0.9, msgspec.UNSET, msgspec.UNSET, False, "missed", 3.0, False),
        ("b-int8", 40_000, 0.97, msgspec.UNSET, msgspec.UNSET, True, "passed", 9.0, False),
    ]


@pytest.mark.parametrize(
    ("rows", "times", "outcome"),
    [
        ([parity("a-int8")], [latency("a-int8", 1.0)], PASSED),
        ([parity("a-int8", passed=False)], [latency("a-int8", 1.0)], MISSED),
        ([parity("a-int8")], [], UNKNOWN),
        (
            [msgspec.structs.replace(parity("a-int8", passed=False), verdict=Verdict())],
            [latency("a-int8", 1.0)],
            UNKNOWN,
        ),
        ([], [], UNKNOWN),
    ],
)
def test_what_is_not_known_does_not_ship(rows: list[ArtifactParity], times: list[Latency], outcome: str) -> None:
    found = weigh(verified(*rows), benched(*times), PI_5)
    headline = {PASSED: "Ship a-int8", MISSED: "Nothing to ship", UNKNOWN: "Not known what to ship"}[outcome]
    assert (found.headline, found.recommended is not None) == (headline, outcome == PASSED)


def test_figures_that_vary_are_doubted() -> None:
    measured = msgspec.structs.replace(latency("tflite-int8", 6.0), warnings=["the calls vary"])
    other = msgspec.structs.replace(latency("tflite-dynamic", 60.0), warnings=["not looked at"])
    artifacts = verified(parity("tflite-int8"), parity("tflite-dynamic"))
    assert weigh(artifacts, benched(measured, other), {**PI_5, "governor": "powersave"}).warnings == [
        *host_warnings({"governor": "powersave"}),
        "tflite-int8: the calls vary",
    ]


NOISY = [parity("tflite-int8", 0.979), parity("onnx-int8", 0.980)]
INT8, TWO = [parity("tflite-int8")], [parity("a-int8"), parity("b-int8")]


def disturbed(name: str, p50: float) -> Latency:
    return msgspec.structs.replace(latency(name, p50), blocks=[Block(p50_us=p50, samples=9, taints=["busy"])])


CHOICES: list[tuple[list[ArtifactParity], list[Latency], str | None]] = [
    (
        [parity("tflite-dynamic", 0.9791), parity("tflite-int8", 0.9796), parity("tflite-float32")],
        [latency("tflite-float32", 21.0), latency("tflite-int8", 6.1), latency("tflite-dynamic", 5.1, 514_000)],
        "tflite-dynamic",
    ),
    # What missed its gate is never shipped, however fast.
    (
        [parity("tflite-dynamic", passed=False), *INT8],
        [latency("tflite-dynamic", 0.1), latency("tflite-int8", 6.1)],
        "tflite-int8",
    ),
    # Within the noise the more accurate is taken, and then the smaller.
    *(
        (NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", p50)], name)
        for p50, name in ((10.4, "onnx-int8"), (10.5, "onnx-int8"), (10.6, "tflite-int8"))
    ),
    (
        [*INT8, parity("tflite-dynamic"), parity("onnx-int8", 0.97)],
        [latency("onnx-int8", 10.2, 100_000), latency("tflite-int8", 10.0), latency("tflite-dynamic", 10.1, 200_000)],
        "tflite-dynamic",
    ),
    # Figures of another file of that name, of Keras, and of a runtime that is asked for by name only.
    (INT8, [latency("tflite-int8", 6.1, sha256="another")], None),
    (INT8, [latency("keras", 1.0), latency("tflite-int8", 6.1)], "tflite-int8"),
    (
        [msgspec.structs.replace(parity("tflite-int8@integer"), runtime="integer"), *INT8],
        [latency("tflite-int8@integer", 0.1), latency("tflite-int8", 6.1)],
        "tflite-int8",
    ),
    # No disturbed figure ships: whatever throttled the processor made every call slow.
    *((TWO, [disturbed("a-int8", p50), latency("b-int8", 9.0)], None) for p50 in (1.0, 99.0)),
    (TWO, [disturbed("a-int8", 1.0), disturbed("b-int8", 9.0)], None),
    (TWO, [latency("a-int8", 99.0), latency("b-int8", 9.0)], "b-int8"),
    # What may not ship anyway is in nobody's way.
    (TWO[1:], [disturbed("a-int8", 1.0), latency("b-int8", 9.0)], "b-int8"),
]


def test_the_fastest_that_passed_is_shipped(told: Told) -> None:
    for rows, times, name in CHOICES:
        chosen, reason = choose(rows, times)
        assert chosen == name
        told.says(reason)
