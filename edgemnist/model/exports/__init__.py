"""The export directory: artifacts, their record, all findings about them, and which model is best.

Every command asks it, so that no two can disagree about what is verified, outdated or damaged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edgemnist import __version__
from edgemnist.board.machine import machine_identity
from edgemnist.errors import ArtifactError, ManifestError, UsageError
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN, Basis
from edgemnist.ground.results.verify import NOT_RUN, Unusable
from edgemnist.model.exports.findings import Findings
from edgemnist.model.exports.manifest import (
    DEFAULT_EXPORTS,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Artifact,
    Manifest,
    check_recorded,
    command,
    file_sha256,
    read_manifest,
)
from edgemnist.model.exports.models import (
    Model,
    Subject,
    cannot_execute,
    file_model,
    in_its_range,
    require_runtime,
    split_name,
)
from edgemnist.model.exports.questions import doubts_of, question, reference_question, source_name
from edgemnist.model.runtimes import RUNTIMES, is_model_file, runtimes_of, version_of
from edgemnist.model.task import Task

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Probabilities
    from edgemnist.ground.results.verify import ArtifactParity
    from edgemnist.model.exports.golden import GoldenPack
    from edgemnist.model.runtimes.interface import Classifier

REFERENCE: Final = "reference"
"""What `--exports` calls the directory that comes with the package."""

LIMITS_FILE: Final = "gate.toml"
"""A person's limits for the artifacts of a directory, which every command and every board goes by."""
REPOSITORY_FILE: Final = "edgemnist.toml"
"""The same for all that is done in a directory, such as the root of a repository."""

CURRENT: Final = "current"
OUTDATED: Final = "outdated"
DAMAGED: Final = "damaged"
MISSING: Final = "missing"


