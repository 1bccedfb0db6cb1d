"""What can be exported and run on this machine."""

from __future__ import annotations

from edgemnist.export import FORMATS
from edgemnist.registry import Entry
from edgemnist.results import FormatStatus, RuntimesResult, RuntimeStatus
from edgemnist.runtimes import RUNTIMES


def availability() -> RuntimesResult:
    """Return every format and runtime, with installed versions and the pip line for what is missing."""
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
    )


def _install(entry: Entry) -> str | None:
    return entry.install_line() if entry.missing() else None
