"""From labelled samples to a new export directory, if the new model passes its gate."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.arrays import Images, Labels
from edgemnist.data.dataset import Dataset, Split
from edgemnist.errors import DataError, MissingDependencyError, ModelError, StorageError, UsageError, reason_of
from edgemnist.exports.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, ModelRecord, record_of
from edgemnist.exports.questions import IMAGES_FILE, encode_training_images, image_hashes
from edgemnist.learn.gate import NEIGHBOUR_IMAGES, Known, contradictions, features_of, folds_of, gate, paired
from edgemnist.learn.present import INT8, Present, hidden_of, logits_of, read_present
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results.samples import Contradiction, LearnResult, Paired
from edgemnist.samples import NOT_A_DIGIT, Sample
from edgemnist.storage import check_writable, commit_files, new_directory, sha256

if TYPE_CHECKING:
    from edgemnist.exports import Exports
    from edgemnist.exports.golden import GoldenPack
    from edgemnist.learn.tune import Replay
    from edgemnist.samples.store import SampleStore
    from edgemnist.train.model import Weights

LEARN_FILE: Final = "learn.json"
TEMPORARY_PREFIX: Final = ".tmp-learn-"
LEAST_SAMPLES: Final = 20
"""With fewer, a fold has not one sample of each second class, and nothing can be told."""

_TUNING: Final = Entry(
    target="edgemnist.learn.tune:tune",
    summary="Learning",
    requires=(Package("tensorflow", "tensorflow"), Package("keras", "keras"), Package("scipy", "scipy")),
    extra="train",
)


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """Which samples to learn from, and where to write the result."""

    out: Path
    """The new export directory, which must not exist."""
    forget: str | None = None
    """A writer whose corrections and labels are deleted first."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Lesson:
    """The samples to learn from."""

    samples: list[Sample]
    split: Split
    not_a_digit: int
    disputed: int


@dataclass(frozen=True, eq=False)
class _Learned:
    """The model and the data to write."""

    weights: Weights
    hidden: tuple[int, ...]
    dataset: Dataset
    """The images that were replayed, and the earlier golden pack to evaluate on."""
    samples: Images
    """uint8 [N, 28, 28]."""


def learn(
    exports: Exports, store: SampleStore, dataset: Dataset, config: LearnConfig, reporter: Reporter = SILENT
) -> LearnResult:
    """Let the model of `exports` learn from the labelled samples of `store`, with `dataset` to replay.

    The new model is compared with the present one: on the samples, each answered by a model that has not learnt from
    it or from those around it, and on the golden pack. If it is better on the former and no worse on the latter,
    `config.out` is written, all of it or nothing; `exports` never changes.

    Raises UsageError if `out` exists, there are too few samples, or they are of other classes; ModelError if the
    model cannot learn; DataError if the data set has other classes; what `Exports.read_golden` raises; StorageError
    if `out` cannot be written; TrainingError; and MissingDependencyError.
    """
    started = time.perf_counter()
    if missing := _TUNING.missing():
        raise MissingDependencyError(_TUNING.summary, missing, _TUNING.install_line())
    if config.out.exists():
        raise UsageError(f"{config.out} exists", hint="Name a directory that does not, with --out DIR.")
    _check_room(exports, config.out)
    present = read_present(exports)
    golden = exports.read_golden()
    if present.labels != dataset.labels:
        raise DataError(
            f"The model has the classes {', '.join(present.labels)}, but the data set has {', '.join(dataset.labels)}",
            hint="Name the data set that it was trained on with --data DIR.",
        )
    forgotten = None if config.forget is None else store.forget(config.forget)
    lesson = select(store.samples(), present.labels)
    train = _unseen_by(golden, dataset.train)

    from edgemnist.learn.tune import Replay, tune
    from edgemnist.train.calibration import calibrated
    from edgemnist.train.model import logits
    from edgemnist.train.recipes import FAR

    replay = Replay(present, train, config.seed)
    held_out, folds = _cross_validated(replay, lesson.split, reporter)
    with reporter.task("Learning from all samples"):
        tuned = tune(replay, lesson.split, others=folds)
        weights, _ = calibrated(tuned.weights, train, FAR.scaled(0.5), config.seed, logits)
    before = golden.probabilities.argmax(axis=1)
    on_golden = paired(before, logits_of(weights, golden.images).argmax(axis=1), golden.labels)
    reasons = gate(held_out, on_golden)

    def finished(int8_loss: float | None) -> LearnResult:
        return LearnResult(
            passed=not reasons,
            reasons=reasons,
            exports=str(exports.directory),
            out=None if reasons else str(config.out),
            labels=list(present.labels),
            per_class={
                name: int(count)
                for name, count in zip(
                    present.labels, np.bincount(lesson.split.labels, minlength=len(present.labels)), strict=True
                )
            },
            per_writer=dict(Counter(label.writer for one in lesson.samples for label in one.labels)),
            not_a_digit=lesson.not_a_digit,
            disputed=lesson.disputed,
            forgotten=forgotten,
            held_out=held_out,
            golden=on_golden,
            int8_loss=int8_loss,
            share=tuned.share,
            contradictions=_contradictions(present, lesson, train),
            seconds=time.perf_counter() - started,
        )

    if reasons:
        return finished(None)
    # Evaluated on the same images as the present model, whatever there is to replay.
    evaluated = replace(dataset, train=train, test=Split(golden.images, golden.labels))
    learned = _Learned(weights, present.hidden, evaluated, lesson.split.images)
    return _write(exports, config.out, learned, finished, reporter)


