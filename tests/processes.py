"""How the tests start the command line."""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgemnist.model.runtimes import untrusted
from edgemnist.pipeline.bench import run as process
from tests import calling, forking

_OWN = [sys.executable, "-m", "edgemnist"]
CHILD = tuple(untrusted._COMMAND)
"""What starts the child that tries files, where nothing forks it."""
MEASURING = tuple(process._COMMAND)
"""The same for the process that a benchmark starts for each artifact and round."""


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON")}


_AT_START = _of_python(os.environ)


def _can_fork() -> bool:
    return sys.platform == "linux" and "MUTANT_UNDER_TEST" not in os.environ


def command_line(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return what starts `edgemnist` in this environment: mostly forked, which saves seconds for every run.

    What changes how Python itself starts has a process that starts with Python, and so has what a mutant is in.
    """
    if not _can_fork():
        return _OWN
    if _of_python({**os.environ, **(environment or {})}) != _AT_START:
        return _OWN
    started = Path(os.environ["EDGEMNIST_CACHE"]).with_name("started")
    return [sys.executable, "-I", "-S", calling.__file__, str(_server().place), str(started)]


SHARED = "EDGEMNIST_TESTS_FORKING"
"""In the environment of workers: the place of what forks for all of them."""


def _start(place: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.forking", place],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def forking_for_workers() -> Iterator[None]:
    """Start what forks for all workers that this process starts, and end it in the end."""
    if not _can_fork():
        yield
        return
    os.environ[SHARED] = tempfile.mkdtemp(prefix="edgemnist-")
    process = _start(os.environ[SHARED])
    try:
        yield
    finally:
        process.communicate()
        del os.environ[SHARED]


class _Server:
    """What forks; it ends with this process, or with `end`."""

    def __init__(self) -> None:
        shared = os.environ.get(SHARED)
        self.place = Path(shared or tempfile.mkdtemp(prefix="edgemnist-"))
        self._process = None if shared else _start(str(self.place))
        while not (self.place / calling.SOCKET).exists():
            assert self.place.exists(), "what forks has ended"
            assert self._process is None or self._process.poll() is None, "what forks does not start"
            time.sleep(0.02)
        untrusted._COMMAND[:] = forking.child(str(self.place), forking.TRIES_FILES)
        process._COMMAND[:] = forking.child(str(self.place), forking.MEASURES)

    def end(self) -> None:
        untrusted._COMMAND[:] = CHILD
        process._COMMAND[:] = MEASURING
        if self._process:
            self._process.communicate()


@functools.cache
def _server() -> _Server:
    return _Server()


def begin_forking() -> None:
    """Have the child that tries files forked from now on, also where no command line has been run yet."""
    if _can_fork():
        _server()


def end_forking() -> None:
    """End what forks, if it was started."""
    if _server.cache_info().currsize:
        _server().end()
        _server.cache_clear()
