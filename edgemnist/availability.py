"""What can be exported and run on this machine."""

from __future__ import annotations

from pathlib import Path

from edgemnist.export import FORMATS
from edgemnist.manifest import Manifest
from edgemnist.registry import Entry
from edgemnist.results import ArtifactSupport, FormatStatus, RuntimesResult, RuntimeStatus
from edgemnist.runtimes import RUNTIMES, runtime_for


def availability(exports: Path | None = None, manifest: Manifest | None = None) -> RuntimesResult:
    """Return every format and runtime, with installed versions and the pip line for what is missing.

    With the record of an export directory also each of its artifacts, and whether it can run here.
    """
    return RuntimesResult(
        formats=[
            FormatStatus(
                name=name,
                summary=entry.summary,
                suffix=entry.suffix,
                quantizations=list(entry.quantizations),
                installed=not entry.missing(),
                versions=entry.versions(),
                install=_install(entry),
            )
            for name, entry in FORMATS.items()
        ],
        runtimes=[
            RuntimeStatus(
                name=name,
                summary=entry.summary,
                suffixes=list(entry.suffixes),
                installed=not entry.missing(),
                versions=entry.versions(),
                install=_install(entry),
            )
            for name, entry in RUNTIMES.items()
        ],
        exports=str(exports) if manifest is not None else None,
        artifacts=[
            ArtifactSupport(name=one.name, runtime=runtime, installed=not RUNTIMES[runtime].missing())
            for one in (manifest.artifacts if manifest is not None else ())
            for runtime in (runtime_for(Path(one.file)),)
        ],
    )


def _install(entry: Entry) -> str | None:
    return entry.install_line() if entry.missing() else None
