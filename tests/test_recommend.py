"""The choice for a board names what it rests on, and what does not pay."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from edgemnist.bench.quality import host_warnings
from edgemnist.errors import UsageError
from edgemnist.exports import Exports, reference_directory
from edgemnist.machine import host_facts
from edgemnist.recommend.weigh import cache_bytes, fitting_cache, recommend, weigh
from edgemnist.results.verify import Limit
from tests.bench.test_recommend import benched, latency, parity, verified
from tests.conftest import Run

PI_5 = {"cpu": "Cortex-A76", "flags": ["asimd", "asimddp"], "caches": {"L1 data": "64K", "L2": "512K", "L3": "2048K"}}
PI_4 = {"cpu": "Cortex-A72", "flags": ["asimd"], "caches": {"L1 data": "32K", "L1 instruction": "48K", "L2": "1024K"}}


@pytest.mark.parametrize(("text", "expected"), [("512K", 524_288), ("2M", 2_097_152), ("64", 64), ("", None)])
def test_cache_sizes_are_read_as_linux_writes_them(text: str, expected: int | None) -> None:
    assert cache_bytes(text) == expected


def test_a_file_is_held_against_the_smallest_cache_that_takes_it() -> None:
    assert fitting_cache(30_000, PI_4["caches"]) == "L1 data"  # type: ignore[arg-type]  # a dict of several kinds
    assert fitting_cache(424_000, PI_5["caches"]) == "L2"  # type: ignore[arg-type]
    assert fitting_cache(1_630_000, PI_5["caches"]) == "L3"  # type: ignore[arg-type]
    assert fitting_cache(1_630_000, PI_4["caches"]) is None  # type: ignore[arg-type]
    assert fitting_cache(524_288, PI_5["caches"]) == "L2"  # type: ignore[arg-type]
    assert fitting_cache(1, {}) is None


def test_where_int8_pays_the_facts_say_by_how_much() -> None:
    result = weigh(
        verified(parity("tflite-int8"), parity("tflite-float32")),
        benched(latency("tflite-int8", 6.0, 424_000), latency("tflite-float32", 24.0, 1_630_000)),
        PI_5,
    )
    assert result.recommended == "tflite-int8"
    assert result.facts == [
        "It is as accurate as the Keras model: 0 of 10,000 labels changed.",
        "Its 424 KB fit in the L2 cache, which tflite-float32 does not.",
        "This CPU has instructions for int8 (Arm dot products).",
        "tflite-int8 is 4.0 times as fast as tflite-float32 here (6.00 µs against 24.0 µs).",
    ]
    assert [one.fits_in for one in result.candidates] == ["L2", "L3"]


def test_where_int8_does_not_pay_the_facts_say_so_plainly() -> None:
    result = weigh(
        verified(parity("onnx-int8"), parity("onnx-float32")),
        benched(latency("onnx-int8", 60.0), latency("onnx-float32", 50.0, 1_630_000)),
        PI_4,
    )
    assert result.recommended == "onnx-float32"
    assert result.facts[1].startswith("None of the caches")
    assert "no dot-product instructions" in result.facts[2]
    assert result.facts[3] == "int8 does not pay here: onnx-int8 is slower than onnx-float32 (60.0 µs against 50.0 µs)."


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.27, ", no more than chance explains ("), (0.001, ", more than chance explains ("), (None, "Keras model:")],
)
def test_a_loss_of_accuracy_is_said_with_what_it_means(p: float | None, said: str) -> None:
    worse = msgspec.structs.replace(parity("tflite-int8"), accuracy_drop_points=0.05, mcnemar_p=p, flips=15)
    fact = weigh(verified(worse), benched(latency("tflite-int8", 6.0)), PI_5).facts[0]
    assert fact.startswith("It is 0.05 points less accurate than the Keras model")
    assert said in fact
    assert fact.endswith("15 of 10,000 labels changed.")


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
        ("a-int4", 20_000, 0.9, False, 3.0, "L1 data"),
        ("b-int8", 40_000, 0.97, True, 9.0, "L2"),
    ]
    assert result.host == PI_4
    assert "Its 40 KB fit in the L2 cache." in result.facts


def test_files_that_need_another_cache_are_named() -> None:
    artifacts = [parity(name) for name in ("a-int8", "b-float32", "c-float32", "d-float32")]
    sizes = [40_000, 60_000, 600_000, 700_000]
    latencies = [latency(one.name, 10.0 * (1 + index), sizes[index]) for index, one in enumerate(artifacts)]
    facts = weigh(verified(*artifacts), benched(*latencies), PI_5).facts
    assert "Its 40 KB fit in the L1 data cache, which c-float32 and d-float32 do not." in facts


def test_where_nothing_passed_there_is_nothing_to_say_of_the_choice() -> None:
    result = weigh(verified(parity("a-int8", passed=False)), benched(latency("a-int8", 1.0)), {})
    assert (result.recommended, result.reason) == (None, "No artifact passed its gate.")
    assert result.facts == [
        "This CPU has no dot-product instructions for int8 that edgemnist knows of: int8 gains only from its size."
    ]
    facts = weigh(verified(), benched(), {"flags": ["amx_int8", "avx2", "avx512_vnni"]}).facts
    assert facts == ["This CPU has instructions for int8 (AVX-512 VNNI, AMX)."]


def test_an_artifact_may_be_better_than_its_model() -> None:
    better = msgspec.structs.replace(parity("a-int8"), accuracy_drop_points=-0.12, mcnemar_p=0.05, flips=1200)
    facts = weigh(verified(better), benched(latency("a-int8", 1.0)), PI_5).facts
    assert facts[0] == (
        "It is 0.12 points more accurate than the Keras model, no more than chance explains "
        "(McNemar's exact test, p 0.05): 1,200 of 10,000 labels changed."
    )


def test_figures_of_another_machine_are_doubted() -> None:
    measured = msgspec.structs.replace(latency("tflite-int8", 6.0), warnings=["the calls vary"])
    other = msgspec.structs.replace(latency("tflite-int4", 60.0), warnings=["not looked at"])
    artifacts = verified(parity("tflite-int8"), parity("tflite-int4"))
    there = msgspec.structs.replace(benched(measured, other), host={"cpu": "Cortex-A53"})
    assert weigh(artifacts, there, {**PI_5, "governor": "powersave"}).warnings == [
        "the latencies were measured on another machine (Cortex-A53; this one is Cortex-A76): run edgemnist bench here",
        *host_warnings({"governor": "powersave"}),
        "tflite-int8: the calls vary",
    ]
    here = msgspec.structs.replace(there, host={"cpu": "Cortex-A76"})
    assert weigh(artifacts, here, PI_5).warnings == ["tflite-int8: the calls vary"]


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


def test_a_damaged_artifact_is_no_candidate_and_is_told_of(old_exports: Path) -> None:
    (old_exports / "tflite-float32.tflite").write_bytes(b"damaged")
    result = recommend(Exports.open(old_exports))
    assert result.recommended == "tflite-int8"
    assert result.warnings[0].startswith("tflite-float32 is not a candidate: ")
    assert any(warning.startswith("tflite-int8: ") for warning in result.warnings[1:])


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


def test_without_figures_the_command_says_what_to_run_first(exports: Path, edgemnist: Run) -> None:
    (exports / "bench.json").unlink(missing_ok=True)
    (exports / "verify.json").unlink(missing_ok=True)
    done = edgemnist("recommend", "--exports", exports)
    assert done.returncode == 2
    assert "edgemnist verify" in done.stderr
