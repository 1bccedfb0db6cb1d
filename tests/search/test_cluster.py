"""A search on a Ray cluster finds what it would here, whatever dies."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import UsageError
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.search.run import search
from edgemnist.pipeline.search.trials import Job, Outcome, TrialData, split_for_selection
from edgemnist.pipeline.search.workers import RayWorkers
from tests.deploy.loopback import free_port
from tests.patience import comes_true
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
        self._ray, self.at_once = connected._ray, 2
        self.cluster = cluster
        self.lost = 0

    def result(self, handle: Any) -> Outcome:
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
    assert len({trial.network for trial in result.trials}) == len(result.trials) == len(made[1].trials)
    assert {row.network for row in result.rows} <= {trial.network for trial in result.trials}


def test_a_submitted_search_is_followed_stopped_and_gone_on_with_as_the_guide_says(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/cluster.md").read_text()
    (lines,) = re.findall(r"```sh\n(export RAY_AUTH_MODE.*?)```", guide, re.DOTALL)
    port = free_port()
    lines = lines.replace("192.168.1.10:8265", f"127.0.0.1:{port}").replace("--accuracy 99", "--accuracy 50")
    mode, submit, logs = (line.partition(" #")[0] for line in lines.splitlines())
    submit += " --recipe baseline --epochs 1 --offline --trials"
    stop = re.findall(r"`(ray job stop \w+)`", guide)[0] + re.findall(" --address .*", logs)[0]

    here = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    here |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{here['PATH']}"}

    def run(line: str) -> str:
        command = ["sh", "-c", f"{mode}; {line}"]
        done = subprocess.run(command, check=False, env=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    found = tmp_path / "search" / "search.db"

    def tried() -> int:
        # Optuna would make the tables of a file that is there and still empty.
        with contextlib.closing(sqlite3.connect(f"file:{found}?mode=ro", uri=True)) as database:
            try:
                number: int = database.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0]
            except sqlite3.OperationalError:
                return 0
            return number

    run("ray get-auth-token --generate")  # As a search with --workers 4 does.
    start = f"ray start --head --block --num-cpus=2 --port={free_port()} --ray-client-server-port={free_port()}"
    start += f" --dashboard-port={port} --dashboard-agent-listen-port=0"
    with subprocess.Popen(start.split(), cwd=tmp_path, env=here, stdout=subprocess.PIPE) as head:
        try:
            assert any(b"Ray runtime started" in line for line in head.stdout or ())
            run(f"{submit} 1000")
            # As many as the search that goes on is to try: it has to find these, and to try no others.
            assert comes_true(lambda: found.exists() and tried() >= 2)
            assert "succeeded" not in run(stop)
            assert "Search 0 %: 0 networks" in run(logs)
            finished = tried()
            run(f"{submit.replace('small', 'again')} 2")
            assert f": {finished} networks" in run(f"{logs.replace('small', 'again')} --follow")
        finally:
            head.terminate()
    assert (tried(), (found.with_suffix(".json")).exists()) == (finished, True)
