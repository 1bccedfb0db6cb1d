"""`edgemnist export`: from a model to artifacts, a golden pack and the manifest that records them."""

import dataclasses
import importlib.metadata
import pkgutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from edgemnist import __version__
from edgemnist.errors import (
    ArtifactError,
    EdgemnistError,
    MissingDependencyError,
    ModelError,
    UsageError,
    temporary_files_failed,
)
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import UNIT, InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.pipeline import ExportedArtifact, ExportResult, RefusedArtifact
from edgemnist.ground.results.verdict import FEWEST_IMAGES, OR_FEWER
from edgemnist.ground.storage import check_writable, commit_files, sha256
from edgemnist.model.exports.golden import (
    ANSWERS_FILE,
    RANDOM_INPUTS,
    GoldenPack,
    answers_of_export,
    check_finite,
    read_golden,
)
from edgemnist.model.exports.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    Artifact,
    Calibration,
    FileRecord,
    GoldenRecord,
    Manifest,
    ModelRecord,
    kept_model,
    read_recorded,
)
from edgemnist.model.exports.questions import IMAGES_FILE, check_unseen, count_seen, golden_questions
from edgemnist.model.formats import FORMATS, arithmetic_of, artifact_names
from edgemnist.model.native.network import RULES
from edgemnist.model.task import Task, default_task, unnamed_task
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.export.inputs import InputRange, find_input_range, likely_range, question_range, unscaled
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig, Exported, Exporter
from edgemnist.pipeline.export.model import KerasSource, Origin, Source, check_executable, find_origin
from edgemnist.pipeline.export.tflite import trained_quantization
from edgemnist.pipeline.verify.gate import IMAGES, gates_of

CALIBRATION: Final = 500
"""Training images for the activation ranges, by default."""
CALIBRATION_SEED: Final = 0
GOLDEN_SEED: Final = 0
AS_THEY_ARE: Final = (ArtifactSpec("tflite", "int8"), ArtifactSpec("c", "int8"), ArtifactSpec("web", "int8"))
"""What a full-int8 file is, and can become."""


