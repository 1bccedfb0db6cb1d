"""A new release that answers beside the one that serves, on the same images, before it takes over.

How often the two agreed is in a JSON file beside the samples.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from edgemnist.errors import StorageError
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.storage import write_file

FILE: Final = "shadow.json"
"""In a directory of samples."""
VERSION: Final = 1

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class ShadowTally(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The counts of one release in the shadow."""

    version: int = VERSION
    release: str
    """In the shadow."""
    beside: str
    """That served."""
    artifact: str | None = None
    """That answers, `NAME[@RUNTIME]` as `serve --artifact` has it; None for the best of each release."""
    compared: Count = 0
    """Images that both answered."""
    differing: Count = 0
    """Of these, with different answers."""
    skipped: Count = 0
    """Images for which the budget of processor time was used up."""
    cpu_s: Annotated[float, msgspec.Meta(ge=0, le=1e300)] = 0.0
    """Of the processor, that the release in the shadow took."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a board tells the desk: these counts, and those of the samples with a label, which both models answer."""

    release: str | None
    """In the shadow; None if there is none."""
    sha256: str = ""
    """Of the model file that answers there; empty from a version that does not say it, as the next."""
    beside: str = ""
    """Of the one that serves."""
    tally: ShadowTally | None
    """None if it has answered nothing yet."""
    unlabelled: Count
    """Samples on which they differed, and nobody has said yet what they are."""
    images: Count
    """Samples with a label that neither model has learnt from, each picture once."""
    left_out: Count | None = None
    """Other samples with a label; None from a version that takes these for evidence, too."""
    before: Count
    """That the release that serves gets right."""
    after: Count
    """That the one in the shadow gets right."""
    fixed: Count
    """That only the one in the shadow gets right."""
    broken: Count
    """That only the one that serves gets right."""


def read_tally(directory: Path) -> ShadowTally | None:
    """Return the counts of a directory of samples; None if there are none.

    Raises StorageError for a file that cannot be read, or is none of this version.
    """
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ShadowTally)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        raise StorageError(
            f"{path} is damaged or of another version: {error}", hint="Move it away: counting then starts from zero."
        ) from error


def write_tally(directory: Path, tally: ShadowTally) -> None:
    """Replace the counts. Raises StorageError if they cannot be written."""
    write_file(directory / FILE, msgspec.json.encode(tally))
