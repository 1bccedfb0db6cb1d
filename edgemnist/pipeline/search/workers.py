"""Where the trials run: in this process, or on several processors and machines by Ray.

By Ray, the data goes to each machine once. A trial depends on nothing but its job, so one whose machine dies runs again
on another, with the same outcome.
"""

import contextlib
import importlib.metadata
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from edgemnist.errors import EdgemnistError, UsageError, check_range
from edgemnist.ground.registry import Entry, Package
from edgemnist.pipeline.search.trials import Job, Outcome, Trainer, TrialData


class Workers:
    """Runs trials in this process: each when its result is asked for, one after the other."""

    eager: ClassVar[bool] = False
    """Whether a trial begins before its result is asked for."""
    at_once: int = 1
    """Trials to have under way."""

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

    def first_done(self, handles: Sequence[Any]) -> int:
        """Return which of several trials is over first, as its place in `handles`; wait for it."""
        del handles
        return 0

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
    target="edgemnist.pipeline.search.workers:RayWorkers",
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

        Raises UsageError if it cannot be reached.
        """
        if not where.isdecimal() and (Path.home() / ".ray" / "auth_token").exists():
            # `ray start` asks others for that token, which Ray sends only if told so before its import.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
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
        elif named := where if where != AUTO else os.environ.get("RAY_ADDRESS"):
            _check_reachable(named)
        heard = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options)
        except Exception as error:
            # Ray raises many kinds, and plain Exception where a process of its own does not start.
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            ray.shutdown()
            if where.isdecimal():
                raise UsageError(
                    f"Ray cannot start {where} workers on this machine: {reason.rstrip('.')}",
                    hint="Leave out --workers, which trains one network at a time.",
                ) from error
            raise UsageError(f"The Ray cluster {where} cannot be used: {reason.rstrip('.')}", hint=_HEAD) from error
        self.at_once = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        if threading.current_thread() is threading.main_thread():
            # Ray would end the command in its own way, without a word and before its processes are stopped.
            signal.signal(signal.SIGTERM, heard)

    def begin(self, data: TrialData) -> None:
        """Put the data, once, where every machine can get it."""
        self._data = self._ray.put(data)

    def submit(self, job: Job) -> Any:  # noqa: ANN401 - a reference of Ray's
        """Let a trial run on the first processor that is free."""
        task = self._ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(run_trial)
        return task.remote(self._data, self._data.hex(), versions(), job)

    def result(self, handle: Any) -> Outcome:  # noqa: ANN401 - what `submit` returned
        """Return how a trial went.

        Raises UsageError if every machine that tried it died, none is left, or one has another edgemnist or TensorFlow.
        """
        try:
            outcome: Outcome = self._ray.get(handle)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, EdgemnistError):
                raise cause from error
            raise UsageError(
                f"A training could not be run on the cluster: {str(error).strip().splitlines()[0]}",
                hint="See what the machines say with: ray status. Run the search again to continue it.",
            ) from error
        return outcome

    def first_done(self, handles: Sequence[Any]) -> int:
        """Return which of several trials is over first, as its place in `handles`; wait for it."""
        (done, *_), _ = self._ray.wait([*handles])
        return next(place for place, handle in enumerate(handles) if handle is done or handle == done)

    def close(self) -> None:
        """Leave the cluster; trials that still run are stopped there."""
        self._ray.shutdown()


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


def versions() -> dict[str, str]:
    """Return what decides how a trial comes out, beside Ray's and Python's versions, which Ray compares itself."""
    known = {"edgemnist": "none", "tensorflow": "none"}
    for name in known:
        # edgemnist may run from a clone, and TensorFlow be in a package of another name.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[name] = importlib.metadata.version(name)
    return known


def check_alike(wanted: Mapping[str, str]) -> None:
    """Raise UsageError if this machine of a cluster has other versions than those that are wanted."""
    for name, version in versions().items():
        if version != wanted[name]:
            raise UsageError(
                f"{socket.gethostname()} of the Ray cluster has {name} {version}, but this machine has {wanted[name]}",
                hint='Install the same there with: pip install -c constraints.txt "edgemnist[train,cluster]"',
            )


_TRAINERS: dict[str, Trainer] = {}
"""Trainers of this process: images that the teacher labelled are kept from one trial to the next."""


def run_trial(data: TrialData, key: str, wanted: Mapping[str, str], job: Job) -> Outcome:
    """Run one trial in a process of the cluster that has the `wanted` versions.

    `key` tells the data from that of another search. Raises what `check_alike` raises.
    """
    check_alike(wanted)
    if key not in _TRAINERS:
        _TRAINERS.clear()
        _TRAINERS[key] = Trainer(data)
    return _TRAINERS[key].run(job)
