"""A frontier compares what it made itself, goes on where it was interrupted, and joins what none is better than."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgemnist.app import main
from edgemnist.bench.config import BenchConfig
from edgemnist.data.dataset import Dataset
from edgemnist.errors import UsageError
from edgemnist.exports.findings import TRAINING_FILE
from edgemnist.exports.manifest import read_manifest
from edgemnist.frontier.cli import frontier_page
from edgemnist.frontier.run import PICTURE_FILE, RESULT_FILE, FrontierConfig, _compared, frontier
from edgemnist.results import read_result
from edgemnist.results.pipeline import FrontierResult, FrontierRow, TrainResult
from edgemnist.search.networks import undominated
from edgemnist.train.run import CHECKPOINT_FILE
from tests.conftest import Run
from tests.processes import begin_forking
from tests.render.test_narrow import lines_of
from tests.train.conftest import Listener, no_pictures, small_dataset

pytestmark = pytest.mark.usefixtures("no_pictures")
CONFIG = FrontierConfig(
    sizes=((8,), (32, 16), (64,)),
    recipe="baseline",
    epochs=2,
    bench=BenchConfig(samples=30, seconds=0, rounds=1, repeats=0, keras=False),
)

__all__ = ["no_pictures"]

Made = tuple[Path, FrontierResult]


@pytest.fixture(scope="module")
def dataset(cache: Path) -> Dataset:
    return small_dataset(cache)


@pytest.fixture(scope="module")
def made(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the directory of a frontier of three networks, and what it found. Read only."""
    directory = tmp_path_factory.mktemp("frontier")
    begin_forking()
    return directory, frontier(dataset, CONFIG, directory)


class TrainedError(Exception):
    """Ends a frontier where its first model is about to be exported."""


