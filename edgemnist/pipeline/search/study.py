"""What a search has tried and tries next: an Optuna study in a SQLite file, which survives a kill at any moment.

One process proposes and records, wherever the trainings run.
"""

import contextlib
import math
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from edgemnist.errors import StorageError, UsageError, reason_of
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, parameters_of
from edgemnist.pipeline.train.network import Network

STUDY_FILE: Final = "search.db"
LOCK_FILE: Final = "search.lock"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a search's directory; it ends with the process, however that ends.

    Raises UsageError if another search holds it, and StorageError if the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK_FILE).open("ab")
    except OSError as error:
        raise _unwritable(directory, error) from error
    with file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"Another search is running in {directory}", hint="Wait for it, or choose another place with --to."
                ) from None
            except OSError as error:
                # Some network file systems have no locks.
                del error
        yield


def _storage(directory: Path) -> RDBStorage:
    # Dozens of commits belong to a trial: with a log they wait for no disk. After a power cut the last may be missing.
    path = str(directory / STUDY_FILE)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    storage = RDBStorage(f"sqlite:///{path}")

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    sqlalchemy.event.listen(storage.engine, "connect", on_connect)
    storage.engine.dispose()
    return storage


def _unwritable(directory: Path, error: Exception) -> StorageError:
    reason = reason_of(error) if isinstance(error, OSError) else str(error.__cause__ or error).splitlines()[0]
    return StorageError(
        f"{directory} cannot be written: {reason}",
        hint="Repair that, or free some space, and run the search again to continue it; or choose another --to.",
    )


NAME: Final = "edgemnist"
METRICS: Final = ["log10(error)", "log10(bytes)", "log10(bytes of RAM)"]
"""What is minimized, as `objectives` has it."""
AT_RANDOM: Final = 12
"""Trials before the sampler begins to learn."""
MOST_ATTEMPTS: Final = 200
"""Proposals for one trial: if this many in a row are beyond the limits, or known already, there are no others."""
RANDOM_AFTER: Final = 50
"""Proposals after which the sampler is taken to be stuck."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A network to train."""

    network: Network
    costs: Costs
    trial: optuna.Trial


