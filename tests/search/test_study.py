"""A study keeps what was tried through kills and full disks, and the same seed tries the same networks."""

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FixedTrial

from edgemnist.digits.training import KNOWN
from edgemnist.errors import UsageError
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, parameters_of
from edgemnist.pipeline.search.study import JOURNAL_FILE, METRICS, WINDOW, Asked, Study
from edgemnist.pipeline.search.trials import Job
from edgemnist.pipeline.train.network import Network
from tests.patience import comes_true
from tests.search.conftest import Formula

LIMITS = Limits(bytes=8_000, ram_bytes=2_000)


def opened(directory: Path, limits: Limits = LIMITS, identity: dict[str, str] | None = None) -> Study:
    directory.mkdir(exist_ok=True)
    return Study(
        directory, {"recipe": "baseline", **(identity or {})}, limits=limits, space=Space(), classes=10, seed=1
    )


def ask(study: Study, ordinal: int) -> Asked:
    asked = study.ask(ordinal)
    assert asked is not None
    return asked


def run(study: Study, until: int) -> list[str]:
    """Try networks, always `WINDOW` of them at a time, and return those that were asked for."""
    workers, under_way, names = Formula(), list[Asked](), []
    for ordinal in range(len(study.tried), until):
        if len(under_way) == WINDOW:
            tell(study, under_way.pop(0), workers)
        under_way.append(ask(study, ordinal))
        names.append(str(under_way[-1].network))
    for asked in under_way:
        tell(study, asked, workers)
    return names


def tell(study: Study, asked: Asked, workers: Formula) -> None:
    bars = study.bars(asked.costs, 3, 5_000)
    outcome = workers.result(Job(network=str(asked.network), recipe="baseline", epochs=9, seed=0, bars=bars))
    study.tell(asked, outcome.accuracies, stopped=outcome.stopped, seconds=1.0)


def test_the_same_seed_tries_the_same_networks_and_none_of_them_twice(tmp_path: Path) -> None:
    names = [run(opened(tmp_path / place), 24) for place in ("one", "other")]
    assert names[0] == names[1]
    assert len(set(names[0])) == 24


def test_other_tools_see_what_is_minimized(tmp_path: Path) -> None:
    run(opened(tmp_path), 3)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL_FILE)))
    study = optuna.load_study(study_name="edgemnist", storage=storage)
    assert study.metric_names == METRICS
    assert len(study.best_trials[0].values) == len(METRICS)
    assert {direction.name for direction in study.directions} == {"MINIMIZE"}


@pytest.mark.all
def test_optunas_dashboard_shows_the_names_of_what_is_minimized(tmp_path: Path) -> None:
    tried = len(run(opened(tmp_path), 20))

    def answer(what: str) -> Any:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies{what}") as page:
            return json.load(page)
        return None

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        program = Path(sys.executable).with_name("optuna-dashboard")
        command = [str(program), str(tmp_path / JOURNAL_FILE), "--port", port]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, "Address already in use" in done.stderr) == (1, True), done.stderr
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as dashboard:
        try:
            assert comes_true(lambda: answer(""))
            (study,) = answer("")["study_summaries"]
            shown = answer(f"/{study['study_id']}?after=0")
        finally:
            dashboard.terminate()
    assert (study["study_name"], study["directions"]) == ("edgemnist", ["minimize"] * 3)
    assert shown["objective_names"] == METRICS
    assert len(shown["trials"]) >= tried


def test_nothing_beyond_a_limit_is_trained(tmp_path: Path) -> None:
    study = opened(tmp_path)
    run(study, 16)
    assert study.rejected > 0
    assert all(LIMITS.allow(one.costs) for one in study.tried)


