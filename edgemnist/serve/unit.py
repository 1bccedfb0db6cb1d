"""The systemd units of the service as it was asked for on the command line."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import edgemnist
from edgemnist.serve.config import ServeConfig
from edgemnist.systemd import Service

TOKEN_CREDENTIAL = "token"  # noqa: S105 - the name of the secret


def describe_service(
    exports: Path, config: ServeConfig, *, token_file: Path | None, user_unit: bool, options: Sequence[str]
) -> Service:
    """Return the service that runs this command, from this environment, with `options` beside host and directory."""
    # Not resolved: where it leads through `current`, the unit outlives the release.
    exports = exports.absolute()
    python = _python(exports)
    command = [str(python), "-I", "-m", "edgemnist", "serve", "--exports", str(exports)]
    command += ["--host", config.host, "--port", str(config.port), *options]
    credentials: list[tuple[str, PurePosixPath]] = []
    if token_file is not None:
        command += ["--token-file", f"%d/{TOKEN_CREDENTIAL}"]
        credentials.append((TOKEN_CREDENTIAL, PurePosixPath(token_file.absolute())))
    package = Path(edgemnist.__file__).parents[1]
    return Service(
        name="edgemnist",
        description="edgemnist: reads handwritten digits",
        command=command,
        reads=_outermost([_root(exports), _root(Path(sys.prefix)), package]),
        user=None if user_unit else pwd.getpwuid(os.getuid()).pw_name,
        notify=True,
        listens=f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}",
        credentials=credentials,
    )


def _python(exports: Path) -> Path:
    """Return the Python that runs the service: of a release, its own, whichever that will be one day."""
    for parent in exports.parents:
        python = parent / "venv" / "bin" / "python"
        if parent.name == "current" and python.exists():
            return python
    return Path(sys.executable).absolute()


def _root(path: Path) -> Path:
    """Return the directory to show: of a release, the store, since `current` leads elsewhere after each deployment."""
    for parent in (path, *path.parents):
        if parent.name == "current" and parent.is_symlink():
            return parent.parent
    return path.absolute()


def _outermost(paths: Sequence[Path]) -> list[PurePosixPath]:
    """Return the paths that are within no other."""
    unique = sorted({PurePosixPath(path) for path in paths})
    return [path for path in unique if not any(path != other and path.is_relative_to(other) for other in unique)]
