"""What `edgemnist export` prints."""

from __future__ import annotations

from edgemnist.results.base import Part, Result


class ExportedArtifact(Part, frozen=True, kw_only=True):
    """One file that an export wrote."""

    name: str
    format: str
    quantization: str
    file: str
    """Path of the file."""
    bytes: int
    sha256: str


class ExportResult(Result, frozen=True, kw_only=True):
    """`edgemnist export`."""

    model: str
    model_sha256: str
    golden: str
    """Path of the golden pack."""
    golden_images: int
    artifacts: list[ExportedArtifact]