class Study:
    """The trials of a directory, whose lock its user must hold."""

    def __init__(
        self, directory: Path, identity: Mapping[str, str], *, limits: Limits, space: Space, classes: int, seed: int
    ) -> None:
        """Open the study of a directory, or begin one. `identity` is what its accuracies depend on, by name.

        What a killed search was training is proposed again. Raises UsageError if the study has another identity or its
        file is damaged, and StorageError if it cannot be written.
        """
        self.limits, self.space, self.classes = limits, space, classes
        self.tried: list[Tried] = []
        """Networks in the order in which they were finished."""
        self.rejected = 0
        """Proposals that were beyond the limits, and were not trained."""
        self._directory = directory
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        again = f"Choose another place with --to, or delete {directory / STUDY_FILE}."
        try:
            self._study = optuna.create_study(
                storage=_storage(directory),
                study_name=NAME,
                directions=["minimize"] * 3,
                load_if_exists=True,
            )
            found: Mapping[str, str] = self._study.user_attrs.get("identity", {})
        except (sqlite3.Error, SQLAlchemyError, StorageInternalError, RuntimeError, ValueError) as error:
            if "unable to open" in str(error) or "readonly" in str(error):
                raise _unwritable(directory, error) from error
            raise UsageError(f"{directory / STUDY_FILE} is damaged or not that of a search", hint=again) from error
        for what, wanted in identity.items():
            if found and found.get(what) != wanted:
                raise UsageError(
                    f"{directory} has a search with another {what}: {found.get(what, 'none')}, not {wanted}", hint=again
                )
        with self._writing():
            trials = self._study.get_trials(deepcopy=False)
            # Another seed for each part of a search, which would else propose the same again.
            draw = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._learning = TPESampler(
                    seed=draw, multivariate=True, group=True, constant_liar=True, n_startup_trials=AT_RANDOM
                )
            self._random = RandomSampler(seed=draw)
            if not found:
                self._begin(identity)
            self._restore(trials)

    def _begin(self, identity: Mapping[str, str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # For whoever looks at the study with Optuna's own tools.
            self._study.set_metric_names(METRICS)
        for network in self.space.known(self.limits, self.classes):
            self._study.enqueue_trial(dict(parameters_of(network)))
        # Last: a study that was killed before this starts over.
        self._study.set_user_attr("identity", dict(identity))

    def _restore(self, trials: list[FrozenTrial]) -> None:
        for trial in trials:
            kept = trial.user_attrs
            if trial.state == TrialState.RUNNING:
                # In this order: what a kill between the two leaves twice is known the second time.
                if "network" in kept:
                    self._study.enqueue_trial(dict(trial.params))
                self._study.tell(trial.number, state=TrialState.FAIL)
            elif "accuracies" in kept and trial.state != TrialState.FAIL:
                self.tried.append(_tried(trial))
            self.rejected += kept.get("rejected") == "limits"
        self.tried.sort(key=lambda one: one.finished)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            raise _unwritable(self._directory, error) from error

    def ask(self) -> Asked | None:
        """Return what to train next; None if everything that is within the limits has been tried.

        The sampler learns of networks beyond the limits without any training. Raises StorageError if the study cannot
        be written.
        """
        with self._writing():
            running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            known = {*(one.network for one in self.tried), *(one.user_attrs.get("network") for one in running)}
            for attempt in range(MOST_ATTEMPTS):
                self._study.sampler = self._learning if attempt < RANDOM_AFTER else self._random
                if (asked := self._propose(known)) is not None:
                    return asked
        return None

    def _propose(self, known: set[str | None]) -> Asked | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            trial = self._study.ask()
            network = self.space.propose(trial)
        reason = "shape"
        if network is not None:
            costs = Costs.of(network, self.classes)
            reason = "limits" if not self.limits.allow(costs) else "known"
            if reason == "known" and str(network) not in known:
                trial.set_user_attr("costs", asdict(costs))
                trial.set_user_attr("network", str(network))
                return Asked(network=network, costs=costs, trial=trial)
            if reason == "limits":
                self.rejected += 1
                for name, excess in self.limits.excesses(costs).items():
                    trial.set_constraint(name, excess)
        if reason == "shape":
            trial.set_constraint("shape", 1.0)
        trial.set_user_attr("rejected", reason)
        # Of what is known already the sampler has nothing to learn.
        self._study.tell(trial, state=TrialState.FAIL if reason == "known" else TrialState.PRUNED)
        return None

    def tell(self, asked: Asked, accuracies: tuple[float, ...], *, stopped: bool, seconds: float) -> Tried:
        """Record how a training went. Raises StorageError if the study cannot be written."""
        trial, costs = asked.trial, asked.costs
        tried = Tried(
            network=str(asked.network),
            costs=costs,
            accuracies=accuracies,
            stopped=stopped,
            seconds=seconds,
            finished=len(self.tried),
        )
        with self._writing():
            for name, excess in self.limits.excesses(costs).items():
                trial.set_constraint(name, excess)
            if self.limits.accuracy is not None:
                trial.set_constraint("accuracy", self.limits.accuracy - tried.accuracy)
            trial.set_user_attr("accuracies", list(accuracies))
            trial.set_user_attr("seconds", seconds)
            trial.set_user_attr("stopped", stopped)
            trial.set_user_attr("finished", tried.finished)
            if stopped:
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, objectives(tried))
        self.tried.append(tried)
        return tried

    def bars(self, costs: Costs, rungs: int, images: int) -> tuple[float, ...]:
        """Return the accuracy below which a training is stopped at each rung, 0 where nothing is known.

        A network is stopped if another one that costs no more was more accurate at the same rung, by more than the two
        standard deviations that this many images leave open.
        """
        bytes_, ram = costs.bytes, costs.ram_bytes
        rivals = [trial for trial in self.tried if trial.costs.bytes <= bytes_ and trial.costs.ram_bytes <= ram]
        found = []
        for rung in range(rungs):
            best = max((rival.accuracies[rung] for rival in rivals if len(rival.accuracies) > rung), default=0.0)
            found.append(max(0.0, best - 2 * math.sqrt(best * (1 - best) / images)))
        return tuple(found)


def objectives(tried: Tried) -> tuple[float, float, float]:
    """Return what is minimized: the logarithms of the error, of the bytes, and of the RAM.

    A tenth of an error of 1 %, or of 1 KB, is worth as much as a tenth of 10 %, or of 10 KB.
    """
    costs = tried.costs
    return math.log10(max(1e-5, 1 - tried.accuracy)), math.log10(costs.bytes), math.log10(costs.ram_bytes)


def _tried(trial: FrozenTrial) -> Tried:
    kept = trial.user_attrs
    return Tried(
        network=kept["network"],
        costs=Costs(**kept["costs"]),
        accuracies=tuple(kept["accuracies"]),
        stopped=kept["stopped"],
        seconds=kept["seconds"],
        finished=kept["finished"],
    )