@dataclass(frozen=True, kw_only=True)
class RecordedArtifact:
    """An artifact of the manifest, and whether its file is still the one that was recorded."""

    record: Artifact
    status: str
    """`current`; `outdated` if the Keras model or the golden pack beside it is not the one that it was made from;
    `damaged` if its contents are not the recorded ones; `missing` if its file is gone."""
    reason: str = ""
    """Why it is not current, in words to follow a colon; empty if it is."""

    @property
    def name(self) -> str:
        """`<format>-<quantization>`."""
        return self.record.name

    @property
    def usable(self) -> bool:
        """Whether the file can be executed: it is there, and it is the recorded one."""
        return self.status in {CURRENT, OUTDATED}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The model to answer with, and why."""

    model: Model
    reason: str
    """One sentence; empty if its only merit is that it is there."""
    verified: bool
    doubt: str = ""
    """A sentence for users where it is not verified, or a record of findings cannot be read."""


class Exports:
    """An opened export directory: a snapshot of its record."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        """`manifest` is the record of `directory`; see `open`."""
        self.directory = directory
        self.manifest = manifest

    @classmethod
    def open(
        cls, directory: str | Path | None = None, reporter: Reporter = SILENT, *, fall_back: bool = False
    ) -> Exports:
        """Open an export directory: the one that is named, else `exports/`.

        `reference` names the one that comes with the package. With `fall_back` it answers too where nothing is named
        and nothing has been exported to `exports/`, and a notice says so.

        Raises ManifestError if the directory has no record or a broken one, and StorageError if a commit to it
        was cut short and cannot be completed.
        """
        place = find_exports(directory, reporter, fall_back=fall_back)
        return cls(place, read_manifest(place))

    @cached_property
    def is_reference(self) -> bool:
        """Whether this is the directory that comes with the package: it is everybody's, and keeps no results."""
        return self.directory.resolve() == reference_directory().resolve()

    @property
    def task(self) -> Task:
        """What its models are for, as far as the manifest says it."""
        return self.manifest.resolved_task

    @property
    def model_path(self) -> Path:
        """The model that everything else was made from, which need not be there, as on a board."""
        record = self.manifest.model
        return self.directory / (MODEL_FILE if record is None else record.file)

    @cached_property
    def model_sha256(self) -> str | None:
        """SHA-256 of the Keras model that is there now, else of the recorded one; None without either, as on a board.

        A later training may have replaced the model.
        """
        found = file_sha256(self.model_path)
        return found or (self.manifest.model.sha256 if self.manifest.model is not None else None)

    @cached_property
    def mismatch(self) -> str:
        """Why the Keras model and the golden pack are not of one model; empty if they are, or if one is missing."""
        golden = self.manifest.golden
        if golden is None or self.model_sha256 in {None, golden.model_sha256}:
            return ""
        of_model = any(one.model_sha256 == self.model_sha256 for one in self.manifest.artifacts)
        return self._golden_changed if of_model else self._model_changed

    @cached_property
    def artifacts(self) -> tuple[RecordedArtifact, ...]:
        """Every recorded artifact, in the manifest's order; their hashes are checked when this is first asked for."""
        return tuple(self._status(record) for record in self.manifest.artifacts)

    @cached_property
    def findings(self) -> Findings:
        """The findings of `verify` and `bench` about these files."""
        return Findings(self)

    @cached_property
    def gate_sha256(self) -> str:
        """SHA-256 of the limits of a person that hold, see `gate_file`; a word if unreadable, empty if there are none.

        What is known of the reference, which keeps no results, was judged by the built-in ones.
        """
        try:
            path = None if self.is_reference else gate_file(self.directory)
        except UsageError:
            return "two files"
        return "" if path is None else file_sha256(path) or "unreadable"

    def basis(self, sha256: str, runtime: str) -> Basis:
        """Return what a verdict on an artifact, by the hash of its file, rests on here and now in a runtime."""
        known = Basis(artifact=sha256, gate=self.gate_sha256)
        if (pack := self.manifest.golden) is not None:
            known = msgspec.structs.replace(known, model=pack.model_sha256, golden=pack.sha256, images=pack.images)
        return basis_of(runtime, known)

    def artifact(self, name: str) -> RecordedArtifact:
        """Return an artifact by its name. Raises UnknownNameError, with the nearest match, for an unknown one."""
        return self.artifacts[self.manifest.artifacts.index(self.manifest.artifact(name))]

    def select(self, names: Sequence[str] | None = None, reporter: Reporter = SILENT) -> list[Model]:
        """Return the models `NAME[@RUNTIME]` that are named, each once, or all that can be run here.

        All are the artifacts in their default runtime and in every other one that is installed, except those that must
        be asked for by name. An artifact that is damaged, or has no runtime here, is left out with a notice if it was
        not named. An artifact of an earlier model is selected, with a notice.

        Raises UnknownNameError for an unknown name, UsageError if a runtime does not execute what it is named for,
        MissingDependencyError if it is not installed, ArtifactError if a named file is damaged, or all are, and
        ManifestError if nothing is recorded.
        """
        if names:
            self._check_any()
            found = [self._named(name) for name in dict.fromkeys(names)]
        else:
            found, left_out = self.runnable(by_name=False)
            for one in left_out:
                reporter.notice(f"{one.name} is left out: {one.reason}.")
        models = list({model.name: model for model in found}.values())
        for model in models:
            if notice := self.notice(model.artifact):
                reporter.notice(notice)
        return models

    def runnable(self, *, by_name: bool = True) -> tuple[list[Model], list[Unusable]]:
        """Return every model that can be run here, and why each other artifact cannot be.

        With `by_name`, an artifact whose runtimes all have to be asked for by name runs in its default one. Raises what
        `select` raises if none can be run.
        """
        self._check_any()
        found, left_out = list[Model](), list[Unusable]()
        for one in self.artifacts:
            if not one.usable:
                left_out.append(Unusable(name=one.name, status=one.status, reason=one.reason))
                continue
            entries = {name: RUNTIMES[name] for name in runtimes_of(one.record.file, one.name)}
            installed = [name for name, entry in entries.items() if not entry.missing()]
            usual = [name for name in installed if not entries[name].by_name]
            default, entry = next(iter(entries.items()))
            models = [Model.recorded(self.directory, one.record, name, self.task) for name in usual]
            models = [model for model in models if not model.entry.partial or model.can_load()]
            if not models and by_name and default in installed:
                models = [Model.recorded(self.directory, one.record, default, self.task)]
            found += models
            if models:
                continue
            if missing := entry.missing():
                needs = f"it needs {', '.join(missing)} ({entry.install_line()})"
                left_out.append(Unusable(name=one.name, status=NOT_RUN, reason=needs))
            else:
                asked = "it is included only if you name it"
                left_out.append(Unusable(name=one.name, status=NOT_RUN, reason=asked))
        if found:
            return found, left_out
        # They run only where they are named, or one of them raises the reason: a runtime that is missing, else a file
        # that is damaged.
        return [self._named(one.name) for one in sorted(self.artifacts, key=lambda one: not one.usable)], []

    def _check_any(self) -> None:
        if not self.manifest.artifacts:
            raise ManifestError(f"{self.directory} has no artifacts", hint=f"Make some with: {self.command('export')}")

    def subject(self, model: Model, golden: GoldenPack) -> Subject:
        """Return a recorded model to compare with the golden pack. Raises what `Model.load` raises."""
        record = self.manifest.artifact(model.artifact)
        if model.may_crash:
            from edgemnist.model.runtimes.untrusted import try_file

            try_file(model.path, model.runtime)
        # Without labels from elsewhere, so that it has those of its own file.
        classifier = model.load()
        outdated, misfit = self.outdated_reason(record), golden.misfit(classifier, "Keras model")
        seen = self.manifest.golden.seen if self.manifest.golden is not None else None
        return Subject(
            model=model,
            classifier=classifier,
            format=record.format,
            quantization=record.quantization,
            rests_on=self.basis(model.sha256, model.runtime),
            # The command behind the colon is the cure.
            misfit=misfit,
            mistakes=self._mistakes(record, classifier, golden, outdated.partition(": run ")[0], misfit),
            doubts=[
                *doubts_of(seen, golden.images, golden.task.input.noun),
                *reference_question(golden, reference=source_name(self.manifest)),
            ],
            outdated=bool(outdated),
            exported=self.reference_answers(model),
            output_scale=record.output.scale,
        )

    def _mistakes(
        self, record: Artifact, classifier: Classifier, golden: GoldenPack, outdated: str, misfit: str
    ) -> list[str]:
        """Return a sentence for each way in which an artifact is not of the golden pack's model, or of the present."""
        reasons = [outdated] if outdated else []
        if record.model_sha256 != golden.model_sha256:
            made_from, of = f"{record.model_sha256[:12]}…", f"{golden.model_sha256[:12]}…"
            reasons = [f"it was made from another model ({made_from}) than the golden pack ({of})"]
        if misfit:
            reasons.append(misfit)
        if difference := _difference(self.manifest.labels, golden.class_labels):
            reasons.append(f"the manifest's labels are not the golden pack's: {difference}")
        # A file without labels of its own leaves the classifier with numbers, which claim nothing.
        numbers = [str(index) for index in classifier.classes_]
        if list(classifier.labels) != numbers and (difference := _difference(classifier.labels, golden.class_labels)):
            reasons.append(f"the labels in its file are not the golden pack's: {difference}")
        return reasons

    def model(self, name: str | None = None, reporter: Reporter = SILENT) -> Model:
        """Return one model to answer with: an artifact or a model file, with `@RUNTIME` or without; the best for None.

        Raises what `select`, `file_model` and `best` raise.
        """
        if name is None:
            choice = self.best()
            for notice in filter(None, (choice.doubt, self.notice(choice.model.artifact))):
                reporter.notice(notice)
            return choice.model
        if is_model_file(split_name(name)[0]):
            return _from_elsewhere(name, reporter)
        return self.select([name], reporter)[0]

    def load(self, name: str | None = None, *, threads: int = 1, reporter: Reporter = SILENT) -> Classifier:
        """Return the classifier of `model(name)`, with the class names of the directory.

        An artifact is loaded only if its contents are the recorded ones. Raises what `model` raises.
        """
        model = self.model(name, reporter)
        return model.load(threads=threads, labels=self.labels_for(model))

    def labels_for(self, model: Model) -> list[str] | None:
        """Return the class names of a recorded model; None for a file from elsewhere, which has its own or none."""
        return self.manifest.labels if model.record is not None else None

    def best(self) -> Choice:
        """Return the model that `predict`, `serve` and `bench` agree on.

        It is the fastest of those that passed `verify`, as far as they were measured here; else the first artifact that
        passed, in a runtime that answers every bit of the integer reference if one of its own passed, which is the
        native one; else the first that can be run. A broken record of findings counts as none. Raises what `select`
        raises if nothing can be run.
        """
        usable = self.select()
        current = [one for one in usable if self.artifact(one.artifact).status == CURRENT] or usable
        doubt = f"No artifact in {self.directory} has passed `edgemnist verify`"
        rows: dict[str, ArtifactParity | None] = {}
        try:
            rows = {one.name: self.findings.parity(one.name) for one in current}
        except ManifestError as error:
            doubt = error.message
        outcomes = {name: UNKNOWN if row is None else row.verdict.outcome for name, row in rows.items()}
        verified = [one for one in current if outcomes.get(one.name) == PASSED]
        if not verified:
            # What is not known is better than what missed.
            missed = {split_name(name)[0] for name, outcome in outcomes.items() if outcome == MISSED}
            first = min(current, key=lambda one: one.artifact in missed)
            how = "although it missed its gate" if outcomes.get(first.name) == MISSED else "unverified"
            return Choice(model=first, reason="", verified=False, doubt=f"{doubt}, so {first.name} is used {how}.")
        alike = [one for one in verified if one.artifact == verified[0].artifact]
        chosen = next((one for one in alike if one.entry.exact), verified[0])
        name: str | None = None
        reason = doubt = ""
        try:
            if self.findings.bench is not None:
                decision = self.findings.decision(names=[one.name for one in verified])
                name, reason = decision.name, decision.sentence
        except ManifestError as error:
            doubt = f"{error.message}, so {chosen.name} may not be the fastest."
        chosen = next((one for one in verified if one.name == name), chosen)
        return Choice(model=chosen, reason=reason if name else "", verified=True, doubt=doubt)

    def notice(self, name: str) -> str:
        """Return a sentence for users of an artifact of an earlier model; empty for any other artifact."""
        reason = self.outdated_reason(self.manifest.artifact(name))
        return f"{name} in {self.directory} is {OUTDATED}: {reason}." if reason else ""

    def outdated_reason(self, record: Artifact) -> str:
        """Return why an artifact is not of the Keras model or the golden pack that are there now; empty if it is."""
        if self.model_sha256 not in {None, record.model_sha256}:
            return self._model_changed
        golden = self.manifest.golden
        return "" if golden is None or golden.model_sha256 == record.model_sha256 else self._golden_changed

    @property
    def _model_changed(self) -> str:
        return f"{self.model_path.name} has changed since the export: run {self.command('export')}"

    @property
    def _golden_changed(self) -> str:
        return f"{GOLDEN_FILE} belongs to another model: run {self.command('export')}"

    def command(self, words: str) -> str:
        """Return the command line that does something with this directory: `edgemnist verify --exports DIR`."""
        return command(words, Path(REFERENCE) if self.is_reference else self.directory)

    def read_golden(self, *, to_compare: bool = False) -> GoldenPack:
        """Return the golden pack, hash checked. Raises what `golden.read_golden` raises."""
        from edgemnist.model.exports.golden import read_golden

        return read_golden(self.directory, self.manifest, to_compare=to_compare)

    def reference_answers(self, model: Model) -> Probabilities | None:
        """Return what a model's file answered on the exporting machine, float32 [N, C]; None if that is unknown.

        Raises ArtifactError if the recorded answers are damaged.
        """
        from edgemnist.model.exports.golden import read_answers

        if model.record is None:
            return None
        return read_answers(self.directory, self.manifest, [model.record]).get(model.record.sha256)

    def _status(self, record: Artifact) -> RecordedArtifact:
        try:
            check_recorded(self.directory, record)
        except ArtifactError as error:
            gone = not (self.directory / record.file).exists()
            return RecordedArtifact(record=record, status=MISSING if gone else DAMAGED, reason=error.message)
        reason = self.outdated_reason(record)
        return RecordedArtifact(record=record, status=OUTDATED if reason else CURRENT, reason=reason)

    def _named(self, name: str) -> Model:
        artifact, runtime = split_name(name)
        record = self.manifest.artifact(artifact)
        runtimes = runtimes_of(record.file, record.name)
        if runtime is not None and runtime not in runtimes:
            raise cannot_execute(runtime, artifact)
        chosen = runtime or runtimes[0]
        require_runtime(chosen, name)
        check_recorded(self.directory, record)
        return Model.recorded(self.directory, record, chosen, self.task)


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} instead of {len(expected)}"
    differing = (pair for pair in enumerate(zip(found, expected, strict=True)) if pair[1][0] != pair[1][1])
    return next((f"class {index} is {one!r} instead of {other!r}" for index, (one, other) in differing), "")


