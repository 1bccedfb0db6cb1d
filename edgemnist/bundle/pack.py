"""`edgemnist bundle`: an export directory becomes one file for a board."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edgemnist.agent.bundle import (
    ANY_MACHINE,
    EXPORTS,
    RECORD_FILE,
    SCHEMA_VERSION,
    SIGNATURE_FILE,
    WHEELS,
    BundledFile,
    BundleRecord,
    encode_archive,
    sign,
)
from edgemnist.bundle.package import WheelsConfig, fetch_wheels, package_wheel, pinned, read_metadata
from edgemnist.errors import ArtifactError, BundleError, MissingDependencyError
from edgemnist.exports import Exports
from edgemnist.exports.golden import ANSWERS_FILE, AnswersBySha256, encode_answers, read_answers
from edgemnist.exports.manifest import MANIFEST_FILE, Manifest, read_recorded, record_of
from edgemnist.native import BOARDS, ZIG, CompilerError, board_library, compile_library
from edgemnist.native import WHEELS as WHEEL_TARGETS
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.boards import BundleResult
from edgemnist.runtimes import RUNTIMES, default_runtime
from edgemnist.storage import sha256, write_file

NATIVE: Final = "native"
SERVE_EXTRAS: Final = ("serve", "vision")


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What goes into a bundle."""

    artifacts: tuple[str, ...] = ()
    """`NAME[@RUNTIME]`; all of the export directory by default. The board gets the runtimes that are named."""
    wheels: WheelsConfig | None = None
    """For boards without network."""
    key: Path | None = None
    """SSH key to sign with."""
    serve: bool = False
    """Whether the board gets what `edgemnist serve` needs, `read` included."""


def make_bundle(exports: Exports, output: Path, config: BundleConfig, reporter: Reporter = SILENT) -> BundleResult:
    """Write the bundle; the same export directory, options and package give the same bytes.

    Raises ManifestError, ArtifactError and UnknownNameError for an export directory or a name that cannot be used,
    BundleError where wheels or a signature cannot be obtained, and StorageError where `output` cannot be written.
    """
    models = exports.select(config.artifacts, reporter) if config.artifacts else None
    chosen = [model.artifact for model in models] if models is not None else []
    manifest = narrow(exports.manifest, chosen)
    if manifest.golden is None:
        raise ArtifactError(
            f"{exports.directory} has no golden pack, without which a board cannot test itself",
            hint=f"Write one with: {exports.command('export')}",
        )
    refused = _give_notice(exports, manifest, reporter, selected=models is not None)
    directory = exports.directory
    files = {
        f"{EXPORTS}{record.file}": read_recorded(directory, record) for record in (manifest.golden, *manifest.artifacts)
    }
    if manifest.answers is not None:
        recorded = read_answers(directory, manifest, manifest.artifacts)
        _check_finite(exports, manifest, recorded)
        answers = encode_answers(recorded)
        manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, answers))
        files[f"{EXPORTS}{ANSWERS_FILE}"] = answers
    files[f"{EXPORTS}{MANIFEST_FILE}"] = manifest.encode()

    metadata = read_metadata()
    runtimes = [model.runtime for model in models or ()] or [
        default_runtime(one.file, one.name) for one in manifest.artifacts
    ]
    # NumPy alone needs no extra.
    extras = sorted({*(RUNTIMES[name].extra for name in runtimes), *(SERVE_EXTRAS if config.serve else ())} - {""})
    constraints = pinned(metadata, extras)
    name, wheel = package_wheel(metadata, _engines(runtimes, config, reporter))
    files[f"{WHEELS}{name}"] = wheel
    if config.wheels is not None:
        for other, data in fetch_wheels(
            config.wheels, reporter, file_name=name, wheel=wheel, extras=extras, constraints=constraints
        ):
            files[f"{WHEELS}{other}"] = data

    record = BundleRecord(
        schema_version=SCHEMA_VERSION,
        edgemnist=metadata.version,
        package=f"{WHEELS}{name}",
        extras=extras,
        constraints=constraints,
        machine=config.wheels.machine if config.wheels else ANY_MACHINE,
        pythons=list(config.wheels.pythons) if config.wheels else [],
        artifacts=[artifact.name for artifact in manifest.artifacts],
        labels=manifest.labels,
        files=[BundledFile(path, len(data), sha256(data)) for path, data in sorted(files.items())],
    )
    files[RECORD_FILE] = record.encode()
    if config.key is not None:
        files[SIGNATURE_FILE] = sign(files[RECORD_FILE], config.key)
    data = encode_archive(files)
    write_file(output, data)
    return BundleResult(
        bundle=str(output),
        bytes=len(data),
        sha256=sha256(data),
        identity=record.identity(),
        edgemnist=record.edgemnist,
        artifacts=record.artifacts,
        extras=extras,
        machine=record.machine,
        pythons=record.pythons,
        files=len(files),
        signed=config.key is not None,
        refused=refused,
    )