def export_model(
    config: ExportConfig,
    dataset: Dataset | None,
    exports: Path,
    reporter: Reporter = SILENT,
    *,
    origin: Origin | None = None,
) -> ExportResult:
    """Make the artifacts that are asked for and the golden pack, and record them in `exports`, all files or none.

    Artifacts that are not asked for stay as they are, unless the configuration renews them. The result lists those that
    cannot be made, with the reason, unless there is no other, or the export has to be whole. `origin` is the model that
    `find_origin` has read, where that has been done. Without a data set, the golden pack that is recorded with the
    model is kept, or has random inputs, and nothing is made whose numbers come from inputs.

    Raises ModelError if the model is missing, damaged, does not fit the data set or cannot be expressed; ArtifactError
    if an artifact is not what was asked for; DataError if there are fewer training images than the calibration needs,
    or if the model was trained on the evaluation images; ManifestError if a newer edgemnist wrote the manifest;
    StorageError if `exports` cannot be written; and MissingDependencyError.
    """
    origin = origin or find_origin(config.model, exports, reporter, trusted=config.trusted)
    if origin.source.tflite is None:
        _check_installed(config)
    if origin.record is not None and dataset is not None:
        check_unseen(origin.place, origin.record, dataset.test.images)
    source = dataclasses.replace(_settled(origin, config, dataset, reporter), logits=config.logits)
    config = dataclasses.replace(config, specs=_specs(config, origin.manifest, source))
    gates = gates_of(exports)
    source = dataclasses.replace(source, rounding=_rounding(config, origin.manifest))
    origin = dataclasses.replace(origin, source=source)
    asked = _asked(origin, dataset, config.golden, reporter)
    drawn, inputs = np.empty(0, np.int64), None
    if dataset is not None:
        drawn = dataset.train.spread(config.calibration or min(CALIBRATION, len(dataset.train)), CALIBRATION_SEED)
        inputs = dataset.train.images[drawn]
    check_writable(exports, 2 * len(source.data))

    exported, refused, golden = _convert(config, source, asked, inputs, reporter)
    fewest = max(gates.of(spec.name, arithmetic_of(*spec))[IMAGES] for spec in exported)
    if len(golden.images) < fewest:
        reporter.notice(
            f"The golden pack has only {count(len(golden), golden.task.input.noun)}: on fewer than {fewest:,.0f}, "
            f"`verify` cannot tell whether a gate is passed; {OR_FEWER}."
        )

    # C files and pages, which have a twin, scale by themselves.
    scaled = [spec.name for spec, one in exported.items() if one.reads not in {None, source.spec} and one.twin is None]
    if scaled:
        reporter.notice(
            f"Without edgemnist, scale what you give to {', '.join(scaled)}, as `takes` in {MANIFEST_FILE} says: "
            "the scaling that the model begins with is left out of these files."
        )
    packed = golden.encode()
    calibration = None
    if dataset is not None:
        indices = sha256(drawn.astype("<i8").tobytes())
        of_data = dataset.identity.sha256
        calibration = Calibration(images=len(drawn), indices_sha256=indices, data_sha256=of_data)
    records = [_record(spec, made, source, golden.task, calibration) for spec, made in exported.items()]
    manifest = _manifest(origin, golden, packed).with_artifacts(records)
    for question in golden_questions(manifest, golden):
        reporter.notice(question)
    made = {spec.file_for(golden.task): one.data for spec, one in exported.items()}
    twins = {spec: one.twin for spec, one in exported.items() if one.twin is not None}
    try:
        answers = answers_of_export(
            exports,
            origin.manifest,
            manifest,
            made,
            golden.images,
            twins={spec.file_for(golden.task): twin for spec, twin in twins.items()},
            reporter=reporter,
        )
    except OSError as error:
        raise temporary_files_failed(error) from error
    manifest = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, answers))
    # In the order in which they are listed everywhere.
    order = {name: place for place, name in enumerate(artifact_names())}
    listed = sorted(manifest.artifacts, key=lambda artifact: order.get(artifact.name, len(order)))
    commit_files(
        exports,
        {
            **kept_model(exports, source.data, origin.manifest),
            source.file: source.data,
            **_training_images(origin),
            **made,
            **{name: data for one in exported.values() for name, data in one.companions.items()},
            # What `verify` compares with, where `tflite-int8` was not asked for.
            **{f"{spec.name}.tflite": twin for spec, twin in twins.items() if twin not in made.values()},
            GOLDEN_FILE: packed,
            ANSWERS_FILE: answers,
            MANIFEST_FILE: msgspec.structs.replace(manifest, artifacts=listed).encode(),
        },
    )
    return ExportResult(
        model=str(exports / source.file),
        model_sha256=source.sha256,
        golden=str(exports / GOLDEN_FILE),
        golden_images=len(golden.images),
        artifacts=[_listed(record, exports) for record in records],
        refused=refused,
        input_range=source.spec.scaling,
        input=UNSET if golden.task == unnamed_task() else source.spec,
    )


def _specs(config: ExportConfig, before: Manifest | None, source: Source) -> tuple[ArtifactSpec, ...]:
    """Return the artifacts to make.

    A format without a quantization means the one that the network was trained for. Where nobody named anything, the
    artifacts that are there already come behind: they would be outdated otherwise.
    """
    specs = config.specs
    if source.tflite is not None:
        # It is one of them, and the others are what it can become.
        return AS_THEY_ARE if config.renewing else specs
    if not config.quantized and any(FORMATS[spec.format].trained for spec in specs):
        found = trained_quantization(source.model)
        specs = tuple(
            spec._replace(quantization=found) if found and found in FORMATS[spec.format].trained else spec
            for spec in specs
        )
    if not config.renewing or before is None:
        return specs
    known = set(artifact_names())
    there = [ArtifactSpec(one.format, one.quantization) for one in before.artifacts if one.name in known]
    return tuple(dict.fromkeys([*specs, *there]))


def _rounding(config: ExportConfig, before: Manifest | None) -> str:
    """Return the rule that is asked for, or that what is made again has; else the reference's.

    Raises UsageError where one is asked for, and nothing is made that follows it.
    """
    if config.rounding is not None and not any(FORMATS[spec.format].int8 for spec in config.specs):
        raise UsageError(
            f"--rounding changes nothing in {', '.join(spec.name for spec in config.specs)}: only a C file and a page "
            "bring what rounds",
            hint="Leave it out, or ask for: --format c",
        )
    there = before.artifacts if config.renewing and before is not None else ()
    found = (config.rounding, *(one.rounding for one in there))
    return next((rule for rule in found if isinstance(rule, str)), RULES[0])


