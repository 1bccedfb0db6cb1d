"""Every limit of every quantization can be missed, and set in a file, and says so in words that a user understands."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgemnist.errors import UnknownNameError
from edgemnist.ground.results.verdict import (
    COMMAND_LINE,
    FEWEST_IMAGES,
    GATE_FILE,
    MISSED,
    PASSED,
    UNKNOWN,
    WORST_FIRST,
    judge,
)
from edgemnist.ground.results.verify import SIGNIFICANT, ArtifactParity, IntegerCheck, Limit
from edgemnist.model.formats import FORMATS, arithmetic_of, artifact_names
from edgemnist.pipeline.verify.gate import (
    ABS_DIFF,
    ACCURACY,
    BATCH_DIFF,
    BATCH_FLIPS,
    BUDGET,
    DROP,
    FLIPS,
    GATES,
    IMAGES,
    INTEGER_DIFF,
    LIMITS,
    MEAN_DIFF,
    Gate,
    GateTable,
    allowed,
    budget,
    gate_toml,
    held_limits,
    measurements,
    own_gates,
    read_gates,
)
from edgemnist.pipeline.verify.parity import Parity, compare
from edgemnist.pipeline.verify.reference import replay, replay_measurements
from edgemnist.pipeline.verify.statistics import mcnemar_p
from tests.bench.machine import parity
from tests.conftest import REPOSITORY
from tests.messages import Told
from tests.verify.gates import missed, subject

PERFECT = Parity(
    images=10_000, classes=10, correct=9_800, broken=0, fixed=0, flips=0, ties=0, max_abs_diff=0.0, mean_abs_diff=0.0,
    batch_flips=0, max_batch_diff=0.0, unanswered=0, max_sum_error=0.0,
)  # fmt: skip


def with_measure(name: str, value: float) -> Parity:
    measures: dict[str, Any] = {name: value}
    return replace(PERFECT, **measures)


def test_every_quantization_that_can_be_exported_has_a_gate_and_no_other_passes() -> None:
    assert {quantization for entry in FORMATS.values() for quantization in entry.quantizations} <= set(GATES)
    with pytest.raises(UnknownNameError, match=r"^There is no parity gate for the quantization 'int2'"):
        _ = GATES["int2"]


@pytest.mark.parametrize("quantization", GATES)
@pytest.mark.parametrize(
    ("measure", "limit"),
    [
        ("flips", lambda gate: gate.allowed("max_flips_percent", 10_000)),
        ("max_abs_diff", lambda gate: gate["max_abs_diff"]),
        ("mean_abs_diff", lambda gate: gate["max_mean_diff"]),
        ("batch_flips", lambda gate: gate.allowed("max_batch_flips_percent", 10_000)),
        ("max_batch_diff", lambda gate: gate["max_batch_diff"]),
        ("max_sum_error", lambda gate: gate["max_sum_error"] * 12),
        ("unanswered", lambda _: 0),
    ],
)
def test_each_limit_may_be_just_reached(quantization: str, measure: str, limit: Callable[[Gate], float]) -> None:
    gate = GATES[quantization]
    allowed = limit(gate)
    beyond = allowed + 1 if isinstance(allowed, int) else math.nextafter(allowed, 1.0)
    assert missed(gate, with_measure(measure, allowed)) == []
    assert len(missed(gate, with_measure(measure, beyond))) == 1


@pytest.mark.parametrize(
    ("share", "images", "most"),
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
def test_few_images_leave_room_for_chance(share: float, images: int, most: int) -> None:
    assert allowed(share, images) == most


def test_what_may_change_never_shrinks_with_more_images() -> None:
    for gate in GATES.values():
        counts = [gate.allowed("max_flips_percent", images) for images in range(1, 12_000, 37)]
        assert counts == sorted(counts)


def test_each_limit_says_what_was_found_and_what_is_allowed(told: Told) -> None:
    """On MNIST's test set int8 may change 30 labels, lose 20 images, and differ by 0.2."""
    several: list[dict[str, Any]] = [
        # Where no image is answered, nothing else is said.
        {"unanswered": 10_000, "flips": 10_000, "max_sum_error": 1.0},
        *({"unanswered": 1_234}, {"max_sum_error": 0.5}, {"flips": 40, "ties": 9}, {"flips": 1_234}),
        *({"broken": 20, "fixed": 5}, {"broken": 10_000, "fixed": 9_970}, {"batch_broken": 21}),
        *({"max_abs_diff": 0.2001}, {"mean_abs_diff": 0.01}, {"batch_flips": 6}, {"max_batch_diff": 0.5}),
    ]
    for measures in several:
        (said,) = missed(GATES["int8"], replace(PERFECT, **measures))
        told.says(said)


