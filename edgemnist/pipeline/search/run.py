"""`edgemnist search`: the smallest, fastest and most accurate networks within limits."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, Final

import msgspec

from edgemnist.errors import MissingDependencyError, UsageError, check_range
from edgemnist.ground.formatting import count as counted
from edgemnist.ground.formatting import percent
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.progress import Task as Progress
from edgemnist.ground.results.pipeline import SearchLimits, SearchResult, SearchRow, SearchTrial
from edgemnist.ground.results.verdict import UNKNOWN, Measurement, judge
from edgemnist.ground.storage import check_writable, commit_files
from edgemnist.model.exports import Exports
from edgemnist.model.exports.choose import choose as ship
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.exports.models import split_name
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.task import Task, default_task
from edgemnist.pipeline.bench.run import BenchConfig
from edgemnist.pipeline.data.dataset import Dataset, identified
from edgemnist.pipeline.export.interface import ArtifactSpec
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, best_so_far, choose
from edgemnist.pipeline.search.networks import MadeNetwork, make_network, search_png, undominated, warnings_of
from edgemnist.pipeline.search.study import Asked, Study, locked
from edgemnist.pipeline.search.trials import Job, TrialData, rungs_of, split_for_selection, teacher_of
from edgemnist.pipeline.search.workers import Workers
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import MAX_SEED, TrainConfig, digest, plan_for
from edgemnist.pipeline.train.run import check_learnable

DEFAULT_TRIALS: Final = 64
DEFAULT_MINUTES: Final = 30
"""Training the best networks may take as long again, and the search still answers within an hour."""
SHORT: Final = 8
"""A trial takes an eighth of a training's epochs."""
COMPILED: Final = "compiled"
PICTURE_FILE: Final = "search.png"
RESULT_FILE: Final = "search.json"
ROOM: Final = 10_000_000
"""Bytes that a search's directory must have room for: its study, and the best networks with their pictures."""


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
    task: Task = field(default_factory=default_task)
    """What the networks are for."""
    space: Space | None = None
    """The networks to choose from; None for all that the task allows."""
    timing: BenchConfig = field(default_factory=lambda: BenchConfig(keras=False, seconds=3.0))
    networks: tuple[str, ...] = ()
    """Networks to make instead of those that a search finds, as `Network.parse` takes them."""

    def __post_init__(self) -> None:
        names = [str(self.network(name)) for name in self.networks]
        if len(set(names)) < len(names):
            raise UsageError("A network is named twice", hint="Name each --network once.")
        if names and (self.trials is not None or self.minutes is not None):
            raise UsageError("--trials and --minutes are of a search: --network tries nothing", hint="Leave them out.")
        check_range("--trials", self.trials, least=1)
        check_range("--minutes", self.minutes, above=0)
        check_range("--seed", self.seed, least=0, most=MAX_SEED)
        self.training(None)

    def training(self, network: Network | None) -> TrainConfig:
        """Return the whole training of a network."""
        return TrainConfig(recipe=self.recipe, task=self.task, network=network, epochs=self.epochs, seed=self.seed)

    def network(self, text: str) -> Network:
        """Return a network for the task. Raises UsageError for text that describes none."""
        return Network.parse(text, self.task.input.shape)

    @property
    def resolved_space(self) -> Space:
        """The networks to choose from."""
        return self.space or Space(task=self.task)

    @property
    def budget(self) -> tuple[int | None, float | None]:
        """The most trials, and the minutes after which no further one begins; None for no limit."""
        if self.trials is None and self.minutes is None:
            return DEFAULT_TRIALS, DEFAULT_MINUTES
        return self.trials, self.minutes

    def trial_epochs(self, images: int) -> int:
        """Return the epochs of a trial on this many training images."""
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
    if not config.networks:
        config.resolved_space.check(config.limits, classes)
    compiled = RUNTIMES[COMPILED]
    # What times and verifies a C file: better missed now than after the trials.
    if missing := compiled.missing():
        raise MissingDependencyError("A search", missing, compiled.install_line())
    train, selection = split_for_selection(dataset)
    ours = identified(train, selection, dataset.labels, source=dataset.identity.source, task=dataset.task)
    plan = plan_for(config.training(None), images=len(train), parameters=1)
    check_learnable(ours, plan.batch_size)
    with locked(directory):
        check_writable(directory, ROOM)
        if config.networks:
            return _finish(None, 0, dataset, config, directory, reporter=reporter)
        study = Study(
            directory,
            _identity(dataset, config, len(train)),
            limits=config.limits,
            space=config.resolved_space,
            classes=classes,
            seed=config.seed,
        )
        teacher = teacher_of(train, classes, config.training(None), directory=directory, reporter=reporter)
        data = TrialData(
            train=train,
            selection=selection,
            classes=classes,
            task=config.task,
            teacher=None if teacher is None else teacher.read_bytes(),
            seed=config.seed,
        )
        crew = workers or Workers()
        crew.begin(data)
        _Search(study=study, config=config, data=data, workers=crew, reporter=reporter).run()
        # Let go of the images that the teacher labelled.
        crew.close()
        return _finish(study, len(selection), dataset, config, directory, reporter=reporter)


