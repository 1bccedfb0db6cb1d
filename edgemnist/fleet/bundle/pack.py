"""`edgemnist bundle`: an export directory becomes one file for a board.

The wheel of edgemnist is made from the package that is running: a board gets exactly the code that was tried here, and
the same code gives the same bytes, without a build tool or a network. Those it depends on are fetched with pip, for the
board's processor and Python.
"""

import base64
import hashlib
import importlib.metadata
import importlib.util
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

import edgemnist
from edgemnist.board.agent import bundle as layout
from edgemnist.board.agent.bundle import EXPORTS, RECORD_FILE, WHEELS, BundledFile, BundleRecord, encode_archive
from edgemnist.board.agent.install import with_extras
from edgemnist.errors import ArtifactError, BundleError, MissingDependencyError, UsageError
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.boards import BundleResult
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.exports import LIMITS_FILE, Exports, gate_file, reference_directory
from edgemnist.model.exports.golden import ANSWERS_FILE, AnswersBySha256, encode_answers, read_answers
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord, Manifest, read_recorded
from edgemnist.model.exports.models import split_name
from edgemnist.model.runtimes import RUNTIMES, default_runtime
from edgemnist.pipeline.verify.gate import read_gates

NAME = "edgemnist"
_DATA = (
    ".py", ".c", ".h", ".typed", ".json", ".tflite", ".sql", ".txt", ".in", ".html", ".css", ".js", ".svg",
    ".webmanifest",
)  # fmt: skip
"""Endings of what the package consists of, pages, the likeness network and the sources of the engine included."""


@dataclass(frozen=True)
class Metadata:
    """What pip has to know about the package."""

    version: str
    requires_python: str
    extras: tuple[str, ...]
    requires: tuple[str, ...]
    """Requirements as `Requires-Dist` has them, those of extras with their marker."""

    def encode(self) -> bytes:
        """Return the contents of `METADATA`."""
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {NAME}",
            f"Version: {self.version}",
            f"Requires-Python: {self.requires_python}",
            *(f"Provides-Extra: {extra}" for extra in self.extras),
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
        ]
        return "\n".join(lines).encode() + b"\n"


def read_metadata() -> Metadata:
    """Return the metadata of the running package, of its checkout or as installed. Raises BundleError for neither."""
    project_file = Path(edgemnist.__file__).parents[1] / "pyproject.toml"
    # An editable install keeps the metadata of the day it was made, so the checkout comes first.
    if project_file.is_file():
        project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
        if project["name"] == NAME:
            extras: dict[str, list[str]] = project["optional-dependencies"]
            optional = [_of_extra(needed, extra) for extra, all_ in extras.items() for needed in all_]
            requires = [*project["dependencies"], *optional]
            return Metadata(edgemnist.__version__, project["requires-python"], tuple(extras), tuple(requires))
    try:
        installed = importlib.metadata.metadata(NAME)
    except importlib.metadata.PackageNotFoundError:
        raise BundleError("edgemnist is not installed, so it cannot be bundled", hint="Install it with pip.") from None
    return Metadata(
        edgemnist.__version__,
        installed["Requires-Python"],
        tuple(installed.get_all("Provides-Extra") or ()),
        tuple(installed.get_all("Requires-Dist") or ()),
    )


def _of_extra(requirement: str, extra: str) -> str:
    name, _, marker = (part.strip() for part in requirement.partition(";"))
    return f"{name}; ({marker}) and extra == '{extra}'" if marker else f"{name}; extra == '{extra}'"


def package_wheel(metadata: Metadata) -> tuple[str, bytes]:
    """Return file name and contents of the wheel, with the sources of the engine, which a board compiles."""
    info = f"{NAME}-{metadata.version}.dist-info"
    files = dict(_code())
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgemnist\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nedgemnist = edgemnist.__main__:main\n"
    files |= {f"{info}/licenses/{name}": data for name, data in _licences()}
    rows = [f"{name},sha256={_url_hash(data)},{len(data)}" for name, data in sorted(files.items())]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    return f"{NAME}-{metadata.version}-py3-none-any.whl", encode_archive(files)


