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

from edgemnist.board.agent import bundle as layout
from edgemnist.board.agent.bundle import EXPORTS, RECORD_FILE, WHEELS, BundledFile, BundleRecord
from edgemnist.errors import ArtifactError, BundleError, MissingDependencyError
from edgemnist.fleet.bundle.package import (
    Installed,
    WheelsConfig,
    fetch_wheels,
    package_wheel,
    pinned,
    read_metadata,
)
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.boards import BundleResult
from edgemnist.ground.results.verdict import MISSED
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.exports import LIMITS_FILE, Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, AnswersBySha256, encode_answers, read_answers
from edgemnist.model.exports.manifest import MANIFEST_FILE, Manifest, read_recorded, record_of
from edgemnist.model.exports.models import split_name
from edgemnist.model.native import BOARDS, ZIG, CompilerError, board_library, compile_library
from edgemnist.model.native import WHEELS as WHEEL_TARGETS
from edgemnist.model.runtimes import RUNTIMES, default_runtime
from edgemnist.pipeline.verify.gate import read_gates

NATIVE: Final = "native"
SERVE_EXTRAS: Final = ("serve", "vision")


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What goes into a bundle."""

    artifacts: tuple[str, ...] = ()
    """`NAME[@RUNTIME]`; all of the export directory by default. The board gets the runtimes that are named."""
    wheels: WheelsConfig | None = None
    """For boards without network, and for those that require signatures."""
    key: Path | None = None
    """SSH key to sign with."""
    serve: bool = False
    """Whether the board gets what `edgemnist serve` needs, `read` included."""


def make_bundle(exports: Exports, output: Path, config: BundleConfig, reporter: Reporter = SILENT) -> BundleResult:
    """Write the bundle; the same export directory, options and package give the same bytes.

    Raises ManifestError, ArtifactError and UnknownNameError for an export directory or a name that cannot be used,
    BundleError where wheels or a signature cannot be obtained, UsageError for limits that cannot be used, and
    StorageError where `output` cannot be written.
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
    if exports.gate_sha256:
        # A board goes by the directory's own limits, too, and has nobody to repair them.
        read_gates(directory / LIMITS_FILE)
        files[f"{EXPORTS}{LIMITS_FILE}"] = (directory / LIMITS_FILE).read_bytes()
    if manifest.answers is not None:
        recorded = read_answers(directory, manifest, manifest.artifacts)
        _check_finite(exports, manifest, recorded)
        answers = encode_answers(recorded)
        manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, answers))
        files[f"{EXPORTS}{ANSWERS_FILE}"] = answers
    files[f"{EXPORTS}{MANIFEST_FILE}"] = manifest.encode()

    metadata = read_metadata()
    runtimes = [model.runtime for model in models or ()] or [
        default_runtime(artifact.file, artifact.name) for artifact in manifest.artifacts
    ]
    # NumPy alone needs no extra.
    extras = sorted({*(RUNTIMES[name].extra for name in runtimes), *(SERVE_EXTRAS if config.serve else ())} - {""})
    constraints = pinned(metadata, extras)
    name, wheel = package_wheel(metadata, _engines(runtimes, config, reporter))
    files[f"{WHEELS}{name}"] = wheel
    installed = Installed(name, wheel, extras, constraints)
    if config.wheels is not None:
        files |= {f"{WHEELS}{other}": data for other, data in fetch_wheels(installed, config.wheels, reporter)}

    record = BundleRecord(
        schema_version=layout.SCHEMA_VERSION,
        edgemnist=metadata.version,
        package=f"{WHEELS}{name}",
        extras=extras,
        constraints=constraints,
        machine=config.wheels.machine if config.wheels else layout.ANY_MACHINE,
        pythons=list(config.wheels.pythons) if config.wheels else [],
        artifacts=[artifact.name for artifact in manifest.artifacts],
        labels=manifest.labels,
        files=[BundledFile(path, len(data), sha256(data)) for path, data in sorted(files.items())],
    )
    files[RECORD_FILE] = record.encode()
    if config.key is not None:
        files[layout.SIGNATURE_FILE] = layout.sign(files[RECORD_FILE], config.key)
    data = layout.encode_archive(files)
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
    """Return the native engine for the boards, whatever the artifacts are: so bundles share an environment there."""
    if can_build():
        with reporter.task("Compiling the native engine for boards"):
            return board_engines(*(() if config.wheels is None else (config.wheels.machine,)))
    install = 'pip install "edgemnist[native]"'
    if NATIVE in runtimes:
        raise MissingDependencyError("The native engine for a board", ["ziglang"], install)
    return {}


def can_build() -> bool:
    """Return whether the engines are there, or the compiler that makes them."""
    return importlib.util.find_spec("ziglang") is not None or all(board_library(name).is_file() for name in BOARDS)


def board_engines(*machines: str) -> dict[str, bytes]:
    """Return the shared libraries, by path within the package, for all Raspberry Pis and further processors.

    An installed package may have them already, as on a board. Raises BundleError where the compiler fails.
    """
    return {f"model/native/{board_library(name).name}": _engine(name) for name in dict.fromkeys((*BOARDS, *machines))}


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
    verified = {} if found is None else {row.name: row.verdict for row in found.result.artifacts}
    for artifact in manifest.artifacts:
        # What was selected by name was told of then. The golden pack is of the earlier model, too.
        if not selected and (notice := exports.notice(artifact.name)):
            reporter.notice(notice)
        of_file = {name: one for name, one in verified.items() if split_name(name)[0] == artifact.name}
        missed = {name: one for name, one in of_file.items() if one.outcome == MISSED}
        for name, one in missed.items():
            reporter.notice(f"{name} missed its gate ({one.reasons[0]}), so a board will refuse this bundle.")
        if not missed and artifact.name not in {name for name, one in of_file.items() if one.passed}:
            check = exports.command(f"verify {artifact.name}")
            reporter.notice(
                f"Unknown until a board tests it whether {artifact.name} passes its gate; or run here: {check}"
            )
        refused += [artifact.name] * bool(missed)
    return refused


def narrow(manifest: Manifest, names: Sequence[str]) -> Manifest:
    """Return the manifest with the chosen artifacts only, without the Keras model.

    Raises UnknownNameError for a name that is not there, and ArtifactError where nothing is left.
    """
    chosen = [manifest.artifact(name) for name in dict.fromkeys(names)] or manifest.artifacts
    if not chosen:
        raise ArtifactError("There are no artifacts to bundle", hint="Make some with: edgemnist export")
    return msgspec.structs.replace(manifest, artifacts=chosen, model=None)