def _check_installed(config: ExportConfig) -> None:
    """Raise MissingDependencyError, before any work is done, if nothing can be made, or if all has to be."""
    missing: list[MissingDependencyError] = []
    for spec in config.specs:
        try:
            FORMATS[spec.format].load()
        except MissingDependencyError as error:
            missing.append(error)
    if missing and (config.whole or len(missing) == len(config.specs)):
        raise missing[0]


def _convert(
    config: ExportConfig, source: Source, asked: GoldenPack, calibration: npt.NDArray[Any] | None, reporter: Reporter
) -> tuple[dict[ArtifactSpec, Exported], list[RefusedArtifact], GoldenPack]:
    """Return the artifacts, those that cannot be made, and the golden pack."""
    exported: dict[ArtifactSpec, Exported] = {}
    refused: dict[ArtifactSpec, EdgemnistError] = {}
    with reporter.task("Exporting", total=len(config.specs) + 1) as task:
        for done, spec in enumerate(config.specs):
            task.update(done, spec.name)
            try:
                exporter = _exporter(spec, source, asked.class_labels, calibration)
                made = exporter.export(spec.quantization)
                exported[spec] = dataclasses.replace(made, reads=exporter.source.spec)
            except (ModelError, ArtifactError, MissingDependencyError) as error:
                if config.whole:
                    raise
                refused[spec] = error
        if not exported:
            raise next(iter(refused.values()))
        task.update(len(config.specs), "golden pack")
        golden = _answered(source, asked)
        task.update(len(config.specs) + 1)
    listed = [
        RefusedArtifact(
            name=spec.name, **spec._asdict(), reason=error.message, hint=error.hint, exit_code=error.exit_code
        )
        for spec, error in refused.items()
    ]
    return exported, listed, golden


def _exporter(spec: ArtifactSpec, source: Source, labels: Sequence[str], given: npt.NDArray[Any] | None) -> Exporter:
    """Return what makes an artifact. Raises ModelError where that needs inputs and there are none."""
    entry = FORMATS[spec.format]
    if given is None and source.tflite is None and arithmetic_of(*spec) == "int8":
        raise ModelError(
            f"{source.path} cannot be exported as {spec.name}: int8 needs inputs, from which it takes the ranges of "
            "numbers",
            hint="Name some with: --data FILE",
        )
    # A full-int8 file needs none of what makes one.
    exporter = entry.load() if source.tflite is None else pkgutil.resolve_name(entry.target)
    if given is not None and isinstance(source, KerasSource) and arithmetic_of(*spec) in {"int8", "float16"}:
        source = unscaled(source, given)
    made: Exporter = exporter(source, labels, source.spec.random(0) if given is None else given)
    return made


def _settled(origin: Origin, config: ExportConfig, dataset: Dataset | None, reporter: Reporter) -> Source:
    """Return the source, for which it is settled what it reads and answers: as somebody says, as is recorded, or found.

    What was guessed a notice tells. Raises ModelError where it does not fit the data set.
    """
    source = dataclasses.replace(origin.source, numbers=_has_numbers(origin, config, dataset, reporter))
    if dataset is not None:
        _check_fit(source, origin.record, dataset)
        source = source.reading(dataset.task.input)
    takes = origin.record.model.takes if origin.record is not None and origin.record.model is not None else UNSET
    if isinstance(takes, InputSpec) and (dataset is None or takes.takes_the_same(source.spec)):
        source = source.reading(takes)
    told = ""
    if source.spec.dtype == "uint8":
        source, told = _in_range(source, origin, config, dataset)
    elif config.input_range is not None:
        raise UsageError(
            f"--input-range, --mean and --std say what pixels mean, and {source.path} reads {source.spec.words()}",
            hint="Leave them out: numbers are given as they are.",
        )
    check_executable(source, source.spec.random(1) if dataset is None else dataset.train.images[:1])
    weighs = source.original is not None and not source.numbers and source.spec.dtype == "uint8"
    if dataset is not None and dataset.labels and weighs and config.input_range is not None:
        told = question_range(source, dataset.train.images, dataset.train.labels)
    if told:
        reporter.notice(told)
    return source


