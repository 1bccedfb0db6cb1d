"""What a search has tried and tries next: an Optuna study on disk. The same seed tries the same networks.

A trial is proposed once all but the last `WINDOW` before it are finished, and knows exactly those. So up to `WINDOW`
trainings run at once, on one machine or on many, and how many there are changes nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from edgemnist.errors import UsageError
from edgemnist.search.journal import JOURNAL_FILE, Journal
from edgemnist.search.limits import Costs, Limits, Space, parameters_of
from edgemnist.train.network import Network

NAME: Final = "edgemnist"
WINDOW: Final = 8
"""Trials that may be in training at a time."""
AT_RANDOM: Final = 12
"""Trials before the sampler begins to learn."""
MOST_ATTEMPTS: Final = 200
"""Proposals for one trial: if so many in a row are beyond the limits, or known already, there are no others."""
RANDOM_AFTER: Final = 50
"""Proposals after which the sampler is taken to be stuck."""

Measure = Callable[[Network], float]
"""Maps a network to the p50 of its shape in microseconds."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A network that a search has trained, for as long as it was worth it."""

    network: str
    costs: Costs
    accuracies: tuple[float, ...]
    """Accuracies on the selection images after each rung, the last after the whole training unless it was stopped."""
    stopped: bool
    """Whether the training was stopped early, or failed: it is no candidate."""
    seconds: float

    @property
    def accuracy(self) -> float:
        """The last that is known, 0 to 1."""
        return self.accuracies[-1] if self.accuracies else 0.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A network to train."""

    ordinal: int
    """Number of the trial, from 0."""
    network: Network
    costs: Costs
    trial: optuna.Trial


@dataclass(kw_only=True)
class Study:
    """The trials of a directory. Made by `open`; its user must hold the directory's lock."""

    limits: Limits
    space: Space
    classes: int
    seed: int
    on_p50: bool
    """Whether the third objective is the latency; else it is the RAM."""
    random: bool = False
    """Propose at random, to compare with."""
    tried: list[Tried] = field(default_factory=list)
    """Networks in the order of their trials."""
    rejected: int = 0
    """Proposals that were beyond the limits, and were not trained."""
    _study: optuna.Study
    _unfinished: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Parameters of the trials that a killed search was training, by their ordinal."""
    _attempts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        directory: Path,
        identity: Mapping[str, str],
        *,
        limits: Limits,
        space: Space,
        classes: int,
        seed: int,
        on_p50: bool = False,
        random: bool = False,
    ) -> Study:
        """Open the study of a directory, or begin one. `identity` is what its accuracies depend on, by name.

        Trials that a killed search was training are failed, and will be asked for again. Raises UsageError if the study
        has another identity or its file is damaged, and StorageError if it cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        again = f"Choose another place with --to, or delete {directory / JOURNAL_FILE}."
        try:
            storage = JournalStorage(Journal(directory))
            study = optuna.create_study(
                storage=storage, study_name=NAME, directions=["minimize"] * 3, load_if_exists=True
            )
            found: Mapping[str, str] = study.user_attrs.get("identity", {})
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
            study.set_user_attr("identity", dict(identity))
        made = cls(limits=limits, space=space, classes=classes, seed=seed, on_p50=on_p50, random=random, _study=study)
        made._restore()
        return made

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

    def p50(self, network: Network, where: str, measure: Measure) -> float:
        """Return the p50 of a shape in microseconds, measured on a machine of this name unless it is known."""
        key = f"p50 {where} {network}"
        known: float | None = self._study.user_attrs.get(key)
        if known is None:
            known = measure(network)
            self._study.set_user_attr(key, known)
        return known

    def ask(self, ordinal: int, price: Callable[[Network, Costs], Costs]) -> Asked | None:
        """Return what to train next; None if everything that is within the limits has been tried.

        `price` adds the measured costs to those of a network within the limits. The sampler learns of networks beyond
        the limits without any training.
        """
        first = self.space.known(self.limits, self.classes)
        params = self._unfinished.pop(ordinal, None)
        if params is None and ordinal < len(first) and not self._attempts.get(ordinal):
            params = parameters_of(first[ordinal])
        if params is not None:
            self._study.enqueue_trial(dict(params))
        running = {
            one.user_attrs.get("network")
            for one in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        }
        known = {one.network: one for one in self.tried}
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
                if self.limits.allow(costs):
                    costs = price(network, costs)
                reason = "limits" if not self.limits.allow(costs) else "known"
                if reason == "known" and str(network) not in running and str(network) not in known:
                    trial.set_user_attr("network", str(network))
                    trial.set_user_attr("costs", [costs.bytes, costs.ram_bytes, costs.multiplications, costs.p50_us])
                    return Asked(ordinal=ordinal, network=network, costs=costs, trial=trial)
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
        if self.random or ordinal < AT_RANDOM or attempt >= RANDOM_AFTER:
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
            self._study.tell(trial, objectives(tried, on_p50=self.on_p50))
        self.tried.append(tried)
        return tried

    def bars(self, costs: Costs, rungs: int, images: int) -> tuple[float, ...]:
        """Return the accuracy below which a training is stopped at each rung, 0 where nothing is known.

        A network is stopped if another one that costs no more was more accurate at the same rung, by more than the two
        standard deviations that so many images leave open.
        """
        rivals = [one for one in self.tried if _costs_no_more(one.costs, costs)]
        found = []
        for rung in range(rungs):
            best = max((one.accuracies[rung] for one in rivals if len(one.accuracies) > rung), default=0.0)
            found.append(max(0.0, best - 2 * math.sqrt(best * (1 - best) / images)))
        return tuple(found)


def objectives(tried: Tried, *, on_p50: bool) -> tuple[float, float, float]:
    """Return what is minimized: the logarithms of the error, of the bytes, and of the latency or the RAM.

    A tenth of an error of 1 %, or of 1 KB, is worth as much as a tenth of 10 %, or of 10 KB.
    """
    third = tried.costs.p50_us if on_p50 else tried.costs.ram_bytes
    return (
        math.log10(max(1e-5, 1 - tried.accuracy)),
        math.log10(tried.costs.bytes),
        math.log10(third or 1),
    )


def _costs_no_more(one: Costs, other: Costs) -> bool:
    if one.p50_us is not None and other.p50_us is not None and one.p50_us > other.p50_us:
        return False
    return one.bytes <= other.bytes and one.ram_bytes <= other.ram_bytes


def _tried(trial: FrozenTrial) -> Tried:
    kept = trial.user_attrs
    weights, ram, multiplications, p50 = kept["costs"]
    return Tried(
        network=kept["network"],
        costs=Costs(bytes=weights, ram_bytes=ram, multiplications=multiplications, p50_us=p50),
        accuracies=tuple(kept["accuracies"]),
        stopped=kept["stopped"],
        seconds=kept["seconds"],
    )
