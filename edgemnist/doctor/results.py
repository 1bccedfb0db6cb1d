"""What `edgemnist doctor` prints."""

from __future__ import annotations

import enum
from typing import Any

from edgemnist.results import Part, Result


class Level(enum.Enum):
    """How grave a finding is, the mildest first."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(Part, frozen=True, kw_only=True):
    """One line of the examination."""

    name: str
    level: Level
    value: str
    meaning: str = ""
    mend: str = ""
    """The command, or the deed, that mends it."""

    @classmethod
    def ok(cls, name: str, value: str, meaning: str = "", mend: str = "") -> Finding:
        """Return a finding that is as it should be."""
        return cls(name=name, level=Level.OK, value=value, meaning=meaning, mend=mend)

    @classmethod
    def unknown(cls, name: str) -> Finding:
        """Return a finding about something that this machine does not tell."""
        return cls.ok(name, "unknown", "This machine does not tell.")

    @classmethod
    def warning(cls, name: str, value: str, meaning: str, mend: str) -> Finding:
        """Return a finding that one can live with."""
        return cls(name=name, level=Level.WARNING, value=value, meaning=meaning, mend=mend)

    @classmethod
    def failure(cls, name: str, value: str, meaning: str, mend: str) -> Finding:
        """Return a finding with which edgemnist does not work."""
        return cls(name=name, level=Level.FAILURE, value=value, meaning=meaning, mend=mend)


class DoctorResult(Result, frozen=True, kw_only=True):
    """`edgemnist doctor`."""

    host: str
    """As it was named with `--on`, or `this machine`."""
    healthy: bool
    """True where no finding is a failure."""
    findings: list[Finding]
    facts: dict[str, Any]
