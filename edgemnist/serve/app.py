"""The ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import disable_created_metrics

from edgemnist.serve.config import ServeConfig
from edgemnist.serve.guard import Guard
from edgemnist.serve.limits import Pool
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.page_files import page_files
from edgemnist.serve.routes import Endpoints
from edgemnist.serve.shelf import Shelf

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def make_app(shelf: Shelf, config: ServeConfig) -> tuple[ASGIApp, Callable[[], None]]:
    """Return the application, and what ends its threads."""
    # When a counter was made is of no use to anybody, and doubles the document.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the client library has it
    metrics = Metrics(shelf.default, shelf.release)
    pool = Pool(config.limits.concurrency, config.limits.waiting)
    files = page_files()
    endpoints = Endpoints(shelf, config.limits, metrics, pool, files)
    return Guard(endpoints.router(), config, metrics, files.keys()), pool.close
