"""`bench` on real artifacts in real processes, with few samples."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import usable_cpus
from edgemnist.errors import ArtifactError, MissingDependencyError, UsageError
from edgemnist.ground.results.bench import KERAS, BenchResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.exports.models import Model
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.run import bench, choose_models, interleave, spread, takes_part
from edgemnist.pipeline.bench.screen import bench_page
from tests.conftest import Run
from tests.messages import Told
from tests.notices import Notices
from tests.render.test_narrow import lines_of
from tests.verify.damage import edit_manifest, first, flip_bits_in_the_middle, with_golden

pytestmark = pytest.mark.usefixtures("undisturbed")
QUICK = BenchConfig(samples=120, seconds=0.02, rounds=2, batch_size=50, keep_samples=True)


@pytest.fixture(scope="module")
def quick(made_exports: Path) -> BenchResult:
    """Two artifacts, one of each runtime."""
    return bench(Exports.open(made_exports), ["tflite-int8", "onnx-float32"], QUICK)


@pytest.fixture(scope="module")
def with_keras(made_exports: Path) -> BenchResult:
    """An artifact and Keras, in one round because TensorFlow takes its time."""
    config = BenchConfig(samples=20, seconds=0.0, rounds=1, batch_size=50, repeats=0, keep_samples=True)
    return bench(Exports.open(made_exports), ["tflite-int8", "keras"], config)


def test_what_was_named_is_measured_in_its_runtime(quick: BenchResult, with_keras: BenchResult) -> None:
    assert [(latency.name, latency.runtime) for latency in quick.results] == [
        ("tflite-int8", "litert"),
        ("onnx-float32", "onnxruntime"),
    ]
    assert [(latency.name, latency.runtime) for latency in with_keras.results] == [
        ("tflite-int8", "litert"),
        ("keras", "keras"),
    ]


def test_the_figures_are_those_of_the_raw_samples(quick: BenchResult) -> None:
    assert quick.samples_us is not None
    assert quick.warmup_us is not None
    assert list(quick.samples_us) == list(quick.warmup_us) == ["tflite-int8", "onnx-float32"]
    for latency, rounds in zip(quick.results, quick.samples_us.values(), strict=True):
        pooled = np.concatenate(rounds)
        assert len(rounds) == 2
        assert latency.samples == len(pooled) >= QUICK.samples
        assert (latency.p50_us, latency.p90_us) == pytest.approx(np.percentile(pooled, [50, 90]))
        assert latency.min_us <= latency.p50_us <= np.max(pooled)
        assert latency.cv == pytest.approx(np.std(pooled) / np.mean(pooled))
        assert [block.p50_us for block in latency.blocks] == pytest.approx([np.median(one) for one in rounds])
        # The machine is measured beside the calls.
        assert all(0.1 < (block.reference_us or 0) < 1_000 for block in latency.blocks)
        assert latency.histogram is not None
        assert sum(latency.histogram.counts) == latency.samples
        warmups = quick.warmup_us[latency.name]
        # Of 100 ms, the calls themselves get what other processes leave to them.
        assert all(len(warmup) > 20 and sum(warmup) > 10_000 for warmup in warmups)
        assert latency.first_call_us == pytest.approx(np.median([one[0] for one in warmups]))
    assert msgspec.json.decode(quick.to_json(), type=BenchResult) == quick


def test_what_the_artifacts_are_held_against_takes_part_in_three_rounds_at_the_most() -> None:
    keras = Model(artifact=KERAS, runtime="keras", path=Path("a.keras"), bytes=0, sha256="")
    artifact = replace(keras, artifact="tflite-int8", runtime="litert", path=Path("a.tflite"))
    for rounds, few in ((1, 1), (2, 1), (3, 3), (15, 3)):
        for model, wanted in ((keras, few), (artifact, rounds)):
            assert sum(takes_part(number, model, rounds) for number in range(rounds)) == wanted


def test_speed_ups_are_over_keras_called_directly(with_keras: BenchResult) -> None:
    by_runtime = {latency.runtime: latency for latency in with_keras.results}
    for latency in with_keras.results:
        assert latency.speedup == pytest.approx(by_runtime["keras"].p50_us / latency.p50_us)
    assert by_runtime["litert"].speedup is not None
    assert by_runtime["litert"].speedup > 5


def test_costs_are_plausible(quick: BenchResult, with_keras: BenchResult, made_exports: Path) -> None:
    litert, onnx = quick.results
    _, keras = with_keras.results
    assert litert.bytes == (made_exports / "tflite-int8.tflite").stat().st_size
    assert litert.sha256 == read_manifest(made_exports).artifact("tflite-int8").sha256
    for latency in [*quick.results, keras]:
        assert 0 < latency.load_ms < latency.cold_start_ms
        # A batch costs less than as many single images.
        assert latency.throughput_per_s > 1e6 / latency.mean_us
    assert litert.peak_rss_mb is not None
    assert onnx.peak_rss_mb is not None
    assert keras.peak_rss_mb is not None
    assert max(litert.peak_rss_mb, onnx.peak_rss_mb) < 150 < keras.peak_rss_mb


def test_keras_is_measured_where_it_is_named_or_asked_for_or_beside_all_artifacts(made_exports: Path) -> None:
    opened = Exports.open(made_exports)
    every = [model.name for model in opened.select()]
    for names, keras, measured in (
        (["tflite-int8"], None, ["tflite-int8"]),
        (["tflite-int8"], True, ["tflite-int8", "keras"]),
        (["tflite-int8", "keras"], True, ["tflite-int8", "keras"]),
        (["tflite-int8"], False, ["tflite-int8"]),
        (["keras"], None, ["keras"]),
        (None, None, [*every, "keras"]),
        (None, True, [*every, "keras"]),
        (None, False, every),
    ):
        found = choose_models(opened, names, BenchConfig(keras=keras))
        assert [subject.name for subject in found] == measured


@pytest.mark.parametrize(
    ("missing", "error"), [("no Keras model", ArtifactError), ("tensorflow", MissingDependencyError)]
)
def test_where_keras_cannot_be_measured_a_notice_says_so_and_asking_for_it_is_an_error(
    missing: str, error: type[Exception], exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "tensorflow":
        monkeypatch.setitem(sys.modules, "tensorflow", None)
    else:
        edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, model=None))
    opened, notices = Exports.open(exports), Notices()
    measured = choose_models(opened, None, BenchConfig(), notices)
    assert [subject.name for subject in measured] == [model.name for model in opened.select()]
    assert notices.messages[0].startswith("Keras is not measured: ")
    assert missing in notices.messages[0]
    for names, keras in ((["keras"], None), (None, True)):
        with pytest.raises(error, match=missing):
            choose_models(opened, names, BenchConfig(keras=keras))


def test_what_cannot_be_measured_is_told(exports: Path, told: Told) -> None:
    with told():
        bench(Exports.open(exports), ["onnx-int88"], QUICK)
    path = exports / "tflite-int8.tflite"
    path.write_bytes(flip_bits_in_the_middle(path.read_bytes(), count=1))
    with told():
        bench(Exports.open(exports), ["tflite-int8"], QUICK)
    with_golden(exports, first(0))
    with told():
        bench(Exports.open(exports), ["onnx-int8"], QUICK)


def test_the_images_to_time_are_spread_over_all_classes() -> None:
    sorted_by_class = np.repeat(np.arange(10, dtype=np.uint8), 1000)[:, None, None]
    assert np.bincount(spread(sorted_by_class, 250)[:, 0, 0]).tolist() == [25] * 10
    assert len(spread(sorted_by_class[:7], 250)) == 7


@pytest.mark.parametrize("rounds", [1, 2, 3, 6, 10])
def test_every_subject_has_its_turn_once_a_round_early_and_late(rounds: int) -> None:
    turns = list(interleave("abcdef", rounds))
    assert turns == list(interleave("abcdef", rounds)), "two runs take the same course"
    assert [number for number, _ in turns] == [number for number in range(rounds) for _ in "abcdef"]
    for number in range(rounds):
        assert sorted(name for turn, name in turns if turn == number) == [*"abcdef"]
    if rounds == 3:
        places = {name: {index % 6 for index, (_, other) in enumerate(turns) if other == name} for name in "abcdef"}
        assert all(len(found) == 3 for found in places.values())
        # As a machine that grows slower from turn to turn within each round would see it.
        totals = [sum(found) for found in places.values()]
        assert max(totals) - min(totals) <= 3
    assert list(interleave("a", 2)) == [(0, "a"), (1, "a")]


def test_an_option_out_of_range_is_told(told: Told) -> None:
    several: list[dict[str, Any]] = [{"samples": -5}, *({"seconds": value} for value in (-0.1, math.nan, math.inf))]
    for options in several:
        with told():
            BenchConfig(**options)
    with pytest.raises(UsageError, match="--threads") as caught:
        BenchConfig(threads=len(usable_cpus()) + 1)
    assert str(len(usable_cpus())) in caught.value.hint


def test_by_default_the_rounds_add_up_to_1000_samples_and_a_second() -> None:
    config = BenchConfig()
    assert config.samples_a_round * config.rounds >= 1_000
    assert config.nanoseconds_a_round * config.rounds >= 1_000_000_000


def test_the_command_line_catches_a_slowdown_with_exit_1(exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    quick = ["bench", "tflite-int8", "--exports", exports, "--seconds", "0.1", "--batch-size", "1"]
    quick += ["--repeats", "0", "--rounds", "3"]
    saved = tmp_path / "before.json"
    assert edgemnist(*quick, "--save", saved).returncode == 0
    # As if each call had taken a fifth of its time.
    before = json.loads(saved.read_text())
    before["samples_us"] = {
        key: [[s / 5 for s in one] for one in rounds] for key, rounds in before["samples_us"].items()
    }
    saved.write_text(json.dumps(before))
    slower = edgemnist(*quick, "--baseline", saved, "--max-slowdown", "1.10", "--json")
    # Where a busy machine hides it, it is unknown, and never passes.
    assert slower.returncode == 1, slower.stderr
    ratio = json.loads(slower.stdout)["baseline"]["changes"][0]["ratio"]
    assert ratio is None or (ratio["verdict"] == "slower" and ratio["low"] > 1.1)
    assert edgemnist(*quick, "--baseline", saved, "--max-slowdown", "0.5").returncode == 2


def test_each_model_has_one_line_about_its_quality_and_the_page_ends_with_the_next_step(made_exports: Path) -> None:
    exports = Exports.open(made_exports)
    result = bench(
        exports, ["tflite-int8", "tflite-dynamic"], BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=10)
    )
    assert result.samples_us is result.warmup_us is None
    several = ["p99 is left out: it needs 1,000 samples, but there are 10", "the rounds differ by 30 % in p50"]
    rows = [msgspec.structs.replace(one, warnings=several) for one in result.results]
    lines = lines_of(bench_page(msgspec.structs.replace(result, results=rows), exports), 200)
    assert sum(line.startswith("quality: ") for line in lines) == 2 + len(result.warnings)
    assert not any("doubt" in line for line in lines)
    assert "Images a second in batches of 10." in lines
    # What has not been verified may not be shipped.
    assert lines[-1] == f"What may be shipped is unknown until it is verified. Next: {exports.command('verify')}"
