"""What systemd does on a board, for `edgemnist.socket` and `edgemnist.service`.

supervisor.py ROOT PORT PIDFILE holds the listening socket and hands it to the service, which it runs from the current
release; on SIGHUP it stops the service with SIGTERM and starts it again.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

root, port, pidfile = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])

# The process becomes the service, so that the socket is meant for it.
HAND_OVER = (
    "import os, sys\n"
    "os.dup2(int(sys.argv[1]), 3)\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def start(listener: socket.socket) -> subprocess.Popen[bytes]:
    python = root / "current" / "venv" / "bin" / "python"
    command = [python, "-I", "-m", "edgemnist", "serve", "--exports", root / "current" / "exports", "--rate", "0"]
    descriptor = listener.fileno()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-c", HAND_OVER, str(descriptor), *map(str, command)],
        pass_fds=[descriptor],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    pidfile.write_text(str(os.getpid()))
    again = True
    while again:
        # What was blocked here would stay blocked in the service.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        service = start(listener)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        again = signal.sigwait([signal.SIGHUP, signal.SIGTERM]) == signal.SIGHUP
        # As systemd does, all processes of the service.
        os.killpg(service.pid, signal.SIGTERM)
        service.wait()


main()