def _code() -> Iterator[tuple[str, bytes]]:
    package = Path(edgemnist.__file__).parent
    reference = reference_directory()
    for path in package.rglob("*"):
        if path.suffix in _DATA and not path.is_relative_to(reference):
            yield f"{NAME}/{path.relative_to(package).as_posix()}", path.read_bytes()
    if reference.is_dir():
        for path in reference.iterdir():
            if not path.name.startswith("."):
                yield f"{NAME}/reference/{path.name}", path.read_bytes()


def _licences() -> Iterator[tuple[str, bytes]]:
    """Yield licence and notice, of the checkout or else of the installed package."""
    root = Path(edgemnist.__file__).parents[1]
    installed = sorted(root.glob(f"{NAME}-*.dist-info/licenses"))
    for name in ("LICENSE", "NOTICE"):
        for place in (root, *installed):
            if (place / name).is_file():
                yield name, (place / name).read_bytes()
                break


def _url_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pinned(metadata: Metadata, extras: Iterable[str]) -> list[str]:
    """Return `name==version` of everything that edgemnist with `extras` depends on, as it is installed here.

    What is not installed here is left to pip. A pin that the board does not need does no harm.
    """
    wanted = _closure(metadata.requires, set(extras))
    pins = set()
    while wanted:
        name = wanted.pop()
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        pin = f"{_normal(found.metadata['Name'])}=={found.version}"
        if pin not in pins:
            pins.add(pin)
            wanted |= _closure(found.requires or (), set())
    return sorted(pins)


def _closure(requires: Iterable[str], extras: set[str]) -> set[str]:
    """Return the names of requirements without a marker for an extra, and of those of `extras`."""
    names = set()
    for requirement in requires:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        marker = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        if name and name[0] != NAME and (marker is None or marker[1] in extras):
            names.add(_normal(name[0]))
    return names


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


RASPBERRY_PI_MACHINE = "aarch64"
RASPBERRY_PI_PYTHONS = ("3.11", "3.13")
"""Of the two current releases of Raspberry Pi OS, Bookworm and Trixie."""
MACHINES = ("aarch64", "x86_64", "armv7l", "armv6l")
PIWHEELS = "https://www.piwheels.org/simple"
"""Has wheels for 32-bit Raspberry Pis of what the package index has none of; their own system looks there, too."""
_PIWHEELS_MACHINES = ("armv7l", "armv6l")
_OLDEST_GLIBC = 17
_NEWEST_GLIBC = 36
"""manylinux_2_17 is manylinux2014; Bookworm has glibc 2.36, Trixie a newer one."""


@dataclass(frozen=True, kw_only=True)
class WheelsConfig:
    """Which boards the wheels are for."""

    machine: str = RASPBERRY_PI_MACHINE
    pythons: tuple[str, ...] = RASPBERRY_PI_PYTHONS

    def __post_init__(self) -> None:
        if self.machine not in MACHINES:
            raise UsageError(f"There are no wheels for {self.machine}", hint=f"Known: {', '.join(MACHINES)}.")
        for python in self.pythons:
            if not re.fullmatch(r"3\.\d+", python):
                raise UsageError(
                    f"--python must be a version of Python (got {python})", hint="Write it as 3.11 or 3.13."
                )


