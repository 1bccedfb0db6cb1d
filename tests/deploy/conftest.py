"""A server, boards and bundles that the tests of a deployment share."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from edgemnist.agent.durable import record_tree
from edgemnist.deploy.run import LocalBundle
from tests import calling
from tests.deploy.bundles import bundled, of_another_model, request_for, small_exports
from tests.deploy.loopback import FORKS_SELF_TESTS, LoopbackBoard, Sshd, run_agent
from tests.needs import require

PYTHON = """#!/bin/sh
if [ "$1 $2 $3" = "-I -m edgemnist.selftest" ] && [ "$0" -ef {script} ] && [ -S "${variable}/{socket}" ]; then
    exec {python} -I -S {calling} "${variable}" "" {words} "$@"
fi
exec "${{0%/*}}/python.installed" "$@"
"""
"""Stands for the Python of the packages that all boards share: it has self-tests forked, and is itself otherwise, as a
copy of it always is."""


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    require("sshd")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.kill_sessions()
    server.stop()


@pytest.fixture(scope="session")
def old_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """What serves before."""
    return bundled(small_exports(made_exports, tmp_path_factory.mktemp("bundles") / "old", ["tflite-int8"]))


@pytest.fixture(scope="session")
def new_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """What is to serve afterwards."""
    names = ["tflite-int8", "tflite-dynamic"]
    return bundled(small_exports(made_exports, tmp_path_factory.mktemp("bundles") / "new", names))


@pytest.fixture(scope="session")
def bad_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """One whose artifact belongs to another model than its golden pack."""
    target = tmp_path_factory.mktemp("bundles") / "bad"
    return bundled(small_exports(made_exports, target, ["tflite-int8"], change=of_another_model))


@pytest.fixture(scope="session")
def installed(shared_directory: Path, old_bundle: LocalBundle) -> Iterator[Path]:
    """The virtual environments of a board, installed once for all boards of all workers by a deployment.

    That one tests itself as on any board; the self-tests of all others are forked, see `forking_self_tests`.
    """
    seed = shared_directory / "seed"
    with FileLock(shared_directory / "seed.lock"):
        if not (seed / "current").exists():
            put_bundle(seed, old_bundle)
            answer = run_agent(seed, "apply", request_for(old_bundle, timeout_s=600.0))
            assert answer["status"] == "deployed", answer
            for venv in (seed / "venvs").iterdir():
                let_self_tests_be_forked(venv)
    venvs = seed / "venvs"
    with pytest.MonkeyPatch.context() as patch:
        # As short as the name of a socket has to be.
        place = Path(tempfile.mkdtemp(prefix="edgemnist-"))
        patch.setenv(FORKS_SELF_TESTS, str(place))
        python = seed / "current" / "venv" / "bin" / "python.installed"
        command: list[str | Path] = [python, "-I", "-B", Path(__file__).with_name("forking_self_tests.py"), place]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as forking:
            while not (place / calling.SOCKET).exists():
                assert forking.poll() is None, "what forks self-tests does not start"
                time.sleep(0.02)
            yield venvs
            forking.communicate()


def let_self_tests_be_forked(venv: Path) -> None:
    """Put in the place of an environment's Python what has its self-tests forked."""
    python, script = venv / "bin" / "python", venv / "bin" / "python.forking"
    python.rename(python.with_name("python.installed"))
    script.write_text(
        PYTHON.format(
            script=shlex.quote(str(script)),
            variable=FORKS_SELF_TESTS,
            socket=calling.SOCKET,
            python=shlex.quote(sys.executable),
            calling=shlex.quote(calling.__file__),
            words=shlex.quote(calling.FORKED_ALWAYS),
        )
    )
    script.chmod(0o755)
    python.symlink_to(script.name)
    record_tree(venv)


@pytest.fixture
def real_self_tests(installed: Path) -> Iterator[None]:
    """Have every self-test be a process that Python starts, for a test that stops it or kills it."""
    del installed
    socket = Path(os.environ[FORKS_SELF_TESTS]) / calling.SOCKET
    away = socket.rename(socket.with_suffix(".away"))
    yield
    away.rename(socket)


def put_bundle(root: Path, bundle: LocalBundle) -> None:
    """Lay a bundle where a transfer would have put it."""
    (root / "incoming").mkdir(parents=True, exist_ok=True)
    shutil.copy(bundle.path, root / "incoming" / bundle.sha256)


@pytest.fixture
def new_board(sshd: Sshd, installed: Path, tmp_path: Path) -> Callable[[str], LoopbackBoard]:
    """Set up an empty board, in which only the packages are installed already: `new_board("board1")`."""
    config = sshd.client_config(tmp_path / "ssh_config")
    sshd.fork_self_tests(Path(os.environ[FORKS_SELF_TESTS]))

    def make(name: str) -> LoopbackBoard:
        root = tmp_path / name / "edgemnist"
        root.mkdir(parents=True)
        (root / "venvs").symlink_to(installed)
        return LoopbackBoard(name, root, config)

    return make


@pytest.fixture
def board(new_board: Callable[[str], LoopbackBoard], installed: Path) -> LoopbackBoard:
    """A board that serves the old bundle, as its deployment left the first one."""
    made = new_board("board")
    others = shutil.ignore_patterns(installed.name)
    shutil.copytree(installed.parent, made.root, symlinks=True, ignore=others, dirs_exist_ok=True)
    return made


@pytest.fixture
def old(old_bundle: LocalBundle) -> str:
    """How the old release is told: its identity, shortened."""
    return old_bundle.record.identity()[:12]


@pytest.fixture
def new(new_bundle: LocalBundle) -> str:
    return new_bundle.record.identity()[:12]
