"""What a search has tried and tries next: an Optuna study on disk. The same seed tries the same networks.

A trial is proposed once all but the last `WINDOW` before it are finished, and knows exactly those. So up to `WINDOW`
trainings run at once, on one machine or on many, and how many there are changes nothing.
"""

import contextlib
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from edgemnist.errors import StorageError, UsageError, reason_of
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, parameters_of
from edgemnist.pipeline.train.network import Network

JOURNAL_FILE: Final = "search.journal"
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


class Journal(JournalFileBackend):
    """The journal file: what was written before a kill is there, and what was half written is as if it never was."""

    def __init__(self, directory: Path) -> None:
        """Open the journal of a directory, or begin one. Raises StorageError if it cannot be read or written."""
        self._place = directory / JOURNAL_FILE
        try:
            _remove_torn_line(self._place)
            super().__init__(str(self._place))
        except OSError as error:
            raise _unwritable(directory, error) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines. Raises StorageError if the disk is full; half a line is cut off when the file is opened again.

        Without Optuna's lock, which would outlive a killed process: `locked` keeps others away.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        try:
            with self._place.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self._place.parent, error) from error


def _remove_torn_line(path: Path) -> None:
    """Cut off a last line that a kill, a power cut or a full disk left unfinished."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def _unwritable(directory: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{directory} cannot be written: {reason_of(error)}",
        hint="Repair that, or free some space, and run the search again to continue it; or choose another --to.",
    )


NAME: Final = "edgemnist"
METRICS: Final = ["log10(error)", "log10(bytes)", "log10(bytes of RAM)"]
"""What is minimized, as `objectives` has it."""
WINDOW: Final = 8
"""Trials that may be in training at a time."""
AT_RANDOM: Final = 12
"""Trials before the sampler begins to learn."""
MOST_ATTEMPTS: Final = 200
"""Proposals for one trial: if so many in a row are beyond the limits, or known already, there are no others."""
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

        Trials that a killed search was training are failed, and will be asked for again. Raises UsageError if the study
        has another identity or its file is damaged, and StorageError if it cannot be written.
        """
        self.limits, self.space, self.classes, self.seed = limits, space, classes, seed
        self.tried: list[Tried] = []
        """Networks in the order of their trials."""
        self.rejected = 0
        """Proposals that were beyond the limits, and were not trained."""
        self._unfinished: dict[int, Mapping[str, Any]] = {}
        """Parameters of the trials that a killed search was training, by their ordinal."""
        self._attempts: dict[int, int] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        again = f"Choose another place with --to, or delete {directory / JOURNAL_FILE}."
        try:
            self._study = optuna.create_study(
                storage=JournalStorage(Journal(directory)),
                study_name=NAME,
                directions=["minimize"] * 3,
                load_if_exists=True,
            )
            found: Mapping[str, str] = self._study.user_attrs.get("identity", {})
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{directory / JOURNAL_FILE} is damaged or not the journal of a search", hint=again
            ) from error
        for what, wanted in identity.items():
            if found and found.get(what) != wanted:
                raise UsageError(
                    f"{directory} has a search with another {what}: {found.get(what, 'none')}, not {wanted}", hint=again
                )
        if not found:
            self._study.set_user_attr("identity", dict(identity))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                # For whoever looks at the journal with Optuna's own tools.
                self._study.set_metric_names(METRICS)
        self._restore()

    def _restore(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
        while self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self._study.tell(self._study.ask(), state=TrialState.FAIL)
        finished = dict[int, Tried]()
        for trial in self._study.get_trials(deepcopy=False):
            kept = trial.user_attrs
            if (ordinal := kept.get("ordinal")) is None:
                continue
            if "accuracies" in kept and trial.state != TrialState.FAIL:
                finished[ordinal] = _tried(trial)
            elif "rejected" in kept:
                self._attempts[ordinal] = self._attempts.get(ordinal, 0) + 1
                self.rejected += kept["rejected"] == "limits"
            elif "network" in kept:
                self._unfinished[ordinal] = trial.params
        self._unfinished = {key: value for key, value in self._unfinished.items() if key not in finished}
        self.tried = [finished[ordinal] for ordinal in sorted(finished)]

    def ask(self, ordinal: int) -> Asked | None:
        """Return what to train next; None if everything that is within the limits has been tried.

        The sampler learns of networks beyond the limits without any training.
        """
        first = self.space.known(self.limits, self.classes)
        params = self._unfinished.pop(ordinal, None)
        if params is None and ordinal < len(first) and not self._attempts.get(ordinal):
            params = parameters_of(first[ordinal])
        if params is not None:
            self._study.enqueue_trial(dict(params))
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        known = {*(trial.network for trial in self.tried), *(trial.user_attrs.get("network") for trial in running)}
        for attempt in range(self._attempts.get(ordinal, 0), MOST_ATTEMPTS):
            self._study.sampler = self._sampler(ordinal, attempt)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                trial = self._study.ask()
                network = self.space.propose(trial)
            trial.set_user_attr("ordinal", ordinal)
            reason = "shape"
            if network is not None:
                costs = Costs.of(network, self.classes)
                reason = "limits" if not self.limits.allow(costs) else "known"
                if reason == "known" and str(network) not in known:
                    trial.set_user_attr("network", str(network))
                    trial.set_user_attr("costs", astuple(costs))
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

    def _sampler(self, ordinal: int, attempt: int) -> BaseSampler:
        """Return a sampler whose randomness depends on the place in the search alone."""
        seed = int(np.random.SeedSequence([self.seed, ordinal, attempt]).generate_state(1)[0])
        if ordinal < AT_RANDOM or attempt >= RANDOM_AFTER:
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=0)

    def tell(self, asked: Asked, accuracies: tuple[float, ...], *, stopped: bool, seconds: float) -> Tried:
        """Record how a training went. Called in the order of the trials."""
        trial, costs = asked.trial, asked.costs
        tried = Tried(network=str(asked.network), costs=costs, accuracies=accuracies, stopped=stopped, seconds=seconds)
        for name, excess in self.limits.excesses(costs).items():
            trial.set_constraint(name, excess)
        if self.limits.accuracy is not None:
            trial.set_constraint("accuracy", self.limits.accuracy - tried.accuracy)
        trial.set_user_attr("accuracies", list(accuracies))
        trial.set_user_attr("seconds", seconds)
        trial.set_user_attr("stopped", stopped)
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
    names = [field.name for field in fields(Costs)]
    return Tried(
        network=kept["network"],
        # An earlier edgemnist wrote a latency, too.
        costs=Costs(**dict(zip(names, kept["costs"], strict=False))),
        accuracies=tuple(kept["accuracies"]),
        stopped=kept["stopped"],
        seconds=kept["seconds"],
    )
