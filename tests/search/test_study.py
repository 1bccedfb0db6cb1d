"""A study keeps what was tried through kills and full disks, and tries no network twice."""

import contextlib
import errno
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
from optuna.trial import FixedTrial

from edgemnist.digits.training import KNOWN
from edgemnist.errors import StorageError, UsageError
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, parameters_of
from edgemnist.pipeline.search.study import LOCK_FILE, METRICS, STUDY_FILE, Asked, Study, locked
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


def ask(study: Study) -> Asked:
    asked = study.ask()
    assert asked is not None
    return asked


def run(study: Study, until: int, at_once: int = 1) -> list[str]:
    """Try networks, some at a time, and return those that were asked for."""
    workers, under_way, names = Formula(), list[Asked](), []
    for _ in range(len(study.tried), until):
        under_way.append(ask(study))
        names.append(str(under_way[-1].network))
        if len(under_way) >= at_once:
            tell(study, under_way.pop(0), workers)
    for asked in under_way:
        tell(study, asked, workers)
    return names


def tell(study: Study, asked: Asked, workers: Formula) -> None:
    bars = study.bars(asked.costs, 3, 5_000)
    outcome = workers.result(Job(network=str(asked.network), recipe="baseline", epochs=9, seed=0, bars=bars))
    study.tell(asked, outcome.accuracies, stopped=outcome.stopped, seconds=1.0)


@pytest.mark.parametrize("at_once", [1, 4])
def test_no_network_is_tried_twice_and_the_sampler_learns(at_once: int, tmp_path: Path) -> None:
    study = opened(tmp_path)
    names = run(study, 24, at_once)
    assert len(set(names)) == 24
    # What it has learnt is to stay within the limits, and to use them.
    assert max(one.accuracy for one in study.tried[12:]) >= max(one.accuracy for one in study.tried[4:12])


def test_other_tools_see_what_is_minimized(tmp_path: Path) -> None:
    run(opened(tmp_path), 3)
    study = optuna.load_study(study_name="edgemnist", storage=f"sqlite:///{tmp_path / STUDY_FILE}")
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
        command = [str(program), f"sqlite:///{tmp_path / STUDY_FILE}", "--port", port]
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
    under_way = [ask(study) for _ in range(4)]
    tell(study, under_way[2], workers)
    # Nothing is closed: that is how a process dies.
    for _ in range(2):
        again = opened(tmp_path)
        assert again.tried == study.tried
        assert [one.network for one in again.tried] == [*names, str(under_way[2].network)]
        asked = {str(ask(again).network) for _ in range(3)}
        assert asked == {str(under_way[place].network) for place in (0, 1, 3)}


def test_a_search_that_goes_on_proposes_other_networks(tmp_path: Path) -> None:
    names = run(opened(tmp_path), 8)
    assert not {*names} & {*run(opened(tmp_path), 14)}


def test_one_search_at_a_time_works_in_a_directory(tmp_path: Path) -> None:
    directory = tmp_path / "below" / "search"
    with locked(directory):
        assert (directory / LOCK_FILE).is_file()
        with pytest.raises(UsageError, match=f"Another search is running in {directory}"), locked(directory):
            pass
    with locked(directory):
        pass


def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path):
        pass


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"search cannot be written: .*file is a file") as failure:
        locked(tmp_path / "file" / "search").__enter__()
    assert failure.value.hint.startswith("Repair that, or free some space, and run the search again")


def test_a_full_disk_is_told_and_costs_nothing_that_was_finished(tmp_path: Path) -> None:
    study = opened(tmp_path)
    run(study, 3)
    connection = study._study._storage._backend.engine.raw_connection()  # type: ignore[attr-defined]  # what is in use
    # As a disk that takes no further page.
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    connection.close()
    with pytest.raises(StorageError, match=r"cannot be written: .*database or disk is full"):
        run(study, 300)
    assert len(opened(tmp_path).tried) >= 3


@pytest.mark.parametrize("garbage", [b'{"op_code":99}\n{}\n', b"[]\n[]\n" * 999])
def test_a_file_that_is_no_study_is_refused(garbage: bytes, tmp_path: Path) -> None:
    (tmp_path / STUDY_FILE).write_bytes(garbage)
    with pytest.raises(UsageError, match="is damaged or not that of a search"):
        opened(tmp_path)
    assert (tmp_path / STUDY_FILE).read_bytes() == garbage


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
    asked = [ask(study).network for _ in range(len(within) + 1)]
    assert asked[:-1] == within
    assert asked[-1] not in known
    assert not Space(families=("mlp",), sides=(28,)).known(Limits(), 10)
