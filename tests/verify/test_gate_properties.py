"""No comparison passes a gate of which a figure is missing, and no tighter limit of a person's lets one pass."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from edgemnist.ground.results.verdict import COMMAND_LINE, FEWEST_IMAGES, GATE_FILE, PASSED, UNKNOWN, WORST_FIRST, judge
from edgemnist.ground.results.verify import IntegerCheck
from edgemnist.pipeline.verify.gate import (
    ABS_DIFF,
    BATCH_DIFF,
    BATCH_FLIPS,
    DROP,
    FLIPS,
    GATES,
    IMAGES,
    INTEGER_DIFF,
    LIMITS,
    MEAN_DIFF,
    Gate,
    measurements,
)
from edgemnist.pipeline.verify.parity import Parity, compare
from edgemnist.pipeline.verify.vote import replay, replay_measurements

MEASURED = ("max_abs_diff", "mean_abs_diff", "max_batch_diff", "max_sum_error")
SHARES = st.sampled_from([0.0, 1e-8, 1e-6, 1e-4, 1e-3, 0.004, 0.01, 0.05, 0.5])
GIVEN = {name: st.floats(0, 3 if limit.counts else 0.3) for name, limit in LIMITS.items()}
GIVEN[IMAGES] = st.integers(0, 500).map(float)


@st.composite
def parities(draw: st.DrawFn, least: int = 1, most: int = 20_000) -> Parity:
    images = draw(st.integers(least, most))
    few = st.integers(0, max(1, images // 50))
    broken, fixed, changed = draw(few), draw(few), draw(few)
    flips = min(images, broken + fixed + changed)
    measured: dict[str, Any] = {name: draw(SHARES) for name in MEASURED}
    return Parity(
        images=images, classes=10, correct=images - broken, broken=broken, fixed=fixed, flips=flips,
        ties=draw(st.integers(0, flips)), batch_flips=draw(st.sampled_from([0, 1, 5])), unanswered=0,
        **measured,
    )  # fmt: skip


CHECKS = st.none() | st.builds(
    IntegerCheck,
    differing=st.just(1),
    max_abs_diff=SHARES,
    flips=st.just(0),
    rescaling=st.sampled_from([None, "double"]),
)
QUANTIZATIONS = st.sampled_from(sorted(GATES))
LIMITS_GIVEN = st.fixed_dictionaries({}, optional=GIVEN)


def outcome(gate: Gate, parity: Parity, integer: IntegerCheck | None = None) -> str:
    return judge(measurements(gate, parity, integer)).outcome


@given(QUANTIZATIONS, parities(), CHECKS, LIMITS_GIVEN, st.sampled_from(MEASURED))
def test_a_figure_that_is_no_number_passes_no_gate(
    quantization: str, parity: Parity, check: IntegerCheck | None, limits: dict[str, float], name: str
) -> None:
    gate = GATES[quantization].given(limits, GATE_FILE)
    for value in (math.nan, math.inf):
        odd: dict[str, Any] = {name: value}
        assert outcome(gate, replace(parity, **odd), check) != PASSED
        if check is not None and INTEGER_DIFF in gate.limits:
            unsure = msgspec.structs.replace(check, max_abs_diff=value, rescaling=None)
            assert outcome(gate, parity, unsure) != PASSED
    assert outcome(gate, replace(parity, unanswered=1), check) != PASSED


@given(QUANTIZATIONS, parities(most=2 * FEWEST_IMAGES), CHECKS, LIMITS_GIVEN)
def test_too_few_images_pass_no_gate(
    quantization: str, parity: Parity, check: IntegerCheck | None, limits: dict[str, float]
) -> None:
    gate = GATES[quantization].given(limits, COMMAND_LINE)
    found = judge(measurements(gate, parity, check))
    if parity.images < limits.get(IMAGES, FEWEST_IMAGES):
        assert found.outcome != PASSED
        assert any(held.outcome == UNKNOWN for held in found.limits if held.name == IMAGES)


@given(QUANTIZATIONS, parities(), CHECKS, LIMITS_GIVEN, LIMITS_GIVEN)
def test_a_tighter_limit_of_a_person_never_turns_missed_into_passed(
    quantization: str, parity: Parity, check: IntegerCheck | None, limits: dict[str, float], others: dict[str, float]
) -> None:
    tighter = {
        name: max(limit, others.get(name, limit)) if name == IMAGES else min(limit, others.get(name, limit))
        for name, limit in limits.items()
    }
    assume(tighter != limits)
    gate = GATES[quantization]
    before, after = (outcome(gate.given(some, GATE_FILE), parity, check) for some in (limits, tighter))
    assert WORST_FIRST.index(after) <= WORST_FIRST.index(before)


@given(parities(least=FEWEST_IMAGES), SHARES, st.data())
def test_what_passes_is_within_a_limit_of_a_person_to_the_letter(
    parity: Parity, difference: float, data: st.DataObject
) -> None:
    check = IntegerCheck(differing=1, max_abs_diff=difference, flips=0, rescaling="double")
    shares = {FLIPS: parity.flips, DROP: parity.lost, BATCH_FLIPS: parity.batch_flips}
    figures = {name: 100 * number / parity.images for name, number in shares.items()}
    figures |= {ABS_DIFF: parity.max_abs_diff, BATCH_DIFF: parity.max_batch_diff, MEAN_DIFF: parity.mean_abs_diff}
    figures[INTEGER_DIFF] = difference
    name = data.draw(st.sampled_from(sorted(figures)))
    limit = data.draw(GIVEN[name])
    # Int8 has every limit, and no other one stands in the way.
    loose = {other: 0.0 if other == IMAGES else 1e9 for other in LIMITS}
    found = outcome(GATES["int8"].given({**loose, name: limit}, COMMAND_LINE), parity, check)
    assert found != PASSED or figures[name] <= limit + 1e-9


@given(QUANTIZATIONS, st.integers(0, 5), st.integers(0, 9), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_an_answer_that_is_no_number_is_as_no_other_was(
    quantization: str, image: int, place: int, value: float
) -> None:
    reference = np.full((300, 10), 0.01, np.float32)
    reference[np.arange(300), np.arange(300) % 10] = 0.91
    odd = reference.copy()
    odd[image, place] = value
    gate, labels = GATES[quantization], np.arange(300) % 10
    assert outcome(gate, compare(reference, labels, reference, reference)) == PASSED
    assert outcome(gate, compare(reference, labels, odd, odd)) != PASSED
    for here, there in ((reference, odd), (odd, reference)):
        found = replay(here, there, quantization=quantization)
        assert not judge(replay_measurements(gate, found)).passed
