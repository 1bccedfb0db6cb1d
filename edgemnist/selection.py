"""Which artifacts of an export directory a stage works on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgemnist.errors import ManifestError, MissingDependencyError, UsageError
from edgemnist.manifest import Artifact, Manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.runtimes import RUNTIMES, runtime_for


def select_artifacts(
    exports: Path, manifest: Manifest, names: Sequence[str] | None = None, reporter: Reporter = SILENT
) -> list[Artifact]:
    """Return the artifacts that were named, each once, or else all whose runtime is installed here.

    An artifact that was not asked for by name and whose runtime is missing is left out with a notice.

    Raises UnknownNameError for a name that is not recorded, MissingDependencyError where the runtime of a named
    artifact, or of every artifact, is missing, and ManifestError where no artifact is recorded at all.
    """
    if not manifest.artifacts:
        raise ManifestError(f"{exports} has no artifacts", hint="Make some with: edgemnist export")
    wanted = [manifest.artifact(name) for name in dict.fromkeys(names or ())] or manifest.artifacts
    usable = [artifact for artifact in wanted if not RUNTIMES[_runtime(artifact)].missing()]
    for artifact in wanted:
        if artifact in usable:
            continue
        if names or not usable:
            require_runtime(_runtime(artifact))
        entry = RUNTIMES[_runtime(artifact)]
        reporter.notice(
            f"{artifact.name} is left out: {', '.join(entry.missing())} is not installed ({entry.install_line()})."
        )
    return usable


def select_for_runtime(
    manifest: Manifest, runtime: str, names: Sequence[str] | None = None, reporter: Reporter = SILENT
) -> list[Artifact]:
    """Return the artifacts that were named, each once, or else all that `runtime` executes, for which it was asked.

    Raises UnknownNameError for a runtime or a name that is not known, UsageError where the runtime does not execute
    what was named, or nothing that is recorded, and MissingDependencyError where it is not installed.
    """
    require_runtime(runtime)
    wanted = [manifest.artifact(name) for name in dict.fromkeys(names or ())] or manifest.artifacts
    usable = [artifact for artifact in wanted if executes(runtime, artifact)]
    rest = ", ".join(artifact.name for artifact in wanted if artifact not in usable)
    if rest and (names or not usable):
        entry = RUNTIMES[runtime]
        takes = ", ".join(entry.artifacts or (f"files ending in {suffix}" for suffix in entry.suffixes)) or "no files"
        raise UsageError(f"The runtime {runtime} does not execute {rest}", hint=f"It executes {takes}.")
    if rest:
        reporter.notice(f"Left out, because the runtime {runtime} does not execute them: {rest}.")
    return usable


def executes(runtime: str, artifact: Artifact) -> bool:
    """Return whether a runtime executes an artifact when asked for by name."""
    entry = RUNTIMES[runtime]
    return artifact.name in entry.artifacts or Path(artifact.file).suffix in entry.suffixes


def require_runtime(name: str) -> None:
    """Raise MissingDependencyError, with the pip line, where a runtime is not installed. Imports nothing."""
    entry = RUNTIMES[name]
    if missing := entry.missing():
        raise MissingDependencyError(entry.summary, missing, entry.install_line())


def _runtime(artifact: Artifact) -> str:
    return runtime_for(Path(artifact.file))