def _has_numbers(origin: Origin, config: ExportConfig, dataset: Dataset | None, reporter: Reporter) -> bool:
    """Return whether the model answers with numbers; a notice tells where the file does not."""
    source, record = origin.source, origin.record
    if config.numbers or (record is not None and record.resolved_task.numbers):
        return True
    if record is not None or (dataset is not None and dataset.labels):
        return False
    for guess in source.guesses_on("answers"):
        reporter.notice(guess)
    return source.numbers


def _in_range(source: Source, origin: Origin, config: ExportConfig, dataset: Dataset | None) -> tuple[Source, str]:
    """Return the source with the range of pixels that was named, recorded or found, and a sentence on how it was."""
    recorded = origin.record.model if origin.record is not None else None
    named = config.input_range or (recorded and recorded.input_range) or (UNIT if _is_trained_here(origin) else None)
    if named is None and recorded is not None and isinstance(recorded.takes, InputSpec):
        return source, ""
    if named is not None:
        found = InputRange(name=named)
    elif dataset is not None and dataset.labels and not source.numbers and source.original is not None:
        found = find_input_range(source, dataset.train.images, dataset.train.labels)
    else:
        # What a file says itself, or is guessed of it.
        found = likely_range(origin.source)
    try:
        spec = InputSpec.of_range(source.spec.shape, found.name)
    except ValueError as error:
        raise UsageError(f"--mean and --std do not fit {source.path}: {error}") from error
    return source.reading(spec), found.told


def _check_fit(source: Source, record: Manifest | None, dataset: Dataset) -> None:
    """Raise ModelError where a model does not read what a data set has, or knows other classes."""
    try:
        source.spec.axes(dataset.task.input.shape)
    except ValueError:
        raise ModelError(
            f"{source.path} reads {source.spec.words()}, and the data set has {dataset.task.input.words()}",
            hint="Name the data set that it was trained on with --data.",
        ) from None
    if source.numbers or not dataset.labels:
        return
    if len(source.outputs) != 1 or source.classes != len(dataset.labels):
        raise ModelError(
            f"{source.path} has {count(source.classes, 'class', 'classes')}, but the data set has "
            f"{len(dataset.labels)}",
            hint="Name the data set that it was trained on with --data DIR.",
        )
    for index, (trained, given) in enumerate(zip(record.labels if record else (), dataset.labels, strict=False)):
        if trained != given:
            raise ModelError(
                f"{source.path} was trained for other classes than the data set has: class {index} is {trained!r} "
                f"there and {given!r} here",
                hint="Name the data set that it was trained on with --data DIR.",
            )


def _is_trained_here(origin: Origin) -> bool:
    """Return whether `train` or `learn` made the model, which takes pixels in 0..1 then."""
    return origin.record is not None and origin.record.training_images is not None


def _training_images(origin: Origin) -> dict[str, bytes]:
    """Return the marks of the images that the model was trained on, by file name, where they lie elsewhere."""
    if origin.record is None or origin.record is origin.manifest or origin.record.training_images is None:
        return {}
    return {IMAGES_FILE: read_recorded(origin.place, origin.record.training_images)}


def _asked(origin: Origin, dataset: Dataset | None, number: int | None, reporter: Reporter) -> GoldenPack:
    """Return a golden pack without answers: `number` evaluation inputs, evenly of each class, all, or random ones."""
    source, record = origin.source, origin.record
    labels: tuple[str, ...] = ()
    if not source.numbers:
        known = (dataset.labels if dataset else (), record.labels if record else (), source.labels or ())
        labels = next((tuple(one) for one in known if len(one) == source.classes), ())
        labels = labels or tuple(map(str, range(source.classes)))
    task = _task(source, record, dataset)
    pack = partial(
        GoldenPack, probabilities=np.empty(0, np.float32), class_labels=labels, model_sha256=source.sha256, task=task
    )
    if dataset is not None:
        split, data = dataset.test, dataset.identity
    elif (golden := _golden_beside(origin, task)) is not None:
        split, data = Split(golden.images, golden.truth), golden.data
    else:
        inputs = source.spec.random(number or FEWEST_IMAGES)
        reporter.notice("No inputs are named, so random ones are asked. Name some with: --data FILE")
        identity = DataIdentity(source=RANDOM_INPUTS, train=0, test=len(inputs), sha256="", reduced=False)
        return pack(images=inputs, truth=None, data=identity)
    if number is not None and number < len(split):
        split = split.take(split.spread(number, GOLDEN_SEED))
    return pack(images=split.images, truth=None if source.numbers else split.truth, data=data)


