"""Opening a store for review, and the page that shows it."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from edgemnist.errors import MissingDependencyError, UsageError
from edgemnist.results.samples import ReviewResult
from edgemnist.review.order import to_review
from edgemnist.serve.run import SERVER, listen, network_address, url_of

if TYPE_CHECKING:
    from edgemnist.samples.sample import Sample
    from edgemnist.samples.store import SampleStore
    from edgemnist.serve.config import ServeConfig

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
    return name


def summary(samples: Sequence[Sample], writer: str) -> ReviewResult:
    """Return how many samples there are, and how many of them are labelled, disputed and to be reviewed."""
    return ReviewResult(
        samples=len(samples),
        labelled=sum(one.label is not None for one in samples),
        disputed=sum(one.disputed for one in samples),
        to_review=len(to_review(samples, writer)),
        writer=writer,
    )


def run_page(store: SampleStore, writer: str, config: ServeConfig, started: Callable[[ReviewResult], None]) -> None:
    """Show the page until SIGTERM; `started` is called once it can be opened.

    Raises MissingDependencyError if a package is missing, UsageError if the address cannot be listened on, and
    KeyboardInterrupt for SIGINT.
    """
    if missing := SERVER.missing():
        raise MissingDependencyError("The page", missing, SERVER.install_line())
    from edgemnist.review.routes import review_app
    from edgemnist.serve.server import run_server

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
