"""Samples of a board, reviewed here: fetched, labelled in a copy, and the labels sent back.

The copy is kept until the board has the labels, so a connection that is cut in the meantime loses none of them: they
are sent the next time the board is reviewed.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.deploy.remote import merge_samples_on, samples_on
from edgemnist.errors import UsageError
from edgemnist.samples.store import FILE, SampleStore
from edgemnist.storage import cache_directory, sha256

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.progress import Reporter
    from edgemnist.samples.exchange import Sent


def copy_of(target: BoardAddress, directory: str) -> Path:
    """Return where the copy of a board's samples is."""
    place = sha256(f"{target.host.name}\n{target.root}\n{directory}".encode())[:16]
    return cache_directory() / "boards" / place


def review_on(target: BoardAddress, directory: str, work: Callable[[SampleStore], None], reporter: Reporter) -> int:
    """Fetch the samples of a directory on a board, do some work on the copy, and send the labels back.

    Labels that could not be sent before go first. Labels are sent however the work ends, Ctrl-C included. Return how
    many samples with labels were sent. Raises DeployError if the board cannot be reached; the copy is then kept.
    """
    copy = copy_of(target, directory)
    with _alone(copy, target.host.name):
        if (copy / FILE).exists():
            # What was killed while it made the copy left an empty file.
            SampleStore.open(copy, create=True).close()
            if _labelled(copy):
                reporter.notice(f"Labels for {target.host.name} that were not sent before are sent first.")
            _send(target, directory, copy)
        samples = samples_on(target, directory)
        try:
            with SampleStore.open(copy, create=True) as store:
                store.merge(samples)
                work(store)
        finally:
            sent = _send(target, directory, copy)
    return sent


@contextlib.contextmanager
def _alone(copy: Path, host: str) -> Iterator[None]:
    """Keep a second review of a board on this machine from the copy of the first."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with copy.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{host} is being reviewed on this machine already", hint="Use that page.") from None
        yield


def _labelled(copy: Path) -> list[Sent]:
    with SampleStore.open(copy) as store:
        return [one for one in store.sent() if one.labels]


def _send(target: BoardAddress, directory: str, copy: Path) -> int:
    labelled = _labelled(copy)
    if labelled:
        merge_samples_on(target, directory, labelled)
    shutil.rmtree(copy, ignore_errors=True)
    return len(labelled)
