"""A slowdown is caught, noise is not taken for one, and both are said with how sure that is."""

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import identity_of
from edgemnist.errors import UsageError
from edgemnist.ground.results.bench import BenchResult, Ratio
from edgemnist.ground.results.verdict import COMMAND_LINE, GATE_FILE, MISSED, PASSED, UNKNOWN, judge
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.baseline import (
    DEFAULT_MAX_SLOWDOWN,
    ROUNDS,
    check_in_common,
    compare_rounds,
    compare_with_baseline,
    nothing_compared,
    read_baseline,
    slowdown,
    verdict,
)
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.quality import spread_of_rounds
from edgemnist.pipeline.bench.run import bench_against
from tests.bench.machine import run
from tests.messages import Told


def noisy(seed: int, p50: float, *, between: float = 0.01, rounds: int = 3, samples: int = 400) -> list[list[float]]:
    """Return latencies with a long tail, whose rounds differ by about `between`."""
    generator = np.random.default_rng(seed)
    return [
        list(p50 * (1 + between * generator.standard_normal()) * (1 + 0.02 * generator.exponential(size=samples)))
        for _ in range(rounds)
    ]


def unlucky(seed: int, p50: float) -> list[list[float]]:
    """Return the rounds of a run, of which each has drawn a slow place in memory with a chance of 8 %."""
    slow = np.random.default_rng(seed + 5_000).random(ROUNDS) < 0.08
    rounds = noisy(seed, p50, between=0.02, rounds=ROUNDS)
    return [list(np.array(one) * (1.3 if hit else 1)) for one, hit in zip(rounds, slow, strict=True)]


@pytest.mark.parametrize("draw", [noisy, unlucky])
def test_a_slowdown_of_a_tenth_is_caught_and_none_is_seen_where_there_is_none_in_19_of_20_runs(
    draw: Callable[[int, float], list[list[float]]],
) -> None:
    """Also where processes drew a slow place in memory."""
    found = []
    for seed in range(20):
        before, slowed, again = draw(seed, 6.0), draw(100 + seed, 6.6), draw(200 + seed, 6.0)
        found.append([compare_rounds(one, before, limit=DEFAULT_MAX_SLOWDOWN).verdict for one in (slowed, again)])
    assert sum(slowed == "slower" for slowed, _ in found) >= 19
    assert sum(again == "slower" for _, again in found) <= 1


def test_a_machine_that_became_slower_is_not_taken_for_a_slower_artifact() -> None:
    # As everything takes 30 % longer, so does the fixed work; the artifact that also became slower is still caught.
    before = run("tflite-int8", noisy(1, 6.0), reference_us=1.0)
    same, worse = (run("tflite-int8", noisy(seed, p50), reference_us=1.3) for seed, p50 in ((2, 7.8), (3, 8.6)))
    for now, passed in ((same, True), (worse, False)):
        found = compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=1.05)
        assert found.passed == passed
        assert found.changes[0].machine == pytest.approx(1.3)
        assert "1.30 times" in found.warnings[0]
    assert not compare_with_baseline(
        run("tflite-int8", noisy(2, 7.8)), before, file=Path("b.json"), max_slowdown=1.05
    ).passed, "a run that does not tell how fast the machine was is compared as it is"


def test_what_only_one_of_two_runs_has_measured_is_not_known() -> None:
    earlier = both(run("tflite-int8", noisy(1, 6.0)), run("tflite-dynamic", noisy(1, 6.0)))
    now = both(run("onnx-int8", noisy(1, 6.0)), run("tflite-int8", noisy(1, 6.0)))
    result = compare_with_baseline(now, earlier, file=Path("b.json"))
    assert [(change.name, change.verdict.outcome) for change in result.changes] == [("tflite-int8", PASSED)]
    assert not result.passed
    assert result.verdict.outcome == UNKNOWN
    assert result.verdict.reasons == [
        "onnx-int8 (litert): it was not measured in the earlier run",
        "tflite-dynamic (litert): only the earlier run measured it",
    ]
    # Who names what to measure asks for no more.
    named = compare_with_baseline(run("tflite-int8", noisy(1, 6.0)), earlier, file=Path("b.json"), whole=False)
    assert named.passed


def test_a_run_on_another_processor_tells_nothing() -> None:
    now, then = run("x", noisy(1, 9.0)), run("x", noisy(1, 6.0))
    elsewhere = msgspec.structs.replace(then, host={"cpu": "A72"})
    found = compare_with_baseline(now, elsewhere, file=Path("b.json"))
    assert (found.passed, found.verdict.outcome) == (False, UNKNOWN)
    assert found.verdict.reasons == ["x (litert): the earlier run was on another processor (A72)"]
    assert compare_with_baseline(now, then, file=Path("b.json")).verdict.outcome == MISSED
    rests_on = compare_with_baseline(then, then, file=Path("b.json")).changes[0].verdict.rests_on
    assert rests_on is not None
    assert (rests_on.artifact, rests_on.runtime, rests_on.machine) == ("x", "litert", identity_of(then.host))


