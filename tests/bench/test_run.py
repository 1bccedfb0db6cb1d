"""`bench` on real artifacts in real processes, with few samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.bench.config import NULL, BenchConfig, Subject, can_evict, evict, files_of, select_subjects
from edgemnist.bench.run import bench, spread, takes_part
from edgemnist.errors import ArtifactError, MissingDependencyError, UnknownNameError
from edgemnist.exports import Exports
from edgemnist.exports.manifest import read_manifest
from edgemnist.results.bench import KERAS, BenchResult
from tests.notices import Notices
from tests.verify.damage import edit_manifest, empty_golden_pack, flip_bits_in_the_middle

pytestmark = pytest.mark.usefixtures("measuring_starts")
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
        ("keras", "keras-predict"),
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
        assert latency.histogram is not None
        assert sum(latency.histogram.counts) == latency.samples


def test_the_machine_is_measured_beside_the_calls(quick: BenchResult) -> None:
    for latency in quick.results:
        for block in latency.blocks:
            assert block.reference_us is not None
            assert 0.1 < block.reference_us < 1_000


def test_what_the_artifacts_are_held_against_takes_part_in_three_rounds_at_the_most() -> None:
    keras = Subject(model=replace(NULL.model, artifact=KERAS, runtime="keras"))
    artifact = Subject(model=replace(NULL.model, artifact="tflite-int8", runtime="litert", path=Path("a.tflite")))
    for rounds, few in ((1, 1), (2, 1), (3, 3), (15, 3)):
        for subject, wanted in ((NULL, few), (keras, few), (artifact, rounds)):
            assert sum(takes_part(number, subject, rounds) for number in range(rounds)) == wanted


def test_the_warm_up_is_kept_apart_from_the_timed_calls(quick: BenchResult) -> None:
    assert quick.warmup_us is not None
    for rounds in quick.warmup_us.values():
        assert len(rounds) == 2
        # Of 100 ms, the calls themselves get what other processes leave to them.
        assert all(len(warmup) > 20 and sum(warmup) > 10_000 for warmup in rounds)


def test_speed_ups_are_over_keras_called_directly(with_keras: BenchResult) -> None:
    by_runtime = {latency.runtime: latency for latency in with_keras.results}
    for latency in with_keras.results:
        assert latency.speedup == pytest.approx(by_runtime["keras"].p50_us / latency.p50_us)
    assert by_runtime["litert"].speedup is not None
    assert by_runtime["litert"].speedup > 5
    assert by_runtime["keras-predict"].speedup is not None
    assert by_runtime["keras-predict"].speedup < 1


def test_costs_are_plausible(quick: BenchResult, with_keras: BenchResult, made_exports: Path) -> None:
    litert, onnx = quick.results
    _, keras, _ = with_keras.results
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


def test_the_cost_of_measuring_is_measured_too(quick: BenchResult) -> None:
    assert quick.harness_us is not None
    assert 0 < quick.harness_us < quick.results[0].p50_us


def test_the_document_can_be_read_back(quick: BenchResult) -> None:
    assert msgspec.json.decode(quick.to_json(), type=BenchResult) == quick


def test_raw_samples_are_left_out_unless_asked_for_and_so_is_keras(made_exports: Path) -> None:
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, keras=False, repeats=0)
    result = bench(Exports.open(made_exports), None, config)
    assert [latency.name for latency in result.results] == [one.name for one in Exports.open(made_exports).select()]
    assert result.samples_us is result.warmup_us is None
    assert all(latency.speedup is None for latency in result.results)


@pytest.mark.parametrize(
    ("names", "keras", "measured"),
    [
        (["tflite-int8"], None, ["tflite-int8"]),
        (["tflite-int8"], True, ["tflite-int8", "keras", "keras"]),
        (["tflite-int8", "keras"], True, ["tflite-int8", "keras", "keras"]),
        (["tflite-int8"], False, ["tflite-int8"]),
        (["keras"], None, ["keras", "keras"]),
    ],
)
def test_keras_is_measured_where_it_is_named_or_asked_for(
    names: list[str], *, keras: bool | None, measured: list[str], made_exports: Path
) -> None:
    found = select_subjects(Exports.open(made_exports), names, keras=keras)
    assert [subject.name for subject in found] == measured


def test_keras_beside_all_artifacts_is_the_default(made_exports: Path) -> None:
    opened = Exports.open(made_exports)
    for keras, rows in ((None, 2), (True, 2), (False, 0)):
        found = select_subjects(opened, None, keras=keras)
        assert len(found) == len(opened.select()) + rows


def test_predict_of_keras_can_be_left_out(made_exports: Path) -> None:
    found = select_subjects(Exports.open(made_exports), ["keras"], keras=None, keras_predict=False)
    assert [subject.runtime for subject in found] == ["keras"]


def test_a_threaded_measurement_says_so(made_exports: Path) -> None:
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, threads=2, repeats=0)
    assert [latency.threads for latency in bench(Exports.open(made_exports), ["onnx-float32"], config).results] == [2]


def test_where_the_keras_model_is_missing_a_notice_says_so(exports: Path) -> None:
    edit_manifest(
        exports, lambda manifest: msgspec.structs.replace(manifest, model=None, artifacts=manifest.artifacts[:1])
    )
    notices = Notices()
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, repeats=0)
    measured = bench(Exports.open(exports), None, config, notices).results
    assert {latency.name.partition("@")[0] for latency in measured} == {"tflite-int8"}
    assert "Keras is not measured" in notices.messages[0]
    for names, asked in ((["keras"], config), (None, replace(config, keras=True))):
        with pytest.raises(ArtifactError, match="no Keras model"):
            bench(Exports.open(exports), names, asked)


def test_without_tensorflow_a_notice_says_so_and_naming_keras_is_an_error(
    exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, artifacts=manifest.artifacts[:1]))
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    notices = Notices()
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, repeats=0)
    measured = bench(Exports.open(exports), None, config, notices).results
    assert {latency.name.partition("@")[0] for latency in measured} == {"tflite-int8"}
    assert "tensorflow" in notices.messages[0]
    with pytest.raises(MissingDependencyError):
        bench(Exports.open(exports), ["keras"], config)


def test_an_unknown_name_gets_the_nearest_one(made_exports: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onnx-int8'"):
        bench(Exports.open(made_exports), ["onnx-int88"], QUICK)


def test_a_file_that_is_not_the_recorded_one_is_not_measured(exports: Path) -> None:
    path = exports / "tflite-int8.tflite"
    path.write_bytes(flip_bits_in_the_middle(path.read_bytes(), count=1))
    with pytest.raises(ArtifactError, match=r"tflite-int8\.tflite"):
        bench(Exports.open(exports), ["tflite-int8"], QUICK)


def test_a_golden_pack_without_images_leaves_nothing_to_ask_about(exports: Path) -> None:
    empty_golden_pack(exports)
    with pytest.raises(ArtifactError, match="no images"):
        bench(Exports.open(exports), ["tflite-int8"], QUICK)


def test_the_images_to_time_are_spread_over_all_classes() -> None:
    sorted_by_class = np.repeat(np.arange(10, dtype=np.uint8), 1000)[:, None, None]
    assert np.bincount(spread(sorted_by_class, 250)[:, 0, 0]).tolist() == [25] * 10
    assert len(spread(sorted_by_class[:7], 250)) == 7


def test_the_steps_of_a_call_add_up_to_the_call(quick: BenchResult) -> None:
    assert quick.harness_us is not None
    for latency in quick.results:
        steps = latency.steps
        assert steps is not None
        assert min(steps.prepare_us, steps.invoke_us, steps.finish_us) > 0
        total = steps.prepare_us + steps.invoke_us + steps.finish_us + steps.overhead_us
        assert total == pytest.approx(latency.p50_us, rel=0.35)
    # What computes is what takes the time.
    assert all(one.steps.invoke_us > one.steps.prepare_us for one in quick.results if one.steps)


def test_the_first_call_is_kept_apart(quick: BenchResult) -> None:
    assert quick.warmup_us is not None
    for latency, rounds in zip(quick.results, quick.warmup_us.values(), strict=True):
        assert latency.first_call_us == pytest.approx(np.median([one[0] for one in rounds]))


def test_every_number_of_threads_has_its_own_figures(made_exports: Path) -> None:
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, threads_to=2, keep_samples=True, repeats=0)
    result = bench(Exports.open(made_exports), ["onnx-float32"], config)
    assert [latency.threads for latency in result.results] == [1, 2]
    assert result.samples_us is not None
    assert list(result.samples_us) == ["onnx-float32", "onnx-float32@2"]


@pytest.mark.skipif(not can_evict(), reason="only some systems let a program empty its cache")
def test_a_cold_start_from_the_disk_is_measured_where_that_is_asked_for(made_exports: Path) -> None:
    config = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, cold_cache=True, repeats=0)
    (latency,) = bench(Exports.open(made_exports), ["tflite-int8"], config).results
    assert latency.cold_cache_start_ms is not None
    assert latency.cold_cache_start_ms > 50


@pytest.mark.skipif(not can_evict(), reason="only some systems let a program empty its cache")
def test_the_model_and_its_runtime_are_what_is_taken_out_of_the_cache(made_exports: Path) -> None:
    model = made_exports / "tflite-int8.tflite"
    files = list(files_of(model, "litert"))
    assert files[0] == model
    assert any(path.suffix == ".so" and "ai_edge_litert" in str(path) for path in files)
    evict([model, model.with_name("missing")])
    assert model.read_bytes()[4:8] == b"TFL3"
