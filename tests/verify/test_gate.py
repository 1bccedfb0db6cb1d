"""Every limit of every quantization can be missed, and says so in words that a user understands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.formats import FORMATS
from edgemnist.verify.gate import GATES, Gate, LimitOverrides, Share, gate_for, missed, poisson_quantile
from edgemnist.verify.parity import Parity

PERFECT = Parity(
    images=10_000,
    classes=10,
    correct=9_800,
    lost=0,
    flips=0,
    ties=0,
    lost_to_ties=0,
    max_abs_diff=0.0,
    mean_abs_diff=0.0,
    batch_flips=0,
    batch_ties=0,
    max_batch_diff=0.0,
    unanswered=0,
    max_sum_error=0.0,
)


def with_measure(name: str, value: float) -> Parity:
    measures: dict[str, Any] = {name: value}
    return dataclasses.replace(PERFECT, **measures)


def test_every_quantization_that_can_be_exported_has_a_gate() -> None:
    assert {quantization for entry in FORMATS.values() for quantization in entry.quantizations} == set(GATES)


def test_a_quantization_without_a_gate_is_an_error_and_no_pass() -> None:
    with pytest.raises(UnknownNameError, match="int2"):
        gate_for("int2")


@pytest.mark.parametrize("quantization", GATES)
def test_a_perfect_artifact_passes_every_gate(quantization: str) -> None:
    assert missed(GATES[quantization], PERFECT) == []


@pytest.mark.parametrize("quantization", GATES)
@pytest.mark.parametrize(
    ("measure", "limit"),
    [
        ("flips", lambda gate: gate.flips.allowed(10_000)),
        ("lost", lambda gate: gate.drop.allowed(10_000)),
        ("max_abs_diff", lambda gate: gate.abs_diff),
        ("mean_abs_diff", lambda gate: gate.mean_diff),
        ("batch_flips", lambda gate: gate.batch_flips.allowed(10_000)),
        ("max_batch_diff", lambda gate: gate.batch_diff),
        ("max_sum_error", lambda gate: gate.max_sum_error(10)),
        ("unanswered", lambda _: 0),
    ],
)
def test_each_limit_may_be_reached_and_not_exceeded(
    quantization: str, measure: str, limit: Callable[[Gate], float]
) -> None:
    gate = GATES[quantization]
    allowed = limit(gate)
    beyond = allowed + 1 if isinstance(allowed, int) else math.nextafter(allowed, 1.0)
    assert missed(gate, with_measure(measure, allowed)) == []
    assert len(missed(gate, with_measure(measure, beyond))) == 1


def test_the_promised_limits_hold_on_the_full_test_set() -> None:
    assert GATES["float32"].flips.allowed(10_000) == 0
    assert GATES["float32"].abs_diff == 1e-4
    assert GATES["int8"].flips.allowed(10_000) == 30
    assert GATES["int8"].drop.allowed(10_000) == 20


@pytest.mark.parametrize(
    ("share", "images", "allowed"),
    [
        (0.003, 10_000, 30),
        (0.003, 70_000, 210),
        (0.003, 1_000, 8),  # Poisson with mean 3: P(X ≤ 7) = 0.988, P(X ≤ 8) = 0.996
        (0.0015, 1_000, 5),  # mean 1.5: P(X ≤ 4) = 0.981, P(X ≤ 5) = 0.996
        (0.003, 100, 2),  # mean 0.3: P(X ≤ 1) = 0.963, P(X ≤ 2) = 0.9964
        (0.003, 9_999, 30),  # never more than of the full set
        (0.0, 10, 0),
        (0.5, 9_000, 4_674),  # mean 4,500, deviation 67, far beyond what exp(-mean) can express: 4,500 + 2.58 × 67
    ],
)
def test_few_images_leave_room_for_chance(share: float, images: int, allowed: int) -> None:
    assert Share(share).allowed(images) == allowed


def test_what_may_change_never_shrinks_with_more_images() -> None:
    for gate in GATES.values():
        counts = [gate.flips.allowed(images) for images in range(1, 12_000, 37)]
        assert counts == sorted(counts)


def test_a_poisson_quantile_is_the_least_count_that_suffices() -> None:
    assert poisson_quantile(0.0, 0.995) == 0
    assert poisson_quantile(1.0, 0.73) == 1  # P(X ≤ 1) = 0.736
    assert poisson_quantile(1.0, 0.74) == 2


def test_the_sum_of_the_probabilities_may_be_off_by_what_rounding_explains() -> None:
    # Ten classes, each rounded to a step of 1/256, and one step more where the softmax saturates.
    assert GATES["int8"].max_sum_error(10) == pytest.approx(6 / 256)
    assert GATES["float32"].max_sum_error(10) < 2e-5


def test_the_reasons_are_sentences_with_both_numbers() -> None:
    parity = dataclasses.replace(PERFECT, flips=42, lost=31, max_abs_diff=0.5)
    assert missed(GATES["int8"], parity) == [
        "42 labels changed (0.42 %), 30 allowed (0.30 %)",
        "accuracy fell by 0.31 points, 0.2 allowed",
        "a probability is off by 0.5, 0.2 allowed",
    ]
    assert missed(GATES["float32"], dataclasses.replace(PERFECT, flips=1)) == ["1 label changed (0.01 %), none allowed"]


def test_limits_of_the_user_hold_to_the_letter_on_few_images() -> None:
    gate = LimitOverrides.of(max_flips_percent=0.1, max_drop_points=0.2, max_abs_diff=0.9).apply(GATES["int8"])
    assert (gate.flips.allowed(1_000), gate.drop.allowed(1_000), gate.abs_diff) == (1, 2, 0.9)
    assert gate.mean_diff == GATES["int8"].mean_diff


def test_no_limits_of_the_user_leave_the_gate_as_it_is() -> None:
    assert LimitOverrides.of().apply(GATES["int4"]) == GATES["int4"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_flips_percent": -1.0}, "--max-flips"),
        ({"max_flips_percent": 101.0}, "--max-flips"),
        ({"max_drop_points": math.nan}, "--max-drop"),
        ({"max_abs_diff": 1.5}, "--max-diff"),
    ],
)
def test_a_limit_that_makes_no_sense_is_wrong_usage(options: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        LimitOverrides.of(**options)