@pytest.mark.parametrize(
    ("ratio", "low", "high", "outcome"),
    [
        (1.0, 0.9, 1.1, PASSED),
        (1.25, 1.2, 1.3, PASSED),
        (0.5, 0.4, 2.0, PASSED),
        (1.26, 1.2, 1.3, MISSED),
        (2.9, 0.9, 9.0, UNKNOWN),
        (2.9, 1.0, 9.0, UNKNOWN),
        (math.nan, math.nan, math.nan, MISSED),
        (None, 0, 0, UNKNOWN),
    ],
)
def test_a_slowdown_within_the_noise_is_not_known(ratio: float | None, low: float, high: float, outcome: str) -> None:
    given = None if ratio is None else Ratio(ratio=ratio, low=low, high=high, verdict="")
    found = judge([slowdown(given, limit=1.25, origin=COMMAND_LINE, unknown="it was disturbed")])
    assert found.outcome == outcome
    if ratio == 2.9:
        took = f"it took 2.9 times as long, but only 1.2 is allowed ({low:.2f} to 9.00 with the noise)"
        assert found.reasons == [f"{took}, so nothing is known"]


def both(first: BenchResult, second: BenchResult) -> BenchResult:
    """Return one run of two artifacts."""
    samples = {**(first.samples_us or {}), **(second.samples_us or {})}
    return msgspec.structs.replace(first, results=[*first.results, *second.results], samples_us=samples)


def test_a_run_that_has_nothing_in_common_with_the_earlier_one_is_wrong_usage_and_no_pass() -> None:
    earlier = run("tflite-int8", noisy(1, 6.0))
    for now in (run("tflite-int88", noisy(1, 6.0)), with_threads(earlier, 2)):
        with pytest.raises(UsageError, match=r"b\.json has nothing to compare tflite-int8.* it holds tflite-int8 "):
            compare_with_baseline(now, earlier, file=Path("b.json"), max_slowdown=1.05)


def with_threads(result: BenchResult, threads: int) -> BenchResult:
    return msgspec.structs.replace(result, results=[msgspec.structs.replace(result.results[0], threads=threads)])


def test_keras_alone_is_no_artifact_in_common() -> None:
    keras, int8, dynamic = (("keras", "keras", 1), ("tflite-int8", "litert", 1), ("tflite-dynamic", "litert", 1))
    earlier = both(run("keras", noisy(1, 900.0)), run("tflite-int8", noisy(1, 6.0)))
    of_keras, of_int8 = earlier.results
    earlier = msgspec.structs.replace(earlier, results=[msgspec.structs.replace(of_keras, runtime="keras"), of_int8])
    with pytest.raises(UsageError, match="nothing to compare tflite-dynamic"):
        check_in_common([keras, dynamic], earlier, file=Path("b.json"))
    check_in_common([keras, int8], earlier, file=Path("b.json"))
    check_in_common([keras], earlier, file=Path("b.json"))


def test_a_name_that_the_earlier_run_lacks_is_refused_before_measuring(made_exports: Path, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(run("tflite-int8", noisy(1, 6.0)).to_json())
    # An hour of measuring would not end in time.
    config = BenchConfig(seconds=3_600.0)
    with pytest.raises(UsageError, match="nothing to compare tflite-dynamic"):
        bench_against(Exports.open(made_exports), ["tflite-dynamic"], config, baseline=tmp_path / "b.json")


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (1.0, 1.0, 1.0, "same"),
        # Up to the limit a difference does not matter, however sure it is.
        (1.25, 1.2, 1.3, "same"),
        (0.8, 0.75, 0.85, "same"),
        (1.26, 1.2, 1.3, "slower"),
        (1.26, 1.0, 1.3, "unclear"),
        (0.79, 0.75, 0.85, "faster"),
        (0.79, 0.75, 1.0, "unclear"),
    ],
)
def test_a_difference_counts_beyond_limit_and_beyond_noise(ratio: float, low: float, high: float, said: str) -> None:
    assert verdict(ratio, low, high, 1.25) == said


def test_the_ratio_is_that_of_the_medians_of_the_rounds_medians() -> None:
    ours, theirs = [[1.0, 2.0, 9.0], [4.0, 4.0], [100.0]], [[0.5], [2.0, 2.0], [8.0]]
    assert compare_rounds(ours, theirs, limit=1).ratio == 2.0
    one = compare_rounds([[3.0]], [[2.0]], limit=1)
    assert (one.ratio, one.low, one.high, one.verdict) == (1.5, 1.5, 1.5, "slower")


def test_the_ends_of_the_interval_leave_out_a_fortieth_of_the_replicates_each() -> None:
    """Of rounds without noise a replicate is one of few values, whose chances are known."""
    ours = [[1.0]] * 20 + [[3.0]]
    found = compare_rounds([*ours[:1], *ours[-1:]], [[1.0]], limit=1)
    # Both draws low, or both high, has a chance of a quarter each.
    assert (found.ratio, found.low, found.high) == (2.0, 1.0, 3.0)
    # That 11 of 21 draws are the one in 21 is next to impossible.
    found = compare_rounds(ours, [[1.0]], limit=1)
    assert (found.low, found.high) == (1.0, 1.0)
    again = compare_rounds([[1.0]], ours, limit=1)
    assert (again.low, again.high) == (1.0, 1.0)


