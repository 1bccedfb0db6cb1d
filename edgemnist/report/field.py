"""What the counts of a board add to a report: how the model does in the field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.errors import UsageError
from edgemnist.health.places import places_here
from edgemnist.health.run import assess

if TYPE_CHECKING:
    from edgemnist.exports.directory import Exports
    from edgemnist.results.health import HealthReport


def read_field(exports: Exports, places: Sequence[Path]) -> HealthReport | None:
    """Return what directories of samples, or files of counts, say of an artifact; None if none is named.

    Raises UsageError if they are of a model that the export directory does not have, and what `places_here` raises.
    """
    if not places:
        return None
    found = assess(places_here(places))
    if found.sha256 not in {one.sha256 for one in exports.manifest.artifacts}:
        raise UsageError(
            f"The counts come from a model that is not in {exports.directory}: {found.artifact}",
            hint="Name the export directory that the board has, with --exports DIR.",
        )
    return found


def sentence(found: HealthReport) -> str:
    """Return the verdict."""
    where = f"{found.artifact} on {len(found.boards)} boards" if len(found.boards) > 1 else found.artifact
    if found.changed:
        return f"{where}: changed since the first week: {', '.join(found.changed)}."
    return f"{where}: nothing has changed beyond chance."