def _golden_beside(origin: Origin, task: Task) -> GoldenPack | None:
    """Return the golden pack that is recorded with the model, if it has inputs of the same kind."""
    if origin.record is None or origin.record.golden is None:
        return None
    golden = read_golden(origin.place, origin.record)
    return golden if golden.task.input.takes_the_same(task.input) else None


def _task(source: Source, record: Manifest | None, dataset: Dataset | None) -> Task:
    """Return what a model is for, with inputs as they are, whatever it makes of them."""
    task = source.task
    if dataset is not None:
        task = dataset.task
    elif record is not None and record.resolved_task.input.takes_the_same(source.spec):
        task = record.resolved_task
    if task.name == default_task().name and not source.numbers:
        # As always where it is not recorded: the model is recognized.
        return unnamed_task()
    answers: Literal["classes", "numbers"] = "numbers" if source.numbers else "classes"
    return msgspec.structs.replace(task, answers=answers)


def _answered(source: Source, asked: GoldenPack) -> GoldenPack:
    """Return a golden pack with what the model answers. Raises ArtifactError where that is not finite."""
    answers = source.answer(asked.images)
    check_finite(answers, "The model", "Train it again, with a smaller learning rate or other inputs.")
    return dataclasses.replace(asked, probabilities=answers)


def _manifest(origin: Origin, golden: GoldenPack, packed: bytes) -> Manifest:
    """Return the manifest with the model and what it was trained on, the golden pack and the earlier artifacts."""
    source, before = origin.source, origin.manifest or Manifest(labels=[])
    trained = origin.record or Manifest(labels=[])
    unnamed = golden.task == unnamed_task()
    return msgspec.structs.replace(
        before,
        labels=list(golden.class_labels),
        task=UNSET if unnamed else golden.task,
        data=trained.data,
        training_images=trained.training_images,
        learnt=trained.learnt or before.learnt,
        model=ModelRecord.of(
            source.file,
            source.data,
            parameters=source.parameters,
            # Of a model that was not trained here, the usual range is written down as well: it was not always known.
            **_read_as(source.spec, golden.task, unit=None if _is_trained_here(origin) else UNIT),
        ),
        golden=GoldenRecord.of(
            GOLDEN_FILE,
            packed,
            images=len(golden.images),
            model_sha256=source.sha256,
            seen=count_seen(origin.place, trained, golden.images),
        ),
    )


def _record(spec: ArtifactSpec, one: Exported, source: Source, task: Task, calibration: Calibration | None) -> Artifact:
    calibrated = source.tflite is None and arithmetic_of(spec.format, spec.quantization) == "int8"
    versions = {"keras": importlib.metadata.version("keras"), **FORMATS[spec.format].versions()}
    return Artifact.of(
        spec.file_for(task),
        one.data,
        name=spec.name,
        **spec._asdict(),
        input=one.input,
        output=one.output,
        calibration=calibration if calibrated else None,
        **_read_as(one.reads or source.spec, task),
        logits=source.logits and one.input.dtype != "float32",
        footprint=one.footprint,
        rounding=one.rounding,
        model_sha256=source.sha256,
        versions={"edgemnist": __version__, **(versions if source.tflite is None else {})},
    )


def _read_as(spec: InputSpec, task: Task, unit: str | None = None) -> dict[str, Any]:
    """Return the fields of a record that say what is read; `unit` stands for 0..1."""
    if spec.takes_the_same(default_task().input) and spec.range is not None and not task.numbers:
        return {"input_range": unit if spec.is_unit else spec.range}
    return {"takes": spec}


def _listed(record: Artifact, exports: Path) -> ExportedArtifact:
    same = ("name", "format", "quantization", "bytes", "sha256", "rounding")
    taken = msgspec.structs.asdict(record.footprint) if record.footprint else {}
    return ExportedArtifact(file=str(exports / record.file), **{name: getattr(record, name) for name in same}, **taken)
