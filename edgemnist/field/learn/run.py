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

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from edgemnist import __version__
from edgemnist.errors import DataError, MissingDependencyError, ModelError, StorageError, UsageError, reason_of
from edgemnist.field.learn.evidence import doubts, folds_of, found_of_planted, measurements, paired, within_share
from edgemnist.field.learn.present import INT8, read_present
from edgemnist.field.samples import NONE_OF_THESE, OBJECTOR, Sample, is_person
from edgemnist.ground.arrays import Labels, image_marks, recognized
from edgemnist.ground.formatting import count
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.registry import Entry, Package
from edgemnist.ground.results.samples import Contradiction, LearnResult, LeftOut
from edgemnist.ground.results.verdict import Basis, judge
from edgemnist.ground.storage import check_writable, commit_files, new_directory, sha256
from edgemnist.model.exports import LIMITS_FILE, Exports, gate_file
from edgemnist.model.exports.manifest import MANIFEST_FILE, MODEL_FILE, FileRecord, LearntRecord, Manifest, ModelRecord
from edgemnist.model.exports.questions import IMAGES_FILE, encode_training_images, has_learnt, learnt_record, trained_on
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.keras import model_bytes
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.train.recipes import training_of
from edgemnist.pipeline.verify.gate import gates_of

if TYPE_CHECKING:
    from edgemnist.field.learn.present import Present
    from edgemnist.field.samples.store import SampleStore
    from edgemnist.pipeline.train.model import Weights

LEARN_FILE: Final = "learn.json"
TEMPORARY_PREFIX: Final = ".tmp-learn-"
LEAST_SAMPLES: Final = 20
"""With fewer, a fold has not one sample of each second class, and nothing can be told."""

