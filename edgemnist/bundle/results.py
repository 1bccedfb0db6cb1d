"""What `edgemnist bundle` prints."""

from __future__ import annotations

from edgemnist.results import Result


class BundleResult(Result, frozen=True, kw_only=True):
    """`edgemnist bundle`."""

    bundle: str
    """Path of the file."""
    bytes: int
    sha256: str
    """Of the file."""
    identity: str
    """Of the contents, signed or not: what `edgemnist releases` shows."""
    edgemnist: str
    """Version of the package in it."""
    artifacts: list[str]
    extras: list[str]
    machine: str
    """What its wheels are for; `any` where the board fetches its own."""
    pythons: list[str]
    files: int
    signed: bool
