"""Networks that are named are made, compared, and gone on with where it was interrupted."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import SearchResult
from edgemnist.model.exports.findings import TRAINING_FILE
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.pipeline.bench.run import BenchConfig
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.search.cli import search_page
from edgemnist.pipeline.search.limits import Limits
from edgemnist.pipeline.search.networks import finished_training
from edgemnist.pipeline.search.run import RESULT_FILE, SearchConfig, _with_best, search
from edgemnist.pipeline.train.network import Network
from tests.notices import Listener
from tests.render.test_narrow import lines_of
from tests.train.conftest import of

FIRST, SECOND = "mlp:28:8:8bit", "mlp:14:8:4bit"
CONFIG = SearchConfig(
    limits=Limits(bytes=6_000),
    networks=(FIRST, SECOND),
    recipe="baseline",
    epochs=2,
    timing=BenchConfig(seconds=0, keras=False),
)

PLACE = FIRST.replace(":", "-")

Made = tuple[Path, SearchResult]


@pytest.fixture(scope="module")
def made(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the directory of two networks, and what was found. Read only."""
    directory = tmp_path_factory.mktemp("named")
    return directory, search(dataset, CONFIG, directory)


def test_each_is_made_in_a_directory_of_its_own_and_judged_by_its_limits(made: Made) -> None:
    directory, result = made
    rows = {row.network: row for row in result.rows}
    assert rows.keys() == {FIRST, SECOND}
    for name, row in rows.items():
        assert row.directory == name.replace(":", "-")
        assert (directory / row.directory / read_manifest(directory / row.directory).artifact(row.name).file).exists()
        assert (row.selection_accuracy, row.p50_us > 0) == (None, True)
    assert rows[FIRST].best == []
    assert any("bytes, but only 6,000 are allowed" in reason for reason in rows[FIRST].misses)
    assert (result.trained, result.trials) == (0, [])
    assert "tried" not in "".join(lines_of(search_page(result, directory), 200))
    assert read_result(SearchResult, (directory / RESULT_FILE).read_bytes()) == result


def test_the_best_are_those_that_miss_nothing_and_that_no_other_does_as_well_for_less(made: Made) -> None:
    row = msgspec.structs.replace(made[1].rows[0], misses=[])
    rows = [
        msgspec.structs.replace(row, network=name, bytes=size, p50_us=p50, accuracy=accuracy, misses=misses)
        for name, size, p50, accuracy, misses in (
            ("small", 10, 2.0, 0.9, []),
            ("fast", 20, 1.0, 0.9, []),
            ("worse", 20, 2.0, 0.8, []),
            ("missed", 1, 0.1, 1.0, ["it missed its parity gate"]),
        )
    ]
    assert [one.best for one in _with_best(rows)] == [["bytes"], ["p50"], [], []]


def test_an_interrupted_one_goes_on_to_the_same_models(made: Made, dataset: Dataset, tmp_path: Path) -> None:
    shorter = replace(CONFIG, limits=Limits())
    with pytest.raises(KeyboardInterrupt):
        search(dataset, shorter, tmp_path, reporter=Listener(interrupt_after=1))
    resumed = search(dataset, shorter, tmp_path)
    assert len(resumed.rows) == 2
    hashes = [
        [read_manifest(place / row.directory).artifact(row.name).sha256 for row in resumed.rows]
        for place in (tmp_path, made[0])
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ({"seed": 1}, {}),
        ({"epochs": 3}, {}),
        ({"recipe": "standard"}, {}),
        ({"network": Network.parse(SECOND)}, {}),
        ({}, {"recipe_version": "older"}),
        ({}, {"interrupted": True}),
        ({}, {"sha256": "of another model"}),
    ],
)
def test_only_a_finished_training_of_the_same_options_recipe_and_model_is_not_done_again(
    asked: dict[str, Any], recorded: dict[str, Any], made: Made, dataset: Dataset, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(made[0] / PLACE, tmp_path / PLACE))
    training = CONFIG.training(Network.parse(FIRST))
    trained = finished_training(dataset, training, place)
    assert trained is not None
    (place / TRAINING_FILE).write_text(msgspec.structs.replace(trained, **recorded).to_json())
    assert finished_training(dataset, replace(training, **asked), place) is None
    fewer = of(dataset.train.take(np.arange(1, 2_000)), dataset.test)
    assert finished_training(fewer, training, place) is None


@pytest.mark.parametrize(
    "options", [{"networks": (FIRST, FIRST)}, {"networks": ("mlp:28:64:0",)}, {"trials": 1}, {"minutes": 1.0}]
)
def test_what_does_not_go_with_named_networks_is_wrong_usage(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(CONFIG, **options)