def _identity(dataset: Dataset, config: SearchConfig, images: int) -> dict[str, str]:
    """Return what the accuracies of a search depend on, by its name in messages."""
    return {
        "data set": f"{dataset.identity.source} ({dataset.identity.sha256[:8]})",
        "recipe": config.recipe,
        "version of the recipe": digest(config.training(None).resolved_recipe),
        "number of epochs": str(config.trial_epochs(images)),
        "seed": str(config.seed),
        "choice of networks": digest(config.resolved_space),
    }


@dataclass(kw_only=True)
class _Search:
    """Keeps as many trials going as there are workers, until there are enough."""

    study: Study
    config: SearchConfig
    data: TrialData
    workers: Workers
    reporter: Reporter
    started: float = field(default_factory=time.monotonic)
    under_way: list[tuple[Asked, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.epochs = self.config.trial_epochs(len(self.data.train))
        self.trials, self.minutes = self.config.budget

    def run(self) -> None:
        """Try networks until there are enough, or no time is left, or none is left to try."""
        with self.reporter.task("Search", total=1) as task:
            self._show(task)
            begun = len(self.study.tried)
            while (self.trials is None or begun < self.trials) and not self._late():
                asked = self.study.ask()
                if asked is None:
                    self.reporter.notice(f"Every network found within the limits has been tried: {begun}.")
                    break
                begun += 1
                self.under_way.append((asked, self.workers.submit(self._job(asked))))
                if len(self.under_way) >= self.workers.at_once:
                    self._take(task)
            # What has not begun when the time is over is proposed again by the next search.
            while self.under_way and (self.workers.eager or not self._late()):
                self._take(task)

    def _job(self, asked: Asked) -> Job:
        bars = self.study.bars(asked.costs, len(rungs_of(self.epochs)), len(self.data.selection))
        return Job(
            network=str(asked.network), recipe=self.config.recipe, epochs=self.epochs, seed=self.config.seed, bars=bars
        )

    def _take(self, task: Progress) -> None:
        asked, handle = self.under_way.pop(self.workers.first_done([handle for _, handle in self.under_way]))
        outcome = self.workers.result(handle)
        self.study.tell(asked, outcome.accuracies, stopped=outcome.stopped, seconds=outcome.seconds)
        self._show(task)

    def _late(self) -> bool:
        return self.minutes is not None and time.monotonic() - self.started >= self.minutes * 60

    def _done(self) -> float:
        """Return how much is done, as a share: whichever ends first, the trials or the minutes."""
        trials = len(self.study.tried) / self.trials if self.trials is not None else 0
        minutes = (time.monotonic() - self.started) / (60 * self.minutes) if self.minutes is not None else 0
        return min(1.0, max(trials, minutes))

    def _show(self, task: Progress) -> None:
        tried = self.study.tried
        parts = [counted(len(tried), "network")]
        if (best := best_so_far(tried, self.config.limits)) is not None:
            parts.append(f"best {percent(best.accuracy)} in {best.costs.bytes:,} bytes: {best.network}")
        if stopped := sum(trial.stopped for trial in tried):
            parts.append(f"{stopped:,} stopped early")
        if self.study.rejected:
            parts.append(f"{self.study.rejected:,} beyond a limit")
        task.update(self._done(), " · ".join(parts))


def _finish(
    study: Study | None, images: int, dataset: Dataset, config: SearchConfig, directory: Path, *, reporter: Reporter
) -> SearchResult:
    """Train the best networks of a study, chosen by this many images, or those that were named, and write a table."""
    from edgemnist.pipeline.train.distillation import Teachers

    classes = len(dataset.labels)
    trials: Sequence[Tried] = () if study is None else study.tried
    named = [
        Tried(network=str(network), costs=Costs.of(network, classes), accuracies=(), stopped=False, seconds=0.0)
        for network in map(config.network, config.networks)
    ]
    chosen = choose(trials, config.limits) if study is not None else {network.network: [] for network in named}
    if not chosen:
        raise UsageError(
            "No network was trained to the end, so there is nothing to choose from",
            hint="Allow more --trials or --minutes; the search continues where it stopped.",
        )
    teachers = Teachers(directory)
    made: dict[str, MadeNetwork] = {}
    with reporter.task("Best networks", total=len(chosen)) as task:
        task.update(0, ", ".join(chosen))
        for name in chosen:
            task.update(len(made), name)
            made[name] = make_network(
                dataset,
                config.training(config.network(name)),
                _artifact(config.network(name)),
                directory / name.replace(":", "-"),
                timing=config.timing,
                teachers=teachers,
                reporter=reporter,
            )
    tried = {trial.network: trial for trial in (*trials, *named)}
    rows = [_row(made[name], tried[name], best, config) for name, best in chosen.items()]
    if config.networks:
        rows = _with_best(rows)
    result = SearchResult(
        limits=SearchLimits(
            accuracy=config.limits.accuracy, bytes=config.limits.bytes, ram_bytes=config.limits.ram_bytes
        ),
        recipe=config.recipe,
        seed=config.seed,
        data=dataset.identity,
        selection_images=images,
        images=len(dataset.test),
        trained=len(trials),
        stopped=sum(trial.stopped for trial in trials),
        rejected=0 if study is None else study.rejected,
        rows=sorted(rows, key=lambda row: -row.accuracy),
        trials=[
            SearchTrial(network=trial.network, accuracy=trial.accuracy, stopped=trial.stopped, **asdict(trial.costs))
            for trial in trials
        ],
        picture=PICTURE_FILE,
        measured_on="this machine",
        host=next(iter(made.values())).benched.host,
        warnings=warnings_of(list(made.values())),
    )
    commit_files(directory, {PICTURE_FILE: search_png(result), RESULT_FILE: result.to_json().encode() + b"\n"})
    return result


def _with_best(rows: Sequence[SearchRow]) -> list[SearchRow]:
    """Return the rows with what each is the best in: of those that miss nothing, none costs less and is as accurate."""
    fitting = [row for row in rows if not row.misses]
    accuracies = [row.accuracy for row in fitting]
    best: dict[str, list[str]] = {row.network: [] for row in rows}
    for name, costs in (("bytes", [row.bytes for row in fitting]), ("p50", [row.p50_us or 0 for row in fitting])):
        for row, is_best in zip(fitting, undominated(costs, accuracies), strict=True):
            best[row.network] += [name] * is_best
    return [msgspec.structs.replace(row, best=best[row.network]) for row in rows]


def _artifact(network: Network) -> ArtifactSpec:
    """Return what is shipped of a network, which all limits and figures are about: a C file, in the trained bits."""
    return ArtifactSpec("c", f"int{network.bits}")


def _row(made: MadeNetwork, tried: Tried, best: list[str], config: SearchConfig) -> SearchRow:
    """Return the figures of the one artifact that is shipped, in the runtime that is shipped."""
    artifact = _artifact(config.network(tried.network))
    parities = [parity for parity in made.verified.artifacts if split_name(parity.name)[0] == artifact.name]
    name = ship(parities, made.benched.results).name
    parity = next(parity for parity in parities if parity.name == (name or parities[0].name))
    shipped = next(latency for latency in made.benched.results if latency.name == parity.name)
    record = read_manifest(made.directory).artifact(artifact.name)
    costs = replace(tried.costs, ram_bytes=record.footprint.ram_bytes) if record.footprint else tried.costs
    accuracy = math.nan if parity.accuracy is None else parity.accuracy
    parity_gate = Measurement(
        "parity",
        None if parity.verdict.outcome == UNKNOWN else float(parity.verdict.passed),
        ": ".join(["it missed its parity gate", *parity.verdict.reasons[:1]]),
        least=1,
        unknown=": ".join(["whether it passes its parity gate is not known", *parity.verdict.reasons[:1]]),
    )
    verdict = judge(
        [*config.limits.measurements(costs, accuracy), parity_gate],
        Exports.open(made.directory).basis(parity.sha256, parity.runtime),
    )
    return SearchRow(
        network=tried.network,
        directory=made.directory.name,
        best=best,
        name=parity.name,
        parameters=made.trained.parameters,
        file_bytes=shipped.bytes,
        p50_us=shipped.p50_us,
        tainted=shipped.disturbed,
        **asdict(costs),
        selection_accuracy=tried.accuracy if tried.accuracies else None,
        accuracy=accuracy,
        flips=parity.flips,
        passed=parity.passed,
        misses=verdict.reasons,
        verdict=verdict,
    )
