"""A search trains what is within the limits, goes on where it was, and reads the test images for the best alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import DataError, MissingDependencyError, UsageError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import SearchResult
from edgemnist.ground.results.verdict import GATE_FILE
from edgemnist.model import native
from edgemnist.model.exports import Exports
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.search.cli import search_page
from edgemnist.pipeline.search.limits import Limits
from edgemnist.pipeline.search.run import PICTURE_FILE, RESULT_FILE, SearchConfig, search
from edgemnist.pipeline.search.trials import Job, Trainer, TrialData, rungs_of, split_for_selection
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.verify.gate import BYTES, GATES, RAM, budget
from tests.conftest import Run
from tests.notices import Listener
from tests.render.test_narrow import lines_of
from tests.search.conftest import Counting, Made, quick
from tests.train.conftest import of
from tests.verify.test_gate import PERFECT


def test_the_best_networks_are_ordinary_export_directories(made: Made) -> None:
    directory, result = made
    assert result.rows
    for row in result.rows:
        exports = Exports.open(directory / row.directory)
        assert {one.status for one in exports.artifacts} == {"current"}
        assert exports.findings.is_verified(row.name) == row.passed
        # One artifact, which all figures are about and which is shipped.
        (shipped,) = (one.record for one in exports.artifacts)
        parity, latency = exports.findings.parity(row.name), exports.findings.latency(row.name)
        assert parity is not None
        assert latency is not None
        assert shipped.footprint is not None
        # In a gate file, bytes and RAM are those of a search.
        gate = GATES["int8"].given({BYTES: 1, RAM: 1}, GATE_FILE)
        (model,) = exports.select([row.name])
        assert [one.value for one in budget(gate, model, PERFECT)] == [row.bytes, row.ram_bytes]
        assert (row.name, row.ram_bytes) == (shipped.name, shipped.footprint.ram_bytes) == ("c-int8", row.ram_bytes)
        assert (row.accuracy, row.p50_us, row.file_bytes) == (parity.accuracy, latency.p50_us, shipped.bytes)
        assert row.bytes == Network.parse(row.network).weight_bytes(10) <= 20_000
        assert exports.findings.decision().name == (row.name if row.passed else None)
    assert result.trained == len(result.trials) == 4
    assert {row.network for row in result.rows} <= {trial.network for trial in result.trials}
    assert "accuracy" in result.rows[0].best or len(result.rows) > 1
    assert read_result(SearchResult, (directory / RESULT_FILE).read_bytes()) == result
    with Image.open(directory / PICTURE_FILE) as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_run_again_it_trains_nothing(made: Made, dataset: Dataset) -> None:
    directory, result = made
    before = {path: path.stat().st_mtime_ns for path in directory.glob("*/*")}
    workers, listener = Counting(), Listener()
    assert search(dataset, quick(), directory, workers, listener) == result
    assert workers.jobs == []
    assert any(share == 1 and told.startswith("4 networks · best") for share, told in listener.updates)
    assert {path: path.stat().st_mtime_ns for path in directory.glob("*/*")} == before


def test_an_interrupted_search_goes_on_where_it_was(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(dataset, quick(), tmp_path, Counting(most=2))
    workers = Counting()
    resumed = search(dataset, quick(), tmp_path, workers)
    assert len(workers.jobs) == 2
    assert [trial.network for trial in resumed.trials][:2] == [trial.network for trial in made[1].trials][:2]
    assert len({trial.network for trial in resumed.trials}) == len(made[1].trials)


def test_when_the_time_is_over_nothing_more_begins(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "search")
    workers = Counting()
    result = search(dataset, quick(trials=None, minutes=1e-9), tmp_path / "search", workers)
    assert workers.jobs == []
    assert result.trained == 4
    search(dataset, quick(trials=5), tmp_path / "search", workers)
    assert len(workers.jobs) == 1


def test_without_a_compiler_a_search_says_so_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    classes: Any = SimpleNamespace(labels=tuple("0123456789"))
    with pytest.raises(MissingDependencyError, match="A search needs a C compiler") as failure:
        search(classes, SearchConfig(limits=Limits()), tmp_path / "search")
    assert "sudo apt install gcc" in failure.value.hint
    assert not (tmp_path / "search").exists()


def test_without_a_budget_trials_and_minutes_are_limited_and_with_one_it_alone_counts() -> None:
    assert SearchConfig(limits=Limits()).budget == (64, 30)
    assert SearchConfig(limits=Limits(), trials=99).budget == (99, None)
    assert SearchConfig(limits=Limits(), minutes=1).budget == (None, 1)
    assert SearchConfig(limits=Limits(), trials=9, minutes=1).budget == (9, 1)


def test_what_nothing_meets_is_answered_with_the_nearest_miss(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "search")
    limits = Limits(accuracy=1.0, bytes=20_000)
    result = search(dataset, quick(limits=limits), tmp_path / "search", Counting(most=0))
    assert not result.fits
    (nearest,) = result.rows
    best = max(made[1].trials, key=lambda trial: trial.accuracy)
    assert nearest.network == best.network
    assert "100.00 % was asked for" in nearest.misses[0]


@pytest.mark.parametrize("other", [{"recipe": "standard"}, {"epochs": 16}, {"seed": 3}])
def test_a_directory_of_another_search_is_refused(other: dict[str, Any], made: Made, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="has a search with another"):
        search(dataset, quick(**other), made[0])
    inverted = of(Split(255 - dataset.train.images, dataset.train.labels), dataset.test)
    with pytest.raises(UsageError, match="has a search with another data set"):
        search(inverted, quick(), made[0])


def test_no_trial_sees_the_selection_images_and_nobody_the_test_images(dataset: Dataset) -> None:
    train, selection = split_for_selection(dataset)
    assert len(train) + len(selection) == len(dataset.train)
    assert len(selection) == 400
    shown = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in shown for image in selection.images)
    assert set(selection.labels) == set(range(10))
    mixed = np.random.default_rng(0).permutation(len(dataset.train))
    shuffled = of(dataset.train.take(mixed), dataset.test)
    assert np.array_equal(split_for_selection(shuffled)[1].images, shuffled.train.images[-400:])


def test_too_few_images_to_choose_by_are_refused(dataset: Dataset) -> None:
    few = of(dataset.train.take(np.arange(0, 2000, 50)), dataset.test)
    with pytest.raises(DataError, match="40 training images are too few to search with"):
        split_for_selection(few)


def test_a_training_below_its_bar_is_stopped_at_the_rung(dataset: Dataset) -> None:
    train, selection = split_for_selection(dataset)
    trainer = Trainer(TrialData(train=train, selection=selection, classes=10))
    job = Job(network="mlp:28:8:8bit", recipe="baseline", epochs=3, seed=0)
    assert job.rungs == (1, 3)
    assert (rungs_of(90), rungs_of(1)) == ((10, 30, 90), (1,))
    whole = trainer.run(job)
    assert (whole.stopped, len(whole.accuracies)) == (False, 2)
    stopped = trainer.run(replace(job, bars=(whole.accuracies[0] + 0.001, 0.0)))
    assert (stopped.stopped, stopped.accuracies) == (True, whole.accuracies[:1])
    passed = trainer.run(replace(job, bars=(whole.accuracies[0], 1.0)))
    assert (passed.stopped, passed.accuracies) == (False, whole.accuracies)


@pytest.mark.needs("cc")
def test_the_command_answers_in_json_and_exit_code(edgemnist: Run) -> None:
    options = ["search", "--trials", "1", "--recipe", "baseline", "--epochs", "1", "--offline", "--max-bytes", "3k"]
    # After an epoch, 4 bits may cost such a network too much.
    document = edgemnist(*options, "--json").json
    assert document["limits"]["bytes"] == 3000
    assert document["rows"][0]["bytes"] <= 3000
    missed = edgemnist(*options, "--accuracy", "99.9")
    assert missed.returncode == 1
    assert "Nothing fits. The nearest is" in missed.stdout
    assert "Next: wider limits" in " ".join(missed.stdout.split())
    row = {**document["rows"][0], "misses": ["its gate: only 9 images"], "verdict": {}}
    result = read_result(SearchResult, json.dumps({**document, "rows": [row]}).encode())
    page = " ".join(lines_of(search_page(result, Path()), 80))
    assert "Nothing is known to fit" in page
    assert "Next: more data to evaluate on." in page
    assert "Search 100 %: 1 network" in missed.stderr
