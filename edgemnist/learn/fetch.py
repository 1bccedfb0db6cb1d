"""Samples of boards, to learn from at the desk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgemnist.deploy.remote import samples_on
from edgemnist.deploy.target import BoardAddress, require_distinct
from edgemnist.samples.store import SampleStore


def fetch(hosts: Sequence[str], directory: Path, place: Path, *, root: str | None, ssh_config: Path | None) -> None:
    """Fetch the samples of boards, in a directory on each, into one store at `place`.

    Raises UsageError if a board is named twice, and DeployError if one cannot be reached or has no samples.
    """
    targets = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in hosts]
    require_distinct(targets)
    with SampleStore.open(place, create=True) as store:
        for target in targets:
            store.merge(samples_on(target, str(directory)))