def test_a_change_says_what_was_measured_then_and_now() -> None:
    before, now = run("x", noisy(1, 6.0), reference_us=2.0), run("x", noisy(2, 6.6), reference_us=2.1)
    (change,) = compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=1.05).changes
    assert (change.name, change.runtime) == ("x", "litert")
    assert change.p50_us == now.results[0].p50_us
    assert change.baseline_p50_us == before.results[0].p50_us
    assert change.machine == pytest.approx(1.05)
    in_units = [[[value / unit for value in one] for one in (found.samples_us or {})["x"]]
                for found, unit in ((now, 2.1), (before, 2.0))]  # fmt: skip
    assert change.ratio == compare_rounds(*in_units, limit=1.05)
    spreads = [spread_of_rounds(found.results[0].blocks) for found in (before, now)]
    assert change.noise == max(spreads)
    compared = compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=1.05)
    assert (compared.file, compared.max_slowdown, compared.warnings) == ("b.json", 1.05, [])
    # The other way round the machine became faster, by less than is worth a word.
    assert compare_with_baseline(before, now, file=Path("b.json"), max_slowdown=1.05).warnings == []


@pytest.mark.parametrize(("reference", "told"), [(2.19, False), (2.21, True)])
def test_a_machine_is_of_another_speed_from_a_tenth_on(reference: float, *, told: bool) -> None:
    runs = [run("x", noisy(1, 6.0), reference_us=one) for one in (2.0, reference)]
    for before, now in (runs, runs[::-1]):
        assert bool(compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=1.05).warnings) == told


def test_a_run_whose_rounds_do_not_all_tell_the_speed_of_the_machine_is_compared_as_it_is() -> None:
    before, now = run("x", noisy(1, 6.0), reference_us=2.0), run("x", noisy(2, 6.0), reference_us=2.5)
    (latency,) = now.results
    blocks = [msgspec.structs.replace(latency.blocks[0], reference_us=None), *latency.blocks[1:]]
    now = msgspec.structs.replace(now, results=[msgspec.structs.replace(latency, blocks=blocks)])
    for one, other in ((before, now), (now, before)):
        (change,) = compare_with_baseline(one, other, file=Path("b.json"), max_slowdown=1.05).changes
        assert change.machine is None
        assert change.ratio is not None
        assert change.ratio.ratio == pytest.approx(1.0, abs=0.03)


def test_the_limit_of_a_gate_file_holds_where_no_option_gives_one_and_unknown_without_an_earlier_run() -> None:
    before, now = run("x", noisy(1, 6.0)), run("x", noisy(2, 9.0))
    for option, own, outcome in ((None, 1.2, MISSED), (None, 2.0, PASSED), (2.0, 1.2, PASSED)):
        (change,) = compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=option, own=own).changes
        (held,) = change.verdict.limits
        assert (held.outcome, held.limit) == (outcome, option or own)
        assert held.origin == (COMMAND_LINE if option else GATE_FILE)
    nothing = nothing_compared(1.2)
    assert (nothing.passed, nothing.verdict.outcome) == (False, UNKNOWN)


def test_every_fact_in_which_the_hosts_differ_is_named() -> None:
    facts = ("machine", "cpu", "governor", "kernel", "versions")
    earlier = run("x", noisy(1, 6.0))
    then, now = ({fact: f"{fact} {time}" for fact in facts} | {"board": time} for time in ("1", "2"))
    found = compare_with_baseline(
        msgspec.structs.replace(earlier, host=now), msgspec.structs.replace(earlier, host=then),
        file=Path("b.json"), max_slowdown=1.05,
    )  # fmt: skip
    assert found.warnings == [f"{fact} differs: {fact} 1 then, {fact} 2 now" for fact in facts]


def test_what_is_wrong_with_a_baseline_is_told_with_how_to_write_one(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "b.json"
    whole = run("x", [[6.0]] * 3)
    with told():
        read_baseline(path)
    # No samples at all, no rounds, an empty round, fewer rounds than blocks, another name, and no time.
    several: list[dict[str, list[list[float]]] | None] = [
        None,
        {"x": []},
        {"x": [[6.0], [], [6.0]]},
        {"x": [[6.0]]},
        {"y": [[6.0]] * 3},
        {"x": [[6.0], [6.0], [0.0]]},
        {"x": [[6.0], [-1.0], [6.0]]},
    ]
    for samples in several:
        path.write_text(msgspec.structs.replace(whole, samples_us=samples).to_json())
        with told():
            read_baseline(path)
    (latency,) = whole.results
    without_blocks = msgspec.structs.replace(whole, results=[msgspec.structs.replace(latency, blocks=[])])
    for result in (whole, without_blocks):
        path.write_text(result.to_json())
        assert read_baseline(path) == result
    with told():
        check_in_common([("x", "litert", 1), ("y", "onnx", 2)], msgspec.structs.replace(whole, results=[]), file=path)