def test_a_tie_is_excused_by_the_built_in_limit_of_flips_and_by_no_other(told: Told) -> None:
    several: list[tuple[dict[str, float], dict[str, Any], int]] = [
        # The built-in limit of 30 leaves ties out, however many, where accuracy is not lost.
        ({}, {"flips": 2_000, "ties": 1_970, "broken": 5}, 0),
        ({}, {"flips": 31, "ties": 1, "broken": 6}, 1),
        ({}, {"flips": 840, "ties": 800, "broken": 735}, 2),
        # A person's limits count every image.
        *(({"max_flips_percent": 0.3}, {"flips": ties, "ties": ties}, ties - 30) for ties in (30, 31)),
        ({"max_drop_points": 0.5}, {"flips": 30, "ties": 30, "broken": 50}, 0),
        ({"max_drop_points": 0.5, "max_flips_percent": 1}, {"flips": 51, "ties": 51, "broken": 51}, 1),
        # Few images: no allowance for chance.
        *(({"max_drop_points": 0.1}, {"images": 1_000, "broken": broken}, broken - 1) for broken in (1, 2)),
    ]
    for limits, measures, reasons in several:
        found = missed(GATES["int8"].given(limits, COMMAND_LINE), replace(PERFECT, **measures))
        assert len(found) == reasons
        told.says(*found)


@pytest.mark.parametrize("quantization", ["float16", "dynamic", "int8", "int4"])
def test_a_loss_beyond_chance_is_allowed_up_to_half_of_the_built_in_limit(quantization: str) -> None:
    gate = GATES[quantization]
    # As many fixed as make the loss just significant: 10,000 images, so many more broken.
    allowed, half = gate.allowed("max_drop_points", 10_000), math.floor(gate["max_drop_points"] / 200 * 10_000)
    for lost in range(1, allowed + 2):
        for fixed in (0, 1_000):
            found = replace(PERFECT, broken=fixed + lost, fixed=fixed)
            significant = mcnemar_p(fixed + lost, fixed) < SIGNIFICANT
            assert bool(missed(gate, found)) == (lost > (half if significant else allowed)), (lost, fixed)


def test_the_integer_reference_is_a_limit_of_int8_alone() -> None:
    def check(distance: float) -> IntegerCheck:
        return IntegerCheck(differing=1, max_abs_diff=distance, flips=0)

    assert missed(GATES["int8"], PERFECT, check(1 / 256)) == []
    (said,) = missed(GATES["int8"], PERFECT, check(0.25))
    assert said == "the runtime differs from the integer reference by 0.25 on the same file, 0.0039 allowed"
    assert missed(GATES["float32"], PERFECT, check(0.25)) == []
    explained = msgspec.structs.replace(check(0.25), rescaling="float")
    assert missed(GATES["int8"], PERFECT, explained) == []
    own = GATES["int8"].given({"max_integer_diff": 0.24}, GATE_FILE)
    assert missed(own, PERFECT, explained) == [said.replace("0.0039", "0.24")]
    assert missed(GATES["int8"].given({"max_integer_diff": 0.25}, GATE_FILE), PERFECT, check(0.25)) == []


@pytest.mark.parametrize(("flips", "outcome"), [(3, PASSED), (4, UNKNOWN)])
def test_of_a_file_by_itself_a_rule_explains_no_more_than_quantization_changes(flips: int, outcome: str) -> None:
    gate = GATES["int8"].by_itself()
    explained = IntegerCheck(differing=500, max_abs_diff=0.2, flips=flips, rescaling="float")
    # Without labels nobody knows that accuracy is not lost, so ties count.
    found = replace(PERFECT, images=200, labelled=False, flips=flips, ties=flips, max_abs_diff=0.9)
    assert judge(measurements(gate, found, explained)).outcome == outcome
    mine = gate.given({"max_flips_percent": 100 * flips / 200}, COMMAND_LINE)
    assert judge(measurements(mine, found, explained)).outcome == PASSED
    # What a person allows is not undecided.
    mine = gate.given({"max_flips_percent": 100 * flips / 200 - 0.1}, COMMAND_LINE)
    assert judge(measurements(mine, found, explained)).outcome == MISSED
    unexplained = msgspec.structs.replace(explained, rescaling=None)
    assert judge(measurements(gate, found, unexplained)).outcome == MISSED


