"""Every limit of every quantization can be missed, and says so in words that a user understands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.formats import FORMATS
from edgemnist.results.verify import IntegerCheck
from edgemnist.verify.gate import GATES, Gate, LimitOverrides, Share, exceeded, gate_for, missed, poisson_quantile
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
    with pytest.raises(UnknownNameError, match=r"^There is no parity gate for the quantization 'int2'"):
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
    lenient = dataclasses.replace(GATES["int8"], flips=Share(0.5), drop=Share(0.5))
    assert missed(lenient, dataclasses.replace(PERFECT, flips=6_000, lost=6_000)) == [
        "6,000 labels changed (60.00 %), 5,000 allowed (50.00 %)",
        "accuracy fell by 60 points, 50 allowed",
    ]


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ({"unanswered": 1_234}, "1,234 of 10,000 images got an answer that is not a finite number"),
        ({"max_sum_error": 0.5}, "probabilities add up to 1 ± 0.5, ± 0.023 allowed"),
        ({"flips": 40, "ties": 9}, "31 labels changed (0.31 %), 30 allowed (0.30 %)"),
        ({"flips": 1_234}, "1,234 labels changed (12.34 %), 30 allowed (0.30 %)"),
        ({"lost": 1_000, "lost_to_ties": 100}, "accuracy fell by 9 points, 0.2 allowed"),
        ({"max_abs_diff": 0.2001}, "a probability is off by 0.2001, 0.2 allowed"),
        ({"mean_abs_diff": 0.01}, "probabilities are off by 0.01 on average, 0.002 allowed"),
        (
            {"batch_flips": 9, "batch_ties": 3},
            "6 labels changed between a batch of one and a large batch (0.06 %), 5 allowed (0.05 %)",
        ),
        (
            {"max_batch_diff": 0.5},
            "a probability changed by 0.5 between a batch of one and a large batch, 0.0078 allowed",
        ),
    ],
)
def test_each_limit_says_what_was_found_and_what_is_allowed(measures: dict[str, Any], said: str) -> None:
    assert missed(GATES["int8"], dataclasses.replace(PERFECT, **measures)) == [said]


def test_ties_of_any_kind_miss_no_gate() -> None:
    found = dataclasses.replace(PERFECT, flips=35, ties=5, lost=25, lost_to_ties=5, batch_flips=8, batch_ties=3)
    assert missed(GATES["int8"], found) == []


def test_where_no_image_is_answered_nothing_else_is_said() -> None:
    found = dataclasses.replace(PERFECT, unanswered=10_000, flips=10_000, max_sum_error=1.0)
    assert missed(GATES["int8"], found) == ["10,000 of 10,000 images got an answer that is not a finite number"]


def test_the_integer_reference_is_a_limit_of_int8_alone() -> None:
    def check(distance: float) -> IntegerCheck:
        return IntegerCheck(differing=1, max_abs_diff=distance, flips=0)

    assert missed(GATES["int8"], PERFECT, check(1 / 256)) == []
    assert missed(GATES["int8"], PERFECT, check(0.25)) == [
        "the runtime differs from the integer reference by 0.25 on the same file, 0.0039 allowed"
    ]
    assert missed(GATES["float32"], PERFECT, check(0.25)) == []
    assert missed(GATES["int8"], PERFECT, msgspec.structs.replace(check(0.25), rescaling="float")) == []


def test_a_value_and_its_limit_are_given_as_many_digits_as_tell_them_apart() -> None:
    assert exceeded("{} > {}", 0.3, 0.1) == "0.3 > 0.1"
    assert exceeded("{} > {}", 0.0030001, 0.003) == "0.0030001 > 0.003"
    assert exceeded("{} > {}", math.nextafter(0.1, 1), 0.1) == "0.10000000000000002 > 0.10000000000000001"


def test_limits_of_the_user_hold_to_the_letter_on_few_images() -> None:
    gate = LimitOverrides(max_flips_percent=0.1, max_drop_points=0.2, max_abs_diff=0.9).apply(GATES["int8"])
    assert (gate.flips.allowed(1_000), gate.drop.allowed(1_000), gate.abs_diff) == (1, 2, 0.9)
    assert LimitOverrides(max_flips_percent=50).apply(GATES["int8"]).flips.allowed(0) == 0
    assert gate.mean_diff == GATES["int8"].mean_diff


def test_no_limits_of_the_user_leave_the_gate_as_it_is() -> None:
    assert LimitOverrides().apply(GATES["int4"]) == GATES["int4"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_flips_percent": -1.0}, "--max-flips"),
        ({"max_flips_percent": 101.0}, "--max-flips"),
        ({"max_drop_points": math.nan}, "--max-drop"),
        ({"max_abs_diff": 1.5}, "--max-diff"),
        ({"max_abs_diff": -0.1}, "--max-diff"),
    ],
)
def test_a_limit_out_of_range_is_wrong_usage(options: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError, match=f"^{named} "):
        LimitOverrides(**options)
