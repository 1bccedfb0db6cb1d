"""The places of counts: directories and files here, or on boards."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.drift.counts import read_place
from edgemnist.errors import DeployError
from edgemnist.health.run import Place
from edgemnist.results.health import BoardHealth
from edgemnist.samples.store import samples_in

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress

PARALLEL = 20
"""Boards at the same time."""


def places_here(paths: Sequence[Path]) -> list[Place]:
    """Return the counts of directories of samples, or of files. Raises what `read_place` raises."""
    return [Place(name=str(path), record=read_place(path), samples=samples_in(path)) for path in paths]


def places_on(targets: Sequence[BoardAddress], place: str) -> tuple[list[Place], list[BoardHealth]]:
    """Return the counts of boards, and why others have none.

    Raises the first error if every board fails, and UsageError if one is named twice.
    """
    from edgemnist.deploy.remote import health_on, samples_on
    from edgemnist.deploy.run import as_fault
    from edgemnist.deploy.stop import in_parallel
    from edgemnist.deploy.target import require_distinct

    require_distinct(targets)

    def ask(target: BoardAddress) -> Place | Exception:
        name = target.host.name
        try:
            record, samples = health_on(target, place), []
            # A file of counts has no samples beside it.
            with contextlib.suppress(DeployError):
                samples = [one.sample() for one in samples_on(target, place)]
        except Exception as error:  # noqa: BLE001 - one board must not cost the report of the others
            return error
        return Place(name=name, host=name, record=record, samples=samples)

    answers = in_parallel(min(PARALLEL, len(targets)), ask, targets)
    places = [one for one in answers if isinstance(one, Place)]
    errors = [
        (target.host.name, one) for target, one in zip(targets, answers, strict=True) if isinstance(one, Exception)
    ]
    if not places:
        raise errors[0][1]
    return places, [BoardHealth(host=name, fault=as_fault(error)) for name, error in errors]