def test_a_built_in_limit_grows_with_the_impurity_of_the_reference_and_a_person_s_does_not() -> None:
    unsure = with_measure("impurity", 0.1)
    assert GATES["int8"].for_reference("int8", PERFECT) == GATES["int8"]
    gate = GATES["int8"].for_reference("int8", unsure)
    assert gate.limits == {
        **GATES["int8"].limits,
        FLIPS: pytest.approx(0.3 + 10 * 0.1), ABS_DIFF: pytest.approx(0.2 + 0.02 * 0.1),
        MEAN_DIFF: pytest.approx((0.02 + 0.16 * 0.1) / 10), BATCH_DIFF: pytest.approx(2 / 256 + 0.2 * 0.1),
    }  # fmt: skip
    assert GATES["int8"].for_reference("int8", replace(unsure, classes=2))[MEAN_DIFF] == pytest.approx(0.036 / 2)
    mine = {FLIPS: 0.3, ABS_DIFF: 0.2, MEAN_DIFF: 0.002, BATCH_DIFF: 2 / 256}
    assert GATES["int8"].given(mine, GATE_FILE).for_reference("int8", unsure).limits == GATES["int8"].limits
    # Accuracy has no such allowance, and labels are what shows whether it is lost.
    lossy = replace(unsure, broken=130, fixed=109, flips=130)
    assert missed(gate, lossy) == ["accuracy fell by 0.21 points, 0.2 allowed"]
    assert missed(gate, replace(unsure, broken=60, fixed=60, flips=130)) == []


@pytest.mark.parametrize("name", ["flips", "batch_flips"])
@pytest.mark.parametrize(("flips", "outcome"), [(20, PASSED), (21, UNKNOWN), (120, UNKNOWN), (121, MISSED)])
def test_without_labels_more_flips_of_an_unsure_model_may_be_a_loss(name: str, flips: int, outcome: str) -> None:
    found = replace(with_measure(name, flips), labelled=False, impurity=0.1)
    assert judge(measurements(GATES["dynamic"].for_reference("dynamic", found), found)).outcome == outcome
    mine = GATES["dynamic"].given({FLIPS: 0.2, BATCH_FLIPS: 0.2}, COMMAND_LINE).for_reference("dynamic", found)
    assert judge(measurements(mine, found)).outcome == (PASSED if flips == 20 else MISSED)


def test_sound_artifacts_of_other_tasks_than_mnist_pass_the_built_in_limits() -> None:
    measured = msgspec.json.decode((REPOSITORY / "benchmarks/verify/classes.json").read_bytes())
    found = {
        (task, name): judge(measurements(GATES[one].for_reference(one, parity), parity)).reasons
        for task, figures in measured.items()
        for name, parity in (
            (name, replace(PERFECT, **{key: one for key, one in figures.items() if key != "artifacts"}, **of))
            for name, of in figures["artifacts"].items()
        )
        for one in [name.partition("@")[0].partition("-")[2]]
    }
    assert (len(found), {where: reasons for where, reasons in found.items() if reasons}) == (21 * 8, {})


@pytest.mark.parametrize(("broken", "outcome"), [(5, UNKNOWN), (6, MISSED)])
def test_of_too_few_images_a_loss_that_chance_does_not_explain_is_missed(broken: int, outcome: str) -> None:
    # McNemar's p is 0.0625 of 5 and 0.031 of 6.
    found = replace(PERFECT, images=90, broken=broken, flips=broken)
    assert judge(measurements(GATES["int8"], found)).outcome == outcome
    found = replace(PERFECT, images=90, batch_broken=broken, batch_flips=broken)
    assert judge(measurements(GATES["int8"], found)).outcome == outcome


@pytest.mark.parametrize(
    ("broken", "fixed", "passed"),
    [(60, 40, True), (60, 39, False), (400, 380, True), (2_000, 1_900, True), (2_000, 1_899, False)],
)
def test_in_batches_a_loss_beyond_chance_or_one_per_cent_is_missed(broken: int, fixed: int, *, passed: bool) -> None:
    found = replace(PERFECT, batch_broken=broken, batch_fixed=fixed)
    assert (missed(GATES["int8"], found) == []) == passed
    assert missed(GATES["int8"].given({DROP: 0.19}, GATE_FILE), found)


