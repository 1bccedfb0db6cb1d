"""`edgemnist serve`: its options, and what it says on a terminal."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import typer

from edgemnist.errors import UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, out, quiet_libraries, show_listening
from edgemnist.ground.console.options import flag, option

if TYPE_CHECKING:
    from edgemnist.ground.results.pictures import ServeResult
    from edgemnist.ground.systemd import Unit
    from edgemnist.serve.config import ServeConfig

_LIMITS = "Limits"
_SYSTEMD = "systemd"
TOKEN: Final = "token"  # noqa: S105 - the name of the secret

app = command_app()


@app.command(epilog="Example: edgemnist serve · edgemnist serve --host 0.0.0.0 --token-file token")
def serve(
    context: typer.Context,
    *,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    token: str | None = option("--token SECRET", "Secret that clients must send.", env="EDGEMNIST_TOKEN"),
    token_file: Path | None = option("--token-file FILE", "The same, from a file that only you can read."),
    name: list[str] | None = option(
        "--name HOST", "Without a token: another host name to answer to, besides localhost."
    ),
    artifact: str | None = option(
        "--artifact NAME|FILE",
        "Artifact that answers requests that name none. If it is a file, nothing else answers.",
        shown="the fastest verified one",
    ),
    threads: options.Threads = 1,
    exports: options.Exports = None,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    health: options.Health = None,
    rate: float = option("--rate R", "Requests a second from one client; 0 for no limit.", 100.0, panel=_LIMITS),
    concurrency: int | None = option(
        "--concurrency N", "Large pictures decoded at once.", shown="one for each CPU", panel=_LIMITS
    ),
    max_bytes: int = option("--max-bytes N", "Largest request.", 16 * 2**20, panel=_LIMITS),
    max_pixels: int = option(
        "--max-pixels N", "Maximum number of pixels in the pictures of a request.", 2**25, panel=_LIMITS
    ),
    systemd: bool = flag("--systemd", "Print a systemd unit for this command, and exit.", panel=_SYSTEMD),
    socket: bool = flag(
        "--socket",
        "With --systemd: print the socket's unit, so that no request is lost while the service restarts.",
        panel=_SYSTEMD,
    ),
    user: bool = flag("--user", "With --systemd: for your own manager, not the system's.", panel=_SYSTEMD),
    json: options.Json = False,
) -> None:
    """Answer over HTTP: a page to draw on, and `predict` and `read` for other programs.

    Runs until it is stopped; SIGTERM lets it finish what is under way. /openapi.json describes the requests.
    """
    from edgemnist.field.samples.collector import observing
    from edgemnist.ground.web.config import read_token
    from edgemnist.model.answers import health_file
    from edgemnist.serve.config import PictureLimits, ServeConfig

    for needing, asked in (("--socket", socket), ("--user", user)):
        if asked and not systemd:
            raise UsageError(f"{needing} needs --systemd", hint="Add --systemd, which prints a unit.")
    reporter = TerminalReporter()
    parallel = {} if concurrency is None else {"concurrency": concurrency}
    limits = PictureLimits(max_bytes=max_bytes, max_pixels=max_pixels, rate=rate, **parallel)
    config = ServeConfig(
        host=host,
        port=port,
        token=unit_token(token, token_file) if systemd else read_token(token, token_file, reporter),
        names=tuple(name or ()),
        artifact=artifact,
        threads=threads,
        collect=observing(collect, collect_max),
        health=health_file(collect, health),
        limits=limits,
    )
    if systemd:
        from edgemnist.ground.systemd import service_unit, socket_unit
        from edgemnist.model.exports import find_exports

        # What `describe_service` knows, and what is for this machine.
        here = {"host", "port", "token", "token_file", "artifact", "exports", "collect", "health"}
        words = options.given_words(context, without=here | {"systemd", "socket", "user", "json"})
        unit = describe_service(find_exports(exports), config, token_file=token_file, user_unit=user, options=words)
        out().file.write(socket_unit(unit) if socket else service_unit(unit))
        return
    from edgemnist.model.exports import open_for_answers
    from edgemnist.serve.run import open_service

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    opened = open_for_answers(exports, artifact, reporter)
    with quiet_libraries():
        service = open_service(opened, config, reporter)
    service(lambda result: show_started(result, json=json, token=config.token))


def unit_token(token: str | None, file: Path | None) -> str | None:
    """Return a stand-in for the token, which systemd reads later, and perhaps only root may read now.

    Raises UsageError for a token that would have to stand in the unit, where everybody can read it.
    """
    if file is None and token is not None:
        raise UsageError(
            "A token must not be written into a unit: everybody on the machine can read it",
            hint="Put it into a file that only root can read, and name that with --token-file.",
        )
    return None if file is None else "0123456789abcdef"


def describe_service(
    exports: Path, config: ServeConfig, *, token_file: Path | None, user_unit: bool, options: Sequence[str]
) -> Unit:
    """Return the service that runs this command, from this environment, with `options` beside host and directory."""
    from edgemnist.model.answers import command_unit

    secret = [] if token_file is None else ["--token-file", f"%d/{TOKEN}"]
    return command_unit(
        "edgemnist",
        "edgemnist: answers pictures and numbers",
        ["serve", "--host", config.host, "--port", str(config.port), *options, *secret],
        exports=exports,
        artifact=config.artifact,
        collect=None if config.collect is None else config.collect.directory,
        health=config.health,
        notify=True,
        listens=f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}",
        credentials=[] if token_file is None else [(TOKEN, PurePosixPath(token_file.absolute()))],
        user_unit=user_unit,
    )


def show_started(result: ServeResult, *, json: bool, token: str | None = None) -> None:
    """Say where the service answers; see `show_listening`."""
    release = f", release {result.release}" if result.release else ""
    secured = ", with your token" if result.token else ""
    sentence = f"{result.artifact}{release} answers at {result.address or result.url}{secured}."
    show_listening(result, sentence, result.address, token, json=json)
