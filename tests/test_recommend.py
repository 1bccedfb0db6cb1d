"""The choice for a board names what it rests on, and what does not pay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgemnist.recommend.weigh import cache_bytes, fitting_cache, weigh
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
    [(0.27, "no more than chance explains"), (0.001, "more than chance explains"), (None, "Keras model:")],
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


def test_figures_of_another_machine_are_doubted() -> None:
    result = weigh(verified(parity("tflite-int8")), benched(latency("tflite-int8", 6.0)), PI_5)
    assert "another machine" in result.warnings[0]


def test_without_figures_the_command_says_what_to_run_first(exports: Path, edgemnist: Run) -> None:
    (exports / "bench.json").unlink(missing_ok=True)
    (exports / "verify.json").unlink(missing_ok=True)
    done = edgemnist("recommend", "--exports", exports)
    assert done.returncode == 2
    assert "edgemnist verify" in done.stderr