_TUNING: Final = Entry(
    target="edgemnist.field.learn.tune:tune",
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
    trusted: tuple[str, ...] = ()
    """Clients whose corrections count although no person has confirmed them."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Lesson:
    """The samples to learn from."""

    samples: list[Sample]
    """Each with other pixels, the oldest first."""
    split: Split
    writers: list[str]
    """Who vouches for the label of each: the first person, or a trusted client."""
    left_out: LeftOut
    """The others."""


class _RefusedError(Exception):
    """What was made of the new model does not pass its gates, so nothing is written."""


def learn(
    exports: Exports, store: SampleStore, dataset: Dataset, config: LearnConfig, reporter: Reporter = SILENT
) -> LearnResult:
    """Let the model of `exports` learn from the labelled samples of `store`, with `dataset` to replay.

    The new model is compared with the present one: on the samples, each answered by a model that has not learnt from
    it, and on the golden pack. If it is better on the former and no worse on the latter, no label is in doubt, and all
    that is exported of it passes its gates, `config.out` is written, all of it or nothing; `exports` never changes.
    What contradicts a label is written beside it into `store`, where a review shows it first.

    Raises UsageError if `out` exists, there are too few samples, the present model has learnt all of them already, or
    they are of other classes; ModelError if the model cannot learn; DataError if the data set has other classes;
    StorageError if `out` cannot be written; TrainingError; MissingDependencyError; and what `Exports.read_golden`
    and `gates_of` raise.
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
    gate = gates_of(exports.directory).of("", "float32")
    forgotten = None if config.forget is None else store.forget(config.forget)
    samples = store.samples()
    lesson = select(samples, present.labels, config.trusted, config.seed)
    fresh = ~has_learnt(exports.manifest, present.model_sha256, lesson.split.images)
    if (trained := trained_on(exports.directory, exports.manifest, lesson.split.images)) is not None:
        fresh &= ~trained
    if not fresh.any():
        raise UsageError(
            f"The present model has already learnt from all {len(fresh):,} samples, so none can judge a new one",
            hint="Label more of them with: edgemnist review",
        )
    # The training images that are not in the golden pack.
    kept = ~recognized(dataset.train.images, image_marks(golden.images))
    train = Split(dataset.train.images[kept], dataset.train.labels[kept])
    weights, probabilities = _taught(present, lesson, train, config.seed, reporter)
    before = golden.probabilities.argmax(axis=1)
    on_golden = paired(before, present.logits(golden.images, weights).argmax(axis=1), golden.labels)
    truth = lesson.split.labels
    held_out = paired(
        present.logits(lesson.split.images[fresh]).argmax(axis=1), probabilities[fresh].argmax(axis=1), truth[fresh]
    )
    waiting = sum(one.disputed and any(label.writer == OBJECTOR for label in one.labels) for one in samples)
    contradictions = _object(store, samples, lesson, doubts(probabilities, truth), present.labels)
    record = exports.manifest.learnt
    earlier = record if record is not None and record.model_sha256 == present.model_sha256 else None
    first_right = earlier.first_right if earlier is not None and earlier.golden == golden.data.sha256 else None
    basis = Basis(model=present.model_sha256, golden=golden.data.sha256, edgemnist=__version__, images=held_out.images)
    verdict = judge(measurements(held_out, on_golden, waiting + len(contradictions), first_right, gate), basis)
    per_class = np.bincount(truth, minlength=len(present.labels)).tolist()
    result = LearnResult(
        **verdict.said,
        exports=str(exports.directory),
        out=str(config.out) if verdict.passed else None,
        labels=list(present.labels),
        per_class=dict(zip(present.labels, per_class, strict=True)),
        per_writer=dict(Counter(lesson.writers)),
        none_of_these=lesson.left_out.none_of_these,
        disputed=lesson.left_out.disputed,
        left_out=lesson.left_out,
        forgotten=forgotten,
        held_out=held_out,
        golden=on_golden,
        int8_loss=None,
        contradictions=contradictions,
        doubted=waiting + len(contradictions),
        found=found_of_planted(probabilities, truth),
        seconds=time.perf_counter() - started,
    )
    if not verdict.passed:
        return result
    # Evaluated on the same images as the present model, whatever there is to replay.
    evaluated = replace(dataset, train=train, test=Split(golden.images, golden.labels))
    most = max(on_golden.before, first_right or 0)
    # The golden pack of the new directory is said to be of this data set.
    learnt = learnt_record("", lesson.split.images, earlier, first_right=most, golden=dataset.identity.sha256)
    seen = encode_training_images(np.concatenate([train.images, lesson.split.images]))

    def fill(place: Path) -> LearnResult:
        _write_model(place, exports, replace(present, weights=weights), evaluated, seen=seen, learnt=learnt)
        made = _export(exports, place, result, evaluated, reporter)
        return msgspec.structs.replace(made, seconds=time.perf_counter() - started)

    return _write(config.out, result, fill)


def select(samples: Sequence[Sample], labels: Sequence[str], trusted: Sequence[str] = (), seed: int = 0) -> Lesson:
    """Return the samples with a label that a person or a trusted client vouches for, oldest first.

    Samples with the same pixels are one; if their labels differ, none of them is taken. Of a client no more are taken
    than of all others together.

    Raises UsageError if they are too few, or of other classes than the model's, or nobody has a trusted one's name.
    """
    known = {label.writer for one in samples for label in one.labels}
    if unknown := sorted(set(trusted) - known):
        raise UsageError(
            f"--trust names {unknown[0]!r}, who has labelled nothing",
            hint=f"These have: {', '.join(sorted(known - {OBJECTOR})) or 'nobody'}",
        )
    agreed = [one for one in samples if one.label is not None]
    alike: dict[bytes, list[Sample]] = {}
    for one in sorted(agreed, key=lambda one: (one.at, one.id)):
        if _voucher(one, trusted):
            alike.setdefault(one.image.tobytes(), []).append(one)
    same = [group for group in alike.values() if len({one.label for one in group}) == 1]
    # What somebody has settled about one of them holds for all.
    found = [next((one for one in group if one.settled), group[0]) for group in same]
    named = [one for one in found if one.label != NONE_OF_THESE]
    if unknown := sorted({str(one.label) for one in named} - set(labels)):
        raise UsageError(
            f"The samples have labels that are not classes of the model: {', '.join(unknown)}",
            hint=f"Its classes are {', '.join(labels)}. Change those labels with: edgemnist review",
        )
    vouching = [_voucher(one, trusted) for one in named]
    within = within_share(vouching, seed)
    chosen = [named[one] for one in within]
    unconfirmed = sum(not _voucher(one, trusted) for one in agreed)
    duplicates = sum(map(len, same)) - len(same)
    if len(chosen) < LEAST_SAMPLES:
        more = f", and {count(unconfirmed, 'correction')} that nobody has confirmed" if unconfirmed else ""
        more += f", and {len(named) - len(chosen)} more of one client alone" if len(chosen) < len(named) else ""
        more += f", and {duplicates} with the same pixels as another" if duplicates else ""
        raise UsageError(
            f"There are {len(chosen)} labelled samples{more}: too few to learn from (at least {LEAST_SAMPLES})",
            hint="Label or confirm more of them, with one key each: edgemnist review",
        )
    return Lesson(
        samples=chosen,
        split=Split(
            np.stack([one.image for one in chosen]),
            np.array([labels.index(str(one.label)) for one in chosen], np.int64),
        ),
        writers=[vouching[one] for one in within],
        left_out=LeftOut(
            none_of_these=len(found) - len(named),
            disputed=sum(one.disputed for one in samples) + sum(map(len, alike.values())) - sum(map(len, same)),
            unconfirmed=unconfirmed,
            duplicates=duplicates,
            beyond_share=len(named) - len(chosen),
        ),
    )


def _voucher(sample: Sample, trusted: Sequence[str]) -> str:
    """Return who vouches for a label: the first person, or a trusted client; empty if nobody does."""
    writers = [one.writer for one in sample.labels]
    return next((one for one in writers if is_person(one) or one in trusted), "")


def _taught(
    present: Present, lesson: Lesson, train: Split, seed: int, reporter: Reporter
) -> tuple[Weights, npt.NDArray[np.float32]]:
    """Return new weights, and what models answer to the samples that they have not learnt from, float32 [N, C]."""
    from edgemnist.field.learn.tune import REPLAY_STRENGTH, Replay, tune
    from edgemnist.pipeline.train.calibration import calibrated
    from edgemnist.pipeline.train.families import finished_form

    replay, samples = Replay(present, train, seed), lesson.split
    answers = np.empty((len(samples), len(present.labels)), np.float32)
    fitted = []
    folds = folds_of(samples.labels, lesson.writers, seed)
    with reporter.task("Learning from a part of the samples, to test it on the rest", total=len(folds)) as task:
        for number, fold in enumerate(folds):
            rest = np.setdiff1d(np.arange(len(samples)), fold)
            tuned = tune(replay, Split(samples.images[rest], samples.labels[rest]), turn=number + 1)
            fitted.append(tuned.fitted)
            answers[fold] = softmax(present.logits(samples.images[fold], tuned.weights))
            task.update(number + 1)
    with reporter.task("Learning from all samples"):
        tuned = tune(replay, samples, others=fitted)
        distortion = training_of(present.task).distortion
        weights, _ = calibrated(
            tuned.weights,
            train,
            None if distortion is None else distortion.scaled(REPLAY_STRENGTH),
            seed,
            finished_form(present.network),
            spec=present.spec,
        )
    return weights, answers


def _object(
    store: SampleStore, samples: Sequence[Sample], lesson: Lesson, others: Labels, names: Sequence[str]
) -> list[Contradiction]:
    """Return the samples that another class contradicts, `others` int64 [N], unless a person has settled them.

    What contradicts a label is written beside it, and beside that of every sample with the same pixels.
    """
    pairs = zip(lesson.samples, others, strict=True)
    doubted = {one.image.tobytes(): (one, names[other]) for one, other in pairs if other >= 0 and not one.settled}
    for one in samples:
        _, other = doubted.get(one.image.tobytes(), (None, one.label))
        if other is not None and one.label not in {None, other}:
            store.label(one.id, other, OBJECTOR)
    return [
        Contradiction(sample=one.id, label=str(one.label), neighbours=other, writers=[row.writer for row in one.labels])
        for one, other in doubted.values()
    ]


def _write(out: Path, result: LearnResult, fill: Callable[[Path], LearnResult]) -> LearnResult:
    """Write what `fill` puts into the new export directory, with its result, in one piece, if that has passed."""
    with _explained(out), contextlib.suppress(_RefusedError):
        out.parent.mkdir(parents=True, exist_ok=True)
        with new_directory(out, TEMPORARY_PREFIX) as place:
            result = fill(place)
            if not result.passed:
                raise _RefusedError
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


def _write_model(
    place: Path, exports: Exports, new: Present, dataset: Dataset, *, seen: bytes, learnt: LearntRecord
) -> None:
    """Write a model, the marks of the images that it has seen, and the record of both."""
    from edgemnist.pipeline.train.families import student_of

    model = student_of(new.network, len(dataset.labels), 0, new.spec).model
    model.set_weights(list(new.weights))
    data, before = model_bytes(model), exports.manifest
    takes = before.model.takes if before.model is not None else UNSET
    manifest = Manifest(
        labels=list(dataset.labels),
        task=before.task,
        data=dataset.identity,
        model=ModelRecord.of(MODEL_FILE, data, parameters=int(model.count_params()), takes=takes),
        training_images=FileRecord.of(IMAGES_FILE, seen),
        learnt=msgspec.structs.replace(learnt, model_sha256=sha256(data)),
    )
    commit_files(place, {MODEL_FILE: data, IMAGES_FILE: seen, MANIFEST_FILE: manifest.encode()})


def _export(exports: Exports, place: Path, result: LearnResult, dataset: Dataset, reporter: Reporter) -> LearnResult:
    """Export the same artifacts as before, and return the result with int8's loss and the verdict on them all."""
    from edgemnist.pipeline.export.run import export_model
    from edgemnist.pipeline.verify.run import verify

    specs = tuple(ArtifactSpec(one.format, one.quantization) for one in exports.manifest.artifacts)
    if not specs:
        raise ModelError(f"{exports.directory} has no artifacts", hint=f"Make some with: {exports.command('export')}")
    export_model(ExportConfig(specs=specs), dataset, place, reporter)
    if (limits := gate_file(exports.directory)) == exports.directory / LIMITS_FILE:
        (place / LIMITS_FILE).write_bytes(limits.read_bytes())
    made = Exports.open(place)
    verified = verify(made, reporter=reporter)
    drops = (one.accuracy_drop_points for one in verified.artifacts if one.name == INT8)
    loss = next((drop / 100 for drop in drops if drop is not None), None)
    result = msgspec.structs.replace(result, int8_loss=loss)
    if verified.passed:
        made.findings.save_verification(verified, reporter)
        return result
    return msgspec.structs.replace(result, **verified.verdict.said, out=None)
