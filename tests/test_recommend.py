"""The choice for a board names what it rests on, and what does not pay."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.board.machine import host_facts
from edgemnist.errors import UsageError
from edgemnist.ground.results.bench import Block, Latency
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN, Verdict
from edgemnist.ground.results.verify import ArtifactParity, Limit
from edgemnist.model.exports import LIMITS_FILE, Exports, reference_directory
from edgemnist.model.exports.findings import choose
from edgemnist.pipeline.bench.quality import host_warnings
from edgemnist.pipeline.recommend.cli import next_words, recommend_page
from edgemnist.pipeline.recommend.weigh import recommend, weigh
from tests.bench.machine import benched, latency, parity, verified
from tests.render.test_narrow import lines_of

PI_5 = {"cpu": "Cortex-A76", "flags": ["asimd", "asimddp"]}
PI_4 = {"cpu": "Cortex-A72", "flags": ["asimd"]}


def test_where_int8_pays_the_facts_say_by_how_much() -> None:
    result = weigh(
        verified(parity("tflite-int8"), parity("tflite-float32")),
        benched(latency("tflite-int8", 6.0, 424_000), latency("tflite-float32", 24.0, 1_630_000)),
        PI_5,
    )
    assert result.recommended == "tflite-int8"
    assert result.facts == [
        "It is as accurate as the Keras model: 0 of 10,000 labels changed.",
        "This CPU has instructions for int8 (Arm dot products).",
        "tflite-int8 is 4.0 times as fast as tflite-float32 here (6.00 µs against 24.0 µs).",
    ]


def test_where_int8_does_not_pay_the_facts_say_so_plainly() -> None:
    result = weigh(
        verified(parity("onnx-int8"), parity("onnx-float32")),
        benched(latency("onnx-int8", 60.0), latency("onnx-float32", 50.0, 1_630_000)),
        PI_4,
    )
    assert result.recommended == "onnx-float32"
    assert "no dot-product instructions" in result.facts[1]
    assert result.facts[2] == "int8 does not pay here: onnx-int8 is slower than onnx-float32 (60.0 µs against 50.0 µs)."


@pytest.mark.parametrize(
    ("drop", "p", "said"),
    [
        (0.05, 0.27, "It is 0.05 points less accurate than the Keras model, no more than chance explains ("),
        (0.05, 0.05, "It is 0.05 points less accurate than the Keras model, no more than chance explains ("),
        (0.05, None, "It is 0.05 points less accurate than the Keras model: 1,200"),
        (-0.12, 0.05, "It is 0.12 points more accurate than the Keras model, no more than chance explains ("),
    ],
)
def test_a_change_of_accuracy_is_said_with_what_it_means(drop: float, p: float | None, said: str) -> None:
    changed = msgspec.structs.replace(parity("tflite-int8"), accuracy_drop_points=drop, mcnemar_p=p, flips=1200)
    fact = weigh(verified(changed), benched(latency("tflite-int8", 6.0)), PI_5).facts[0]
    assert fact.startswith(said)
    assert fact.endswith("1,200 of 10,000 labels changed.")


LOSS = "0.05 points less accurate, more than chance explains (McNemar's exact test, p 0.049)"


def test_what_lost_accuracy_beyond_chance_is_not_shipped() -> None:
    worse = msgspec.structs.replace(
        parity("tflite-int8"), accuracy_drop_points=0.05, mcnemar_p=0.049, significant_loss=True
    )
    times = benched(latency("tflite-int8", 1.0), latency("onnx-int8", 9.0))
    alone = weigh(verified(worse), times, PI_5)
    assert (alone.recommended, alone.reason) == (None, f"What passed its gate lost accuracy: tflite-int8 is {LOSS}.")
    assert not any("chance" in fact for fact in alone.facts)
    other = weigh(verified(worse, parity("onnx-int8")), times, PI_5)
    assert other.recommended == "onnx-int8"
    assert f"tflite-int8 passed its gate, but is no candidate: it is {LOSS}." in other.facts


def test_a_loss_within_a_persons_limit_is_shipped_and_said_in_one_sentence() -> None:
    limit = Limit(limit=0.5, builtin=0.2, allowed=50, own=True, origin="command line")
    worse = msgspec.structs.replace(
        parity("tflite-int8"), accuracy_drop_points=0.25, mcnemar_p=0.001, significant_loss=True,
        gate={"max_drop_points": limit}, flips=25,
    )  # fmt: skip
    result = weigh(verified(worse), benched(latency("tflite-int8", 1.0)), PI_5)
    assert result.recommended == "tflite-int8"
    assert result.facts[0] == (
        "It is 0.25 points less accurate than the Keras model, more than chance explains (McNemar's exact test, "
        "p 0.001), and within your limit of 0.5: 25 of 10,000 labels changed."
    )
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
        verified(parity("b-int8", 0.97), parity("a-int4", 0.9, passed=False), parity("c-int8")),
        benched(latency("b-int8", 9.0, 40_000), latency("a-int4", 3.0, 20_000), latency("c-int8", 1.0, sha256="old")),
        PI_4,
    )
    assert [msgspec.structs.astuple(one) for one in result.candidates] == [
        ("a-int4", 20_000, 0.9, msgspec.UNSET, msgspec.UNSET, False, "missed", 3.0, False, None),
        ("b-int8", 40_000, 0.97, msgspec.UNSET, msgspec.UNSET, True, "passed", 9.0, False, None),
    ]
    assert result.host == PI_4


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
    assert found.verdict.outcome == outcome
    assert (found.recommended is not None) == found.verdict.passed


def test_the_next_step_leads_back_to_bench_only_from_what_might_ship() -> None:
    taken, lost = latency("a-int8", 1.0), latency("b-int8", 9.0)
    rows = verified(parity("a-int8"), parity("b-int8", passed=False))
    none = verified(parity("b-int8", passed=False))
    busy = {"blocks": [Block(p50_us=1.0, samples=9, taints=["busy"])]}
    for found, times, words in (
        (rows, [taken, lost], "bundle a-int8 --output bundle.zip"),
        (rows, [taken, msgspec.structs.replace(lost, **busy)], "bundle a-int8 --output bundle.zip"),
        (rows, [msgspec.structs.replace(taken, **busy), lost], "bench"),
        (none, [msgspec.structs.replace(lost, **busy)], ""),
    ):
        assert next_words(weigh(found, benched(*times), PI_5)) == words


def test_figures_that_vary_are_doubted() -> None:
    measured = msgspec.structs.replace(latency("tflite-int8", 6.0), warnings=["the calls vary"])
    other = msgspec.structs.replace(latency("tflite-int4", 60.0), warnings=["not looked at"])
    artifacts = verified(parity("tflite-int8"), parity("tflite-int4"))
    assert weigh(artifacts, benched(measured, other), {**PI_5, "governor": "powersave"}).warnings == [
        *host_warnings({"governor": "powersave"}),
        "tflite-int8: the calls vary",
    ]


@pytest.mark.parametrize("change", [{"cpu": "Cortex-A53"}, {"flags": []}, {"architecture": "riscv64"}])
def test_figures_of_another_machine_ship_nothing(change: dict[str, Any], old_exports: Path) -> None:
    bench = json.loads((old_exports / "bench.json").read_text())
    (old_exports / "bench.json").write_text(json.dumps({**bench, "host": {**bench["host"], **change}}))
    message, hint = refusal(old_exports)
    assert message.startswith(f"{old_exports} was measured on another machine (")
    assert hint == f"Run: edgemnist bench --exports {old_exports}"
    assert Exports.open(old_exports).findings.latency("tflite-int8") is None
    # A name is no machine.
    (old_exports / "bench.json").write_text(json.dumps({**bench, "host": {**bench["host"], "machine": "other"}}))
    assert recommend(Exports.open(old_exports)).recommended is not None


def refusal(directory: Path) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        recommend(Exports.open(directory))
    return caught.value.message, caught.value.hint


def test_nothing_is_recommended_that_is_not_verified_and_measured(old_exports: Path) -> None:
    assert recommend(Exports.open(old_exports)).recommended == "tflite-float32"
    bench, verify = old_exports / "bench.json", old_exports / "verify.json"
    measured = bench.read_text()
    rows = [{**row, "sha256": "0" * 64} for row in json.loads(measured)["results"]]
    bench.write_text(json.dumps({**json.loads(measured), "results": rows}))
    run_bench = f"Run: edgemnist bench --exports {old_exports}"
    assert refusal(old_exports) == (f"{old_exports} has not been measured since the export", run_bench)
    bench.unlink()
    assert refusal(old_exports) == (f"{old_exports} has not been measured on this machine", run_bench)
    run_verify = f"Run: edgemnist verify --exports {old_exports}"
    (old_exports / LIMITS_FILE).write_text("[int8]\n")
    assert refusal(old_exports) == (f"{old_exports}: judged before a change of the gate", run_verify)
    (old_exports / LIMITS_FILE).unlink()
    document = json.loads(verify.read_text())
    verify.write_text(json.dumps({**document, "model_sha256": "0" * 64}))
    assert refusal(old_exports) == (f"{old_exports} has not been verified since the export", run_verify)
    verify.unlink()
    assert refusal(old_exports) == (f"{old_exports} has not been verified", run_verify)
    (old_exports / "model.keras").write_bytes(b"another model")
    assert refusal(old_exports)[0] == (
        f"Nothing in {old_exports} can be recommended: model.keras has changed since the export: "
        f"run edgemnist export --exports {old_exports}"
    )


def test_the_page_fits_60_columns_with_the_longest_names_whole() -> None:
    names = ["onnx-dynamic@openvino", "tflite-float32"]
    times = benched(*(latency(name, 123.0, 408_000) for name in names))
    lines = lines_of(recommend_page(weigh(verified(*map(parity, names)), times, PI_5)), 60)
    assert max(map(len, lines)) <= 60
    assert sum(line.startswith("onnx-dynamic@openvino  123 µs") for line in lines) == 1


def test_the_packaged_artifact_leads_somewhere() -> None:
    result = recommend(Exports.open(reference_directory()))
    assert result.recommended is not None
    assert result.reason == (
        f"{result.recommended} comes with edgemnist and has passed its gate. To choose among several, make your own: "
        "edgemnist all. To see its latency here: edgemnist bench --exports reference."
    )
    assert result.host["cpu"] == host_facts()["cpu"]
    assert "int8" in result.facts[0]
    assert (len(result.facts), result.candidates) == (1, [])
    assert result.warnings == host_warnings(result.host)


ONE = (
    "tflite-int8 is the only one that passed its gate and was measured: 6.1 µs a call (p50), 98.00 % accurate, 400 KB."
)
FASTEST = (
    "tflite-int4 is the fastest that passed its gate: 5.1 µs a call (p50), 97.91 % accurate, 514 KB; "
    "tflite-int8 follows with 6.1 µs."
)
ACCURATE = (
    "onnx-int8 is as fast as tflite-int8 (10.0 µs) within 5 %, and the most accurate: "
    "10.4 µs a call (p50), 98.00 % accurate, 400 KB."
)
SMALLEST = (
    "tflite-int4 is as fast as tflite-int8 (10.0 µs) and onnx-int8 (10.2 µs) within 5 %, and the smallest of the "
    "most accurate: 10.1 µs a call (p50), 98.00 % accurate, 200 KB."
)
NOISY = [parity("tflite-int8", 0.979), parity("onnx-int8", 0.980)]


NONE = "None of the artifacts that passed their gate has been measured."


def disturbed(name: str, p50: float) -> Latency:
    return msgspec.structs.replace(latency(name, p50), blocks=[Block(p50_us=p50, samples=9, taints=["busy"])])


TWO = [parity("a-int8"), parity("b-int8")]
UNCLEAR = "Which one is the fastest is unknown: {} measured on a disturbed machine."


@pytest.mark.parametrize(
    ("rows", "times", "name", "reason"),
    [
        (
            [parity("tflite-int4", 0.9791), parity("tflite-int8", 0.9796), parity("tflite-float32")],
            [latency("tflite-float32", 21.0), latency("tflite-int8", 6.1), latency("tflite-int4", 5.1, 514_000)],
            "tflite-int4",
            FASTEST,
        ),
        # What missed its gate is never recommended, however fast.
        (
            [parity("tflite-int4", passed=False), parity("tflite-int8")],
            [latency("tflite-int4", 0.1), latency("tflite-int8", 6.1)],
            "tflite-int8", ONE,
        ),
        # Within the noise the more accurate is taken, and then the smaller.
        (
            NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.4)], "onnx-int8",
            ACCURATE,
        ),
        (NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.5)], "onnx-int8", ""),
        (NOISY, [latency("tflite-int8", 10.0), latency("onnx-int8", 10.6)], "tflite-int8", ""),
        (
            [parity("tflite-int8"), parity("tflite-int4"), parity("onnx-int8", 0.97)],
            [
                latency("onnx-int8", 10.2, 100_000), latency("tflite-int8", 10.0, 400_000),
                latency("tflite-int4", 10.1, 200_000),
            ],
            "tflite-int4",
            SMALLEST,
        ),
        # Figures of another file of that name, of Keras, and of a runtime that is asked for by name only.
        ([parity("tflite-int8")], [latency("tflite-int8", 6.1, sha256="another")], None, NONE),
        ([parity("tflite-int8")], [latency("keras", 1.0), latency("tflite-int8", 6.1)], "tflite-int8", ONE),
        (
            [msgspec.structs.replace(parity("tflite-int8@integer"), runtime="integer"), parity("tflite-int8")],
            [latency("tflite-int8@integer", 0.1), latency("tflite-int8", 6.1)],
            "tflite-int8", ONE,
        ),
        # No disturbed figure ships: whatever throttled the processor made every call slow.
        (TWO, [disturbed("a-int8", 1.0), latency("b-int8", 9.0)], None, UNCLEAR.format("a-int8 was")),
        (TWO, [disturbed("a-int8", 99.0), latency("b-int8", 9.0)], None, UNCLEAR.format("a-int8 was")),
        (TWO, [disturbed("a-int8", 1.0), disturbed("b-int8", 9.0)], None, UNCLEAR.format("all were")),
        (TWO, [latency("a-int8", 99.0), latency("b-int8", 9.0)], "b-int8", ""),
        # What may not ship anyway is in nobody's way.
        (TWO[1:], [disturbed("a-int8", 1.0), latency("b-int8", 9.0)], "b-int8", ""),
    ],
)  # fmt: skip
def test_the_fastest_that_passed_is_recommended(
    rows: list[ArtifactParity], times: list[Latency], name: str | None, reason: str
) -> None:
    found = choose(rows, times)
    assert found == (name, reason or found[1])
