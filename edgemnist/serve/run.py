"""The service: its socket, its models, everything that works behind its answers, and its end."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edgemnist.errors import EXIT_INTERRUPTED
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.pictures import ServeResult
from edgemnist.ground.web.config import SERVER, inherited_socket, listen, network_address, url_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from edgemnist.model.answers import Observer
    from edgemnist.model.exports import Exports
    from edgemnist.serve.config import ServeConfig
    from edgemnist.serve.models import ModelStore

OTHER_FILES: Final = 64
"""What the service has open beside connections and bodies: models, pipes, its record."""
STOP_S: Final = 1.0
"""For what still runs when everybody who waited for it has been told so."""


def open_service(
    exports: Exports | None, config: ServeConfig, reporter: Reporter = SILENT
) -> Callable[[Callable[[ServeResult], None]], None]:
    """Open the socket, or take over systemd's, and load what answers where no artifact is named.

    `exports` is None where a model file answers alone. Return what answers until SIGTERM and then ends what is under
    way; it calls its argument when the first request can be answered, raises KeyboardInterrupt where it was SIGINT,
    and ends the process where work does not end in time.

    Raises MissingDependencyError where a package is missing, ManifestError and ArtifactError where the artifacts cannot
    be used, and UsageError where the address cannot be listened on.
    """
    run_server = SERVER.load()
    from edgemnist.model.answers import require_classes
    from edgemnist.serve.models import ModelStore

    with contextlib.ExitStack() as opening:
        listener = opening.enter_context(inherited_socket() or listen(config.host, config.port))
        # Whoever wrote the `.socket` unit may have chosen another address than --host.
        config.require_token(listener.getsockname()[0])
        store = ModelStore(exports, config.artifact, threads=config.threads, reporter=reporter)
        if config.collect is not None or config.health is not None:
            require_classes(store.get(None).classifier, store.default)
        app = make_app(store, config, opening)
        opened = opening.pop_all()
    result = ServeResult(
        url=url_of(listener),
        artifact=store.default,
        release=store.release,
        token=config.token is not None,
        address=network_address(listener),
    )

    def run(started: Callable[[ServeResult], None]) -> None:
        allow_files(2 * config.limits.max_connections + OTHER_FILES)
        with opened:
            interrupted = run_server(app, config.limits, listener, lambda: started(result))
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(STOP_S)
                if thread.is_alive():
                    # What loads a model cannot be stopped, and nobody waits for its answer any more.
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(EXIT_INTERRUPTED if interrupted else 0)
        if interrupted:
            raise KeyboardInterrupt

    return run


def make_app(store: ModelStore, config: ServeConfig, closing: contextlib.ExitStack) -> ASGIApp:
    """Return the application; `closing` ends its threads and processes."""
    from edgemnist.ground.web.guard import RequestGuard
    from edgemnist.ground.web.pages import page_files
    from edgemnist.serve.metrics import Metrics
    from edgemnist.serve.routes import Endpoints

    files, reporter = page_files("edgemnist.digits", "edgemnist.serve"), _LogReporter()
    metrics = Metrics(store.default, store.release, files.keys())
    answering = store.answering(reporter)
    collector = None
    observers: list[Observer] = []
    if config.collect is not None:
        collector = closing.enter_context(config.collect.observer(answering))
        observers.append(collector)
    if config.health is not None:
        from edgemnist.field.drift.monitor import CountConfig

        monitor = closing.enter_context(CountConfig(config.health).observer(answering))
        observers.append(monitor)
        metrics.watch(monitor)
    endpoints = Endpoints(store, config.limits, metrics, files, collector=collector, observers=observers)
    closing.callback(endpoints.close)
    guard = RequestGuard(endpoints.router(), config, files.keys(), metrics.request)
    metrics.in_flight.set_function(lambda: guard.in_flight)
    return guard


class _LogReporter(Reporter):
    """Tells in the log what happens while the service runs."""

    def notice(self, message: str) -> None:
        """Log a notice."""
        logging.getLogger(__name__).warning(message)


def allow_files(most: int) -> None:
    """Let this process open this many files, where the system does: many allow 1,024 or 256 at first."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
