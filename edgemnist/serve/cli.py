"""`edgemnist serve`: its options, and what it says on a terminal."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemnist.console import TerminalReporter, command_app, err, options, out, quiet_libraries, show_listening
from edgemnist.errors import UsageError
from edgemnist.results import Result

if TYPE_CHECKING:
    from edgemnist.results.pictures import ServeResult
    from edgemnist.systemd import Unit

_LIMITS = "Limits"
_SYSTEMD = "systemd"


app = command_app()


@app.command(epilog="Example: edgemnist serve · edgemnist serve --host 0.0.0.0 --token-file token")
def serve(
    context: typer.Context,
    *,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="SECRET", envvar="EDGEMNIST_TOKEN", help="Secret that clients must send."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="The same, from a file that only you can read.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="HOST", help="Without a token: another host name to answer to, besides localhost."
        ),
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(
            "--artifact",
            metavar="NAME|FILE",
            show_default="the fastest verified one",
            help="Artifact that answers requests that name none. If it is a file, nothing else answers.",
        ),
    ] = None,
    threads: options.Threads = 1,
    exports: options.Exports = None,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    health: options.Health = None,
    rate: Annotated[
        float,
        typer.Option(
            "--rate", metavar="R", help="Requests a second from one client; 0 for no limit.", rich_help_panel=_LIMITS
        ),
    ] = 100.0,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            show_default="one for each CPU",
            help="Large pictures decoded at once.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option("--max-bytes", metavar="N", help="Largest request.", rich_help_panel=_LIMITS)
    ] = 16 * 2**20,
    max_pixels: Annotated[
        int,
        typer.Option(
            "--max-pixels",
            metavar="N",
            help="Maximum number of pixels in the pictures of a request.",
            rich_help_panel=_LIMITS,
        ),
    ] = 2**25,
    systemd: Annotated[
        bool,
        typer.Option("--systemd", help="Print a systemd unit for this command, and exit.", rich_help_panel=_SYSTEMD),
    ] = False,
    socket: Annotated[
        bool,
        typer.Option(
            "--socket",
            help="With --systemd: print the socket's unit, so that no request is lost while the service restarts.",
            rich_help_panel=_SYSTEMD,
        ),
    ] = False,
    user: Annotated[
        bool,
        typer.Option(
            "--user", help="With --systemd: for your own manager, not the system's.", rich_help_panel=_SYSTEMD
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Answer over HTTP: a page to draw on, and `predict` and `read` for other programs.

    Runs until it is stopped; SIGTERM lets it finish what is under way. /openapi.json describes the requests.
    """
    from edgemnist.drift import health_file
    from edgemnist.serve.config import Limits, ServeConfig, read_token, unit_token

    for option, asked in (("--socket", socket), ("--user", user)):
        if asked and not systemd:
            raise UsageError(f"{option} needs --systemd", hint="Add --systemd, which prints a unit.")
    samples = options.collecting(collect, collect_max)
    reporter = TerminalReporter()
    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, rate=rate)
    if concurrency is not None:
        limits = dataclasses.replace(limits, concurrency=concurrency)
    config = ServeConfig(
        host=host,
        port=port,
        token=unit_token(token, token_file) if systemd else read_token(token, token_file, reporter),
        names=tuple(name or ()),
        artifact=artifact,
        threads=threads,
        collect=samples,
        health=health_file(collect, health),
        limits=limits,
    )
    if systemd:
        from edgemnist.exports import find_exports
        from edgemnist.systemd import describe_service

        # What `describe_service` knows, and what is for this machine.
        here = {"host", "port", "token", "token_file", "artifact", "exports", "collect", "health"}
        words = options.given_words(context, without=here | {"systemd", "socket", "user", "json"})
        unit = describe_service(find_exports(exports), config, token_file=token_file, user_unit=user, options=words)
        show_unit(unit, socket=socket, json=json)
        return
    from edgemnist.exports import open_for_answers
    from edgemnist.serve.run import open_service

    log_to_stderr()
    opened = open_for_answers(exports, artifact, reporter)
    with quiet_libraries():
        service = open_service(opened, config, reporter)
    service.run(lambda result: show_started(result, json=json, token=config.token))


class UnitResult(Result, frozen=True, kw_only=True):
    """`edgemnist serve --systemd --json`."""

    file: str
    """Name of the unit."""
    text: str


def show_started(result: ServeResult, *, json: bool, token: str | None = None) -> None:
    """Say where the service answers; see `show_listening`."""
    release = f", release {result.release}" if result.release else ""
    secured = ", with your token" if result.token else ""
    where = result.address or result.url
    sentence = f"{result.artifact}{release} answers at {where}{secured}."
    show_listening(result, sentence, result.address, token, json=json)


def show_unit(service: Unit, *, socket: bool, json: bool) -> None:
    """Print a unit as a file that can be installed."""
    from edgemnist.systemd import service_unit, socket_unit

    text = socket_unit(service) if socket else service_unit(service)
    file = f"{service.name}.{'socket' if socket else 'service'}"
    if json:
        text = UnitResult(file=file, text=text).to_json()
    out().print(text, soft_wrap=True, end="" if not json else "\n")


def log_to_stderr() -> None:
    """Log what goes wrong while the service runs where its notices are."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            err().print(self.format(record), soft_wrap=True)

    handler = Handler(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