def test_what_was_in_training_when_the_search_died_is_asked_for_again(tmp_path: Path) -> None:
    study, workers = opened(tmp_path), Formula()
    names = run(study, 9)
    under_way = [ask(study, 9 + number) for number in range(WINDOW)]
    tell(study, under_way[0], workers)
    # Nothing is closed: that is how a process dies.
    again = opened(tmp_path)
    assert [one.network for one in again.tried] == [*names, str(under_way[0].network)]
    assert again.tried == study.tried
    assert [str(ask(again, 10 + number).network) for number in range(WINDOW - 1)] == [
        str(one.network) for one in under_way[1:]
    ]
    # And if that one dies as well.
    third = opened(tmp_path)
    assert str(ask(third, 10).network) == str(under_way[1].network)


@pytest.mark.parametrize("cut", [1, 40, 333])
def test_a_line_that_was_half_written_is_as_if_it_never_was(cut: int, tmp_path: Path) -> None:
    run(opened(tmp_path), 3)
    journal = tmp_path / JOURNAL_FILE
    journal.write_bytes(journal.read_bytes()[:-cut])
    again = opened(tmp_path)
    run(again, 4)
    assert len(opened(tmp_path).tried) == 4


@pytest.mark.parametrize("garbage", [b'{"op_code":99}\n{}\n', b"[]\n[]\n"])
def test_a_file_that_is_no_journal_is_refused(garbage: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(garbage)
    with pytest.raises(UsageError, match="is damaged or not the journal of a search"):
        opened(tmp_path)
    assert (tmp_path / JOURNAL_FILE).read_bytes() == garbage


@pytest.mark.parametrize(("what", "other"), [("recipe", {"recipe": "best"}), ("data set", {"data set": "letters"})])
def test_a_study_of_something_else_is_not_continued(what: str, other: dict[str, str], tmp_path: Path) -> None:
    first = {"data set": "digits"}
    run(opened(tmp_path, identity=first), 1)
    with pytest.raises(UsageError, match=f"has a search with another {what}") as failure:
        opened(tmp_path, identity={**first, **other})
    assert "--to" in failure.value.hint
    assert len(opened(tmp_path, identity=first).tried) == 1


def test_other_limits_go_on_with_what_is_known(tmp_path: Path) -> None:
    run(opened(tmp_path), 4)
    wider = opened(tmp_path, Limits(bytes=500_000))
    assert len(wider.tried) == 4
    run(wider, 24)
    assert max(one.costs.bytes for one in wider.tried) > 8_000


def tried(name: str, size: int, *accuracies: float, stopped: bool = False) -> Tried:
    costs = Costs(bytes=size, ram_bytes=size, multiplications=size)
    return Tried(network=name, costs=costs, accuracies=accuracies, stopped=stopped, seconds=1.0)


def test_a_training_is_held_against_networks_that_cost_no_more(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.tried = [tried("small", 100, 0.5, 0.6, 0.7), tried("large", 300, 0.9, 0.95, 0.97)]
    between = study.bars(Costs(bytes=200, ram_bytes=200, multiplications=1), 3, 5_000)
    # Two standard deviations of a share on 5,000 images are 1.4 points at 50 %.
    assert between == pytest.approx((0.5 - 0.01414, 0.6 - 0.01386, 0.7 - 0.01296), abs=1e-4)
    assert study.bars(Costs(bytes=50, ram_bytes=400, multiplications=1), 3, 5_000) == (0.0, 0.0, 0.0)
    assert study.bars(Costs(bytes=400, ram_bytes=400, multiplications=1), 3, 5_000)[2] > 0.96


def test_networks_that_are_known_to_be_good_come_first_if_they_are_within_the_limits(tmp_path: Path) -> None:
    known = [Network.parse(text) for text in KNOWN]
    for network in known:
        # What is suggested beyond its range, Optuna takes with a warning.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Space().propose(FixedTrial(parameters_of(network))) == network  # type: ignore[arg-type]  # stands in for a trial
    study = opened(tmp_path, Limits(bytes=4_000))
    within = [network for network in known if network.weight_bytes(10) <= 4_000]
    assert 0 < len(within) < len(known)
    asked = [ask(study, ordinal).network for ordinal in range(len(within) + 1)]
    assert asked[:-1] == within
    assert asked[-1] not in known
    assert not Space(families=("mlp",), sides=(28,)).known(Limits(), 10)
