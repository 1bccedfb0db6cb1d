"""The command line in processes that are forked from one in which TensorFlow is imported, which takes seconds.

`python -I -S forking.py PLACE STARTED WORDS...` is `edgemnist WORDS...`: what runs has the streams, the directory, the
environment and the exit code of the caller. The first run of each command in a session of tests, which leaves a mark in
the directory STARTED, imports everything itself, as a user's does. `python forking.py PLACE` is what forks, until its
standard input closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import Any

SOCKET = "socket"
TRIES_FILES = "the child that tries files"
"""What stands for a command where a command line has files of unknown origin tried in a child: that is forked, too."""
_MODULE = "edgemnist"


def call(place: str, started: str, words: list[str]) -> int:
    """Have a command line run with the streams of this process, and return its exit code; a signal is negative."""
    if words[:1] != [TRIES_FILES] and is_first(started, words):
        os.execv(sys.executable, [sys.executable, "-m", _MODULE, *words])
    asked = {"words": words, "directory": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.join(place, SOCKET))
        socket.send_fds(client, [b"\n"], [0, 1, 2])
        client.sendall(json.dumps(asked).encode() + b"\n")
        with client.makefile() as answer:
            return int(answer.readline())


def is_first(started: str, words: list[str]) -> bool:
    """Return whether a command has not been run before in this session of tests."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(started)
    try:
        os.close(os.open(os.path.join(started, words[0]), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    except (IndexError, OSError):
        pass
    return True


def child_that_tries_files(place: str) -> list[str]:
    """Return the command of a child that is forked; as a real one's, the list of places of modules follows."""
    return [sys.executable, "-I", "-S", __file__, place, "", TRIES_FILES]


def serve(place: str) -> None:
    """Fork for every caller. Return in the process that is to be the command line, which has all that it is to have."""
    import select
    import shutil
    import signal

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(place, "new"))
        server.listen(64)
        # Whoever finds the socket can call.
        os.rename(os.path.join(place, "new"), os.path.join(place, SOCKET))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            if sys.stdin in select.select([server, sys.stdin], [], [])[0]:
                shutil.rmtree(place)
                os._exit(0)
            client = server.accept()[0]
            if os.fork() == 0:
                break
            client.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with client:
        streams = socket.recv_fds(client, 1, 3)[1]
        with client.makefile() as text:
            asked = json.loads(text.readline())
        child = os.fork()
        if child:
            for stream in streams:
                os.close(stream)
            end_with_caller(client, child)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            client.sendall(f"{code}\n".encode())
            os._exit(0)
    take_over(streams, asked["words"], asked["directory"], asked["environment"])


def end_with_caller(client: socket.socket, child: int) -> None:
    """Wait for the end of a process, and kill it, with its group if it leads one, where its caller is killed first."""
    import select
    import signal

    ended = os.pidfd_open(child)
    ends: list[Any] = [ended, client]
    if client in select.select(ends, [], [])[0]:
        # It is not waited for yet, so its number is nobody else's.
        leads = os.getpgid(child) == child
        (os.killpg if leads else os.kill)(child, signal.SIGKILL)
    os.close(ended)


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


def main() -> None:
    """Be the caller, or what forks, and then the command line."""
    if sys.flags.no_site:
        place, started, *words = sys.argv[1:]
        code = call(place, started, words)
        if code < 0:
            os.kill(os.getpid(), -code)
        sys.exit(code)
    import gc
    import runpy

    # As the command line has it before it imports TensorFlow.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    import tensorflow as tf

    import edgemnist.app
    from edgemnist.runtimes import untrusted

    untrusted._COMMAND[:] = child_that_tries_files(sys.argv[1])
    del tf, edgemnist
    # To look through what TensorFlow has made, and to copy it for that, would take every process a second.
    gc.freeze()
    serve(sys.argv[1])
    if sys.argv[1] == TRIES_FILES:
        from edgemnist.runtimes.untrusted_child import main as try_files

        os.setsid()
        sys.path[:] = json.loads(sys.argv[2])
        try_files()
        os._exit(0)
    try:
        runpy.run_module(_MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        leave(ended.code)
        raise


def leave(code: object) -> None:
    """Exit as Python would, but without unloading modules. Return if the exit code is a message yet to be printed."""
    import atexit
    import threading

    if not isinstance(code, int | None):
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    main()