def basis_of(runtime: str, known: Basis) -> Basis:
    """Return what a verdict on a file in a runtime rests on, on this machine: `known`, and what answers here."""
    version, here = version_of(runtime), machine_identity()
    return msgspec.structs.replace(known, runtime=runtime, runtime_version=version, machine=here, edgemnist=__version__)


def open_for_answers(directory: str | Path | None, artifact: str | None, reporter: Reporter = SILENT) -> Exports | None:
    """Open the export directory for a command that answers with `artifact`; None if that is a model file.

    A notice says why its answers are questionable. Raises what `Exports.open` raises.
    """
    if artifact is not None and is_model_file(split_name(artifact)[0]):
        return None
    opened = Exports.open(directory, reporter, fall_back=True)
    question(opened, reporter)
    return opened


def model_for(
    exports: Exports | None, artifact: str | None, reporter: Reporter = SILENT
) -> tuple[Model, list[str] | None]:
    """Return the model that answers, and its class names, None for those of its own file.

    Without an export directory `artifact` is a model file. Raises what `Exports.model` and `file_model` raise.
    """
    if exports is None:
        return _from_elsewhere(artifact or "", reporter), None
    model = exports.model(artifact, reporter)
    return model, exports.labels_for(model)


def _from_elsewhere(name: str, reporter: Reporter) -> Model:
    """Return the model that `FILE[@RUNTIME]` names, in the range in which it reads the reference's images."""
    golden = Exports(reference_directory(), read_manifest(reference_directory())).read_golden()
    return in_its_range(file_model(name), golden.images, golden.labels, reporter)


