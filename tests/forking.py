"""The command line in processes that are forked from one in which TensorFlow is imported, which takes seconds.

`python -m tests.forking PLACE` is what forks, until its standard input closes, for those who call it: tests/calling.py.
"""

import ast
import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from tests import calling

TRIES_FILES = f"{calling.FORKED_ALWAYS}the child that tries files"
"""What stands for a command where a command line has files of unknown origin tried in a child: that is forked, too."""
LIMITS = "EDGEMNIST_TESTS_LIMITS"
"""In the environment of that child: other values of its limits, a JSON object."""
MEASURES = f"{calling.FORKED_ALWAYS}the process that measures"
"""The same for the process that a benchmark starts for each artifact and round."""
FORKS_MEASURING = "EDGEMNIST_TESTS_FORK_MEASURING"
"""In the environment of a command line: its processes that measure are forked. Their start and their memory say nothing
then; `measuring_starts` of tests/conftest.py is for tests that look at them."""
_MODULE = "edgemnist"
_AT_IMPORT = {"edgemnist.digits.watch.run", "edgemnist.serve.preload"}
"""What does something when it is imported."""
_ALSO = ("ai_edge_litert.interpreter", "jinja2", "typer.rich_utils")


def measures_without_doubt() -> None:
    """Let nothing disturb a measurement: where no figure matters, a busy machine must not make a test fail."""
    from edgemnist.pipeline.bench import run as process

    for name in ("taints", "slowness_taints"):
        setattr(process, name, lambda *_: [])


def child(place: str, words: str) -> list[str]:
    """Return what starts a process that is forked and is no command."""
    return [sys.executable, "-I", "-S", calling.__file__, place, "", words]


@dataclass(frozen=True)
class _Running:
    """A forked process, and who waits for it."""

    number: int
    ended: int
    """Can be read from once it has ended."""
    caller: socket.socket

    def close(self) -> None:
        os.close(self.ended)
        self.caller.close()


def serve(place: str) -> list[Any]:
    """Fork for every caller. Return in the process that is to be the command line, with what it is to be."""
    running: list[_Running] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(place, "new"))
        server.listen(64)
        # Whoever finds the socket can call.
        os.rename(os.path.join(place, "new"), os.path.join(place, calling.SOCKET))
        while True:
            waited = [server, sys.stdin, *(one for each in running for one in (each.ended, each.caller))]
            ready = select.select(waited, [], [])[0]
            if sys.stdin in ready:
                leave(place, running)
            for one in [each for each in running if each.ended in ready or each.caller in ready]:
                running.remove(one)
                finish(one, killed=one.ended not in ready)
            if server in ready and (asked := accept(server, running)):
                break
    for one in running:
        one.close()
    return asked


def accept(server: socket.socket, running: list[_Running]) -> list[Any]:
    """Fork for the next caller. Return what is asked for, and its streams, in the child, and nothing in the parent."""
    caller = server.accept()[0]
    caller.settimeout(60)
    streams: list[int] = []
    try:
        streams = socket.recv_fds(caller, 1, 3)[1]
        with caller.makefile() as text:
            asked = ast.literal_eval(text.readline())
    except (OSError, SyntaxError):
        # It was killed, or stopped, before it could ask.
        caller.close()
    else:
        number = os.fork()
        if not number:
            caller.close()
            return [streams, asked["words"], asked["directory"], asked["environment"]]
        running.append(_Running(number, os.pidfd_open(number), caller))
    for stream in streams:
        os.close(stream)
    return []


def finish(one: _Running, *, killed: bool) -> None:
    """Tell the caller how a process ended; where the caller was killed first, kill the process."""
    if killed:
        kill(one)
    code = os.waitstatus_to_exitcode(os.waitpid(one.number, 0)[1])
    with contextlib.suppress(OSError):
        one.caller.sendall(f"{code}\n".encode())
    one.close()


def kill(one: _Running) -> None:
    """Kill a process, with its group if it leads one."""
    # It is not waited for yet, so its number is nobody else's.
    leads = os.getpgid(one.number) == one.number
    (os.killpg if leads else os.kill)(one.number, signal.SIGKILL)


def leave(place: str, running: list[_Running]) -> NoReturn:
    """End, with all that was left running."""
    for one in running:
        finish(one, killed=True)
    shutil.rmtree(place)
    os._exit(0)


def take_over(streams: list[int], words: list[str], directory: str, environment: dict[str, str]) -> None:
    """Make of this process what its caller would have started."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # As Python opens them. Whoever puts others in their place does not close them with that.
    sys.__stdin__ = sys.stdin = open(0, closefd=False)  # type: ignore[misc]
    sys.__stdout__ = sys.stdout = open(1, "w", closefd=False)  # type: ignore[misc]
    sys.__stderr__ = sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # type: ignore[misc]
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = directory
    sys.argv[1:] = words


def import_all() -> None:
    """Import what most commands do, which would take each of them a tenth of a second."""
    import edgemnist

    for module in pkgutil.walk_packages(edgemnist.__path__, f"{_MODULE}."):
        if module.name not in _AT_IMPORT and not module.name.endswith(("__main__", ".engine")):
            importlib.import_module(module.name)
    for name in _ALSO:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    """Be what forks, and then what was asked for."""
    import gc

    # As the command line has it before it imports TensorFlow.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    import tensorflow as tf

    from edgemnist.model.runtimes import untrusted
    from edgemnist.pipeline.bench import run as process

    import_all()
    place = sys.argv[1]
    untrusted._COMMAND[:] = child(place, TRIES_FILES)
    del tf
    # To look through what TensorFlow has made, and to copy it for that, would take every process a second.
    gc.freeze()
    take_over(*serve(place))
    if os.environ.pop(FORKS_MEASURING, ""):
        process._COMMAND[:] = child(place, MEASURES)
        measures_without_doubt()
    if sys.argv[1] == TRIES_FILES:
        sys.path[:] = json.loads(sys.argv[2])
        vars(untrusted).update(json.loads(os.environ.pop(LIMITS, "{}")))
        untrusted.main(*sys.argv[3:])
    try:
        if sys.argv[1] == MEASURES:
            from edgemnist.pipeline.bench.worker import main as measure

            sys.path[:] = os.environ["PYTHONPATH"].split(os.pathsep)
            measure()
            sys.exit()
        runpy.run_module(_MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        exit_at_once(ended.code)
        raise


def exit_at_once(code: object) -> None:
    """Exit as Python would, but without unloading modules. Return if the exit code is a message yet to be printed."""
    import atexit
    import threading

    if not isinstance(code, int | None):
        return
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter does at its end
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    main()
