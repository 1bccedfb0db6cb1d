"""Where the trials run: in this process, or on several processors and machines by Ray.

By Ray, the data goes to each machine once. A trial depends on nothing but its job, so one whose machine dies runs again
on another, with the same outcome.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from edgemnist.errors import EdgemnistError, MeasurementError, UsageError, check_range
from edgemnist.registry import Entry, Package
from edgemnist.search.trials import Job, Outcome, Trainer, TrialData
from edgemnist.storage import commit_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgemnist.data.dataset import Dataset
    from edgemnist.search.costs import Stopwatch
    from edgemnist.train.network import Network
    from edgemnist.train.recipes import TrainConfig


class Workers:
    """Runs trials in this process: each when its result is asked for, one after the other."""

    eager: ClassVar[bool] = False
    """Whether a trial begins before its result is asked for."""

    def __init__(self) -> None:
        self._trainer: Trainer | None = None

    def begin(self, data: TrialData) -> None:
        """Take the data of all trials."""
        self._trainer = Trainer(data)

    def submit(self, job: Job) -> Any:  # noqa: ANN401 - what `result` takes
        """Let a trial begin as soon as a worker is free, and return what `result` takes."""
        return job

    def result(self, handle: Any) -> Outcome:  # noqa: ANN401 - what `submit` returned
        """Return how a trial went, once it is over."""
        if self._trainer is None:
            raise ValueError("trials need data")
        return self._trainer.run(handle)

    def train(self, dataset: Dataset, trainings: Mapping[Path, TrainConfig], teacher: Path | None) -> None:
        """Train networks to the end, each into its directory, unless that is as well done by `make_network` here.

        `teacher` is the file of the teacher that they all have; None if the recipe has none.
        """
        del dataset, trainings, teacher
        # Let go of the images that the teacher labelled.
        self.close()

    def measure(self, watch: Stopwatch, network: Network) -> float:
        """Return the p50 of a shape in microseconds, from wherever the machine to measure can be reached."""
        return watch(network)

    def close(self) -> None:
        """Let go of everything, and stop the trials that still run."""
        self._trainer = None


AUTO: Final = "auto"
SCHEME: Final = "ray"
PORT: Final = 10_001
"""Port of a cluster's head, for machines that are not part of it."""
REACHED_S: Final = 10.0
MOST_RETRIES: Final = 10
"""Most retries of a trial whose process or machine dies."""
STORE_BYTES: Final = 500_000_000
"""Size of the object store of a cluster of this machine alone: all images take a tenth of it."""
CLUSTER: Final = Entry(
    target="edgemnist.search.workers:RayWorkers",
    summary="--workers",
    requires=(Package("ray", "ray"),),
    extra="train,cluster",
)
_HEAD: Final = "Start it there with: ray start --head --ray-client-server-port=10001"


def parse_workers(text: str) -> Workers:
    """Return the workers that `--workers` names: a number, `auto` or `ray://HOST:PORT`.

    Raises UsageError for any other text, MissingDependencyError without Ray, and what `RayWorkers` raises.
    """
    if text.isdecimal():
        check_range("--workers", int(text), least=1)
        if int(text) == 1:
            return Workers()
    elif text != AUTO and urlsplit(text).scheme != SCHEME:
        raise UsageError(
            f"--workers must be a number, auto, or the address of a Ray cluster such as ray://head:10001 (got {text})"
        )
    workers: Workers = CLUSTER.load()(text)
    return workers


