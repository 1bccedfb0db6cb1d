"""A gate that would compare nothing is wrong usage: a job that forgot an option must not go green."""

import json
from pathlib import Path

import msgspec

from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.run import bench
from edgemnist.pipeline.bench.screen import bench_page
from tests.conftest import Run
from tests.render.test_narrow import lines_of


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
        exports, ["tflite-int8", "tflite-int4"], BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=10)
    )
    assert result.samples_us is result.warmup_us is None
    several = ["p99 is left out: it needs 1,000 samples, but there are 10", "the rounds differ by 30 % in p50"]
    rows = [msgspec.structs.replace(one, warnings=several) for one in result.results]
    lines = lines_of(bench_page(msgspec.structs.replace(result, results=rows), exports.command("recommend")), 200)
    assert sum(line.startswith("quality: ") for line in lines) == 2 + len(result.warnings)
    assert not any("doubt" in line for line in lines)
    assert "Images a second in batches of 10." in lines
    # On a busy machine nobody knows.
    known = f"{min(result.results, key=lambda one: one.p50_us).name} is the fastest"
    unknown = "Which one is the fastest is unknown"
    assert lines[-1].startswith(unknown if any(one.tainted for one in rows) else known)
    assert lines[-1].endswith(f"Next: edgemnist recommend --exports {made_exports}")