def test_on_random_inputs_nothing_but_a_person_s_limit_and_that_of_integers_is_missed() -> None:
    gate = GATES["int8"].on_random_inputs("int8")
    found = replace(PERFECT, images=200, labelled=False, mean_abs_diff=0.1)
    assert judge(measurements(GATES["int8"], found)).outcome == MISSED
    assert judge(measurements(gate, found)).outcome == UNKNOWN
    assert judge(measurements(gate.given({MEAN_DIFF: 0.05}, COMMAND_LINE), found)).outcome == MISSED
    off = IntegerCheck(differing=500, max_abs_diff=0.2, flips=0, rescaling=None)
    assert judge(measurements(gate, found, off)).outcome == MISSED


def test_what_a_person_gave_holds_to_the_letter_and_the_rest_allows_for_few_images(tmp_path: Path) -> None:
    text = "settled_images = 10000\n[int8]\nmax_flips_percent = 0.3\n"
    gate = read_gates(written(tmp_path / "gate.toml", text)).of("x", "int8")
    usual = GATES["int8"].allowed("max_drop_points", 1_000)
    assert (gate.allowed("max_flips_percent", 1_000), gate.allowed("max_drop_points", 1_000)) == (3, usual)
    assert (usual > 2, gate.allowed("max_flips_percent", 0)) == (True, 0)
    assert (gate.is_built_in("max_flips_percent"), gate.is_built_in("max_drop_points")) == (False, True)
    assert gate.sha256 not in {"", GATES["int8"].sha256}
    limits = held_limits(gate.given({"max_drop_points": 0.2}, COMMAND_LINE), GATES["int8"], 1_000)
    assert set(limits) == set(LIMITS)
    assert {limit.origin for limit in limits.values()} == {"built in", "gate file", "command line"}
    assert limits["max_flips_percent"] == Limit(limit=0.3, builtin=0.3, allowed=3, own=True, origin="gate file")
    assert limits["max_drop_points"] == Limit(limit=0.2, builtin=0.2, allowed=2, own=True, origin="command line")
    usually = held_limits(GATES["float32"], GATES["float32"], 10_000)
    assert "max_integer_diff" not in usually
    assert not any(limit.own for limit in usually.values())


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_as_a_file_are_the_defaults(tmp_path: Path) -> None:
    table = read_gates(written(tmp_path / "gate.toml", gate_toml(GateTable())))
    for name in artifact_names():
        quantization = arithmetic_of(*name.split("-"))
        assert table.of(name, quantization) == GATES[quantization]


def test_an_artifact_has_its_own_limits_above_those_of_its_quantization(tmp_path: Path) -> None:
    text = "[tflite-int8]\nmax_flips_percent = 0.1\n[int8]\nmax_flips_percent = 1\nmax_abs_diff = 0.5\n"
    table = read_gates(written(tmp_path / "gate.toml", text))
    assert table.of("tflite-int8", "int8")["max_flips_percent"] == 0.1
    assert table.of("onnx-int8", "int8")["max_flips_percent"] == 1
    assert table.of("tflite-int8", "int8")["max_abs_diff"] == 0.5
    assert table.of("tflite-int8", "int8")["max_drop_points"] == GATES["int8"]["max_drop_points"]
    assert table.of("tflite-dynamic", "dynamic") == GATES["dynamic"]
    again = read_gates(written(tmp_path / "again.toml", gate_toml(table)))
    assert again.of("tflite-int8", "int8") == table.of("tflite-int8", "int8")


