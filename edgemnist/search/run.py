"""`edgemnist search`: the smallest, fastest and most accurate networks within limits."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgemnist.bench.config import BenchConfig
from edgemnist.data.dataset import Dataset, identified
from edgemnist.errors import UsageError, check_range
from edgemnist.export.interface import ArtifactSpec
from edgemnist.formatting import count as counted
from edgemnist.formatting import percent
from edgemnist.progress import SILENT, Reporter, Task
from edgemnist.results.pipeline import SearchLimits, SearchResult, SearchRow, SearchTrial
from edgemnist.search.costs import HERE, Stopwatch, sample_of
from edgemnist.search.journal import locked
from edgemnist.search.limits import Costs, Limits, Space, best_so_far, choose
from edgemnist.search.networks import MadeNetwork, finished_training, make_network, search_png, warnings_of
from edgemnist.search.study import WINDOW, Asked, Study, Tried
from edgemnist.search.trials import Job, TrialData, rungs_of, split_for_selection, teacher_of, with_teacher
from edgemnist.search.workers import Workers
from edgemnist.storage import check_writable, commit_files
from edgemnist.train.checks import check_learnable
from edgemnist.train.network import Network
from edgemnist.train.recipes import MAX_SEED, TrainConfig, digest, plan_for

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress

DEFAULT_TRIALS: Final = 64
DEFAULT_MINUTES: Final = 30
"""Training the best networks may take as long again, and the search still answers within an hour."""
SHORT: Final = 8
"""A trial takes an eighth of a training's epochs."""
PICTURE_FILE: Final = "search.png"
RESULT_FILE: Final = "search.json"
ROOM: Final = 10_000_000
"""Bytes that a search's directory must have room for: its journal, and the best networks with their pictures."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The options of a search. Raises UsageError for a value out of its range, and what `TrainConfig` raises."""

    limits: Limits
    trials: int | None = None
    """Networks to train for a short time; None for as many as `minutes` allow, and 64 if these are None as well."""
    minutes: float | None = None
    """Time after which no further trial begins; None for no limit if `trials` are given, and for 30 if not."""
    recipe: str = "standard"
    epochs: int | None = None
    """Epochs of the best networks, None for as many as the recipe takes; a trial takes an eighth."""
    seed: int = 0
    board: BoardAddress | None = None
    """Where latencies are measured; None for this machine."""
    space: Space = field(default_factory=Space)
    timing: BenchConfig = field(default_factory=lambda: BenchConfig(keras=False, seconds=0.3, rounds=1))
    random: bool = False
    """Propose networks at random, to compare with."""

    def __post_init__(self) -> None:
        check_range("--trials", self.trials, least=1)
        check_range("--minutes", self.minutes, above=0)
        check_range("--seed", self.seed, least=0, most=MAX_SEED)
        self.training(None)

    def training(self, network: Network | None) -> TrainConfig:
        """Return the whole training of a network."""
        return TrainConfig(recipe=self.recipe, network=network, epochs=self.epochs, seed=self.seed)

    @property
    def budget(self) -> tuple[int | None, float | None]:
        """The most trials, and the minutes after which no further one begins; None for no limit."""
        if self.trials is None and self.minutes is None:
            return DEFAULT_TRIALS, DEFAULT_MINUTES
        return self.trials, self.minutes

    @property
    def times(self) -> bool:
        """Whether latencies are measured before anything is trained."""
        return self.limits.p50_us is not None or self.board is not None

    @property
    def where(self) -> str:
        """The machine on which latencies are measured."""
        return HERE if self.board is None else self.board.host.name

    def trial_epochs(self, images: int) -> int:
        """Return the epochs of a trial on so many training images."""
        return max(1, ceil((self.epochs or self.training(None).resolved_recipe.epochs_for(images)) / SHORT))


