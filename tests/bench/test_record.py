"""What `bench.json` remembers, and what it forgets."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench
from edgemnist.errors import ManifestError
from edgemnist.exports import Exports
from edgemnist.exports.findings import BENCH_FILE
from edgemnist.exports.manifest import read_manifest
from edgemnist.results import read_result
from edgemnist.results.bench import BenchResult
from tests.notices import Notices
from tests.verify.damage import flip_bits_in_the_middle, replace_artifact

QUICK = BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=1, keep_samples=True)


@pytest.fixture(scope="module")
def int8(made_exports: Path) -> BenchResult:
    """The measurement of one artifact."""
    return bench(Exports.open(made_exports), ["tflite-int8"], QUICK)


@pytest.fixture(scope="module")
def int4(made_exports: Path) -> BenchResult:
    """The measurement of another artifact, later."""
    return bench(Exports.open(made_exports), ["tflite-int4"], QUICK)


def read_bench(exports: Path) -> BenchResult | None:
    found = Exports.open(exports).findings.bench
    return None if found is None else found.result


def save_bench(exports: Path, result: BenchResult, notices: Notices | None = None) -> bool:
    return Exports.open(exports).findings.save_bench(result, notices or Notices())


def saved_names(exports: Path) -> list[str]:
    saved = read_bench(exports)
    return [] if saved is None else sorted(latency.name for latency in saved.results)


def test_a_result_is_read_back_without_its_raw_samples(exports: Path, int8: BenchResult) -> None:
    assert read_bench(exports) is None
    assert save_bench(exports, int8)
    assert int8.samples_us is not None
    assert read_bench(exports) == msgspec.structs.replace(int8, samples_us=None, warmup_us=None)


def test_what_was_measured_earlier_is_kept(exports: Path, int8: BenchResult, int4: BenchResult) -> None:
    save_bench(exports, int8)
    save_bench(exports, int4)
    assert saved_names(exports) == ["tflite-int4", "tflite-int8"]


def test_a_new_measurement_takes_the_place_of_the_old(exports: Path, int8: BenchResult) -> None:
    save_bench(exports, int8)
    slower = msgspec.structs.replace(int8.results[0], p50_us=123.0)
    save_bench(exports, msgspec.structs.replace(int8, results=[slower]))
    saved = read_bench(exports)
    assert saved is not None
    assert [latency.p50_us for latency in saved.results] == [123.0]


def test_a_new_measurement_is_held_against_keras_as_measured_before(exports: Path, int8: BenchResult) -> None:
    model = read_manifest(exports).model
    assert model is not None
    known = {"name": "keras", "runtime": "keras", "p50_us": 900.0, "sha256": model.sha256}
    save_bench(exports, msgspec.structs.replace(int8, results=[msgspec.structs.replace(int8.results[0], **known)]))
    save_bench(exports, int8)
    saved = read_bench(exports)
    assert saved is not None
    (speedup,) = [one.speedup for one in saved.results if one.name == "tflite-int8"]
    assert speedup == pytest.approx(900 / int8.results[0].p50_us)


def test_figures_of_a_changed_artifact_are_forgotten(exports: Path, int8: BenchResult, int4: BenchResult) -> None:
    save_bench(exports, int8)
    replace_artifact(exports, "tflite-int8", flip_bits_in_the_middle((exports / "tflite-int8.tflite").read_bytes()))
    save_bench(exports, int4)
    assert saved_names(exports) == ["tflite-int4"]


def test_figures_of_another_machine_are_never_mixed_in_and_are_kept_once(
    exports: Path, int8: BenchResult, int4: BenchResult
) -> None:
    save_bench(exports, msgspec.structs.replace(int8, host=int8.host | {"cpu": "Cortex-A72"}))
    notices = Notices()
    save_bench(exports, int4, notices)
    assert saved_names(exports) == ["tflite-int4"]
    assert notices.messages == [
        "bench.json was measured on another machine, or with other versions; its figures are now in bench-before.json."
    ]
    before = read_result(BenchResult, (exports / "bench-before.json").read_bytes())
    assert [(one.name, before.host["cpu"]) for one in before.results] == [("tflite-int8", "Cortex-A72")]


def test_what_the_machine_is_doing_makes_it_no_other(exports: Path, int8: BenchResult, int4: BenchResult) -> None:
    save_bench(exports, msgspec.structs.replace(int8, host=int8.host | {"cpus": 1, "memory_mb": 12, "kernel": "7.0"}))
    save_bench(exports, int4)
    assert saved_names(exports) == ["tflite-int4", "tflite-int8"]


def test_figures_with_another_number_of_threads_are_kept_apart(
    exports: Path, int8: BenchResult, int4: BenchResult
) -> None:
    threaded = msgspec.structs.replace(int8.results[0], threads=2)
    save_bench(exports, msgspec.structs.replace(int8, results=[threaded]))
    assert saved_names(exports) == ["tflite-int8"]
    save_bench(exports, int4)
    assert saved_names(exports) == ["tflite-int4"], "models are held against one another with as many threads"
    save_bench(exports, int8)
    save_bench(exports, msgspec.structs.replace(int8, results=[threaded]))
    assert saved_names(exports) == ["tflite-int4", "tflite-int8"]


def test_ten_calls_do_not_take_the_place_of_many(exports: Path, int8: BenchResult) -> None:
    many = msgspec.structs.replace(int8.results[0], samples=146_987, p50_us=1.25)
    save_bench(exports, msgspec.structs.replace(int8, results=[many]))
    notices = Notices()
    save_bench(exports, int8, notices)
    saved = read_bench(exports)
    assert saved is not None
    assert [one.p50_us for one in saved.results] == [1.25]
    assert "keeps its earlier figures, from 146,987 calls" in notices.messages[0]


@pytest.mark.parametrize("contents", [b"", b'{"schema_version": 1}'])
def test_a_broken_record_is_an_error_to_read_and_replaced_by_the_next(
    contents: bytes, exports: Path, int8: BenchResult
) -> None:
    (exports / BENCH_FILE).write_bytes(contents)
    with pytest.raises(ManifestError, match=BENCH_FILE) as caught:
        read_bench(exports)
    assert "edgemnist bench" in caught.value.hint
    notices = Notices()
    assert save_bench(exports, int8, notices)
    assert "replaced" in notices.messages[0]
    assert saved_names(exports) == ["tflite-int8"]


def test_where_nothing_can_be_written_a_notice_says_so(exports: Path, int8: BenchResult) -> None:
    (exports / BENCH_FILE).mkdir()
    notices = Notices()
    assert not save_bench(exports, int8, notices)
    assert "was not saved" in notices.messages[-1]
