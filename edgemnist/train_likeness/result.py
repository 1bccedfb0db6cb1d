"""What `edgemnist train-likeness` has made."""

from __future__ import annotations

from edgemnist.read.provenance import Calibration, LikenessRecord
from edgemnist.results.base import Result


class TrainLikenessResult(Result, frozen=True, kw_only=True):
    """`edgemnist train-likeness`."""

    directory: str
    files: list[str]
    """Names of the files that were written there."""
    network: LikenessRecord
    calibration: Calibration