class RayWorkers(Workers):
    """Runs each trial as a Ray task on one processor."""

    eager = True

    def __init__(self, where: str) -> None:
        """Connect to a cluster, or start one on this machine for a number of workers.

        Raises UsageError if it cannot be reached, or if a machine of it has another version of Python, edgemnist or
        TensorFlow than this one.
        """
        import ray

        self._ray: Any = ray
        # Nothing is reported to anybody, and a trial has one processor.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        options: dict[str, Any] = {
            "address": where,
            "log_to_driver": False,
            "logging_level": "CRITICAL",
            "runtime_env": {"env_vars": {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}},
        }
        if where.isdecimal():
            options |= {
                "address": "local",
                "num_cpus": int(where),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
        elif where != AUTO:
            _check_reachable(where)
        elif named := os.environ.get("RAY_ADDRESS"):
            _check_reachable(named)
        heard = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UsageError(f"The Ray cluster {where} cannot be used: {reason.rstrip('.')}", hint=_HEAD) from error
        if threading.current_thread() is threading.main_thread():
            # Ray would end the command in its own way, without a word and before its processes are stopped.
            signal.signal(signal.SIGTERM, heard)
        try:
            self._check_versions()
        except BaseException:
            ray.shutdown()
            raise

    def begin(self, data: TrialData) -> None:
        """Put the data, once, where every machine can get it."""
        self._data = self._ray.put(data)

    def submit(self, job: Job) -> Any:  # noqa: ANN401 - a reference of Ray's
        """Let a trial run on the first processor that is free."""
        return self._run.remote(self._data, self._data.hex(), job)

    def result(self, handle: Any) -> Outcome:  # noqa: ANN401 - what `submit` returned
        """Return how a trial went. Raises UsageError if every machine that tried it died, or none is left."""
        outcome: Outcome = self._get(handle)
        return outcome

    def train(self, dataset: Dataset, trainings: Mapping[Path, TrainConfig], teacher: Path | None) -> None:
        """Train networks to the end at once, each on one processor. Raises what `result` raises."""
        if not trainings:
            return
        shared = self._ray.put(dataset)
        files = {} if teacher is None else {teacher.name: teacher.read_bytes()}
        task = self._ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(trained_files)
        handles = {directory: task.remote(shared, training, files) for directory, training in trainings.items()}
        for directory, handle in handles.items():
            commit_files(directory, self._get(handle))

    def _get(self, handle: Any) -> Any:  # noqa: ANN401 - what a task returned
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, EdgemnistError):
                raise cause from error
            raise UsageError(
                f"A training could not be run on the cluster: {str(error).strip().splitlines()[0]}",
                hint="See what the machines say with: ray status. Run the search again to continue it.",
            ) from error

    def measure(self, watch: Stopwatch, network: Network) -> float:
        """Return the p50 of a shape in microseconds; a board is asked by the machine that has it as a resource."""
        board = f"board:{watch.board.host.name}" if watch.board is not None else ""
        if board not in self._ray.cluster_resources():
            return watch(network)
        task = self._ray.remote(num_cpus=0, resources={board: 1})(_measured)
        found, message, hint = self._ray.get(task.remote(watch, network))
        if found is None:
            raise MeasurementError(message, hint=hint)
        return float(found)

    def close(self) -> None:
        """Leave the cluster; trials that still run are stopped there."""
        self._ray.shutdown()

    @cached_property
    def _run(self) -> Any:  # noqa: ANN401 - a remote function
        return self._ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(run_trial)

    def _check_versions(self) -> None:
        """Raise UsageError if a machine has other versions than this one: its trials would come out differently."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def versions() -> dict[str, str]:
            # Sent as it is, since there may be no edgemnist to import it from.
            import importlib.metadata
            import sys

            found = {"Python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
            for name in ("edgemnist", "tensorflow"):
                try:
                    found[name] = importlib.metadata.version(name)
                except importlib.metadata.PackageNotFoundError:
                    found[name] = "none"
            return found

        ours = versions()
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        asked = [
            self._ray.remote(num_cpus=0)(versions)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            .remote()
            for node in nodes
        ]
        for node, theirs in zip(nodes, self._ray.get(asked), strict=True):
            for name, version in ours.items():
                if theirs[name] != version:
                    raise UsageError(
                        f"{node['NodeManagerHostname']} of the Ray cluster has {name} {theirs[name]}, "
                        f"but this machine has {version}",
                        hint='Install the same there with: pip install -c constraints.txt "edgemnist[train,cluster]"',
                    )


def _check_reachable(address: str) -> None:
    """Raise UsageError if nobody listens at an address: Ray itself would try for half a minute."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        place = (parts.hostname or "", parts.port or PORT)
        with socket.create_connection(place, timeout=REACHED_S):
            return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"The Ray cluster {address} cannot be reached: {reason}", hint=_HEAD) from error


_TRAINERS: dict[str, Trainer] = {}
"""Trainers of this process: images that the teacher labelled are kept from one trial to the next."""


def run_trial(data: TrialData, key: str, job: Job) -> Outcome:
    """Run one trial in a process of the cluster; `key` tells the data from that of another search."""
    if key not in _TRAINERS:
        _TRAINERS.clear()
        _TRAINERS[key] = Trainer(data)
    return _TRAINERS[key].run(job)


def trained_files(dataset: Dataset, training: TrainConfig, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Train a network in a process of the cluster, with the teacher in `files`; return the files of its directory."""
    from edgemnist.train.distillation import Teachers
    from edgemnist.train.run import train

    with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
        directory = Path(scratch)
        for name, data in files.items():
            (directory / name).write_bytes(data)
        train(dataset, training, directory, teachers=Teachers(directory))
        return {path.name: path.read_bytes() for path in directory.iterdir() if path.name not in files}


def _measured(watch: Stopwatch, network: Network) -> tuple[float | None, str, str]:
    """Return a stopwatch's time, or the message and the hint of its failure."""
    try:
        return watch(network), "", ""
    except EdgemnistError as error:
        return None, error.message, error.hint