@pytest.fixture
def ends_when_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what follows a training, for a test of what is trained; artifacts that may stay begin none of that."""

    def export_model(*_: object) -> None:
        raise TrainedError

    monkeypatch.setattr("edgemnist.search.networks.export_model", export_model)


def trained_in(directory: Path) -> TrainResult:
    return read_result(TrainResult, (directory / TRAINING_FILE).read_bytes())


def test_each_size_has_an_int8_and_an_int4_artifact_in_a_directory_of_its_own(made: Made) -> None:
    directory, result = made
    assert {(tuple(row.hidden), row.name) for row in result.rows} == {
        (hidden, name) for hidden in CONFIG.sizes for name in ("tflite-int8", "tflite-int4")
    }
    assert sorted({row.directory for row in result.rows}) == ["32-16", "64", "8"]
    for row in result.rows:
        recorded = read_manifest(directory / row.directory).artifact(row.name)
        assert recorded.bytes == row.bytes == (directory / row.directory / recorded.file).stat().st_size
        assert row.p50_us > 0
        assert 0.1 < row.accuracy <= 1


def test_the_rows_go_from_the_smallest_file_to_the_largest_and_the_ends_are_on_the_frontier(made: Made) -> None:
    rows = made[1].rows
    assert [row.bytes for row in rows] == sorted(row.bytes for row in rows)
    passed = [row for row in rows if row.passed]
    assert passed
    assert passed[0].smallest
    best = max(row.accuracy for row in passed)
    assert any(row.smallest and row.accuracy == best for row in passed)
    assert any(row.fastest and row.accuracy == best for row in passed)


def test_what_missed_its_gate_is_never_the_best_and_hides_nothing_that_passed() -> None:
    common: dict[str, Any] = {
        "hidden": [8],
        "parameters": 1,
        "name": "tflite-int8",
        "directory": "8",
        "reference_accuracy": 0.9,
    }
    common |= {"reference_accuracy": 0.9, "flips": 0, "smallest": False, "fastest": False}
    failed = FrontierRow(bytes=10, accuracy=0.99, p50_us=1.0, passed=False, **common)
    passed = FrontierRow(bytes=20, accuracy=0.90, p50_us=2.0, passed=True, **common)
    found = _compared([passed, failed])
    assert [(row.bytes, row.smallest, row.fastest) for row in found] == [(10, False, False), (20, True, True)]
    assert not any(row.smallest or row.fastest for row in _compared([failed]))


def test_the_page_ends_with_what_is_worth_its_bytes_and_what_comes_next(made: Made) -> None:
    result = made[1]
    worthy = [row for row in result.rows if row.smallest]
    last = lines_of(frontier_page(result, Path("a b")), 200)[-1]
    assert last == (
        f"Worth their bytes: {len(worthy)} of {len(result.rows)} artifacts. "
        f"Next: edgemnist recommend --exports 'a b/{worthy[0].directory}'"
    )
    missed = [msgspec.structs.replace(row, smallest=False, passed=False) for row in result.rows]
    last = lines_of(frontier_page(msgspec.structs.replace(result, rows=missed), Path("a")), 200)[-1]
    larger = 2 * max(row.hidden[0] for row in result.rows)
    assert last == f"No network passed its gate. Next: edgemnist frontier --recipe best --size {larger}"


def test_table_and_picture_are_written(made: Made) -> None:
    directory, result = made
    assert read_result(FrontierResult, (directory / RESULT_FILE).read_bytes()) == result
    with Image.open(directory / PICTURE_FILE) as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_run_again_it_does_nothing_again(made: Made, dataset: Dataset) -> None:
    directory, result = made
    before = {path: path.stat().st_mtime_ns for path in directory.glob("*/*")}
    assert frontier(dataset, CONFIG, directory) == result
    assert {path: path.stat().st_mtime_ns for path in directory.glob("*/*")} == before


def test_an_interrupted_frontier_goes_on_to_the_same_models(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    shorter = replace(CONFIG, sizes=((8,), (32, 16)))
    with pytest.raises(KeyboardInterrupt):
        frontier(dataset, shorter, tmp_path, Listener(interrupt_after=1))
    assert (tmp_path / "8" / CHECKPOINT_FILE).exists()
    again = Listener()
    resumed = frontier(dataset, shorter, tmp_path, again)
    assert "Continuing after epoch 1 of 2." in again.notices
    assert len(resumed.rows) == 4
    hashes = [
        [read_manifest(place / row.directory).artifact(row.name).sha256 for row in resumed.rows]
        for place in (tmp_path, made[0])
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.usefixtures("ends_when_trained")
def test_an_interrupted_frontier_is_no_obstacle_to_one_with_other_options(dataset: Dataset, tmp_path: Path) -> None:
    first = replace(CONFIG, sizes=((8,),), epochs=6)
    with pytest.raises(KeyboardInterrupt):
        frontier(dataset, first, tmp_path, Listener(interrupt_after=2))
    listener = Listener()
    with pytest.raises(TrainedError):
        frontier(dataset, replace(first, seed=3), tmp_path, listener)
    assert trained_in(tmp_path / "8").seed == 3
    assert any("its seed is 0, not 3. This training starts from the beginning" in notice for notice in listener.notices)


@pytest.mark.usefixtures("ends_when_trained")
def test_a_model_of_an_older_version_of_the_recipe_is_trained_again(
    made: Made, dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(made[0] / "8", tmp_path / "8")
    record = tmp_path / "8" / TRAINING_FILE
    now = trained_in(tmp_path / "8")
    record.write_text(msgspec.structs.replace(now, recipe_version="older").to_json())
    # The model is the same, and with it what was exported, verified and measured.
    assert frontier(dataset, replace(CONFIG, sizes=((8,),)), tmp_path).rows
    again = trained_in(tmp_path / "8")
    assert (again.recipe_version, again.sha256) == (now.recipe_version, now.sha256)


@pytest.mark.usefixtures("ends_when_trained")
def test_other_options_train_and_export_again(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(made[0] / "8", tmp_path / "8")
    with pytest.raises(TrainedError):
        frontier(dataset, replace(CONFIG, sizes=((8,),), seed=1), tmp_path)
    now, before = trained_in(tmp_path / "8"), trained_in(made[0] / "8")
    assert (now.seed, now.epochs) == (1, before.epochs)
    assert now.sha256 != before.sha256


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_what_is_joined_is_what_nothing_is_better_than(choices: list[tuple[int, int]]) -> None:
    best = undominated([cost for cost, _ in choices], [value for _, value in choices])
    assert any(best)
    for (cost, value), is_best in zip(choices, best, strict=True):
        better = [(c, v) for c, v in choices if c <= cost and v >= value and (c, v) != (cost, value)]
        assert is_best == (not better)
    values = [value for (_, value), is_best in sorted(zip(choices, best, strict=True)) if is_best]
    assert values == sorted(values)


@pytest.mark.parametrize("sizes", [(), ((64,), (64,)), ((64, 0),)])
def test_sizes_that_make_no_sense_are_refused(sizes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(UsageError):
        FrontierConfig(sizes=sizes)


@pytest.mark.slow
def test_the_command_prints_one_table_and_json(
    edgemnist: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def printed(*more: str) -> str:
        options = ["--size", "8", "--size", "16,8", "--recipe", "baseline", "--epochs", "1", "--offline"]
        monkeypatch.setattr("sys.argv", ["edgemnist", "frontier", *options, "--samples", "20", *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capfd.readouterr().out

    # The command has no options for a hurried measurement, so it runs in this process.
    monkeypatch.setattr("edgemnist.bench.config.BenchConfig", partial(BenchConfig, seconds=0, rounds=1, repeats=0))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    rows = json.loads(printed("--json"))["rows"]
    assert [row["hidden"] for row in rows if row["name"] == "tflite-int8"] == [[8], [16, 8]]
    table = printed()
    for word in ("16-8", "tflite-int4", "frontier.png"):
        assert word in table
    assert edgemnist("frontier", "--size", "many").returncode == 2
