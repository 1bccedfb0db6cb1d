"""What `edgemnist runtimes` prints."""

from __future__ import annotations

import msgspec

from edgemnist.results.base import Part, Result


class RuntimeStatus(Part, frozen=True, kw_only=True):
    """One runtime, and whether it can be used here."""

    name: str
    summary: str
    suffixes: list[str]
    installed: bool
    versions: dict[str, str]
    install: str | None
    """The pip line that brings what is missing."""


class FormatStatus(Part, frozen=True, kw_only=True):
    """One export format, and whether it can be written here."""

    name: str
    summary: str
    suffix: str
    quantizations: list[str]
    """The first is the default."""
    installed: bool
    versions: dict[str, str]
    install: str | None


class ArtifactSupport(Part, frozen=True, kw_only=True):
    """One artifact of an export directory, and whether it can run here."""

    name: str
    runtime: str
    installed: bool
    """Whether its runtime is."""


class RuntimesResult(Result, frozen=True, kw_only=True):
    """`edgemnist runtimes`."""

    formats: list[FormatStatus]
    runtimes: list[RuntimeStatus]
    exports: str | None = None
    """The export directory that was looked at; None where it cannot be read."""
    artifacts: list[ArtifactSupport] = msgspec.field(default_factory=list)
