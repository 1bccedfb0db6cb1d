"""The ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import disable_created_metrics

from edgemnist.serve.config import ServeConfig
from edgemnist.serve.guard import Guard
from edgemnist.serve.limits import Pool
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.page_files import page_files
from edgemnist.serve.routes import Endpoints, Pools
from edgemnist.serve.shelf import Shelf

if TYPE_CHECKING:
    from starlette.types import ASGIApp


STOP_S: Final = 1.0
"""For what still runs when everybody who waited for it has been told so."""


def make_app(shelf: Shelf, config: ServeConfig) -> tuple[ASGIApp, Callable[[], bool]]:
    """Return the application, and what ends its threads and tells whether they have ended."""
    # When a counter was made is of no use to anybody, and doubles the document.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the client library has it
    metrics = Metrics(shelf.default, shelf.release)
    pool = Pool(config.limits.concurrency, config.limits.waiting)
    # Apart from the pictures: what can be asked for is told however many of them are worked on.
    clerk = Pool(1, config.limits.waiting)
    files = page_files()
    endpoints = Endpoints(shelf, config.limits, metrics, Pools(pictures=pool, files=clerk), files)

    def close() -> bool:
        return all([pool.close(STOP_S), clerk.close(STOP_S)])

    return Guard(endpoints.router(), config, metrics, files.keys()), close