def fetch_wheels(
    name: str, wheel: bytes, config: WheelsConfig, reporter: Reporter, *, extras: Sequence[str], pins: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of every wheel that edgemnist's own, with these extras, depends on, pinned by `pins`.

    Raises BundleError where pip cannot get them, MissingDependencyError if there is no pip.
    """
    if importlib.util.find_spec("pip") is None:
        # An environment that uv makes has none unless it is asked for.
        python = shlex.quote(sys.executable)
        cure = f"{python} -m ensurepip   or: uv pip install --python {python} pip"
        raise MissingDependencyError("bundle --wheels", ["pip"], cure)
    with tempfile.TemporaryDirectory(prefix="edgemnist-wheels-") as directory:
        own, constraints, target = (Path(directory) / part for part in (name, "constraints.txt", "wheels"))
        own.write_bytes(wheel)
        constraints.write_text("\n".join(pins))
        words = ["--dest", str(target), "--constraint", str(constraints), with_extras(own, extras)]
        with reporter.task(f"Fetching wheels for {config.machine}", len(config.pythons)) as task:
            for done, python in enumerate(config.pythons):
                task.update(done, f"Python {python}")
                _download(words, python, config.machine)
        for path in sorted(target.iterdir()):
            if path.name != name:
                yield path.name, path.read_bytes()


def _download(words: Sequence[str], python: str, machine: str) -> None:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_OLDEST_GLIBC, _NEWEST_GLIBC + 1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    if machine in _PIWHEELS_MACHINES:
        command += ["--extra-index-url", PIWHEELS]
    for platform in (*platforms, f"manylinux2014_{machine}", f"linux_{machine}"):
        command += ["--platform", platform]
    done = subprocess.run([*command, *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        lines = [line for line in said if line.startswith("ERROR")] or said
        raise BundleError(
            f"pip found no wheels for Python {python} on {machine}: {lines[0] if lines else 'it gave no reason'}",
            hint="Is the network up? Does every package have a wheel for this Python? Choose another with --python.",
        )


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
    models = exports.select(config.artifacts) if config.artifacts else []
    manifest = narrow(exports.manifest, [model.artifact for model in models])
    if manifest.golden is None:
        raise ArtifactError(
            f"{exports.directory} has no golden pack, without which a board cannot test itself",
            hint=f"Write one with: {exports.command('export')}",
        )
    refused = _give_notice(exports, manifest, reporter)
    directory = exports.directory
    files = {f"{EXPORTS}{part.file}": read_recorded(directory, part) for part in (manifest.golden, *manifest.artifacts)}
    if (limits := gate_file(directory)) is not None:
        # A board goes by the same limits, and has nobody to repair them.
        read_gates(limits)
        files[f"{EXPORTS}{LIMITS_FILE}"] = limits.read_bytes()
    if manifest.answers is not None:
        recorded = read_answers(directory, manifest, manifest.artifacts)
        _check_finite(exports, manifest, recorded)
        answers = encode_answers(recorded)
        manifest = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, answers))
        files[f"{EXPORTS}{ANSWERS_FILE}"] = answers
    files[f"{EXPORTS}{MANIFEST_FILE}"] = manifest.encode()

    metadata = read_metadata()
    runtimes = [model.runtime for model in models]
    runtimes = runtimes or [default_runtime(artifact.file, artifact.name) for artifact in manifest.artifacts]
    # NumPy alone needs no extra.
    extras = sorted({*(RUNTIMES[name].extra for name in runtimes), *(SERVE_EXTRAS if config.serve else ())} - {""})
    constraints = pinned(metadata, extras)
    name, wheel = package_wheel(metadata)
    files[f"{WHEELS}{name}"] = wheel
    if config.wheels is not None:
        fetched = fetch_wheels(name, wheel, config.wheels, reporter, extras=extras, pins=constraints)
        files |= {f"{WHEELS}{other}": data for other, data in fetched}
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


def _give_notice(exports: Exports, manifest: Manifest, reporter: Reporter) -> list[str]:
    """Tell which artifacts no gate has judged yet and which have not passed one; return the latter.

    Raises ArtifactError for one of an earlier model: a board could not know, and would serve it in place of the new.
    """
    refused, found = [], exports.findings.verify
    verified = {} if found is None else {row.name: row.verdict for row in found.result.artifacts}
    for artifact in manifest.artifacts:
        if notice := exports.notice(artifact.name):
            raise ArtifactError(notice.removesuffix("."))
        of_file = {name: one for name, one in verified.items() if split_name(name)[0] == artifact.name}
        # What makes one unknown that still holds, such as few images, does there, too.
        failed = {name: one for name, one in of_file.items() if not (one.passed or one.outdated)}
        for name, one in failed.items():
            reporter.notice(f"{name} does not pass its gate ({one.reasons[0]}), so a board will refuse this bundle.")
        if not failed and not (artifact.name in of_file and of_file[artifact.name].passed):
            unknown = f"Whether {artifact.name} passes its gate is unknown until a board tests it"
            reporter.notice(f"{unknown}; or run here: {exports.command(f'verify {artifact.name}')}")
        refused += [artifact.name] * bool(failed)
    return refused


def narrow(manifest: Manifest, names: Sequence[str]) -> Manifest:
    """Return the manifest with the chosen artifacts only, without the Keras model.

    Raises UnknownNameError for a name that is not there, and ArtifactError where nothing is left.
    """
    chosen = [manifest.artifact(name) for name in dict.fromkeys(names)] or manifest.artifacts
    if not chosen:
        raise ArtifactError("There are no artifacts to bundle", hint="Make some with: edgemnist export")
    return msgspec.structs.replace(manifest, artifacts=chosen, model=None)