def search(
    dataset: Dataset, config: SearchConfig, directory: Path, workers: Workers | None = None, reporter: Reporter = SILENT
) -> SearchResult:
    """Look for the best networks within limits, and make an export directory of each in `directory`.

    A search that was interrupted or killed repeats nothing. Networks are chosen by training images that no trial has
    learned from; the test images are read for the best networks alone. Raises UsageError for limits that no
    network is within, and for a directory with another search; what the stages raise; KeyboardInterrupt is passed on.
    """
    classes = len(dataset.labels)
    config.space.check(config.limits, classes)
    train, selection = split_for_selection(dataset)
    ours = identified(train, selection, dataset.labels, source=dataset.identity.source)
    plan = plan_for(config.training(None), images=len(train), parameters=1)
    check_learnable(ours, plan.batch_size)
    with locked(directory):
        check_writable(directory, ROOM)
        study = Study.open(
            directory,
            _identity(dataset, config, len(train)),
            limits=config.limits,
            space=config.space,
            classes=classes,
            seed=config.seed,
            on_p50=config.times,
            random=config.random,
        )
        crew = workers or Workers()
        data = TrialData(train=train, selection=selection, classes=classes, seed=config.seed)
        data = with_teacher(data, config.recipe, directory, reporter)
        crew.begin(data)
        watch = Stopwatch(sample=sample_of(dataset), timing=config.timing, board=config.board)
        try:
            _Search(study=study, config=config, data=data, workers=crew, watch=watch, reporter=reporter).run()
            return _finish(study, dataset, config, directory, workers=crew, reporter=reporter)
        finally:
            crew.close()


def _identity(dataset: Dataset, config: SearchConfig, images: int) -> dict[str, str]:
    """Return what the accuracies of a search depend on, by its name in messages."""
    return {
        "data set": f"{dataset.identity.source} ({dataset.identity.sha256[:8]})",
        "recipe": config.recipe,
        "version of the recipe": digest(config.training(None).resolved_recipe),
        "number of epochs": str(config.trial_epochs(images)),
        "seed": str(config.seed),
        "third objective": f"latency on {config.where}" if config.times else "RAM of the C file",
        "choice of networks": digest(config.space),
    }


@dataclass(kw_only=True)
class _Search:
    """Keeps `WINDOW` trials going until there are enough."""

    study: Study
    config: SearchConfig
    data: TrialData
    workers: Workers
    watch: Stopwatch
    reporter: Reporter
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.epochs = self.config.trial_epochs(len(self.data.train))
        self.trials, self.minutes = self.config.budget

    def run(self) -> None:
        """Try networks until there are enough, or no time is left, or none is left to try."""
        under_way: deque[tuple[Asked, Any]] = deque()
        with self.reporter.task("Search", total=1) as task:
            self._show(task)
            for ordinal in count(len(self.study.tried)):
                if len(under_way) == WINDOW:
                    self._take(under_way, task)
                if self._over(ordinal):
                    break
                asked = self.study.ask(ordinal, self._price)
                if asked is None:
                    self.reporter.notice(f"Every network found within the limits has been tried: {ordinal}.")
                    break
                under_way.append((asked, self.workers.submit(self._job(asked))))
            # What has not begun when the time is over is asked for again by the next search.
            while under_way and (self.workers.eager or not self._late()):
                self._take(under_way, task)

    def _job(self, asked: Asked) -> Job:
        bars = self.study.bars(asked.costs, len(rungs_of(self.epochs)), len(self.data.selection))
        return Job(
            network=str(asked.network),
            recipe=self.config.recipe,
            epochs=self.epochs,
            seed=self.config.seed,
            bars=bars,
        )

    def _take(self, under_way: deque[tuple[Asked, Any]], task: Task) -> None:
        asked, handle = under_way.popleft()
        outcome = self.workers.result(handle)
        self.study.tell(asked, outcome.accuracies, stopped=outcome.stopped, seconds=outcome.seconds)
        self._show(task)

    def _price(self, network: Network, costs: Costs) -> Costs:
        if not self.config.times:
            return costs
        p50 = self.study.p50(network, self.config.where, lambda one: self.workers.measure(self.watch, one))
        return replace(costs, p50_us=p50)

    def _over(self, ordinal: int) -> bool:
        if self.trials is not None and ordinal >= self.trials:
            return True
        return self._late()

    def _late(self) -> bool:
        return self.minutes is not None and self._elapsed() >= self.minutes * 60

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _done(self) -> float:
        """Return how much is done, as a share: whichever ends first, the trials or the minutes."""
        trials = len(self.study.tried) / self.trials if self.trials is not None else 0
        minutes = self._elapsed() / (60 * self.minutes) if self.minutes is not None else 0
        return min(1.0, max(trials, minutes))

    def _show(self, task: Task) -> None:
        tried = self.study.tried
        words = [counted(len(tried), "network")]
        if (best := best_so_far(tried, self.config.limits)) is not None:
            words.append(f"best {percent(best.accuracy)} in {best.costs.bytes:,} bytes: {best.network}")
        if stopped := sum(one.stopped for one in tried):
            words.append(f"{stopped:,} stopped early")
        if self.study.rejected:
            words.append(f"{self.study.rejected:,} beyond a limit")
        task.update(self._done(), " · ".join(words))


