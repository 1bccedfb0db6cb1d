"""The systemd units of the service as it was asked for on the command line."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from edgemnist.drift.counts import kept_words
from edgemnist.exports.models import absolute_name
from edgemnist.serve.config import ServeConfig
from edgemnist.systemd import Unit, python_for, shown

TOKEN_CREDENTIAL = "token"  # noqa: S105 - the name of the secret


def describe_service(
    exports: Path,
    config: ServeConfig,
    *,
    token_file: Path | None,
    user_unit: bool,
    options: Sequence[str],
) -> Unit:
    """Return the service that runs this command, from this environment, with `options` beside host and directory."""
    # Not resolved: where it leads through `current`, the unit outlives the release.
    exports = exports.absolute()
    command = [str(python_for(exports)), "-I", "-m", "edgemnist", "serve", "--exports", str(exports)]
    command += ["--host", config.host, "--port", str(config.port), *options]
    name, model = absolute_name(config.artifact)
    command += [] if name is None else ["--artifact", name]
    kept, writes = kept_words(None if config.collect is None else config.collect.directory, config.health)
    command += kept
    credentials: list[tuple[str, PurePosixPath]] = []
    if token_file is not None:
        command += ["--token-file", f"%d/{TOKEN_CREDENTIAL}"]
        credentials.append((TOKEN_CREDENTIAL, PurePosixPath(token_file.absolute())))
    return Unit(
        name="edgemnist",
        description="edgemnist: reads handwritten digits",
        command=command,
        reads=shown(exports, *([] if model is None else [model])),
        writes=writes,
        user=None if user_unit else pwd.getpwuid(os.getuid()).pw_name,
        notify=True,
        listens=f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}",
        credentials=credentials,
    )