def _check_finite(exports: Exports, manifest: Manifest, answers: AnswersBySha256) -> None:
    """Raise ArtifactError for recorded answers that are not finite: a board would hold its own against them."""
    for artifact in manifest.artifacts:
        if artifact.sha256 in answers and not np.isfinite(answers[artifact.sha256]).all():
            raise ArtifactError(
                f"The answers recorded for {artifact.name} are not all finite, so no board could be compared with them",
                hint=f"See what it answers here with: {exports.command(f'verify {artifact.name}')}",
            )


def _engines(runtimes: Sequence[str], config: BundleConfig, reporter: Reporter) -> dict[str, bytes]:
    """Return the native engine for the boards, whatever the artifacts are: so bundles share an environment there.

    Raises MissingDependencyError where a board is to get it and there is no compiler for boards.
    """
    if can_build():
        with reporter.task("Compiling the native engine for boards"):
            return board_engines(*(() if config.wheels is None else (config.wheels.machine,)))
    install = 'pip install "edgemnist[native]"'
    if NATIVE in runtimes:
        raise MissingDependencyError("The native engine for a board", ["ziglang"], install)
    return {}


def can_build() -> bool:
    """Return whether the engines are there, or the compiler that makes them."""
    return importlib.util.find_spec("ziglang") is not None or all(board_library(one).is_file() for one in BOARDS)


def board_engines(*machines: str) -> dict[str, bytes]:
    """Return the shared libraries, by path within the package, for all Raspberry Pis and further processors.

    An installed package may have them already, as on a board. Raises BundleError where the compiler fails.
    """
    return {f"native/{board_library(one).name}": _engine(one) for one in dict.fromkeys((*BOARDS, *machines))}


def _engine(machine: str) -> bytes:
    there = board_library(machine)
    if there.is_file():
        return there.read_bytes()
    target = WHEEL_TARGETS[f"linux-{machine}"]
    with tempfile.TemporaryDirectory(prefix="edgemnist-engine-") as directory:
        made = Path(directory) / target.library
        try:
            compile_library(made, compiler=ZIG, options=("-target", target.triple, *target.options))
        except CompilerError as error:
            raise BundleError(f"The native engine for {machine} cannot be compiled: {error}") from error
        return made.read_bytes()


def _give_notice(exports: Exports, manifest: Manifest, reporter: Reporter, *, selected: bool) -> list[str]:
    """Tell what the board cannot know: artifacts of an earlier model, and, returned, those that missed a gate."""
    refused = []
    found = exports.findings.verify
    verified = found.result.artifacts if found is not None and found.current else []
    for artifact in manifest.artifacts:
        # What was selected by name was told of then. The golden pack is of the earlier model, too.
        if not selected and (notice := exports.notice(artifact.name)):
            reporter.notice(notice)
        reasons = [reason for row in verified if row.name == artifact.name for reason in row.reasons]
        if reasons:
            reporter.notice(f"{artifact.name} missed its gate ({reasons[0]}), so a board will refuse this bundle.")
            refused.append(artifact.name)
    return refused


def narrow(manifest: Manifest, names: Sequence[str]) -> Manifest:
    """Return the manifest of a directory that holds the chosen artifacts only, without the Keras model.

    Raises UnknownNameError for a name that is not there, and ArtifactError where nothing is left.
    """
    chosen = [manifest.artifact(name) for name in dict.fromkeys(names)] or manifest.artifacts
    if not chosen:
        raise ArtifactError("There are no artifacts to bundle", hint="Make some with: edgemnist export")
    return msgspec.structs.replace(manifest, artifacts=chosen, model=None)
