"""Trials on a Ray cluster come out as they do here, whatever dies, and what cannot be used is told in a sentence."""

from __future__ import annotations

import importlib.metadata
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.errors import EdgemnistError, MeasurementError, UsageError
from edgemnist.search.run import search
from edgemnist.search.trials import Job, Outcome
from edgemnist.search.workers import RayWorkers, Workers, parse_workers
from tests.search.conftest import Made, quick

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of three machines, as far as Ray can tell; the last one reaches a board."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1, resources={"board:pi@board": 1})
    cluster.wait_for_nodes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def before_ray(cluster: Any) -> Any:
    """Return what SIGTERM does before this process has connected to a cluster."""
    del cluster
    return signal.getsignal(signal.SIGTERM)


@pytest.fixture(scope="module")
def workers(before_ray: Any) -> Iterator[RayWorkers]:
    """The cluster's workers, by a connection that all tests share: each would start processes on every machine."""
    del before_ray
    connected = RayWorkers("auto")
    yield connected
    connected.close()


@dataclass(frozen=True)
class Watch:
    """Tells which process measured."""

    host: str
    broken: bool = False

    @property
    def board(self) -> Any:
        """The board to measure on."""
        return SimpleNamespace(host=SimpleNamespace(name=self.host))

    def __call__(self, network: object) -> float:
        """Return the number of the process."""
        del network
        if self.broken:
            raise MeasurementError("pi@board went away", hint="Is it on?")
        return float(os.getpid())


def test_ray_leaves_it_to_the_command_what_sigterm_does(before_ray: Any, workers: RayWorkers) -> None:
    del workers
    assert signal.getsignal(signal.SIGTERM) is before_ray


def test_a_board_is_asked_by_the_machine_that_reaches_it(workers: RayWorkers) -> None:
    measure: Any = workers.measure
    assert measure(Watch("pi@board"), None) != os.getpid()
    assert measure(Watch("pi@elsewhere"), None) == os.getpid()
    with pytest.raises(MeasurementError, match="pi@board went away") as failure:
        measure(Watch("pi@board", broken=True), None)
    assert failure.value.hint == "Is it on?"


def test_a_trial_that_fails_by_our_own_doing_says_so(workers: RayWorkers, dataset: Dataset) -> None:
    from edgemnist.search.trials import TrialData, split_for_selection

    train, selection = split_for_selection(dataset)
    workers.begin(TrialData(train=train, selection=selection, classes=10))
    job = Job(network="mlp:28:8:8bit", recipe="baseline", epochs=1, seed=0)
    with pytest.raises(UsageError, match="--network mlp:5:8:8bit is not possible"):
        workers.result(workers.submit(replace(job, network="mlp:5:8:8bit")))


def pretend(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let this machine have another version of a package than all others."""
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda one: "0.0.1" if one == name else installed(one))


@pytest.mark.parametrize("name", ["edgemnist", "tensorflow"])
def test_a_cluster_of_another_version_is_refused(
    name: str, workers: RayWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, name)
    with pytest.raises(UsageError, match=rf"of the Ray cluster has {name} \S+, but this machine has 0.0.1") as failure:
        workers._check_versions()
    assert "pip install" in failure.value.hint


class Losing(RayWorkers):
    """Loses a machine once the first trial is over."""

    def __init__(self, connected: RayWorkers, cluster: Any) -> None:
        self._ray = connected._ray
        self.cluster = cluster
        self.lost = 0

    def result(self, handle: Any) -> Outcome:
        """Return how a trial went."""
        outcome = super().result(handle)
        if not self.lost:
            self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
            self.lost += 1
        return outcome


def test_a_machine_that_dies_costs_its_trials_alone(
    cluster: Any, workers: RayWorkers, made: Made, dataset: Dataset, tmp_path: Path
) -> None:
    losing = Losing(workers, cluster)
    result = search(dataset, quick(), tmp_path, losing)
    assert losing.lost == 1
    assert result.trials == made[1].trials
    assert [(row.network, row.accuracy) for row in result.rows] == [(row.network, row.accuracy) for row in made[1].rows]


def test_who_refuses_a_cluster_leaves_it(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comes after those that share a connection, as a process can have one only."""
    import ray

    del cluster
    ray.shutdown()
    pretend(monkeypatch, "edgemnist")
    with pytest.raises(UsageError, match="but this machine has 0"):
        RayWorkers("auto")
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("ray://127.0.0.1:9", "The Ray cluster ray://127.0.0.1:9 cannot be reached"),
        ("ray://nowhere.invalid", "cannot be reached"),
        ("ray://127.0.0.1:many", "cannot be reached"),
        ("127.0.0.1:6379", "--workers must be a number, auto, or the address"),
        ("0", "--workers must be at least 1"),
        ("-2", "--workers must be a number"),
        ("", "--workers must be a number"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told_in_a_sentence(where: str, words: str) -> None:
    with pytest.raises(EdgemnistError) as failure:
        parse_workers(where)
    assert words in failure.value.message
    assert failure.value.exit_code == 2


def test_a_cluster_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UsageError, match=r"The Ray cluster 127\.0\.0\.1:9 cannot be reached"):
        RayWorkers("auto")


def test_one_worker_needs_no_ray() -> None:
    assert isinstance(parse_workers("1"), Workers)
