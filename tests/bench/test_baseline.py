"""A slowdown is caught, noise is not taken for one, and both are said with how sure that is."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.bench.baseline import (
    DEFAULT_MAX_SLOWDOWN,
    ROUNDS,
    _medians,
    check_in_common,
    compare_rounds,
    compare_with_baseline,
    read_baseline,
    verdict,
)
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.quality import spread_of_rounds
from edgemnist.bench.run import bench_against
from edgemnist.errors import UsageError
from edgemnist.exports import Exports
from edgemnist.results.bench import BenchResult
from tests.bench.machine import run


def noisy(seed: int, p50: float, *, between: float = 0.01, rounds: int = 3, samples: int = 400) -> list[list[float]]:
    """Return latencies with a long tail, whose rounds differ by about `between`."""
    generator = np.random.default_rng(seed)
    return [
        list(p50 * (1 + between * generator.standard_normal()) * (1 + 0.02 * generator.exponential(size=samples)))
        for _ in range(rounds)
    ]


def test_a_slowdown_of_ten_percent_is_caught_in_at_least_19_of_20_runs() -> None:
    caught = sum(
        compare_rounds(noisy(seed, 6.6), noisy(1000 + seed, 6.0), limit=DEFAULT_MAX_SLOWDOWN).verdict == "slower"
        for seed in range(20)
    )
    assert caught >= 19


def test_no_slowdown_raises_an_alarm_in_at_most_1_of_20_runs() -> None:
    alarms = sum(
        compare_rounds(noisy(seed, 6.0), noisy(1000 + seed, 6.0), limit=DEFAULT_MAX_SLOWDOWN).verdict == "slower"
        for seed in range(20)
    )
    assert alarms <= 1


def unlucky(seed: int, p50: float) -> list[list[float]]:
    """Return the rounds of a run, of which each has drawn a slow place in memory with a chance of 8 %."""
    slow = np.random.default_rng(seed + 5_000).random(ROUNDS) < 0.08
    rounds = noisy(seed, p50, between=0.02, rounds=ROUNDS)
    return [list(np.array(one) * (1.3 if hit else 1)) for one, hit in zip(rounds, slow, strict=True)]


def test_processes_that_drew_a_slow_place_in_memory_neither_hide_a_slowdown_nor_make_one() -> None:
    pairs = [(unlucky(seed, 6.0), unlucky(100 + seed, 6.6), unlucky(200 + seed, 6.0)) for seed in range(20)]
    found = [
        (compare_rounds(slowed, before, limit=1.05).verdict, compare_rounds(again, before, limit=1.05).verdict)
        for before, slowed, again in pairs
    ]
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


def test_a_speed_up_is_no_slowdown() -> None:
    assert compare_rounds(noisy(1, 5.0), noisy(2, 6.0), limit=1.05).verdict == "faster"


def test_a_slowdown_that_is_smaller_than_the_noise_is_unclear() -> None:
    found = compare_rounds(noisy(3, 6.8, between=0.3), noisy(4, 6.0, between=0.3), limit=1.05)
    assert found.low < 1 < found.high
    assert found.verdict in {"unclear", "same"}


def test_the_interval_holds_the_ratio_in_about_19_of_20_runs() -> None:
    # Many rounds, so that the interval need not rest on three of them.
    held = 0
    for seed in range(60):
        found = compare_rounds(
            noisy(seed, 6.6, rounds=12, samples=60), noisy(900 + seed, 6.0, rounds=12, samples=60), limit=1
        )
        held += found.low <= 1.1 <= found.high
    assert held >= 50


def test_the_median_of_a_resample_is_drawn_as_often_as_the_bootstrap_draws_it() -> None:
    samples = (1.0, 2.0, 3.0, 4.0, 5.0)
    # All resamples there are.
    exact = np.median(list(itertools.product(samples, repeat=len(samples))), axis=1)
    drawn = _medians(np.random.default_rng(3), [samples], np.zeros(100_000, dtype=np.int64))
    for value in samples:
        assert (drawn == value).mean() == pytest.approx((exact == value).mean(), abs=0.006)


def test_pairs_see_through_a_drift_that_hits_both_sides() -> None:
    drift = np.linspace(1.0, 1.5, 10)
    ours = [
        list(1.03 * factor * np.array(one))
        for factor, one in zip(drift, noisy(7, 6.0, between=0.002, rounds=10), strict=True)
    ]
    theirs = [
        list(factor * np.array(one)) for factor, one in zip(drift, noisy(8, 6.0, between=0.002, rounds=10), strict=True)
    ]
    paired = compare_rounds(ours, theirs, limit=1.0, paired=True)
    unpaired = compare_rounds(ours, theirs, limit=1.0)
    assert paired.verdict == "slower"
    assert 1.02 < paired.low < paired.high < 1.04
    assert unpaired.high - unpaired.low > 5 * (paired.high - paired.low)


def test_more_pairs_make_it_surer() -> None:
    def width(pairs: int) -> float:
        found = compare_rounds(noisy(1, 6.0, rounds=pairs), noisy(2, 6.0, rounds=pairs), limit=1.0, paired=True)
        return found.high - found.low

    # Four times as many halve the interval, more or less.
    assert width(48) < 0.7 * width(12)


def test_the_same_measurements_give_the_same_interval() -> None:
    assert compare_rounds(noisy(1, 6), noisy(2, 6), limit=1) == compare_rounds(noisy(1, 6), noisy(2, 6), limit=1)


def test_a_run_against_an_earlier_one_fails_where_an_artifact_got_slower() -> None:
    earlier = run("tflite-int8", noisy(1, 6.0))
    again = compare_with_baseline(run("tflite-int8", noisy(2, 6.05)), earlier, file=Path("b.json"), max_slowdown=1.05)
    slower = compare_with_baseline(run("tflite-int8", noisy(3, 7.2)), earlier, file=Path("b.json"), max_slowdown=1.10)
    assert again.passed
    assert not slower.passed
    assert slower.changes[0].ratio.verdict == "slower"
    assert slower.changes[0].noise > 0
    allowed = compare_with_baseline(run("tflite-int8", noisy(3, 7.2)), earlier, file=Path("b.json"), max_slowdown=1.5)
    assert allowed.passed


def test_what_does_not_compare_is_named() -> None:
    earlier = both(run("tflite-int8", noisy(1, 6.0)), run("tflite-int4", noisy(1, 6.0)))
    earlier = msgspec.structs.replace(earlier, host={"cpu": "A72"})
    now = both(run("onnx-int8", noisy(1, 6.0)), run("tflite-int8", noisy(1, 6.0)))
    result = compare_with_baseline(now, earlier, file=Path("b.json"), max_slowdown=1.05)
    assert [change.name for change in result.changes] == ["tflite-int8"]
    another_cpu, only_now, only_then = result.warnings
    assert "A72" in another_cpu
    assert only_now.startswith("onnx-int8 (litert) was not measured in the earlier run")
    assert only_then == "only the earlier run measured tflite-int4 (litert)"


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
    keras, int8, int4 = (("keras", "keras", 1), ("tflite-int8", "litert", 1), ("tflite-int4", "litert", 1))
    earlier = both(run("keras", noisy(1, 900.0)), run("tflite-int8", noisy(1, 6.0)))
    of_keras, of_int8 = earlier.results
    earlier = msgspec.structs.replace(earlier, results=[msgspec.structs.replace(of_keras, runtime="keras"), of_int8])
    with pytest.raises(UsageError, match="nothing to compare tflite-int4"):
        check_in_common([keras, int4], earlier, file=Path("b.json"))
    check_in_common([keras, int8], earlier, file=Path("b.json"))
    check_in_common([keras], earlier, file=Path("b.json"))


def test_a_name_that_the_earlier_run_lacks_ends_the_command_before_anything_is_measured(
    made_exports: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.json").write_text(run("tflite-int8", noisy(1, 6.0)).to_json())
    # An hour of measuring would not end in time.
    config = BenchConfig(seconds=3_600.0)
    with pytest.raises(UsageError, match="nothing to compare tflite-int4"):
        bench_against(Exports.open(made_exports), ["tflite-int4"], config, baseline=tmp_path / "b.json")


def test_a_baseline_without_raw_samples_or_without_a_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_baseline(tmp_path / "missing.json")
    summary = msgspec.structs.replace(run("tflite-int8", noisy(1, 6.0)), samples_us=None)
    (tmp_path / "summary.json").write_text(summary.to_json())
    with pytest.raises(UsageError, match="no raw samples"):
        read_baseline(tmp_path / "summary.json")


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({"tflite-int8": []}, "lacks raw samples of tflite-int8"),
        ({"tflite-int8": [[]]}, "lacks raw samples of tflite-int8"),
        ({"tflite-int8": [[6.0], [], [6.0]]}, "lacks raw samples of tflite-int8"),
        ({"tflite-int8": [[6.0]]}, "lacks raw samples of tflite-int8"),
        ({"tflite-int4": [[6.0]] * 3}, "lacks raw samples of tflite-int8"),
        ({"tflite-int8": [[6.0], [6.0], [0.0]]}, "not above 0"),
    ],
    ids=["no rounds", "an empty list", "an empty round", "fewer rounds than blocks", "another name", "no time at all"],
)
def test_a_baseline_with_samples_that_cannot_be_compared_is_wrong_usage(
    samples: dict[str, list[list[float]]], said: str, tmp_path: Path
) -> None:
    whole = run("tflite-int8", noisy(1, 6.0))
    (tmp_path / "b.json").write_text(msgspec.structs.replace(whole, samples_us=samples).to_json())
    with pytest.raises(UsageError, match=said) as caught:
        read_baseline(tmp_path / "b.json")
    assert caught.value.exit_code == 2


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
def test_a_difference_counts_beyond_the_limit_and_beyond_the_noise(
    ratio: float, low: float, high: float, said: str
) -> None:
    assert verdict(ratio, low, high, 1.25) == said


def test_the_ratio_is_that_of_the_medians_of_the_rounds_medians() -> None:
    ours, theirs = [[1.0, 2.0, 9.0], [4.0, 4.0], [100.0]], [[0.5], [2.0, 2.0], [8.0]]
    assert compare_rounds(ours, theirs, limit=1).ratio == 2.0
    assert compare_rounds(ours, theirs, limit=1, paired=True).ratio == 4.0
    with pytest.raises(ValueError, match="longer"):
        compare_rounds(ours[:2], theirs, limit=1, paired=True)
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


def test_a_machine_of_another_speed_is_worth_a_word_either_way() -> None:
    before, now = run("x", noisy(1, 6.0), reference_us=2.0), run("x", noisy(2, 6.0), reference_us=2.5)
    (slower,) = compare_with_baseline(now, before, file=Path("b.json"), max_slowdown=1.05).warnings
    (faster,) = compare_with_baseline(before, now, file=Path("b.json"), max_slowdown=1.05).warnings
    words = (
        "times as long for the same fixed work; the ratio is corrected for that, but not for anything that slows "
        "artifacts and that work by different amounts"
    )
    assert slower == f"x: the machine took 1.25 {words}"
    assert faster == f"x: the machine took 0.80 {words}"


def test_a_run_whose_rounds_do_not_all_tell_the_speed_of_the_machine_is_compared_as_it_is() -> None:
    before, now = run("x", noisy(1, 6.0), reference_us=2.0), run("x", noisy(2, 6.0), reference_us=2.5)
    (latency,) = now.results
    blocks = [msgspec.structs.replace(latency.blocks[0], reference_us=None), *latency.blocks[1:]]
    now = msgspec.structs.replace(now, results=[msgspec.structs.replace(latency, blocks=blocks)])
    for one, other in ((before, now), (now, before)):
        (change,) = compare_with_baseline(one, other, file=Path("b.json"), max_slowdown=1.05).changes
        assert change.machine is None
        assert change.ratio.ratio == pytest.approx(1.0, abs=0.03)


def test_every_fact_in_which_the_hosts_differ_is_named() -> None:
    facts = ("machine", "cpu", "governor", "kernel", "versions")
    earlier = run("x", noisy(1, 6.0))
    then, now = ({fact: f"{fact} {time}" for fact in facts} | {"board": time} for time in ("1", "2"))
    found = compare_with_baseline(
        msgspec.structs.replace(earlier, host=now), msgspec.structs.replace(earlier, host=then),
        file=Path("b.json"), max_slowdown=1.05,
    )  # fmt: skip
    assert found.warnings == [f"{fact} differs: {fact} 1 then, {fact} 2 now" for fact in facts]


def test_what_is_wrong_with_a_baseline_is_told_with_how_to_write_one(tmp_path: Path) -> None:
    path, hint = tmp_path / "b.json", "Write one with: edgemnist bench --save FILE"
    whole = run("x", [[6.0]] * 3)
    assert whole.samples_us is not None
    for result, said in (
        (None, "does not exist"),
        (msgspec.structs.replace(whole, samples_us=None), "has no raw samples to compare with"),
        (msgspec.structs.replace(whole, samples_us={"x": [[6.0]]}), "lacks raw samples of x"),
        (
            msgspec.structs.replace(whole, samples_us={"x": [[6.0], [-1.0], [6.0]]}),
            "has samples of x that are not above 0",
        ),
    ):
        if result is not None:
            path.write_text(result.to_json())
        with pytest.raises(UsageError) as caught:
            read_baseline(path)
        assert (caught.value.message, caught.value.hint) == (f"{path} {said}", hint)
    path.write_text(whole.to_json())
    assert read_baseline(path) == whole
    (latency,) = whole.results
    without_blocks = msgspec.structs.replace(whole, results=[msgspec.structs.replace(latency, blocks=[])])
    path.write_text(without_blocks.to_json())
    assert read_baseline(path) == without_blocks
    nothing = msgspec.structs.replace(whole, results=[])
    with pytest.raises(UsageError) as caught:
        check_in_common([("x", "litert", 1), ("y", "onnx", 2)], nothing, file=path)
    assert caught.value.message.startswith(f"{path} has nothing to compare x (litert), ")
    assert caught.value.message.endswith(" (onnx) with: it holds nothing")
    assert caught.value.hint == "Measure what it holds, or write it again with: edgemnist bench --save FILE"
