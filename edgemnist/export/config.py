"""What is to be exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.export import FORMATS

MINMAX: Final = "minmax"
FLIPS: Final = "flips"
RANGES: Final = (MINMAX, FLIPS)
"""How activation ranges may be chosen, the default first: by all calibration images, or see `export.ranges`."""


class Target(NamedTuple):
    """One artifact that can be made."""

    format: str
    quantization: str

    @property
    def name(self) -> str:
        """`<format>-<quantization>`."""
        return f"{self.format}-{self.quantization}"

    @property
    def file(self) -> str:
        """The name and the ending of the format."""
        return self.name + FORMATS[self.format].suffix


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is to be exported, and from what."""

    targets: tuple[Target, ...]
    """Artifacts to make, each once."""
    model: Path | None = None
    """A Keras model file, which then becomes the model of the export directory; None for the one that is there."""
    calibration: int = 500
    """Training images from which the activation ranges of int8 artifacts are taken."""
    ranges: str = MINMAX
    """How the activation ranges of int8 artifacts are chosen, one of `RANGES`."""
    golden: int | None = None
    """Evaluation images in the golden pack, evenly of each class; None for all of them."""

    def __post_init__(self) -> None:
        if self.ranges not in RANGES:
            raise UnknownNameError("way to choose ranges", self.ranges, RANGES)
        if self.calibration < 1:
            raise UsageError(
                f"--calibration {self.calibration} makes no sense: it is a number of images",
                hint="At least 1 is needed; 500, the default, is enough for most models.",
            )
        if self.golden is not None and self.golden < 1:
            raise UsageError(
                f"--golden {self.golden} makes no sense: it is a number of images",
                hint="At least 1 is needed; without the option the golden pack has all evaluation images.",
            )

    @classmethod
    def of(
        cls,
        *,
        format: str | None = None,  # noqa: A002 - the name of the option
        quantizations: Sequence[str] | None = None,
        model: Path | None = None,
        calibration: int = 500,
        ranges: str = MINMAX,
        golden: int | None = None,
    ) -> ExportConfig:
        """Return the configuration that a user's options ask for; see `targets`."""
        return cls(
            targets=targets(format, quantizations), model=model, calibration=calibration, ranges=ranges, golden=golden
        )


def targets(format: str | None = None, quantizations: Sequence[str] | None = None) -> tuple[Target, ...]:  # noqa: A002
    """Return the artifacts that a format and quantizations, or the absence of either, stand for.

    Neither means everything but formats that have to be named. A format alone means its default quantization,
    quantizations alone mean every format that has them. Raises UnknownNameError for a name that is not known, or that
    the format does not have.
    """
    everything = [name for name, entry in FORMATS.items() if not entry.by_name_only]
    formats = everything if format is None else [format]
    offered = [Target(name, quantization) for name in formats for quantization in FORMATS[name].quantizations]
    if not quantizations:
        return tuple(offered) if format is None else (offered[0],)
    kind = "quantization" if format is None else f"{format} quantization"
    for quantization in quantizations:
        known = list(dict.fromkeys(target.quantization for target in offered))
        if quantization not in known:
            raise UnknownNameError(kind, quantization, known)
    return tuple(target for target in offered if target.quantization in quantizations)
