"""A command line that another process forks: `python -I -S calling.py PLACE STARTED WORDS...` is `edgemnist WORDS...`.

What runs has the streams, the directory, the environment and the exit code of this process, which imports next to
nothing: it is started thousands of times. tests/forking.py is the other side. The first run of each command in a
session of tests, which leaves a mark in the directory STARTED, imports everything itself, as a user's does.
"""

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket

SOCKET = "socket"
FORKED_ALWAYS = "forked: "
"""How words begin that stand for no command, but for a process that a command line would start."""


def call(place: str, started: str, words: list[str]) -> int:
    """Have a command line run with the streams of this process, and return its exit code; a signal is negative."""
    if not (words and words[0].startswith(FORKED_ALWAYS)) and is_first(started, words):
        os.execv(sys.executable, [sys.executable, "-m", "edgemnist", *words])
    asked = {"words": words, "directory": os.getcwd(), "environment": dict(os.environ)}
    client = socket(AF_UNIX)
    client.connect(os.path.join(place, SOCKET))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    client.sendmsg([b"\n"], [(SOL_SOCKET, SCM_RIGHTS, streams)])
    client.sendall(ascii(asked).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        received = client.recv(16)
        if not received:
            raise EOFError("what forks has ended")
        answer += received
    return int(answer)


def is_first(started: str, words: list[str]) -> bool:
    """Return whether a command has not been run before in this session of tests.

    Never for what is compared with another run: only where it is forked does a busy machine not disturb it.
    """
    if "--save" in words or "--baseline" in words:
        return False
    try:
        os.mkdir(started)
    except FileExistsError:
        pass
    try:
        os.close(os.open(os.path.join(started, words[0]), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    except (IndexError, OSError):
        pass
    return True


if __name__ == "__main__":
    code = call(sys.argv[1], sys.argv[2], sys.argv[3:])
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)
