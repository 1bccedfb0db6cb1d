"""`bench` from the words of the command line to the last line of the page, on real models."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import usable_cpus
from edgemnist.errors import ArtifactError, MissingDependencyError
from edgemnist.ground.results.bench import BenchResult, Latency
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.baseline import compare_with_baseline
from edgemnist.pipeline.bench.run import BenchConfig, choose_models, spread
from edgemnist.pipeline.bench.screen import bench_page
from tests.bench.machine import benched, latency
from tests.conftest import Run
from tests.notices import Notices
from tests.render.test_narrow import lines_of
from tests.verify.damage import edit_manifest, flip_bits_in_the_middle

NAMES = ("tflite-int8", "onnx-float32")
QUICK = ("--seconds", "0", "--no-keras")


def test_a_run_from_its_words_to_its_file_and_the_next_command(exports: Path, edgemnist: Run) -> None:
    done = edgemnist("bench", *NAMES, *QUICK, "--save", "saved.json", "--exports", exports, "--json").expect(0)
    result = msgspec.json.decode(done.stdout, type=BenchResult)
    assert [(row.name, row.runtime) for row in result.results] == [
        ("tflite-int8", "litert"),
        ("onnx-float32", "onnxruntime"),
    ]
    for row in result.results:
        assert 0 < row.blocks_us[0] <= row.p50_us + 1e-4
        assert (row.batch_size, row.samples, row.starts) == (1000, 1, [0])
        assert row.sha256 == Exports.open(exports).artifact(row.name).record.sha256
        assert row.cold_start_ms is None or 0 < row.load_ms < row.cold_start_ms
    assert result.decision is not None
    assert result.decision.name is None, "nothing has been verified"
    saved = Exports.open(exports).findings.bench
    assert saved is not None
    assert [row.name for row in saved.result.results] == [*NAMES]
    # Once it is verified, it says what to ship, and how to bring it to a board.
    edgemnist("verify", *NAMES, "--exports", exports)
    shown = edgemnist("bench", *NAMES, *QUICK, "--exports", exports)
    shown.expect(0, "Ship ", "as fast", "Next: edgemnist bundle ")


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (["onnx-int88"], 2, "onnx-int88"),
        (["--seconds", "-1"], 2, "--seconds must be at least 0 (got -1)"),
        (["--seconds", "nan"], 2, "--seconds"),
        (["--batch-size", "0"], 2, "--batch-size must be at least 1 (got 0)"),
        (["--threads", str(len(usable_cpus()) + 1)], 2, "more than this process may use"),
        (["--max-slowdown", "2"], 2, "--max-slowdown has nothing to compare with"),
        (["--baseline", "none.json"], 2, "none.json does not exist"),
        (["--baseline", "elsewhere.json"], 2, "was measured on another machine (Cray-1)"),
        (["--baseline", "other.json"], 2, "other.json has nothing to compare tflite-int8 (litert) with"),
        (["--baseline", "damaged.json"], 2, "damaged.json has no usable rounds of tflite-int8"),
        (["--baseline", "broken.json"], 2, "broken.json is broken"),
        (["--data", "x.npy"], 2, "--data does not apply"),
        (["--on", "board", "--baseline", "b.json"], 2, "--on cannot be used with --baseline"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_measured(
    words: list[str], code: int, fragment: str, exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    whole = benched(latency("tflite-int8", 1.0))
    for name, document in {
        "elsewhere": msgspec.structs.replace(whole, host={"cpu": "Cray-1"}),
        "other": benched(latency("onnx-int8", 1.0)),
        "damaged": benched(msgspec.structs.replace(whole.results[0], fixed_us=[0.0] * 24)),
    }.items():
        (tmp_path / f"{name}.json").write_text(document.to_json())
    (tmp_path / "broken.json").write_text("{")
    named = [] if words == ["onnx-int88"] else ["tflite-int8"]
    edgemnist("bench", *named, *words, "--exports", exports).expect(code, fragment)


def test_a_damaged_artifact_is_not_measured(exports: Path, edgemnist: Run) -> None:
    path = exports / "tflite-int8.tflite"
    path.write_bytes(flip_bits_in_the_middle(path.read_bytes(), count=1))
    edgemnist("bench", "tflite-int8", *QUICK, "--exports", exports).expect(2, "tflite-int8")


def test_a_slowdown_ends_with_exit_1_and_a_limit_that_a_person_gave_wins(exports: Path, edgemnist: Run) -> None:
    words = ("bench", "tflite-int8", "--seconds", "0", "--exports", exports)
    saved = exports.parent / "before.json"
    before = json.loads(edgemnist(*words, "--json").expect(0).stdout)
    for factor, more, code in ((1e6, (), 0), (1e-6, (), 1), (1e-6, ("--max-slowdown", "1e9"), 0)):
        # As if the earlier calls had taken so many times as long.
        rows = [{**row, "blocks_us": [factor * one for one in row["blocks_us"]]} for row in before["results"]]
        saved.write_text(json.dumps({**before, "results": rows}))
        sentence = "Slower than in" if code else "Nothing is slower than in"
        edgemnist(*words, "--baseline", saved, *more).expect(code, sentence)
    (exports / "gate.toml").write_text("[all]\nmax_slowdown = 1.5\n")
    edgemnist(*words).expect(1, "Unknown whether anything became slower.")
    edgemnist(*words, "--save", "new.json").expect(0)


HERE, SLOWER = latency("a-int8", 1.0), latency("a-int8", 1.2, run=2)


@pytest.mark.parametrize(
    ("now", "then", "limit", "passed"),
    [
        ([msgspec.structs.replace(HERE, run=2)], [HERE], None, True),
        ([SLOWER], [HERE], None, False),
        ([HERE], [msgspec.structs.replace(SLOWER, run=0)], None, True),
        # By less than what two runs differ by anyway.
        ([latency("a-int8", 1.03, run=2)], [HERE], None, True),
        # What a person allows, and what not.
        ([SLOWER], [HERE], 1.3, True),
        ([SLOWER], [HERE], 1.1, False),
        # The machine itself is slower by a fifth.
        ([latency("a-int8", 1.2, run=2, fixed=12)], [HERE], None, True),
        # A busy machine alone makes nothing slower.
        ([latency("a-int8", 1.08, run=2, waited=0.9)], [HERE], None, True),
        # What only one of them has is not known to be as fast as before.
        ([latency("a-int8", 1.0, run=2), latency("b-int8", 1.0, run=2)], [HERE], None, False),
        ([latency("a-int8", 1.0, run=2)], [HERE, latency("b-int8", 1.0)], None, False),
        ([latency("a-int8", 1.0, run=2), latency("keras", 9.0, run=2)], [HERE], None, True),
    ],
)
def test_a_run_against_an_earlier_one(
    *, now: list[Latency], then: list[Latency], limit: float | None, passed: bool
) -> None:
    found = compare_with_baseline(benched(*now), benched(*then), file=Path("b.json"), limit=limit)
    assert found.passed == passed
    page = lines_of(bench_page(msgspec.structs.replace(benched(*now), baseline=found)), 200)
    assert page[-1].startswith(("Nothing is slower" if passed else "Slower than", "Unknown whether"))


def test_a_slowdown_of_a_tenth_is_caught_and_none_is_seen_where_there_is_none_in_19_of_20_runs() -> None:
    def run(seed: int, time: float) -> BenchResult:
        generator = np.random.default_rng(seed)
        times = time * np.exp(generator.normal(0, 0.02) + generator.normal(0, 0.01, 48))
        return benched(latency("a-int8", list(times), run=seed))

    caught = alarms = 0
    for seed in range(20):
        earlier = run(seed, 6.0)
        passed = [
            compare_with_baseline(run(seed + more, time), earlier, file=Path("b.json")).passed
            for more, time in ((100, 6.6), (200, 6.0))
        ]
        caught, alarms = caught + (not passed[0]), alarms + (not passed[1])
    assert caught >= 17
    assert alarms <= 1


def test_a_page_has_at_most_three_lines_of_warnings_and_marks_what_is_too_long() -> None:
    rows = [latency(f"{name}-int8", time, waited=0.6) for name, time in zip("abcdefghijk", range(1, 12), strict=True)]
    result = msgspec.structs.replace(
        benched(*rows), disturbed=["its clock changed", "other processes had the CPU for 60 % of the time"],
        warnings=["the governor is powersave"],
    )  # fmt: skip
    lines = lines_of(bench_page(result), 120)
    assert sum(line.startswith(("* ", "quality: ")) for line in lines) == 2
    assert sum("1.00 µs*" in line or " µs*" in line for line in lines) >= len(rows)
    assert not any(" – " in line for line in lines if "-int8" in line)


def test_a_file_that_no_manifest_knows_needs_no_export_directory(edgemnist: Run, made_exports: Path) -> None:
    files = [made_exports / f"{name}.tflite" for name in ("tflite-int8", "tflite-dynamic")]
    done = edgemnist("bench", *(f"{file}@litert" for file in files), "--seconds", "0")
    done.expect(0, "is the fastest: ", "Next: edgemnist verify").expect(0, "images that come with edgemnist")
    refused = edgemnist("bench", files[0], "--seconds", "0", "--exports", made_exports)
    refused.expect(2, "Model files need no export directory")


def test_keras_is_measured_where_it_is_named_or_asked_for_or_beside_all_artifacts(made_exports: Path) -> None:
    opened = Exports.open(made_exports)
    every = [model.name for model in opened.select()]
    rows: list[tuple[list[str] | None, bool | None, list[str]]] = [
        (["tflite-int8"], None, ["tflite-int8"]),
        (["tflite-int8"], True, ["tflite-int8", "keras"]),
        (["keras"], None, ["keras"]),
        (None, None, [*every, "keras"]),
        (None, False, every),
    ]
    for names, keras, measured in rows:
        found = choose_models(opened, names, BenchConfig(keras=keras))
        assert [model.name for model in found] == measured


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
    assert [model.name for model in measured] == [model.name for model in opened.select()]
    assert notices.messages[0].startswith("Keras is not measured: ")
    assert missing in notices.messages[0]
    options: Any
    for names, options in ((["keras"], {}), (None, {"keras": True})):
        with pytest.raises(error, match=missing):
            choose_models(opened, names, BenchConfig(**options))


def test_the_images_to_time_are_spread_over_all_classes() -> None:
    sorted_by_class = np.repeat(np.arange(10, dtype=np.uint8), 1000)[:, None, None]
    assert np.bincount(spread(sorted_by_class, 250)[:, 0, 0]).tolist() == [25] * 10
    assert len(spread(sorted_by_class[:7], 250)) == 7
