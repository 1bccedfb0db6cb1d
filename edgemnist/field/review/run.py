"""Opening a store for review, of this machine or of a board, and the page that shows it.

The samples of a board are fetched and labelled in a copy, which is kept until the board has the labels. So a connection
that is cut in the meantime loses none of them: they are sent the next time the board is reviewed.
"""

from __future__ import annotations

import contextlib
import getpass
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edgemnist.errors import UsageError
from edgemnist.field.samples import CLIENT, OBJECTOR, classes_on, merge_samples_on, samples_on, to_review
from edgemnist.field.samples.store import FILE, SampleStore
from edgemnist.ground.results.samples import ReviewResult
from edgemnist.ground.storage import cache_directory, sha256
from edgemnist.ground.web.config import SERVER, listen, network_address, url_of

if TYPE_CHECKING:
    from edgemnist.field.samples import Sample
    from edgemnist.ground.boards import Board
    from edgemnist.ground.progress import Reporter
    from edgemnist.ground.web.config import SiteConfig

MOST_NAME: Final = 64
"""Characters of a writer's name."""


def writer_named(name: str | None) -> str:
    """Return the name that labels are stored under: the given one, else that of the user.

    Raises UsageError for a name that is empty, too long, or not printable.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = "reviewer"
    if not name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise UsageError(f"--as must be 1 to {MOST_NAME} printable characters (got {name!r})")
    if name == OBJECTOR or name.startswith(CLIENT):
        raise UsageError(f"--as must be a person's name (got {name!r})", hint="Only edgemnist uses that one.")
    return name


def summary(samples: Sequence[Sample], writer: str) -> ReviewResult:
    """Return how many samples there are, and how many of them are labelled, disputed and to be reviewed."""
    return ReviewResult(
        samples=len(samples),
        labelled=sum(one.label is not None for one in samples),
        disputed=sum(one.disputed for one in samples),
        to_review=len(to_review(samples)),
        writer=writer,
    )


def run_page(store: SampleStore, writer: str, config: SiteConfig, started: Callable[[ReviewResult], None]) -> None:
    """Show the page until SIGTERM; `started` is called once it can be opened.

    Raises MissingDependencyError if a package is missing, UsageError if the address cannot be listened on, and
    KeyboardInterrupt for SIGINT.
    """
    run_server = SERVER.load()
    from edgemnist.field.review.routes import review_app

    with listen(config.host, config.port) as listener:
        config.require_token(listener.getsockname()[0])
        result = msgspec.structs.replace(
            summary(store.samples(), writer),
            url=url_of(listener),
            address=network_address(listener),
            token=config.token is not None,
        )
        app = review_app(store, writer, config)
        if run_server(app, config.limits, listener, lambda: started(result)):
            raise KeyboardInterrupt


def copy_of(board: Board, directory: str) -> Path:
    """Return where the copy of a board's samples is."""
    place = sha256(f"{board.name}\n{board.root}\n{directory}".encode())[:16]
    return cache_directory() / "boards" / place


def review_on(board: Board, directory: str, work: Callable[[SampleStore], None], reporter: Reporter) -> int:
    """Fetch the samples of a directory on a board, do some work on the copy, and send the labels back.

    Labels that could not be sent before go first. Labels are sent however the work ends, Ctrl-C included. Return how
    many samples with labels were sent. Raises DeployError if the board cannot be reached; the copy is then kept.
    """
    copy = copy_of(board, directory)
    with _alone(copy, board.name):
        if (copy / FILE).exists():
            # What was killed while it made the copy left an empty file.
            SampleStore.open(copy, create=True).close()
            if _labelled(copy):
                reporter.notice(f"Labels for {board.name} that were not sent before are sent first.")
            _send(board, directory, copy)
        samples = samples_on(board, directory)
        try:
            spec = samples[0].spec if samples else None
            labels = classes_on(board, directory, samples)
            with SampleStore.open(copy, create=True, spec=spec, labels=labels) as store:
                store.merge(samples)
                work(store)
        finally:
            sent = _send(board, directory, copy)
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


def _labelled(copy: Path) -> list[Sample]:
    with SampleStore.open(copy) as store:
        return [sample for sample in store.samples() if sample.rows]


def _send(board: Board, directory: str, copy: Path) -> int:
    labelled = _labelled(copy)
    if labelled:
        merge_samples_on(board, directory, labelled)
    shutil.rmtree(copy, ignore_errors=True)
    return len(labelled)