def artifacts_for(network: Network) -> tuple[ArtifactSpec, ...]:
    """Return the artifacts of a network: the file that every runtime takes, and C with weights as it was trained."""
    return (ArtifactSpec("tflite", "int8"), ArtifactSpec("c", f"int{network.bits}"))


def _finish(
    study: Study, dataset: Dataset, config: SearchConfig, directory: Path, *, workers: Workers, reporter: Reporter
) -> SearchResult:
    """Train the best networks to the end, and write what was found."""
    from edgemnist.train.distillation import Teachers

    chosen = choose(study.tried, config.limits)
    if not chosen:
        raise UsageError(
            "No network was trained to the end, so there is nothing to choose from",
            hint="Allow more --trials or --minutes; the search continues where it stopped.",
        )
    teachers = Teachers(directory)
    made: dict[str, MadeNetwork] = {}
    places = {name: directory / name.replace(":", "-") for name in chosen}
    with reporter.task("Best networks", total=len(chosen)) as task:
        task.update(0, ", ".join(chosen))
        trainings = {place: config.training(Network.parse(name)) for name, place in places.items()}
        todo = {at: one for at, one in trainings.items() if finished_training(dataset, one, at) is None}
        teacher = None
        if todo:
            labels = len(dataset.labels)
            teacher = teacher_of(
                dataset.train, labels, config.recipe, config.seed, directory=directory, reporter=reporter
            )
        workers.train(dataset, todo, teacher)
        for name, place in places.items():
            task.update(len(made), name)
            made[name] = make_network(
                dataset,
                trainings[place],
                artifacts_for(Network.parse(name)),
                place,
                timing=config.timing,
                teachers=teachers,
                reporter=reporter,
                every_runtime=True,
            )
    tried = {one.network: one for one in study.tried}
    rows = [
        _row(one, tried[name], chosen[name], config.limits, on_board=config.board is not None)
        for name, one in made.items()
    ]
    result = SearchResult(
        limits=SearchLimits(**asdict(config.limits)),
        recipe=config.recipe,
        seed=config.seed,
        data=dataset.identity,
        selection_images=len(split_for_selection(dataset)[1]),
        images=len(dataset.test),
        trained=len(study.tried),
        stopped=sum(one.stopped for one in study.tried),
        rejected=study.rejected,
        rows=sorted(rows, key=lambda row: -row.accuracy),
        trials=[
            SearchTrial(network=one.network, accuracy=one.accuracy, stopped=one.stopped, **asdict(one.costs))
            for one in study.tried
        ],
        picture=PICTURE_FILE,
        measured_on=config.where,
        host=next(iter(made.values())).benched.host,
        warnings=warnings_of(list(made.values())),
    )
    commit_files(directory, {PICTURE_FILE: search_png(result), RESULT_FILE: result.to_json().encode() + b"\n"})
    return result


def _row(made: MadeNetwork, tried: Tried, best: list[str], limits: Limits, *, on_board: bool) -> SearchRow:
    parities = {parity.name: parity for parity in made.verified.artifacts}
    timed = [one for one in made.benched.results if one.name in parities]
    fastest = min(timed, key=lambda one: (not parities[one.name].passed, one.p50_us))
    parity, costs = parities[fastest.name], tried.costs
    # Of the board there is the figure of the shape.
    p50 = costs.p50_us if on_board and costs.p50_us is not None else fastest.p50_us
    costs = replace(costs, p50_us=p50)
    return SearchRow(
        network=tried.network,
        directory=made.directory.name,
        best=best,
        name=fastest.name,
        parameters=made.trained.parameters,
        file_bytes=fastest.bytes,
        **asdict(costs),
        selection_accuracy=tried.accuracy,
        accuracy=parity.accuracy,
        flips=parity.flips,
        passed=parity.passed,
        misses=[*limits.misses(costs, parity.accuracy), *([] if parity.passed else ["it missed its parity gate"])],
    )
