"""Trials on a Ray cluster come out as they do here, whatever dies."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import UsageError
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.search.run import search
from edgemnist.pipeline.search.trials import Job, Outcome, TrialData, split_for_selection
from edgemnist.pipeline.search.workers import RayWorkers
from tests.search.conftest import Made, quick

pytestmark = pytest.mark.all


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of three machines, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # A token that an earlier Ray left in the home is not this cluster's.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray has no types for it


@pytest.fixture(scope="module")
def workers(cluster: Any) -> Iterator[RayWorkers]:
    """The cluster's workers, by a connection that all tests share: each would start processes on every machine."""
    del cluster
    before = signal.getsignal(signal.SIGTERM)
    connected = RayWorkers("auto")
    # Ray leaves it to the command what that does.
    assert signal.getsignal(signal.SIGTERM) is before
    yield connected
    connected.close()


def test_a_trial_that_fails_by_our_own_doing_says_so(workers: RayWorkers, dataset: Dataset) -> None:
    train, selection = split_for_selection(dataset)
    workers.begin(TrialData(train=train, selection=selection, classes=10))
    job = Job(network="mlp:5:8:8bit", recipe="baseline", epochs=1, seed=0)
    with pytest.raises(UsageError, match="--network mlp:5:8:8bit is not possible"):
        workers.result(workers.submit(job))


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