def peek(directory: str | Path | None, reporter: Reporter = SILENT) -> Exports | None:
    """Open the export directory for a command that reports on it beside its main job, with notices of what is wrong.

    Returns None if none was named, and none is there or its record is missing or broken. Raises what `Exports.open`
    raises if one was named.
    """
    if directory is None and not _has_exports(DEFAULT_EXPORTS):
        return None
    try:
        opened = Exports.open(directory)
    except ManifestError as error:
        if directory is not None:
            raise
        reporter.notice(f"{error.message}.")
        return None
    for one in opened.artifacts:
        if one.status != CURRENT:
            reporter.notice(f"{one.name} is {one.status}: {one.reason}.")
    question(opened, reporter)
    return opened


def find_exports(directory: str | Path | None, reporter: Reporter = SILENT, *, fall_back: bool = True) -> Path:
    """Return the directory that `Exports.open` opens, whether or not it has a record.

    Model files count, too: if the manifest was lost, nobody wants answers from another model.
    """
    if directory is not None:
        named = Path(directory)
        return reference_directory() if named == Path(REFERENCE) and not named.exists() else named
    if not fall_back or _has_exports(DEFAULT_EXPORTS):
        return DEFAULT_EXPORTS
    reference = reference_directory()
    if not (reference / MANIFEST_FILE).exists():
        return DEFAULT_EXPORTS
    reporter.notice(f"{DEFAULT_EXPORTS}/ has no artifacts yet, so the reference that comes with edgemnist is used.")
    return reference


def gate_file(directory: Path | None = None) -> Path | None:
    """Return the file of a person's limits: `gate.toml` in an export directory, or `edgemnist.toml` here; else None.

    Raises UsageError for both: none of them overrides the other.
    """
    places = [*([] if directory is None else [directory / LIMITS_FILE]), Path(REPOSITORY_FILE)]
    found = [path for path in places if os.path.lexists(path)]
    if len(found) > 1:
        raise UsageError(f"{found[0]} and {found[1]} both have limits", hint="Move them into one of the two.")
    return found[0] if found else None


def _has_exports(directory: Path) -> bool:
    return directory.is_dir() and any(path.name == MANIFEST_FILE or is_model_file(path) for path in directory.iterdir())


def reference_directory() -> Path:
    """Return where the reference artifacts are: within the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    installed = package / REFERENCE
    # Unlike `Path.is_dir`, this says no where a process that gave up its privileges may no longer look.
    return installed if os.path.isdir(installed) else package.parent / "exports" / REFERENCE  # noqa: PTH112