def test_a_wrong_gate_file_is_refused_with_the_word_that_is_wrong(tmp_path: Path, told: Told) -> None:
    keys = ("max_flips = 1", *(f"max_flips_percent = {value}" for value in (-1, 101)), "max_slowdown = 1.1")
    values = (f"max_abs_diff = {value}" for value in ("nan", "true", '"0.1"'))
    others = ("[int8", "[int9]\n", "int8 = 3\n", "[all]\nmin_accuracy_percent = 0.9\n", "settled_images = 0\n")
    for text in (*(f"[int8]\n{line}\n" for line in (*keys, *values)), *others):
        with told():
            read_gates(written(tmp_path / "gate.toml", text))
    with told():
        read_gates(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with told():
        read_gates(tmp_path / "binary.toml")
    several: list[dict[str, float]] = [
        *({"max_flips_percent": percent} for percent in (-1.0, 101.0)),
        *({"max_drop_points": math.nan}, {"max_abs_diff": 1.5}, {"max_abs_diff": -0.1}),
    ]
    for options in several:
        with told():
            GateTable(options=options)


@pytest.mark.parametrize(
    ("name", "limit", "changes", "outcome"),
    [
        ("max_bytes", 107_800, {}, PASSED), ("max_bytes", 107_799, {}, MISSED), ("max_ram_bytes", 1e12, {}, UNKNOWN),
        (ACCURACY, 98, {}, PASSED), (ACCURACY, 98.01, {}, MISSED), (ACCURACY, 2, {"correct": math.nan}, MISSED),
        (ACCURACY, 2, {"labelled": False}, UNKNOWN),
    ],
)  # fmt: skip
def test_a_budget_is_kept_to_the_letter_and_what_was_not_measured_is_unknown(
    name: str, limit: float, changes: dict[str, Any], outcome: str
) -> None:
    model, gate = replace(subject().model, bytes=107_800), GATES["int8"].given({name: limit}, GATE_FILE)
    found = judge(budget(gate, model, replace(PERFECT, **changes)))
    assert [(one.name, one.outcome, one.origin) for one in found.limits] == [(name, outcome, GATE_FILE)]
    assert bool(found.reasons) == (outcome != PASSED)


def test_a_gate_file_explains_itself_and_each_limit_once() -> None:
    text = gate_toml(GateTable(changes={"tflite-int8": {"max_abs_diff": 0.5}}))
    assert text.startswith(
        "# Limits behind a # are built in, and grow for unsure models. Without the #, one is yours, to the letter.\n#"
    )
    assert all(f"\n#   {key}: {limit.meaning}\n" in text for key, limit in BUDGET.items())
    assert text.endswith("\n\n[tflite-int8]\nmax_abs_diff = 0.5\n")
    assert set(LIMITS) == set(GATES["int8"].limits)
    for key, limit in LIMITS.items():
        first, *others = [line for line in text.splitlines() if line.removeprefix("# ").startswith(key)]
        assert first.startswith("# ")
        assert first.endswith(f"  # {limit.meaning}")
        assert not any("#" in line.removeprefix("# ") for line in others)


def test_own_gates_are_told_with_what_they_are_instead_of() -> None:
    def gate(name: str, **limits: Limit) -> ArtifactParity:
        return msgspec.structs.replace(parity(name), gate=limits)

    usual = Limit(limit=0.3, builtin=0.3, allowed=30)
    new = Limit(limit=0.5, builtin=None, allowed=None, own=True)
    counted = Limit(limit=0.3, builtin=0.3, allowed=3000, own=True)
    rows = [gate("a", max_x=new, max_y=counted), gate("b", max_x=usual), gate("c", max_x=new, max_y=counted), gate("d")]
    assert own_gates(rows) == [
        "The gate of a, c is not the built-in one: max_x 0.5, max_y 0.3 to the letter (3,000 images)."
    ]


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
    assert after != PASSED or before == PASSED
    # Whoever asks for more images makes less of a limit that is built in known.
    assert WORST_FIRST.index(after) <= WORST_FIRST.index(before) or tighter.get(IMAGES) != limits.get(IMAGES)


@given(parities(least=FEWEST_IMAGES), SHARES, st.data())
def test_what_passes_keeps_a_person_s_limit_to_the_letter(
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
def test_an_answer_that_is_no_number_is_like_no_other(quantization: str, image: int, place: int, value: float) -> None:
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


@pytest.mark.parametrize(("off", "told"), [(4.7e-5, PASSED), (1.1e-4, MISSED)])
def test_float_runtimes_may_differ_in_numbers_as_they_do_for_an_autoencoder(off: float, told: str) -> None:
    """Answers to noise, by the spread of what Keras answers."""
    expected = np.tile(np.array([[-1.0], [1.0]], np.float32), (FEWEST_IMAGES, 1))
    answers = (expected + off).astype(np.float32)
    assert outcome(GATES["float32"], compare(expected, None, answers, answers, numbers=True)) == told