def select(samples: Sequence[Sample], labels: Sequence[str]) -> Lesson:
    """Return the samples with a label, oldest first.

    Raises UsageError if they are too few, or of other classes than the model's.
    """
    agreed = [one for one in samples if one.label is not None]
    chosen = [one for one in agreed if one.label != NOT_A_DIGIT]
    if unknown := sorted({str(one.label) for one in chosen} - set(labels)):
        raise UsageError(
            f"The samples have labels that are not classes of the model: {', '.join(unknown)}",
            hint=f"Its classes are {', '.join(labels)}. Change those labels with: edgemnist review",
        )
    if len(chosen) < LEAST_SAMPLES:
        raise UsageError(
            f"There are {len(chosen)} labelled samples, too few to learn from (at least {LEAST_SAMPLES})",
            hint="Label more of them with: edgemnist review",
        )
    chosen.sort(key=lambda one: (one.at, one.id))
    images = np.stack([one.image for one in chosen])
    classes = np.array([labels.index(str(one.label)) for one in chosen], np.int64)
    return Lesson(chosen, Split(images, classes), len(agreed) - len(chosen), sum(one.disputed for one in samples))


def _unseen_by(golden: GoldenPack, train: Split) -> Split:
    """Return the training images that are not in the golden pack."""
    kept = ~np.isin(image_hashes(train.images), image_hashes(golden.images))
    return train if kept.all() else Split(train.images[kept], train.labels[kept])


def _cross_validated(replay: Replay, samples: Split, reporter: Reporter) -> tuple[Paired, list[Weights]]:
    """Return how models compare with the present one on samples that they have not learnt from, and their weights."""
    from edgemnist.learn.tune import tune

    after: Labels = np.empty(len(samples), np.int64)
    fitted = []
    folds = folds_of(len(samples))
    with reporter.task("Learning from a part of the samples, to test it on the rest", total=len(folds)) as task:
        for number, fold in enumerate(folds):
            rest = np.setdiff1d(np.arange(len(samples)), fold)
            tuned = tune(replay, Split(samples.images[rest], samples.labels[rest]), turn=number + 1)
            fitted.append(tuned.fitted)
            after[fold] = logits_of(tuned.weights, samples.images[fold]).argmax(axis=1)
            task.update(number + 1)
    return paired(replay.present.logits(samples.images).argmax(axis=1), after, samples.labels), fitted


def _contradictions(present: Present, lesson: Lesson, train: Split) -> list[Contradiction]:
    def known(split: Split) -> Known:
        return Known(features_of(lambda images: hidden_of(present.weights, images), split.images), split.labels)

    shown = Split(train.images[:NEIGHBOUR_IMAGES], train.labels[:NEIGHBOUR_IMAGES])
    scores = present.logits(lesson.split.images)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return contradictions(lesson.samples, known(lesson.split), probabilities, known(shown), present.labels)


def _write(
    exports: Exports, out: Path, new: _Learned, finished: Callable[[float | None], LearnResult], reporter: Reporter
) -> LearnResult:
    """Write the new export directory, with the result in it, in one piece; `finished` makes it of int8's loss."""
    with _explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with new_directory(out, TEMPORARY_PREFIX) as place:
            _write_model(place, new)
            result = finished(_export(exports, place, new.dataset, reporter))
            commit_files(place, {LEARN_FILE: result.to_json().encode() + b"\n"})
    return result


def _check_room(exports: Exports, out: Path) -> None:
    """Make sure, before minutes of training, that an export directory like `exports` can be written."""
    manifest = exports.manifest
    records = (*manifest.artifacts, manifest.model, manifest.golden, manifest.answers)
    with _explained(out):
        above = next(path for path in out.absolute().parents if path.exists())
        with tempfile.TemporaryDirectory(dir=above, prefix=TEMPORARY_PREFIX) as place:
            check_writable(Path(place), sum(one.bytes for one in records if one is not None))


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a sentence about `out`, and not about the place where it is made."""
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if not isinstance(cause, OSError):
            raise
        raise StorageError(
            f"{out} cannot be written: {reason_of(cause)}", hint="Name another directory with --out DIR."
        ) from error


def _write_model(place: Path, new: _Learned) -> None:
    from edgemnist.runtimes.keras import model_bytes
    from edgemnist.train.model import build_model

    model = build_model(new.hidden, len(new.dataset.labels), seed=0)
    model.set_weights(list(new.weights))
    data = model_bytes(model)
    seen = encode_training_images(np.concatenate([new.dataset.train.images, new.samples]))
    manifest = Manifest(
        labels=list(new.dataset.labels),
        data=new.dataset.identity,
        model=ModelRecord(file=MODEL_FILE, bytes=len(data), sha256=sha256(data), parameters=int(model.count_params())),
        training_images=record_of(IMAGES_FILE, seen),
    )
    commit_files(place, {MODEL_FILE: data, IMAGES_FILE: seen, MANIFEST_FILE: manifest.encode()})


def _export(exports: Exports, place: Path, dataset: Dataset, reporter: Reporter) -> float | None:
    """Export the same artifacts as before, and return how much accuracy int8 loses against float."""
    from edgemnist.export.interface import ArtifactSpec, ExportConfig
    from edgemnist.export.run import export_model
    from edgemnist.exports import Exports

    specs = tuple(ArtifactSpec(one.format, one.quantization) for one in exports.manifest.artifacts)
    if not specs:
        raise ModelError(f"{exports.directory} has no artifacts", hint=f"Make some with: {exports.command('export')}")
    export_model(ExportConfig(specs=specs), dataset, place, reporter)
    made = Exports.open(place)
    if INT8 not in {one.name for one in made.manifest.artifacts}:
        return None
    golden = made.read_golden()
    answers = made.load(INT8).predict_proba(golden.images).argmax(axis=1)
    return golden.accuracy() - float(np.mean(answers == golden.labels))
